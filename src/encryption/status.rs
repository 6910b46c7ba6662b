//! What a `ClusterEncryption` says of itself: from what was seen and what was decided, for somebody on call.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::custody::{Custody, Step};
use super::machine::{Decision, Halt};
use super::observation::{Agent, Found, Observation, Server, ServerState, Wanted};
use super::reasons;
use crate::api::cluster_encryption::{
    AgentStatus, ClusterEncryption, ClusterEncryptionStatus, EncryptionMode, EscrowStatus, KeyStatus, ServerStatus,
    VerifiedStatus,
};
use crate::plan::conditions::{Judgement, Truth, merge};
use crate::plan::reasons::{ACCEPTED, READY};
use crate::plan::validated::Invalid;

/// Name of the ConfigMap with the sealed copy.
pub const ESCROW_CONFIG_MAP: &str = "encryption-escrow";

/// Everything that a status is made of.
pub struct Inputs<'a> {
    /// The object.
    pub encryption: &'a ClusterEncryption,
    /// What is wanted.
    pub wanted: &'a Wanted,
    /// What was seen.
    pub seen: &'a Observation,
    /// What is done about it.
    pub decision: &'a Decision,
    /// With what each API server writes, by its name.
    pub writes: &'a [(String, Vec<String>)],
}

/// The status of an object that cannot be acted upon.
#[must_use]
pub fn refused(encryption: &ClusterEncryption, invalid: &Invalid, now: jiff::Timestamp) -> ClusterEncryptionStatus {
    let old = encryption.status.clone().unwrap_or_default();
    let ready = Judgement::new(READY, false, invalid.reason, invalid.text());
    ClusterEncryptionStatus {
        observed_generation: encryption.metadata.generation,
        next_action: Some(invalid.text()),
        conditions: merge(&old.conditions, vec![ready], encryption.metadata.generation, now),
        ..old
    }
}

/// The new status.
#[must_use]
pub fn status(inputs: &Inputs<'_>) -> ClusterEncryptionStatus {
    let Inputs {
        encryption,
        wanted,
        seen,
        ..
    } = inputs;
    let old = encryption.status.clone().unwrap_or_default();
    let custody = match &seen.custody {
        Found::Present(custody) => Some(custody.as_ref()),
        Found::Absent | Found::Damaged(_) => None,
    };
    let halt = match inputs.decision {
        Decision::Wait(halt) | Decision::Stop(halt) => Some(halt),
        _ => None,
    };
    let stopped = matches!(inputs.decision, Decision::Stop(_));
    let progress = seen
        .report
        .as_ref()
        .filter(|_| custody.is_some_and(|custody| matches!(custody.step, Step::Migrate | Step::Verify)));
    let (readable, safe) = (readable(custody, seen), safe(custody, seen));
    ClusterEncryptionStatus {
        observed_generation: encryption.metadata.generation,
        phase: Some(phase(wanted, custody, stopped).to_owned()),
        step: custody.map(|custody| custody.step.as_str().to_owned()),
        readable: Some(readable.as_str().to_owned()),
        safe_to_restart_api_server: Some(safe.as_str().to_owned()),
        next_action: Some(next_action(custody, halt, inputs.decision)),
        active_key: custody.map_or(old.active_key, |custody| custody.active.clone()),
        // What the key Secret does not tell any more is what this is for.
        keys: custody.map_or(old.keys, keys),
        resources: wanted.resources.clone(),
        file_generation: custody.map(|custody| custody.generation),
        file_hash: custody.and_then(Custody::file_hash),
        servers: servers(custody, seen, inputs.writes),
        agents: seen.agents.iter().flatten().map(agent_status).collect(),
        objects_done: progress.map(|report| report.done),
        objects_left: progress.map(|report| report.left),
        verified: custody.map_or(old.verified, verified),
        next_rotation_at: custody.and_then(|custody| wanted.next_rotation(custody)).map(Time),
        plaintext: plaintext(wanted, custody),
        escrow: seen.escrow.as_ref().map(|sealed| EscrowStatus {
            config_map: ESCROW_CONFIG_MAP.to_owned(),
            keys: sealed.keys.iter().cloned().collect(),
            recipients: i64::try_from(sealed.recipients.len()).unwrap_or(i64::MAX),
        }),
        conditions: merge(
            &old.conditions,
            judgements(inputs, custody, halt, stopped),
            encryption.metadata.generation,
            seen.now,
        ),
    }
}

fn phase(wanted: &Wanted, custody: Option<&Custody>, stopped: bool) -> &'static str {
    match custody.map(|custody| custody.step) {
        _ if stopped => "Stopped",
        _ if wanted.mode == EncryptionMode::Observe => "Observing",
        Some(Step::Settled) => "Settled",
        _ => "Rotating",
    }
}

