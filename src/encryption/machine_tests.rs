//! The machine on a small world that it could have been told about: two API servers, two agents, a few objects.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::configuration::file_hash;
use super::custody::{Custody, Step};
use super::intake::{self, Verdict};
use super::machine::{Decision, decide};
use super::observation::{
    Agent, AgentReport, Baseline, Found, Observation, PassOrder, PassReport, Sealed, Server, ServerState, Wanted,
};
use super::reasons;
use super::wanted;
use crate::api::cluster_encryption::EncryptionMode;

pub const BASELINE: &str = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers: [{identity: {}}]\n";

pub fn wanted() -> Wanted {
    let spec = serde_json::from_value(serde_json::json!({"mode": "Apply", "rotation": {"keepOldKeys": 1}})).unwrap();
    let mut wanted = wanted::wanted(&spec, &[], SignedDuration::from_mins(2)).unwrap();
    wanted.recipients = vec!["age1x".to_owned()];
    wanted
}

/// A world without races: what the machine decides is done at once.
#[derive(Clone)]
pub struct World {
    pub now: Timestamp,
    pub custody: Found,
    pub remembered: BTreeSet<String>,
    pub escrow: Option<Sealed>,
    /// The file that each server has loaded.
    pub loaded: [String; 2],
    /// The file on each node, and the record that its agent wrote last.
    pub nodes: [(String, Option<Custody>); 2],
    pub report: Option<PassReport>,
    pub order: Option<PassOrder>,
    pub missing: Vec<String>,
}

impl World {
    pub fn new() -> Self {
        Self {
            now: "2026-11-22T05:00:00Z".parse().unwrap(),
            custody: Found::Absent,
            remembered: BTreeSet::new(),
            escrow: None,
            loaded: [BASELINE.to_owned(), BASELINE.to_owned()],
            nodes: [(BASELINE.to_owned(), None), (BASELINE.to_owned(), None)],
            report: None,
            order: None,
            missing: vec![],
        }
    }

    pub fn custody(&self) -> &Custody {
        match &self.custody {
            Found::Present(custody) => custody,
            other => panic!("{other:?}"),
        }
    }

    pub fn seen(&self) -> Observation {
        let agent = |index: usize| {
            let (disk, last) = &self.nodes[index];
            Agent {
                node: format!("node-{index}"),
                report: Some(AgentReport {
                    generation: last.as_ref().map(|last| last.generation),
                    file_hash: Some(file_hash(disk)),
                    keys: super::configuration::Configuration::parse(disk)
                        .map(|file| file.our_keys())
                        .unwrap_or_default(),
                    problem: None,
                    baseline: None,
                }),
            }
        };
        Observation {
            now: self.now,
            custody: self.custody.clone(),
            remembered: self.remembered.clone(),
            escrow: self.escrow.clone(),
            servers: (0..2)
                .map(|index| Server {
                    name: format!("https://server-{index}"),
                    state: ServerState::Loaded(file_hash(&self.loaded[index])),
                })
                .collect(),
            missing: self.missing.clone(),
            agents: Some((0..2).map(agent).collect()),
            baseline: match &self.custody {
                Found::Present(custody) if custody.step == Step::Import => Baseline::Text(self.nodes[0].0.clone()),
                _ => Baseline::Unknown,
            },
            report: self.report.clone(),
            order: self.order.clone(),
        }
    }

    /// Agents take what they are offered, and servers load what is on their disk.
    fn settle_down(&mut self) {
        if let Found::Present(custody) = &self.custody {
            for (disk, last) in &mut self.nodes {
                match intake::judge(Ok(custody), last.as_ref(), Some(disk)) {
                    Verdict::Right => *last = Some((**custody).clone()),
                    Verdict::Replace { .. } => {
                        *disk = custody.file.clone().unwrap();
                        *last = Some((**custody).clone());
                    }
                    _ => {}
                }
            }
        }
        for index in 0..2 {
            self.loaded[index] = self.nodes[index].0.clone();
        }
    }

    pub fn act(&mut self, decision: &Decision) {
        match decision {
            Decision::Write(next) => self.custody = Found::Present(next.clone()),
            Decision::Seal => {
                self.escrow = Some(Sealed {
                    keys: self.custody().keys.iter().map(|key| key.name.clone()).collect(),
                    recipients: wanted().recipients,
                    encrypted: self.custody().encrypted_when_recovered(),
                });
            }
            Decision::Order(order) => {
                self.report = Some(PassReport {
                    order: order.id.clone(),
                    complete: true,
                    done: 3,
                    at: Some(self.now),
                    ..PassReport::default()
                });
                self.order = Some(order.clone());
            }
            _ => {}
        }
    }

