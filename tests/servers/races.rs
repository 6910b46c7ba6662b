//! Requests of one person at the same time, between two operators that both believe to lead: each limit holds, nobody is
//! turned away who would have fitted, and no request is exported by two Jobs.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use futures::stream::{self, StreamExt as _};

use crate::world::{LARGEST_LIMIT, World};

/// Races that run at the same time, each about another person.
const TOGETHER: usize = 8;

async fn race(world: &World, round: usize) {
    let (requests, limit) = (2 + round % 3, 1 + round % LARGEST_LIMIT);
    // The ledger has a ConfigMap for each first byte: some races share one.
    let tag = format!("{:02x}{round:030x}", round % 16);
    let names: Vec<String> = (0..requests).map(|index| format!("race-{round}-{index}")).collect();
    let uids = join_all(names.iter().map(|name| world.request(name, limit))).await;
    let outcomes = names.iter().zip(&uids).map(async |(name, uid)| {
        let rests = AtomicBool::new(false);
        let operate = async {
            let phases = tokio::join!(world.operate(0, name), world.operate(1, name));
            rests.store(true, Ordering::Relaxed);
            phases
        };
        let (phases, exports) = tokio::join!(operate, world.work(uid, &tag, &rests));
        assert_eq!(phases.0, phases.1, "{name}: both operators come to the same end");
        (phases.0, exports)
    });
    let outcomes: Vec<(String, BTreeSet<String>)> = join_all(outcomes).await;
    for (phase, exports) in &outcomes {
        assert_eq!(
            exports.len(),
            usize::from(phase == "ReadyForDelivery"),
            "race {round}: {outcomes:?}"
        );
    }
    let exported = outcomes.iter().filter(|(_, exports)| !exports.is_empty()).count();
    assert_eq!(exported, requests.min(limit), "race {round}: {outcomes:?}");
    assert_eq!(world.admitted(&tag).await, exported, "race {round}");
}

async fn races(count: usize) {
    let world = World::start().await;
    let began = std::time::Instant::now();
    stream::iter(0..count)
        .for_each_concurrent(TOGETHER, |round| race(&world, round))
        .await;
    println!("{count} races in {} s", began.elapsed().as_secs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_race_exceeds_a_limit_or_exports_twice() {
    races(100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a thousand races take minutes: make soak"]
async fn a_thousand_races_exceed_no_limit_and_export_nothing_twice() {
    races(1000).await;
}