fn judgements(inputs: &Inputs<'_>, custody: Option<&Custody>, halt: Option<&Halt>, stopped: bool) -> Vec<Judgement> {
    let message = halt.map(|halt| halt.message.clone()).unwrap_or_default();
    let blocking = halt.filter(|halt| {
        stopped
            || ![
                reasons::OBSERVING,
                reasons::NOT_AGREED,
                reasons::SETTLING,
                reasons::PASS_RUNNING,
                reasons::BASELINE_MISSING,
            ]
            .contains(&halt.reason)
    });
    let ready = match blocking {
        Some(halt) => Judgement::new(READY, false, halt.reason, halt.message.clone()),
        None => Judgement::new(READY, true, ACCEPTED, "the operator does what the mode says"),
    };
    let stop = if stopped {
        Judgement::new(
            reasons::STOPPED,
            true,
            halt.map_or(reasons::ROTATING, |halt| halt.reason),
            message,
        )
    } else {
        Judgement::new(reasons::STOPPED, false, reasons::SETTLED, "nothing needs a person")
    };
    vec![
        ready,
        stop,
        encrypted(inputs.wanted, custody),
        agreed(custody, inputs.seen),
    ]
}

fn encrypted(wanted: &Wanted, custody: Option<&Custody>) -> Judgement {
    let proof = custody.and_then(|custody| custody.verification.as_ref());
    match proof {
        Some(proof) if wanted.resources.iter().all(|wanted| proof.resources.contains(wanted)) => Judgement::new(
            reasons::ENCRYPTED,
            true,
            reasons::VERIFIED,
            format!(
                "at {}, each of {} objects was proven through {} API servers to be under the key {}",
                proof.at,
                proof.objects,
                proof.servers.len(),
                proof.key
            ),
        ),
        _ if wanted.mode == EncryptionMode::Observe => Judgement::new(
            reasons::ENCRYPTED,
            Truth::Unknown,
            reasons::UNVERIFIABLE,
            "mode Observe proves nothing: status.servers says with what each API server writes",
        ),
        _ => {
            if let Some(plain) = custody.and_then(|custody| in_plain_text(wanted, custody)) {
                return Judgement::new(reasons::ENCRYPTED, false, reasons::IN_PLAIN_TEXT, plain);
            }
            Judgement::new(
                reasons::ENCRYPTED,
                false,
                reasons::NOT_VERIFIED,
                "no pass has proven yet that every object is encrypted",
            )
        }
    }
}

/// What is written in plain text until the new key comes first.
fn in_plain_text(wanted: &Wanted, custody: &Custody) -> Option<String> {
    let plain = custody.in_plain_text(&wanted.resources);
    (!plain.is_empty()).then(|| {
        format!(
            "until every API server has loaded the file of the step Promote, new objects of {} are written in plain text; they are encrypted in the step Migrate. status.nextAction says what is waited for",
            plain.join(", ")
        )
    })
}

fn agreed(custody: Option<&Custody>, seen: &Observation) -> Judgement {
    let Some(hash) = custody.and_then(Custody::file_hash) else {
        return of_observed(seen);
    };
    let agree = |server: &&Server| server.state == ServerState::Loaded(hash.clone());
    let count = seen.servers.iter().filter(agree).count();
    let message = format!(
        "{count} of {} API servers have loaded the file {hash}",
        seen.servers.len() + seen.missing.len()
    );
    if count == seen.servers.len() && seen.missing.is_empty() && count > 0 {
        Judgement::new(reasons::AGREED, true, reasons::SETTLED, message)
    } else {
        Judgement::new(reasons::AGREED, false, reasons::NOT_AGREED, message)
    }
}

/// Without a file of ours: whether all have the same one.
fn of_observed(seen: &Observation) -> Judgement {
    let mut hashes: Vec<&String> = seen
        .servers
        .iter()
        .filter_map(|server| match &server.state {
            ServerState::Loaded(hash) => Some(hash),
            _ => None,
        })
        .collect();
    let all = hashes.len() == seen.servers.len() && seen.missing.is_empty() && !hashes.is_empty();
    hashes.dedup();
    match (all, hashes.len()) {
        (true, 1) => Judgement::new(
            reasons::AGREED,
            true,
            reasons::OBSERVING,
            format!("every API server has loaded the file {}", hashes[0]),
        ),
        (true, _) => Judgement::new(
            reasons::AGREED,
            false,
            reasons::NOT_AGREED,
            "the API servers have loaded different files",
        ),
        (false, _) => Judgement::new(
            reasons::AGREED,
            Truth::Unknown,
            reasons::UNVERIFIABLE,
            "not every API server tells which file it has loaded; on managed clusters none does",
        ),
    }
}