    pub fn step(&mut self, wanted: &Wanted, random: u8) -> Decision {
        let decision = decide(wanted, &self.seen(), &[random; 32]);
        self.act(&decision);
        self.settle_down();
        self.now += SignedDuration::from_mins(1);
        decision
    }

    /// Steps until no rotation is under way; the steps that were seen.
    pub fn run(&mut self, wanted: &Wanted, random: u8) -> Vec<Step> {
        let mut steps = Vec::new();
        for _ in 0..60 {
            if self.step(wanted, random) == Decision::Settled {
                return steps;
            }
            if steps.last() != Some(&self.custody().step) {
                steps.push(self.custody().step);
            }
        }
        panic!(
            "it does not settle: {steps:?} {:?}",
            decide(wanted, &self.seen(), &[random; 32])
        );
    }

    pub fn run_until_settled(&mut self) {
        self.run(&wanted(), 1);
    }
}

fn halt(decision: &Decision) -> (&'static str, bool) {
    match decision {
        Decision::Wait(halt) => (halt.reason, false),
        Decision::Stop(halt) => (halt.reason, true),
        other => panic!("{other:?}"),
    }
}

fn look(world: &World) -> (&'static str, bool) {
    halt(&decide(&wanted(), &world.seen(), &[9; 32]))
}

#[test]
fn the_first_rotation_takes_every_step_in_order() {
    use Step::{Distribute, Import, Migrate, Mint, Promote, Prune, Settled, Verify};
    let mut world = World::new();
    let steps = world.run(&wanted(), 1);
    assert_eq!(
        steps,
        [
            Import, Settled, Mint, Distribute, Promote, Migrate, Verify, Prune, Settled
        ]
    );
    let custody = world.custody();
    assert_eq!(
        custody.verification.as_ref().unwrap().key,
        *custody.active.as_ref().unwrap()
    );
    assert!(
        custody.file.as_ref().unwrap().contains("identity"),
        "what was plain in a backup can still be read"
    );
}

#[test]
fn a_rotation_begins_when_it_is_due_or_asked_for_and_one_at_a_time() {
    let (mut world, mut wanted) = (World::new(), wanted());
    world.run(&wanted, 1);
    let before = world.custody().clone();
    assert_eq!(world.step(&wanted, 2), Decision::Settled);
    wanted.request = Some("now".to_owned());
    let steps = world.run(&wanted, 2);
    assert_eq!(steps.first(), Some(&Step::Mint));
    assert_eq!(world.run(&wanted, 3), [], "one text asks for one rotation");
    assert_ne!(world.custody().active, before.active);
    // By the clock: ninety days after the end of the last one.
    world.now += SignedDuration::from_hours(24 * 90);
    world.run(&wanted, 4);
    let custody = world.custody();
    assert_eq!(custody.next_number, 4);
    assert_eq!(custody.keys.len(), 2, "one old key is kept");
    assert_eq!(custody.retired.len(), 1);
    let names: BTreeSet<String> = custody.known_keys();
    assert_eq!(names.len(), 3, "no name was used twice");
}

#[test]
fn a_new_resource_is_readable_everywhere_before_it_is_written() {
    let (mut world, mut wanted) = (World::new(), wanted());
    world.run(&wanted, 1);
    wanted.resources.push("configmaps".to_owned());
    while world.custody().step != Step::Distribute {
        world.step(&wanted, 2);
    }
    let resource = world
        .custody()
        .resources
        .iter()
        .find(|resource| resource.name == "configmaps")
        .unwrap();
    assert!(!resource.promoted);
    world.run(&wanted, 2);
    assert!(world.custody().resources.iter().all(|resource| resource.promoted));
    // It is never taken out again.
    wanted.resources.pop();
    wanted.request = Some("again".to_owned());
    world.run(&wanted, 3);
    assert_eq!(world.custody().resources.len(), 2);
}

