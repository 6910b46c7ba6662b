//! Rotations under traffic: nothing unreadable, ever.

use serde_json::json;

use crate::readers::Traffic;
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
const STEPS: [&str; 7] = ["Mint", "Distribute", "Promote", "Migrate", "Verify", "Prune", "Settled"];

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

async fn rotate(world: &mut World, count: u32, killed: u32) {
    let mut key = world.wait_settled("").await["activeKey"].as_str().unwrap().to_owned();
    for rotation in 0..count {
        world.request(&format!("number {rotation}"), 1).await;
        if rotation < killed {
            let step = STEPS[rotation as usize % STEPS.len()];
            let part = PARTS[rotation as usize % PARTS.len()];
            let before = key.clone();
            world
                .wait(step, |status| {
                    status["step"] == step && (step == "Settled" || status["keys"][0]["name"] != before.as_str())
                        || status["activeKey"] != before.as_str()
                })
                .await;
            world.kill(part);
        }
        let status = world.wait_settled(&key).await;
        status["activeKey"].as_str().unwrap().clone_into(&mut key);
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
    run(LONG, LONG / 5).await;
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
