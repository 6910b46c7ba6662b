//! Rotations under traffic: nothing unreadable, ever.

use std::time::Duration;

use privacy_operator::encryption::custody::Step;
use serde_json::json;

use crate::readers::Traffic;
use crate::support::wait::until_within;
use crate::world::{Part, World, condition};

/// How many rotations, and in how many of them something is killed. The long form is for `make soak`.
const ROTATIONS: u32 = 50;
const KILLED: u32 = 20;
const LONG: u32 = 500;

/// What is killed, in turn, at which step, in turn: all pairs come in time.
const PARTS: [Part; 6] = [
    Part::Operator,
    Part::Agent(1),
    Part::Migrator,
    Part::ApiServer(1),
    Part::Agent(0),
    Part::ApiServer(0),
];
const STEPS: [Step; 7] = [
    Step::Mint,
    Step::Distribute,
    Step::Promote,
    Step::Migrate,
    Step::Verify,
    Step::Prune,
    Step::Settled,
];

fn plain(values: &[(String, Vec<u8>)]) -> usize {
    values.iter().filter(|(_, value)| value.starts_with(b"k8s\0")).count()
}

fn under(values: &[(String, Vec<u8>)], key: &str) -> usize {
    let prefix = format!("k8s:enc:secretbox:v1:{key}:");
    values
        .iter()
        .filter(|(_, value)| value.starts_with(prefix.as_bytes()))
        .count()
}

/// Rotates `count` times, or until something was killed `kills` times: a step that was over too soon is tried again.
async fn rotate(world: &mut World, count: u32, kills: u32) {
    let mut key = world.wait_settled("").await["activeKey"].as_str().unwrap().to_owned();
    let (mut rotations, mut killed) = (0, 0);
    while rotations < count || killed < kills {
        assert!(
            rotations < 2 * count,
            "only {killed} kills came at the step that was meant"
        );
        world.request(&format!("number {rotations}"), 1).await;
        if killed < kills {
            let step = STEPS[killed as usize % STEPS.len()];
            if comes_to(world, step, &key).await {
                world.kill(PARTS[killed as usize % PARTS.len()]);
                killed += 1;
            }
        }
        let status = world.wait_settled(&key).await;
        status["activeKey"].as_str().unwrap().clone_into(&mut key);
        rotations += 1;
    }
    let stored = world.cluster.stored_secrets().await;
    assert_eq!(plain(&stored), 0);
    // What the operator wrote last, its own key Secret, is under it too: it came after the promotion.
    assert_eq!(
        under(&stored, &key),
        stored.len(),
        "every Secret is under the active key"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_rotations_under_traffic_twenty_of_them_with_a_kill() {
    run(ROTATIONS, KILLED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "five hundred rotations take more than an hour: make soak"]
async fn five_hundred_rotations_under_traffic_a_hundred_of_them_with_a_kill() {
    // Fewer, to see that it goes: ROTATIONS=60.
    let count = std::env::var("ROTATIONS").map_or(LONG, |text| text.parse().unwrap());
    run(count, count / 5).await;
}

/// Waits until the rotation after the key is at this step; or is over, without having been seen there.
async fn comes_to(world: &World, step: Step, key: &str) -> bool {
    let mut is_seen = false;
    until_within(Duration::from_mins(2), step.as_str(), async || {
        let Some(record) = world.record().await else {
            return false;
        };
        let is_under_way = record.keys.first().is_some_and(|newest| newest.name != key);
        is_seen = is_under_way && record.step == step;
        is_seen || is_under_way && record.step == Step::Settled
    })
    .await;
    is_seen
}

/// As the accident that is known from elsewhere: a thousand Secrets, and a kill while they are written anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_of_a_thousand_secrets_that_is_killed_three_times_ends_by_itself() {
    let mut world = World::start(true).await;
    let traffic = Traffic::prepare_many(&world.cluster, 1000).await;
    world.encrypt(&json!({})).await;
    let mut key = world.wait_settled("").await["activeKey"].as_str().unwrap().to_owned();
    let parts = [(10, Part::Migrator), (50, Part::ApiServer(0)), (90, Part::Operator)];
    for (percent, part) in parts {
        world.request(&format!("{percent} per cent"), 1).await;
        assert!(
            comes_to(&world, Step::Promote, &key).await,
            "a promotion waits for the API servers"
        );
        let new = world.record().await.unwrap().active.unwrap();
        let (mut done, mut all) = (0, 1);
        while done * 100 < all * percent {
            let stored = world.cluster.stored_secrets().await;
            (done, all) = (under(&stored, &new), stored.len());
        }
        world.kill(part);
        println!("{part:?} killed when {done} of {all} Secrets were under the new key");
        let status = world.wait_settled(&key).await;
        status["activeKey"].as_str().unwrap().clone_into(&mut key);
        let stored = world.cluster.stored_secrets().await;
        assert_eq!(under(&stored, &key), stored.len());
        traffic.read_all(&world.cluster).await;
    }
}

async fn run(count: u32, killed: u32) {
    let mut world = World::start(true).await;
    let mut traffic = Traffic::prepare(&world.cluster).await;
    let before = world.cluster.stored_secrets().await;
    assert_eq!(plain(&before), before.len(), "before, everything is plain");
    traffic.begin(&world.cluster).await;
    world.encrypt(&json!({})).await;
    rotate(&mut world, count, killed).await;
    let status = world.status().await;
    assert_eq!(status["readable"], "True", "{status:#}");
    assert_eq!(status["safeToRestartApiServer"], "True", "{status:#}");
    assert_eq!(condition(&status, "Agreed")["status"], "True");
    traffic.read_all(&world.cluster).await;
    let (reads, writes) = traffic.end().await;
    println!("{count} rotations, {killed} kills, {reads} reads, {writes} writes");
    assert!(reads > 1000 && writes > 500, "{reads} reads, {writes} writes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_rotations_on_the_stock_binary() {
    let mut world = World::start(false).await;
    let mut traffic = Traffic::prepare(&world.cluster).await;
    traffic.begin(&world.cluster).await;
    world.encrypt(&json!({})).await;
    rotate(&mut world, 1, 0).await;
    traffic.read_all(&world.cluster).await;
    traffic.end().await;
}