#[test]
fn whatever_is_missing_or_late_holds_the_next_step() {
    let mut world = World::new();
    world.run_until_settled();
    let mut wanted = wanted();
    wanted.request = Some("now".to_owned());
    while world.custody().step != Step::Distribute {
        world.step(&wanted, 2);
    }
    let old = world.loaded[1].clone();
    let case = |change: &dyn Fn(&mut Observation)| {
        let mut seen = world.seen();
        change(&mut seen);
        halt(&decide(&wanted, &seen, &[3; 32]))
    };
    let server = |state: ServerState| move |seen: &mut Observation| seen.servers[1].state = state.clone();
    assert_eq!(
        case(&server(ServerState::Unreachable("x".to_owned()))),
        (reasons::SERVER_UNREACHABLE, false)
    );
    assert_eq!(
        case(&server(ServerState::Forbidden)),
        (reasons::METRICS_FORBIDDEN, false)
    );
    assert_eq!(
        case(&server(ServerState::NotConfigured)),
        (reasons::NOT_CONFIGURED, true)
    );
    assert_eq!(
        case(&|seen| seen.missing.push("node-2 has no endpoint".to_owned())),
        (reasons::SERVER_MISSING, false)
    );
    assert_eq!(case(&|seen| seen.servers.clear()), (reasons::SERVER_MISSING, false));
    assert_eq!(
        case(&|seen| seen.agents.as_mut().unwrap()[0].report = None),
        (reasons::AGENT_MISSING, false)
    );
    assert_eq!(
        case(&|seen| seen.agents = Some(vec![])),
        (reasons::AGENT_MISSING, false)
    );
    // A lagging server: first the agreement is taken back, then it is waited for.
    let mut lagging = world.seen();
    lagging.servers[1].state = ServerState::Loaded(file_hash(&old));
    let Found::Present(custody) = &mut lagging.custody else {
        panic!()
    };
    custody.agreed_at = None;
    lagging.servers[1].state = ServerState::Loaded(custody.files[0].hash.clone());
    assert_eq!(halt(&decide(&wanted, &lagging, &[3; 32])), (reasons::NOT_AGREED, false));
    lagging.servers[1].state = ServerState::Loaded("sha256:strange".to_owned());
    assert_eq!(
        halt(&decide(&wanted, &lagging, &[3; 32])),
        (reasons::UNKNOWN_FILE, true)
    );
}

#[test]
fn an_agreement_that_is_broken_starts_the_two_minutes_anew() {
    let mut world = World::new();
    let wanted = wanted();
    while !matches!(world.custody, Found::Present(ref custody) if custody.step == Step::Promote && custody.agreed_at.is_some())
    {
        world.step(&wanted, 1);
    }
    let loaded = world.loaded[0].clone();
    world.loaded[0] = BASELINE.to_owned();
    let Decision::Write(next) = decide(&wanted, &world.seen(), &[1; 32]) else {
        panic!()
    };
    assert_eq!((next.step, next.agreed_at), (Step::Promote, None));
    world.custody = Found::Present(next);
    world.loaded[0] = loaded;
    world.step(&wanted, 1);
    assert_eq!(
        halt(&decide(&wanted, &world.seen(), &[1; 32])),
        (reasons::SETTLING, false)
    );
}

#[test]
fn absence_is_never_day_one() {
    let mut settled = World::new();
    settled.run_until_settled();
    let key = settled.custody().keys[0].name.clone();
    // The status, the sealed copy or a file: each alone is enough.
    for witness in 0..3 {
        let mut world = World::new();
        match witness {
            0 => world.remembered = BTreeSet::from([key.clone()]),
            1 => world.escrow.clone_from(&settled.escrow),
            _ => world.nodes[1] = settled.nodes[1].clone(),
        }
        assert_eq!(look(&world), (reasons::KEY_MATERIAL_MISSING, true), "{witness}");
    }
    // A Secret of last week lacks a key, or is at least older than the files.
    let mut world = settled.clone();
    let last_week = world.custody.clone();
    let mut request = wanted();
    request.request = Some("now".to_owned());
    world.run(&request, 2);
    let now = world.custody().clone();
    world.custody = last_week;
    assert_eq!(look(&world), (reasons::KEY_MATERIAL_MISSING, true));
    let mut older = now;
    older.generation -= 1;
    world.custody = Found::Present(Box::new(older));
    assert_eq!(look(&world), (reasons::CUSTODY_ROLLED_BACK, true));
    world.custody = Found::Damaged("a key was edited".to_owned());
    assert_eq!(look(&world), (reasons::KEY_MATERIAL_DAMAGED, true));
}