/// Whether a file of this generation reads everything: the one of now does, and the one before it, since a key is
/// readable one file before it writes, and leaves only when nothing is under it.
fn enough(custody: &Custody, generation: Option<i64>) -> bool {
    generation.is_some_and(|generation| generation >= custody.generation - 1 && generation <= custody.generation)
}

fn readable(custody: Option<&Custody>, seen: &Observation) -> Truth {
    if seen.report.as_ref().is_some_and(|report| !report.unreadable.is_empty()) {
        return Truth::False;
    }
    let Some(custody) = custody else { return Truth::Unknown };
    let known = |server: &Server| match &server.state {
        ServerState::Loaded(hash) => enough(custody, custody.generation_of(hash)),
        _ => false,
    };
    let all = !seen.servers.is_empty() && seen.missing.is_empty() && seen.servers.iter().all(known);
    if all { Truth::True } else { Truth::Unknown }
}

fn safe(custody: Option<&Custody>, seen: &Observation) -> Truth {
    let (Some(custody), Some(agents)) = (custody, &seen.agents) else {
        return Truth::Unknown;
    };
    let on_disk = |agent: &Agent| {
        agent
            .report
            .as_ref()
            .map(|report| report.file_hash.as_deref().and_then(|hash| custody.generation_of(hash)))
    };
    let mut truth = if agents.is_empty() { Truth::Unknown } else { Truth::True };
    for agent in agents {
        match on_disk(agent) {
            None => return Truth::Unknown,
            Some(generation) if enough(custody, generation) => {}
            // A file that is none of ours, or an old one: nobody has proven that it reads everything.
            Some(_) => truth = Truth::False,
        }
    }
    truth
}

fn next_action(custody: Option<&Custody>, halt: Option<&Halt>, decision: &Decision) -> String {
    match (halt, decision, custody) {
        (Some(halt), _, _) => halt.message.clone(),
        (None, Decision::Settled, _) => "nothing until the next rotation".to_owned(),
        (None, Decision::Seal, _) => "the new key is sealed for the recipients of the escrow".to_owned(),
        (None, Decision::Order(order), _) => format!("the migrator is asked for the pass {}", order.id),
        (None, Decision::Write(next), _) => format!("{} begins", next.step.as_str()),
        (None, Decision::Wait(_) | Decision::Stop(_), _) => String::new(),
    }
}

fn keys(custody: &Custody) -> Vec<KeyStatus> {
    let state = |name: &String| {
        if custody.active.as_ref() == Some(name) {
            "Active"
        } else if custody.keys.first().is_some_and(|first| first.name == *name) {
            "New"
        } else {
            "Old"
        }
    };
    custody
        .keys
        .iter()
        .map(|key| KeyStatus {
            name: key.name.clone(),
            state: state(&key.name).to_owned(),
            created_at: Some(Time(key.created_at)),
        })
        .collect()
}

fn servers(custody: Option<&Custody>, seen: &Observation, writes: &[(String, Vec<String>)]) -> Vec<ServerStatus> {
    let hash = custody.and_then(Custody::file_hash);
    let of = |server: &Server| {
        let (loaded, message) = match &server.state {
            ServerState::Loaded(loaded) => (Some(loaded.clone()), None),
            ServerState::NotConfigured => (None, Some("reads no encryption configuration".to_owned())),
            ServerState::Forbidden => (None, Some("does not let the operator read /metrics".to_owned())),
            ServerState::Unreachable(why) => (None, Some(why.clone())),
        };
        let agrees = match (&loaded, &hash) {
            (Some(loaded), Some(hash)) => Truth::from(loaded == hash),
            _ => Truth::Unknown,
        };
        ServerStatus {
            name: server.name.clone(),
            agrees: agrees.as_str().to_owned(),
            config_hash: loaded,
            writes: writes
                .iter()
                .find(|(name, _)| *name == server.name)
                .map(|(_, writes)| writes.clone())
                .unwrap_or_default(),
            message,
        }
    };
    seen.servers.iter().map(of).collect()
}

fn agent_status(agent: &Agent) -> AgentStatus {
    let report = agent.report.as_ref();
    AgentStatus {
        node: agent.node.clone(),
        file_generation: report.and_then(|report| report.generation),
        file_hash: report.and_then(|report| report.file_hash.clone()),
        message: match report {
            None => Some("does not answer".to_owned()),
            Some(report) => report
                .problem
                .as_ref()
                .map(|problem| format!("{}: {}", problem.reason, problem.message)),
        },
    }
}

