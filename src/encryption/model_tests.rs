//! Every interleaving: two API servers, three keys, the machine and the agents as they are, and a world that reloads,
//! restarts, writes, crashes, loses and restores at any moment.
//!
//! What must hold in every state: each stored object can be read by each API server, with the file that it has loaded
//! and with the file that it would load if it restarted now. And no change of the key Secret by the operator lacks a key
//! that a file on a node has.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::Hash;

use jiff::{SignedDuration, Timestamp};

use super::configuration::{Configuration, file_hash};
use super::custody::{Custody, Material, Step};
use super::intake::{self, Verdict};
use super::machine::{Decision, decide};
use super::machine_tests::{BASELINE, wanted};
use super::observation::{
    Agent, AgentReport, Baseline, Found, Observation, PassOrder, PassReport, Sealed, Server, ServerState, Wanted,
};

/// A fault that the exploration must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutant {
    None,
    PromoteBeforeAgreement,
    PruneEarly,
    VerifyByList,
    ReuseAKeyName,
    MintWhenTheSecretIsMissing,
    AgentTakesAnOlderFile,
    NoTimeForWritesThatBegan,
}

/// What the world does besides reloading.
#[derive(Clone, Copy)]
struct Bounds {
    objects: usize,
    writers: usize,
    /// A backup is taken once, and once something is lost or put back. The operator then decides and writes at once:
    /// that the world may change in between is explored without losses.
    losses: bool,
}

/// Things by a small number.
struct Interned<T> {
    things: Vec<T>,
    numbers: HashMap<T, u16>,
}

impl<T: Clone + Eq + Hash> Interned<T> {
    fn new() -> Self {
        Self {
            things: Vec::new(),
            numbers: HashMap::new(),
        }
    }

    fn number(&mut self, thing: &T) -> u16 {
        if let Some(number) = self.numbers.get(thing) {
            return *number;
        }
        let number = u16::try_from(self.things.len()).unwrap();
        self.things.push(thing.clone());
        self.numbers.insert(thing.clone(), number);
        number
    }