#[test]
fn nothing_is_distributed_before_it_is_sealed_for_these_recipients() {
    let (mut world, mut wanted) = (World::new(), wanted());
    while !matches!(world.custody, Found::Present(ref custody) if custody.step == Step::Mint) {
        world.step(&wanted, 1);
    }
    assert_eq!(decide(&wanted, &world.seen(), &[1; 32]), Decision::Seal);
    world.act(&Decision::Seal);
    assert!(matches!(decide(&wanted, &world.seen(), &[1; 32]), Decision::Write(_)));
    wanted.recipients = vec!["age1y".to_owned()];
    assert_eq!(decide(&wanted, &world.seen(), &[1; 32]), Decision::Seal);
}

#[test]
fn a_copy_that_is_gone_or_for_other_people_is_made_anew() {
    let (mut world, mut wanted) = (World::new(), wanted());
    world.run(&wanted, 1);
    let sealed = world.escrow.take();
    assert_eq!(decide(&wanted, &world.seen(), &[2; 32]), Decision::Seal);
    world.escrow = sealed;
    assert_eq!(decide(&wanted, &world.seen(), &[2; 32]), Decision::Settled);
    wanted.recipients.push("age1y".to_owned());
    assert_eq!(decide(&wanted, &world.seen(), &[2; 32]), Decision::Seal);
}

#[test]
fn an_api_server_that_comes_during_a_pass_is_looked_through_too() {
    let (mut world, wanted) = (World::new(), wanted());
    while !matches!(world.custody, Found::Present(ref custody) if custody.step == Step::Verify) {
        world.step(&wanted, 1);
    }
    world.step(&wanted, 1);
    let mut seen = world.seen();
    let mut third = seen.servers[1].clone();
    third.name = "https://server-2".to_owned();
    seen.servers.push(third);
    let Decision::Order(order) = decide(&wanted, &seen, &[1; 32]) else {
        panic!()
    };
    assert_eq!(order.servers.len(), 3);
    // The report of the pass without it does not count.
    seen.order = Some(order);
    assert_eq!(halt(&decide(&wanted, &seen, &[1; 32])), (reasons::PASS_RUNNING, false));
}

#[test]
fn what_is_sealed_first_is_enough_to_read_everything() {
    let (mut world, wanted) = (World::new(), wanted());
    while !matches!(world.custody, Found::Present(ref custody) if custody.step == Step::Mint) {
        world.step(&wanted, 1);
    }
    let sealed = world.custody().clone();
    world.run(&wanted, 1);
    let readers = |file: &str| super::configuration::Configuration::parse(file).unwrap().readers();
    let recovered = readers(&sealed.recovered().unwrap().file.unwrap());
    for (resource, needed) in readers(world.custody().file.as_ref().unwrap()) {
        assert!(recovered[&resource].is_superset(&needed), "{resource}");
    }
}

#[test]
fn a_pass_that_proves_nothing_is_repeated_and_one_that_is_refused_prunes_nothing() {
    let (mut world, wanted) = (World::new(), wanted());
    while !matches!(world.custody, Found::Present(ref custody) if custody.step == Step::Verify) {
        world.step(&wanted, 1);
    }
    world.step(&wanted, 1);
    let mut report = world.report.clone().unwrap();
    let judged = |report: &PassReport, later: i64| {
        let mut seen = world.seen();
        seen.report = Some(report.clone());
        seen.now = report.at.unwrap() + SignedDuration::from_secs(later);
        decide(&wanted, &seen, &[1; 32])
    };
    report.unproven = 1;
    let Decision::Write(next) = judged(&report, 0) else {
        panic!()
    };
    assert_eq!((next.step, next.pass), (Step::Verify, world.custody().pass + 1));
    report.unproven = 0;
    report.refused = vec!["shop/immutable".to_owned()];
    assert_eq!(halt(&judged(&report, 1)), (reasons::OBJECTS_REFUSED, true));
    assert!(matches!(judged(&report, 61), Decision::Write(next) if next.step == Step::Verify));
    report.unreadable = vec!["shop/lost".to_owned()];
    assert_eq!(halt(&judged(&report, 1)), (reasons::OBJECTS_UNREADABLE, true));
    report.complete = false;
    assert_eq!(halt(&judged(&report, 1)), (reasons::PASS_RUNNING, false));
    report.problem = Some("forbidden".to_owned());
    assert_eq!(halt(&judged(&report, 1)), (reasons::PASS_BLOCKED, false));
    // The report of another pass counts for nothing.
    report = PassReport {
        order: "0-Verify-1".to_owned(),
        complete: true,
        ..PassReport::default()
    };
    let mut seen = world.seen();
    seen.report = Some(report);
    assert_eq!(halt(&decide(&wanted, &seen, &[1; 32])), (reasons::PASS_RUNNING, false));
}