fn verified(custody: &Custody) -> Option<VerifiedStatus> {
    custody.verification.as_ref().map(|proof| VerifiedStatus {
        key: proof.key.clone(),
        at: Time(proof.at),
        objects: proof.objects,
        servers: i64::try_from(proof.servers.len()).unwrap_or(i64::MAX),
    })
}

fn plaintext(wanted: &Wanted, custody: Option<&Custody>) -> Option<String> {
    let custody = custody?;
    if let Some(plain) = in_plain_text(wanted, custody) {
        return Some(plain);
    }
    let proof = custody.verification.as_ref()?;
    Some(format!(
        "no object is in plain text since {}; what was before remains in etcd's file until compaction and defragmentation (etcdctl defrag on each member), in its write-ahead log until that is cut, and in every older backup",
        proof.at
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::encryption::machine::decide;
    use crate::encryption::machine_tests::{World, wanted};
    use crate::plan::conditions::find;

    fn object() -> ClusterEncryption {
        serde_json::from_value(serde_json::json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "ClusterEncryption", "metadata": {"name": "cluster", "generation": 1}, "spec": {}})).unwrap()
    }

    fn look(world: &World) -> ClusterEncryptionStatus {
        let (wanted, seen) = (wanted(), world.seen());
        let decision = decide(&wanted, &seen, &[9; 32]);
        status(&Inputs {
            encryption: &object(),
            wanted: &wanted,
            seen: &seen,
            decision: &decision,
            writes: &[],
        })
    }

    #[test]
    fn a_settled_cluster_is_encrypted_readable_and_safe() {
        let mut world = World::new();
        world.run_until_settled();
        let status = look(&world);
        assert_eq!(status.phase.as_deref(), Some("Settled"));
        assert_eq!(status.readable.as_deref(), Some("True"));
        assert_eq!(status.safe_to_restart_api_server.as_deref(), Some("True"));
        assert_eq!(find(&status.conditions, reasons::ENCRYPTED).unwrap().status, "True");
        assert_eq!(find(&status.conditions, reasons::AGREED).unwrap().status, "True");
        assert!(status.next_rotation_at.is_some() && status.plaintext.is_some());
        assert_eq!(status.keys[0].state, "Active");
    }

    #[test]
    fn a_missing_secret_is_a_stop_and_the_keys_stay_in_the_status() {
        let mut world = World::new();
        world.run_until_settled();
        let mut encryption = object();
        encryption.status = Some(look(&world));
        world.custody = Found::Absent;
        world.remembered = BTreeSet::from([encryption.status.as_ref().unwrap().keys[0].name.clone()]);
        let (wanted, seen) = (wanted(), world.seen());
        let decision = decide(&wanted, &seen, &[9; 32]);
        let status = status(&Inputs {
            encryption: &encryption,
            wanted: &wanted,
            seen: &seen,
            decision: &decision,
            writes: &[],
        });
        assert_eq!(status.phase.as_deref(), Some("Stopped"));
        assert_eq!(status.keys, encryption.status.unwrap().keys);
        let stopped = find(&status.conditions, reasons::STOPPED).unwrap();
        assert_eq!(
            (stopped.status.as_str(), stopped.reason.as_str()),
            ("True", "KeyMaterialMissing")
        );
        assert!(status.next_action.unwrap().contains("privacy-operator recover"));
    }

    #[test]
    fn as_long_as_objects_are_written_in_plain_text_it_is_told() {
        let mut world = World::new();
        while !matches!(world.custody, Found::Present(ref custody) if custody.step == Step::Mint) {
            world.step(&wanted(), 1);
        }
        let status = look(&world);
        assert_eq!(status.step.as_deref(), Some("Mint"));
        let encrypted = find(&status.conditions, reasons::ENCRYPTED).unwrap();
        assert_eq!(
            (encrypted.status.as_str(), encrypted.reason.as_str()),
            ("False", "InPlainText")
        );
        assert!(encrypted.message.contains("secrets"), "{}", encrypted.message);
        assert_eq!(status.plaintext.as_ref(), Some(&encrypted.message));
    }

    #[test]
    fn no_status_holds_key_material() {
        let mut world = World::new();
        world.run_until_settled();
        let Found::Present(custody) = &world.custody else {
            panic!("no custody")
        };
        let text = serde_json::to_string(&look(&world)).unwrap();
        let document: serde_json::Value = serde_json::from_str(&custody.text()).unwrap();
        for key in document["keys"].as_array().unwrap() {
            assert!(!text.contains(key["secret"].as_str().unwrap()));
        }
        assert!(!format!("{custody:?}").contains(document["keys"][0]["secret"].as_str().unwrap()));
    }
}
