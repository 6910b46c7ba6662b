//! Every interleaving: two API servers, three keys, the machine and the agents as they are, and a world that reloads,
//! restarts, writes, crashes, loses and restores at any moment.
//!
//! What must hold in every state: each stored object can be read by each API server, with the file that it has loaded
//! and with the file that it would load if it restarted now. And no change of the key Secret by the operator lacks a key
//! that a file on a node has.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;

use jiff::{SignedDuration, Timestamp};

use super::configuration::{Configuration, file_hash};
use super::custody::{Custody, Step};
use super::machine::{Decision, decide};
use super::machine_tests::{BASELINE, wanted};
use super::observation::{
    Agent, AgentReport, Baseline, Found, Observation, PassOrder, PassReport, Sealed, Server, ServerState, Wanted,
};

/// A fault that the exploration must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    None,
    PromoteBeforeAgreement,
    PruneEarly,
    VerifyByList,
    ReuseAKeyName,
    MintWhenTheSecretIsMissing,
    AgentTakesAnOlderFile,
    NoTimeForWritesThatBegan,
    SealsTheKeysOnly,
}

/// What the world does besides reloading.
#[derive(Clone, Copy)]
pub struct Bounds {
    pub objects: usize,
    pub writers: usize,
    /// A backup is taken once, and once something is lost or put back. The operator then decides and writes at once:
    /// that the world may change in between is explored without losses.
    pub losses: bool,
}

/// Things by a small number.
pub struct Interned<T> {
    pub things: Vec<T>,
    pub numbers: HashMap<T, u16>,
}

impl<T: Clone + Eq + Hash> Interned<T> {
    pub fn new() -> Self {
        Self {
            things: Vec::new(),
            numbers: HashMap::new(),
        }
    }

    pub fn number(&mut self, thing: &T) -> u16 {
        if let Some(number) = self.numbers.get(thing) {
            return *number;
        }
        let number = u16::try_from(self.things.len()).unwrap();
        self.things.push(thing.clone());
        self.numbers.insert(thing.clone(), number);
        number
    }

    pub fn get(&self, number: u16) -> &T {
        &self.things[number as usize]
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Node {
    pub disk: u16,
    pub last: Option<u16>,
    pub loaded: u16,
    /// A write that is encoded, and not committed: under which key.
    pub begun: Option<u16>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Stored {
    pub custody: Option<u16>,
    pub objects: Vec<u16>,
    /// The record in the sealed copy.
    pub sealed: Option<u16>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Pending {
    Write(u16),
    Seal,
    Order(String),
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub stored: Stored,
    pub nodes: [Node; 2],
    /// Two minutes have passed since the agreement.
    pub waited: bool,
    pub order: Option<u16>,
    /// Which objects the pass has looked at, through which server.
    pub looked: u8,
    pub unproven: bool,
    pub refused: bool,
    /// What the operator is about to do, and the Secret that it saw: it may crash before.
    pub pending: Option<(Pending, Option<u16>)>,
    pub backup: Option<Stored>,
    pub losses: u8,
}

pub struct Explorer {
    pub mutant: Mutant,
    pub bounds: Bounds,
    pub custodies: Interned<Custody>,
    pub files: Interned<String>,
    pub keys: Interned<String>,
    pub orders: Interned<String>,
    /// Of each file: what it reads, and what it writes.
    pub meaning: HashMap<u16, (BTreeSet<u16>, u16)>,
    pub verdicts: HashMap<(u16, Option<u16>, u16), bool>,
}

pub fn start() -> Timestamp {
    "2026-11-22T05:00:00Z".parse().unwrap()
}

impl Explorer {
    pub fn new(mutant: Mutant, bounds: Bounds) -> Self {
        Self {
            mutant,
            bounds,
            custodies: Interned::new(),
            files: Interned::new(),
            keys: Interned::new(),
            orders: Interned::new(),
            meaning: HashMap::new(),
            verdicts: HashMap::new(),
        }
    }

    /// What a file reads and writes, told without the code that made it: the order of the lines.
    pub fn meaning(&mut self, file: u16) -> (BTreeSet<u16>, u16) {
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

    pub fn begin(&mut self) -> State {
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

    pub fn custody(&self, state: &State) -> Option<&Custody> {
        state.stored.custody.map(|number| self.custodies.get(number))
    }

    pub fn wanted(&self, state: &State) -> Wanted {
        let next = self.custody(state).map_or(1, |custody| custody.next_number);
        let mut wanted = wanted();
        // A new rotation is asked for until there have been three keys.
        wanted.request = Some(next.min(4).to_string());
        if next >= 4 {
            wanted.request = self.custody(state).and_then(|custody| custody.request.clone());
        }
        wanted
    }

    pub fn all_looked(&self) -> u8 {
        u8::try_from((1_u32 << (2 * self.bounds.objects)) - 1).unwrap()
    }

    pub fn seen(&self, state: &State) -> Observation {
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
            escrow: state
                .stored
                .sealed
                .filter(|_| !forgets)
                .map(|sealed| self.sealed(sealed)),
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

    fn sealed(&self, record: u16) -> Sealed {
        let record = self.custodies.get(record);
        Sealed {
            keys: record.keys.iter().map(|key| key.name.clone()).collect(),
            recipients: wanted().recipients,
            encrypted: match self.mutant {
                Mutant::SealsTheKeysOnly => wanted().resources.into_iter().collect(),
                _ => record.encrypted_when_recovered(),
            },
        }
    }

    pub fn order(&self, state: &State, id: &str) -> PassOrder {
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

    pub fn report(&self, state: &State, id: &str) -> PassReport {
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

    pub fn needed(&self, id: &str) -> u8 {
        if id.contains("Migrate") {
            self.all_looked() & ((1 << self.bounds.objects) - 1)
        } else {
            self.all_looked()
        }
    }

    /// Why a state must not be.
    pub fn fault(&mut self, state: &State) -> Option<String> {
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

    /// Whether a file has objects written as they are.
    pub fn writes_plain_text(&mut self, file: u16) -> bool {
        let first = self.meaning(file).1;
        self.keys.get(first) == "identity"
    }

    /// Times are made equal, so that states can be.
    pub fn intern(&mut self, custody: &Custody) -> u16 {
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

    pub fn decide(&mut self, state: &State) -> Option<Pending> {
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

    pub fn commit(&mut self, state: &State, pending: &Pending) -> Result<State, String> {
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
            Pending::Seal => next.stored.sealed = state.stored.custody,
            Pending::Order(id) => {
                next.order = Some(self.orders.number(id));
                next.looked = 0;
                next.unproven = false;
                next.refused = false;
            }
        }
        Ok(next)
    }

    /// Every state that can come next.
    pub fn next(&mut self, state: &State) -> Result<Vec<State>, String> {
        let mut all = Vec::new();
        self.operator(state, &mut all)?;
        self.control_plane(state, &mut all)?;
        self.migrator(state, &mut all);
        if self.bounds.losses {
            self.losses(state, &mut all)?;
        }
        Ok(all)
    }

    /// Explores everything. The number of states and the furthest that was seen, or the fault.
    pub fn explore(&mut self) -> Result<Explored, String> {
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
pub struct Explored {
    pub states: usize,
    pub steps: BTreeSet<Step>,
    pub retired: bool,
    pub settled: bool,
    pub recovered: bool,
}