    fn get(&self, number: u16) -> &T {
        &self.things[number as usize]
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Node {
    disk: u16,
    last: Option<u16>,
    loaded: u16,
    /// A write that is encoded, and not committed: under which key.
    begun: Option<u16>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Stored {
    custody: Option<u16>,
    objects: Vec<u16>,
    sealed: Option<u16>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Pending {
    Write(u16),
    Seal,
    Order(String),
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    stored: Stored,
    nodes: [Node; 2],
    /// Two minutes have passed since the agreement.
    waited: bool,
    order: Option<u16>,
    /// Which objects the pass has looked at, through which server.
    looked: u8,
    unproven: bool,
    refused: bool,
    /// What the operator is about to do, and the Secret that it saw: it may crash before.
    pending: Option<(Pending, Option<u16>)>,
    backup: Option<Stored>,
    losses: u8,
}

struct Explorer {
    mutant: Mutant,
    bounds: Bounds,
    custodies: Interned<Custody>,
    files: Interned<String>,
    keys: Interned<String>,
    sealed: Interned<BTreeSet<String>>,
    orders: Interned<String>,
    /// Of each file: what it reads, and what it writes.
    meaning: HashMap<u16, (BTreeSet<u16>, u16)>,
    verdicts: HashMap<(u16, Option<u16>, u16), bool>,
}

fn start() -> Timestamp {
    "2026-11-22T05:00:00Z".parse().unwrap()
}

impl Explorer {
    fn new(mutant: Mutant, bounds: Bounds) -> Self {
        Self {
            mutant,
            bounds,
            custodies: Interned::new(),
            files: Interned::new(),
            keys: Interned::new(),
            sealed: Interned::new(),
            orders: Interned::new(),
            meaning: HashMap::new(),
            verdicts: HashMap::new(),
        }
    }

    /// What a file reads and writes, told without the code that made it: the order of the lines.
    fn meaning(&mut self, file: u16) -> (BTreeSet<u16>, u16) {
        if let Some(meaning) = self.meaning.get(&file) {
            return meaning.clone();
        }
        let text = self.files.get(file).clone();
        let mut readers = Vec::new();
        let mut name = String::new();
        for line in text.lines() {
            if line.contains("identity") {
                readers.push("identity".to_owned());
            } else if let Some(found) = line.trim().strip_prefix("- name: ") {
                name = found.to_owned();
            } else if let Some(secret) = line.trim().strip_prefix("secret: ") {
                readers.push(format!("{name} {secret}"));
            }
        }
        let numbers: Vec<u16> = readers.iter().map(|reader| self.keys.number(reader)).collect();
        let meaning = (numbers.iter().copied().collect(), numbers[0]);
        self.meaning.insert(file, meaning.clone());
        meaning
    }

    fn begin(&mut self) -> State {
        let baseline = self.files.number(&BASELINE.to_owned());
        let plain = self.keys.number(&"identity".to_owned());
        let node = Node {
            disk: baseline,
            last: None,
            loaded: baseline,
            begun: None,
        };
        State {
            stored: Stored {
                custody: None,
                objects: vec![plain; self.bounds.objects],
                sealed: None,
            },
            nodes: [node.clone(), node],
            waited: false,
            order: None,
            looked: 0,
            unproven: false,
            refused: false,
            pending: None,
            backup: None,
            losses: u8::from(self.bounds.losses),
        }
    }

    fn custody(&self, state: &State) -> Option<&Custody> {
        state.stored.custody.map(|number| self.custodies.get(number))
    }

    fn wanted(&self, state: &State) -> Wanted {
        let next = self.custody(state).map_or(1, |custody| custody.next_number);
        let mut wanted = wanted();
        // A new rotation is asked for until there have been three keys.
        wanted.request = Some(next.min(4).to_string());
        if next >= 4 {
            wanted.request = self.custody(state).and_then(|custody| custody.request.clone());
        }
        wanted
    }

    fn all_looked(&self) -> u8 {
        u8::try_from((1_u32 << (2 * self.bounds.objects)) - 1).unwrap()
    }

    fn seen(&self, state: &State) -> Observation {
        let custody = self.custody(state);
        let hash = |file: u16| file_hash(self.files.get(file));
        let is_lie = self.mutant == Mutant::PromoteBeforeAgreement
            && custody.is_some_and(|custody| custody.step == Step::Distribute);
        let forgets =
            self.mutant == Mutant::MintWhenTheSecretIsMissing && custody.is_none_or(|custody| custody.keys.is_empty());
        let right = custody.and_then(Custody::file_hash);
        let now = start()
            + SignedDuration::from_mins(if state.waited || self.mutant == Mutant::NoTimeForWritesThatBegan {
                2
            } else {
                0
            });
        let agent = |(index, node): (usize, &Node)| Agent {
            node: format!("node-{index}"),
            report: Some(AgentReport {
                generation: if is_lie || forgets {
                    custody.map(|custody| custody.generation)
                } else {
                    node.last.map(|last| self.custodies.get(last).generation)
                },
                file_hash: if is_lie { right.clone() } else { Some(hash(node.disk)) },
                keys: if forgets {
                    BTreeSet::new()
                } else {
                    Configuration::parse(self.files.get(node.disk)).unwrap().our_keys()
                },
                problem: None,
                baseline: None,
            }),
        };
        let baseline = self.files.get(state.nodes[0].disk);
        Observation {
            now,
            custody: custody.map_or(Found::Absent, |custody| Found::Present(Box::new(custody.clone()))),
            remembered: BTreeSet::new(),
            escrow: state.stored.sealed.filter(|_| !forgets).map(|sealed| Sealed {
                keys: self.sealed.get(sealed).clone(),
                recipients: wanted().recipients,
            }),
            servers: state
                .nodes
                .iter()
                .enumerate()
                .map(|(index, node)| Server {
                    name: format!("https://server-{index}"),
                    state: ServerState::Loaded(match &right {
                        Some(right) if is_lie => right.clone(),
                        None if forgets => file_hash(BASELINE),
                        _ => hash(node.loaded),
                    }),
                })
                .collect(),
            missing: vec![],
            agents: Some(state.nodes.iter().enumerate().map(agent).collect()),
            baseline: match custody {
                Some(custody) if custody.step == Step::Import && forgets => Baseline::Text(BASELINE.to_owned()),
                Some(custody) if custody.step == Step::Import && state.nodes[0].disk == state.nodes[1].disk => {
                    Baseline::Text(baseline.clone())
                }
                _ => Baseline::Unknown,
            },
            order: state.order.map(|id| self.order(state, self.orders.get(id))),
            report: state.order.map(|id| self.report(state, self.orders.get(id))),
        }
    }

    fn order(&self, state: &State, id: &str) -> PassOrder {
        let servers: Vec<Server> = (0..2)
            .map(|index| Server {
                name: format!("https://server-{index}"),
                state: ServerState::NotConfigured,
            })
            .collect();
        let now = self
            .custody(state)
            .map(|custody| super::machine::order(custody, &servers));
        now.filter(|order| order.id == id).unwrap_or_else(|| PassOrder {
            id: id.to_owned(),
            step: Step::Verify,
            resources: vec![],
            servers: vec![],
        })
    }

    fn report(&self, state: &State, id: &str) -> PassReport {
        let is_lie = self.mutant == Mutant::PruneEarly || self.mutant == Mutant::VerifyByList && id.contains("Verify");
        PassReport {
            order: id.to_owned(),
            complete: is_lie || state.looked == self.needed(id),
            done: 1,
            unproven: i64::from(state.unproven && !is_lie),
            refused: if state.refused && !is_lie {
                vec!["an object".to_owned()]
            } else {
                vec![]
            },
            at: Some(start() - SignedDuration::from_mins(5)),
            ..PassReport::default()
        }
    }

    fn needed(&self, id: &str) -> u8 {
        if id.contains("Migrate") {
            self.all_looked() & ((1 << self.bounds.objects) - 1)
        } else {
            self.all_looked()
        }
    }

    /// Why a state must not be.
    fn fault(&mut self, state: &State) -> Option<String> {
        for (index, node) in state.nodes.iter().enumerate() {
            for (what, file) in [("has loaded", node.loaded), ("would load", node.disk)] {
                let readers = self.meaning(file).0;
                if let Some(object) = state.stored.objects.iter().find(|object| !readers.contains(object)) {
                    return Some(format!(
                        "an object under {} cannot be read with the file that server {index} {what}",
                        self.keys.get(*object).split('"').nth(1).unwrap_or("identity")
                    ));
                }
            }
        }
        None
    }

    /// Times are made equal, so that states can be.
    fn intern(&mut self, custody: &Custody) -> u16 {
        let mut custody = custody.clone();
        for key in &mut custody.keys {
            key.created_at = start();
        }
        custody.agreed_at = custody.agreed_at.map(|_| start());
        custody.settled_at = custody.settled_at.map(|_| start());
        // Passes are counted without end otherwise.
        custody.pass = custody.pass.min(3);
        if let Some(proof) = &mut custody.verification {
            proof.at = start();
        }
        self.custodies.number(&custody)
    }

    fn decide(&mut self, state: &State) -> Option<Pending> {
        let wanted = self.wanted(state);
        let number = self.custody(state).map_or(0, |custody| custody.next_number);
        let random = [u8::try_from(number).unwrap(); 32];
        match decide(&wanted, &self.seen(state), &random) {
            Decision::Write(next) => {
                let mut next = *next;
                if self.mutant == Mutant::ReuseAKeyName && next.step == Step::Mint && next.keys.len() > 1 {
                    let new = next.keys.remove(0);
                    next.keys[0].secret = new.secret;
                }
                Some(Pending::Write(self.intern(&next)))
            }
            Decision::Seal => Some(Pending::Seal),
            Decision::Order(order) => Some(Pending::Order(order.id)),
            Decision::Wait(_) | Decision::Stop(_) | Decision::Settled => None,
        }
    }

    fn commit(&mut self, state: &State, pending: &Pending) -> Result<State, String> {
        let mut next = state.clone();
        match pending {
            Pending::Write(number) => {
                let custody = self.custodies.get(*number).clone();
                if custody.step != Step::Import {
                    // A name with other material is another key.
                    let keys = custody
                        .keys
                        .iter()
                        .map(|key| format!("{} {}", serde_json::json!(key.name), serde_json::json!(key.secret)));
                    let mut known: BTreeSet<String> = keys.collect();
                    known.insert("identity".to_owned());
                    let retired: Vec<String> = custody.retired.iter().map(|retired| retired.name.clone()).collect();
                    for disk in state.nodes.clone().map(|node| node.disk) {
                        for reader in self.meaning(disk).0 {
                            let reader = self.keys.get(reader);
                            if !known.contains(reader) && !retired.iter().any(|name| reader.contains(name.as_str())) {
                                return Err(format!(
                                    "the operator writes a key Secret without {}, which a file has",
                                    reader.split('"').nth(1).unwrap_or_default()
                                ));
                            }
                        }
                    }
                }
                let custody = self.custodies.get(*number);
                let agreed = |number: Option<u16>| number.and_then(|number| self.custodies.get(number).agreed_at);
                if agreed(state.stored.custody).is_none() || custody.agreed_at.is_none() {
                    next.waited = false;
                }
                next.stored.custody = Some(*number);
            }
            Pending::Seal => {
                let names: BTreeSet<String> = self
                    .custody(state)
                    .map(|custody| custody.keys.iter().map(|key| key.name.clone()).collect())
                    .unwrap_or_default();
                next.stored.sealed = Some(self.sealed.number(&names));
            }
            Pending::Order(id) => {
                next.order = Some(self.orders.number(id));
                next.looked = 0;
                next.unproven = false;
                next.refused = false;
            }
        }
        Ok(next)
    }

    /// The agent of a node is offered a record. `Some`: something changed.
    fn offer(&mut self, node: &Node, offered: u16) -> Option<Node> {
        let key = (offered, node.last, node.disk);
        let takes = if let Some(takes) = self.verdicts.get(&key) {
            *takes
        } else {
            let last = node.last.map(|last| self.custodies.get(last));
            let verdict = intake::judge(Ok(self.custodies.get(offered)), last, Some(self.files.get(node.disk)));
            let takes = matches!(verdict, Verdict::Right | Verdict::Replace { .. });
            self.verdicts.insert(key, takes);
            takes
        };
        let record = self.custodies.get(offered);
        let file = record.file.clone()?;
        // Of a record that differs in nothing that a file is made of, the agent learns nothing.
        let last = node.last.map(|last| self.custodies.get(last));
        if last.is_some_and(|last| {
            (last.generation, &last.keys, &last.file) == (record.generation, &record.keys, &record.file)
        }) {
            return None;
        }
        let reckless = self.mutant == Mutant::AgentTakesAnOlderFile;
        if !takes && !reckless {
            return None;
        }
        let disk = self.files.number(&file);
        let next = Node {
            disk,
            last: Some(offered),
            ..node.clone()
        };
        (next != *node).then_some(next)
    }

    /// Every state that can come next.
    fn next(&mut self, state: &State) -> Result<Vec<State>, String> {
        let mut all = Vec::new();
        self.operator(state, &mut all)?;
        self.control_plane(state, &mut all);
        self.migrator(state, &mut all);
        if self.bounds.losses {
            self.losses(state, &mut all);
        }
        Ok(all)
    }

    fn operator(&mut self, state: &State, all: &mut Vec<State>) -> Result<(), String> {
        match &state.pending {
            None => {
                if let Some(pending) = self.decide(state) {
                    if self.bounds.losses {
                        all.push(self.commit(state, &pending)?);
                        return Ok(());
                    }
                    let mut next = state.clone();
                    next.pending = Some((pending, state.stored.custody));
                    all.push(next);
                }
            }
            Some((pending, saw)) => {
                let mut crashed = state.clone();
                crashed.pending = None;
                // Compare and swap: what was seen of the Secret must still stand there.
                if *saw == state.stored.custody {
                    all.push(self.commit(&crashed, pending)?);
                }
                all.push(crashed);
            }
        }
        Ok(())
    }

    fn control_plane(&mut self, state: &State, all: &mut Vec<State>) {
        let offers: Vec<u16> = state
            .stored
            .custody
            .into_iter()
            // A kubelet that restarts may mount an older Secret.
            .chain(state.backup.as_ref().and_then(|backup| backup.custody))
            .collect();
        for index in 0..2 {
            let node = state.nodes[index].clone();
            for offered in &offers {
                if let Some(changed) = self.offer(&node, *offered) {
                    let mut next = state.clone();
                    next.nodes[index] = changed;
                    all.push(next);
                }
            }
            if node.loaded != node.disk {
                let mut reloaded = state.clone();
                reloaded.nodes[index].loaded = node.disk;
                all.push(reloaded.clone());
                // A restart also forgets the write that it had begun.
                reloaded.nodes[index].begun = None;
                all.push(reloaded);
            }
            match node.begun {
                None if index < self.bounds.writers => {
                    let mut next = state.clone();
                    next.nodes[index].begun = Some(self.meaning(node.loaded).1);
                    all.push(next);
                }
                None => {}
                Some(key) => {
                    let mut next = state.clone();
                    next.nodes[index].begun = None;
                    next.stored.objects[0] = key;
                    all.push(next);
                }
            }
        }
        let is_agreed = self.custody(state).is_some_and(|custody| custody.agreed_at.is_some());
        if is_agreed && !state.waited && state.nodes.iter().all(|node| node.begun.is_none()) {
            let mut next = state.clone();
            next.waited = true;
            all.push(next);
        }
    }

    fn migrator(&mut self, state: &State, all: &mut Vec<State>) {
        let Some(id) = state.order.map(|id| self.orders.get(id).clone()) else {
            return;
        };
        let open = self.needed(&id) & !state.looked;
        let count = self.bounds.objects;
        for bit in (0..2 * count).filter(|bit| open & (1 << bit) != 0) {
            let (server, object) = (bit / count, bit % count);
            let mut next = state.clone();
            next.looked |= 1 << bit;
            let first = self.meaning(state.nodes[server].loaded).1;
            if state.stored.objects[object] != first {
                next.unproven = true;
                // Something may refuse the patch.
                let mut refused = next.clone();
                refused.refused = true;
                all.push(refused);
                next.stored.objects[object] = first;
            }
            all.push(next);
        }
    }

    fn losses(&mut self, state: &State, all: &mut Vec<State>) {
        // One that is taken in the middle of a file's way is like one before it or after it.
        let is_quiet = self
            .custody(state)
            .is_none_or(|custody| custody.agreed_at.is_some() || custody.step == Step::Import);
        if state.backup.is_none() && state.losses > 0 && is_quiet && state.nodes.iter().all(|node| node.begun.is_none())
        {
            let mut next = state.clone();
            next.backup = Some(state.stored.clone());
            all.push(next);
        }
        if state.losses == 0 {
            // Somebody rebuilds the Secret from the files of a node.
            let newest = state
                .nodes
                .iter()
                .filter_map(|node| node.last)
                .max_by_key(|last| self.custodies.get(*last).generation);
            let lost = matches!(
                decide(&self.wanted(state), &self.seen(state), &[0; 32]),
                Decision::Stop(_)
            );
            if let (true, Some(newest)) = (lost, newest) {
                let recovered = self.custodies.get(newest).recovered().unwrap();
                if recovered.generation < 2000 {
                    let mut next = state.clone();
                    next.stored.custody = Some(self.intern(&recovered));
                    next.waited = false;
                    all.push(next);
                }
            }
            return;
        }
        let backup = state.backup.clone();
        let mut lost = state.clone();
        lost.losses -= 1;
        // From now on the backup is of no use: that bounds what there is to explore.
        lost.backup = None;
        lost.stored.custody = None;
        all.push(lost.clone());
        lost.stored.sealed = None;
        all.push(lost.clone());
        let Some(backup) = backup else { return };
        let mut restored = lost;
        restored.stored = state.stored.clone();
        restored.stored.custody = backup.custody;
        all.push(restored.clone());
        // All of etcd, as far as the keys that are kept reach; the API servers start anew.
        restored.stored = backup;
        for node in &mut restored.nodes {
            node.begun = None;
            node.loaded = node.disk;
        }
        let reads: Vec<BTreeSet<u16>> = restored.nodes.iter().map(|node| self.meaning(node.disk).0).collect();
        if restored
            .stored
            .objects
            .iter()
            .all(|object| reads.iter().all(|readers| readers.contains(object)))
        {
            all.push(restored);
        }
    }

    /// Explores everything. The number of states and the furthest that was seen, or the fault.
    fn explore(&mut self) -> Result<Explored, String> {
        let first = self.begin();
        let mut known = HashSet::from([first.clone()]);
        let mut open = vec![first];
        let mut explored = Explored::default();
        while let Some(state) = open.pop() {
            if let Some(custody) = self.custody(&state) {
                explored.steps.insert(custody.step);
                explored.retired |= !custody.retired.is_empty();
                explored.settled |= custody.step == Step::Settled && custody.next_number == 4;
                explored.recovered |= custody.generation > 1000 && custody.step == Step::Settled;
            }
            for next in self.next(&state)? {
                if known.contains(&next) {
                    continue;
                }
                if let Some(fault) = self.fault(&next) {
                    return Err(fault);
                }
                known.insert(next.clone());
                open.push(next);
            }
        }
        explored.states = known.len();
        Ok(explored)
    }
}

#[derive(Debug, Default)]
struct Explored {
    states: usize,
    steps: BTreeSet<Step>,
    retired: bool,
    settled: bool,
    recovered: bool,
}

const CALM: Bounds = Bounds {
    objects: 2,
    writers: 2,
    losses: false,
};
const LOSSES: Bounds = Bounds {
    objects: 1,
    writers: 0,
    losses: true,
};

#[test]
fn in_every_interleaving_every_server_reads_every_object() {
    let explored = Explorer::new(Mutant::None, CALM).explore().unwrap();
    eprintln!("{explored:?}");
    assert_eq!(explored.steps.len(), 8);
    assert!(
        explored.retired && explored.settled && explored.states > 10_000,
        "{explored:?}"
    );
}

#[test]
fn also_when_the_secret_the_sealed_copy_or_all_of_etcd_is_lost_or_put_back() {
    let explored = Explorer::new(Mutant::None, LOSSES).explore().unwrap();
    eprintln!("{explored:?}");
    assert!(
        explored.retired && explored.recovered && explored.states > 4_000,
        "{explored:?}"
    );
}

#[test]
fn each_fault_of_the_machine_is_found() {
    let faults: BTreeMap<&str, (Mutant, Bounds)> = BTreeMap::from([
        ("promote before agreement", (Mutant::PromoteBeforeAgreement, CALM)),
        ("prune early", (Mutant::PruneEarly, CALM)),
        ("verify by LIST", (Mutant::VerifyByList, CALM)),
        ("reuse a key name", (Mutant::ReuseAKeyName, CALM)),
        (
            "no time for writes that began",
            (Mutant::NoTimeForWritesThatBegan, CALM),
        ),
        (
            "mint when the Secret is missing",
            (Mutant::MintWhenTheSecretIsMissing, LOSSES),
        ),
        ("agent takes an older file", (Mutant::AgentTakesAnOlderFile, LOSSES)),
    ]);
    for (name, (mutant, bounds)) in faults {
        let fault = Explorer::new(mutant, bounds).explore().err();
        eprintln!("{name}: {fault:?}");
        assert!(fault.is_some(), "{name} was not found");
    }
}

#[test]
fn material_does_not_show_itself() {
    assert_eq!(format!("{:?}", Material::new(&[1; 32])), "(key)");
}