#[test]
fn first_contact_stops_at_a_file_that_is_not_understood_or_not_loaded_or_not_the_same() {
    let mut world = World::new();
    world.step(&wanted(), 1);
    let judged = |baseline: Baseline| {
        let mut seen = world.seen();
        seen.baseline = baseline;
        halt(&decide(&wanted(), &seen, &[1; 32]))
    };
    assert_eq!(judged(Baseline::Unknown), (reasons::BASELINE_MISSING, false));
    assert_eq!(
        judged(Baseline::Different(vec!["a".to_owned()])),
        (reasons::BASELINE_DIFFERS, true)
    );
    assert_eq!(
        judged(Baseline::Text("{".to_owned())),
        (reasons::FILE_NOT_UNDERSTOOD, true)
    );
    assert_eq!(
        judged(Baseline::Text(format!("# other\n{BASELINE}"))),
        (reasons::NOT_AGREED, false)
    );
}

#[test]
fn observe_takes_no_step_and_render_needs_no_agent() {
    let mut wanted = wanted();
    wanted.mode = EncryptionMode::Observe;
    assert_eq!(
        halt(&decide(&wanted, &World::new().seen(), &[1; 32])),
        (reasons::OBSERVING, false)
    );
    wanted.mode = EncryptionMode::Render;
    let mut seen = World::new().seen();
    seen.agents = None;
    assert!(matches!(decide(&wanted, &seen, &[1; 32]), Decision::Write(next) if next.step == Step::Import));
}

#[test]
fn what_is_sealed_before_a_key_comes_first_encrypts_from_the_first_moment_on() {
    let (mut world, wanted) = (World::new(), wanted());
    while world.step(&wanted, 1) != Decision::Seal {}
    let secrets = wanted.resources.as_slice();
    let early = world.custody().recovered().unwrap();
    assert_eq!(
        early.in_plain_text(secrets),
        secrets,
        "not every API server reads the key yet"
    );
    // Once all of them do, it is sealed again before it comes first.
    while world.step(&wanted, 1) != Decision::Seal {}
    let sealed = world.custody().clone();
    assert_eq!((sealed.step, sealed.active.as_ref()), (Step::Distribute, None));
    let recovered = sealed.recovered().unwrap();
    assert_eq!(recovered.step, Step::Promote);
    assert!(recovered.in_plain_text(secrets).is_empty(), "{recovered:?}");
    world.run(&wanted, 1);
    // A copy that an earlier version made is made anew.
    world.escrow.as_mut().unwrap().encrypted.clear();
    assert_eq!(decide(&wanted, &world.seen(), &[2; 32]), Decision::Seal);
    world.act(&Decision::Seal);
    // The next rotation has no need of a second seal: the key before writes on.
    let again = Wanted {
        request: Some("again".to_owned()),
        ..wanted
    };
    let mut seals = 0;
    while world.custody().step != Step::Promote {
        seals += usize::from(world.step(&again, 2) == Decision::Seal);
    }
    assert_eq!(seals, 1);
}

#[test]
fn whoever_asks_again_and_again_during_a_rotation_gets_one_more() {
    let (mut world, mut wanted) = (World::new(), wanted());
    for text in 0..5 {
        wanted.request = Some(text.to_string());
        world.step(&wanted, 1);
        world.step(&wanted, 1);
    }
    let first = world.custody().clone();
    assert_ne!(first.step, Step::Settled, "a rotation is under way");
    world.run(&wanted, 2);
    assert_eq!(world.custody().next_number, first.next_number + 1);
    assert_eq!(world.custody().request.as_deref(), Some("4"));
}

#[test]
fn after_a_loss_every_key_is_readable_and_the_rotation_goes_on() {
    let (mut world, mut wanted) = (World::new(), wanted());
    world.run(&wanted, 1);
    wanted.request = Some("now".to_owned());
    while world.custody().step != Step::Mint {
        world.step(&wanted, 2);
    }
    // What was sealed knows the new key; the files got further before everything was lost.
    let sealed = world.custody().clone();
    while world.custody().step != Step::Migrate {
        world.step(&wanted, 2);
    }
    let recovered = sealed.recovered().unwrap();
    assert!(recovered.generation > world.custody().generation);
    assert_eq!(Custody::parse(recovered.text().as_bytes()).unwrap(), recovered);
    world.custody = Found::Present(Box::new(recovered));
    world.settle_down();
    world.run(&wanted, 3);
    let custody = world.custody();
    assert_eq!(custody.active, sealed.keys.first().map(|key| key.name.clone()));
}
