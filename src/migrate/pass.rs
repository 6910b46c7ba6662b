//! One pass over all objects.
//!
//! A list proves nothing and may even lack an object, so the objects that any API server lists are looked at through
//! every API server. Patches run side by side, fewer of them when the API server gets slower or refuses.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream;
use jiff::Timestamp;

use super::Error;
use super::api::{Identity, Refusal, Server};
use crate::encryption::custody::Step;
use crate::encryption::observation::{PassOrder, PassReport};

/// Objects between two judgements of the pace.
const CHUNK: usize = 64;
/// How often a request is tried.
const TRIES: u32 = 6;
/// How often an object that others write all the time is looked at.
const CHASES: u32 = 10;
/// Names of objects in a report.
const NAMED: usize = 10;
/// Time between two reports of progress.
const REPORT_EVERY: Duration = Duration::from_secs(3);

/// What became of one object, through one API server.
enum Outcome {
    /// It was under the first key.
    Proven,
    /// It was written anew.
    Rewritten,
    /// Somebody else wrote it, or took it away.
    Left,
    /// It could not be proven.
    Unproven,
    Refused,
    Unreadable,
    Blocked(String),
}

struct Running<'a> {
    order: &'a PassOrder,
    servers: &'a [Server],
    report: PassReport,
    seen: HashSet<u64>,
    pace: Pace,
    told: Instant,
}

/// Runs a pass. Its report is complete, or says what stands in the way.
pub async fn run(
    order: &PassOrder,
    servers: &[Server],
    width: usize,
    _now: fn() -> Timestamp,
    tell: impl AsyncFn(&PassReport) -> Result<(), Error>,
) -> PassReport {
    let mut running = Running {
        order,
        servers,
        report: PassReport {
            order: order.id.clone(),
            ..PassReport::default()
        },
        seen: HashSet::new(),
        pace: Pace::new(width),
        told: Instant::now(),
    };
    let _ = tell(&running.report).await;
    for resource in &order.resources {
        for lister in servers {
            if let Err(problem) = running.over(resource, lister, &tell).await {
                running.report.problem = Some(problem);
                return running.report;
            }
        }
    }
    running.report.left = 0;
    running.report.complete = true;
    running.report
}

impl Running<'_> {
    /// All objects of a resource that one API server lists.
    async fn over(
        &mut self,
        resource: &str,
        lister: &Server,
        tell: &impl AsyncFn(&PassReport) -> Result<(), Error>,
    ) -> Result<(), String> {
        let location = tried(async || lister.locate(resource).await)
            .await
            .map_err(|refusal| blocked(resource, &refusal))?;
        let mut next: Option<String> = None;
        loop {
            let page = match tried(async || lister.list(&location, next.as_deref()).await).await {
                Ok(page) => page,
                // What was seen already is passed over.
                Err(Refusal::Expired) => {
                    next = None;
                    continue;
                }
                Err(Refusal::Unreadable) => {
                    self.report
                        .unreadable
                        .push(format!("something in the list of {resource} of {}", lister.name));
                    return Ok(());
                }
                Err(refusal) => return Err(blocked(resource, &refusal)),
            };
            let new: Vec<Identity> = page
                .items
                .into_iter()
                .filter(|item| self.seen.insert(fingerprint(resource, item)))
                .collect();
            let mut left = page.remaining + i64::try_from(new.len()).unwrap_or(0);
            for chunk in new.chunks(CHUNK) {
                self.work(&location, chunk).await?;
                left -= i64::try_from(chunk.len()).unwrap_or(0);
                self.report.left = left;
                if self.told.elapsed() > REPORT_EVERY {
                    self.told = Instant::now();
                    let _ = tell(&self.report).await;
                }
            }
            next = page.next;
            if next.is_none() {
                return Ok(());
            }
        }
    }

    async fn work(&mut self, location: &(String, String), chunk: &[Identity]) -> Result<(), String> {
        let verifies = self.order.step == Step::Verify;
        let pairs: Vec<(&Server, &Identity)> = chunk
            .iter()
            .flat_map(|item| self.servers.iter().map(move |server| (server, item)))
            .collect();
        let began = Instant::now();
        let count = pairs.len();
        let outcomes: Vec<(String, Outcome)> = stream::iter(
            pairs
                .into_iter()
                .map(|(server, item)| async move { (item.words(), one(server, location, item, verifies).await) }),
        )
        .buffer_unordered(self.pace.width)
        .collect()
        .await;
        self.pace.judge(began.elapsed(), count);
        self.report.done += i64::try_from(chunk.len()).unwrap_or(0);
        for (name, outcome) in outcomes {
            match outcome {
                Outcome::Proven | Outcome::Left => {}
                Outcome::Rewritten => {
                    self.report.rewritten += 1;
                    self.report.unproven += i64::from(verifies);
                }
                Outcome::Unproven => self.report.unproven += 1,
                Outcome::Refused => name_it(&mut self.report.refused, name),
                Outcome::Unreadable => name_it(&mut self.report.unreadable, name),
                Outcome::Blocked(problem) => return Err(problem),
            }
        }
        Ok(())
    }
}

fn name_it(names: &mut Vec<String>, name: String) {
    if names.len() < NAMED && !names.contains(&name) {
        names.push(name);
    }
}

/// Looks at one object through one API server.
async fn one(server: &Server, location: &(String, String), item: &Identity, verifies: bool) -> Outcome {
    let mut item = item.clone();
    let mut rewritten = false;
    for _ in 0..CHASES {
        match tried(async || server.patch(location, &item, true).await).await {
            Ok(version) if version == item.resource_version => {
                return if rewritten { Outcome::Rewritten } else { Outcome::Proven };
            }
            Ok(_) => return Outcome::Rewritten,
            Err(Refusal::Gone) => return Outcome::Left,
            // After every API server agreed, whoever wrote it wrote it with the first key.
            Err(Refusal::Conflict) if !verifies => return Outcome::Left,
            Err(Refusal::Conflict) => {
                // That proves nothing: look what is there now, and look at that.
                match tried(async || server.patch(location, &item, false).await).await {
                    Ok(version) => {
                        // Whether this wrote it cannot be told, so it is not taken for a proof by itself.
                        item.resource_version = version;
                        rewritten = false;
                    }
                    // Another object of that name: it is in the next list.
                    Err(Refusal::Gone | Refusal::Conflict) => return Outcome::Left,
                    Err(refusal) => return failed(refusal),
                }
            }
            Err(refusal) => return failed(refusal),
        }
    }
    Outcome::Unproven
}

fn failed(refusal: Refusal) -> Outcome {
    match refusal {
        Refusal::Refused(_) => Outcome::Refused,
        Refusal::Unreadable => Outcome::Unreadable,
        Refusal::Forbidden(message) => Outcome::Blocked(forbidden(&message)),
        Refusal::Later(what) => Outcome::Blocked(what),
        Refusal::Gone | Refusal::Conflict | Refusal::Expired => Outcome::Unproven,
    }
}

fn blocked(resource: &str, refusal: &Refusal) -> String {
    match refusal {
        Refusal::Forbidden(message) => forbidden(message),
        Refusal::Later(what) => format!("{resource}: {what}; it is tried again"),
        Refusal::Gone => format!("the API server knows no resource `{resource}`: correct spec.resources"),
        other => format!("{resource} cannot be listed: {other:?}"),
    }
}

fn forbidden(message: &str) -> String {
    format!(
        "the migrator lacks list and patch on a resource, which is in effect the right to read it: name it in the chart's value encryption.migrator.resources ({message})"
    )
}

/// Tries again what may be better the next time: an overloaded or restarting API server.
async fn tried<T>(mut request: impl AsyncFnMut() -> Result<T, Refusal>) -> Result<T, Refusal> {
    let mut pause = Duration::from_millis(200);
    for _ in 1..TRIES {
        match request().await {
            Err(Refusal::Later(_) | Refusal::Unreadable) => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            outcome => return outcome,
        }
    }
    request().await
}

fn fingerprint(resource: &str, item: &Identity) -> u64 {
    let mut hasher = DefaultHasher::new();
    (resource, &item.namespace, &item.name, &item.uid).hash(&mut hasher);
    hasher.finish()
}

/// How many patches run side by side.
struct Pace {
    width: usize,
    widest: usize,
    best: Option<Duration>,
}

impl Pace {
    fn new(widest: usize) -> Self {
        Self {
            width: widest.div_ceil(2).max(1),
            widest: widest.max(1),
            best: None,
        }
    }

    /// Slower by a factor of three than at best, per patch and lane: half as many. Else one more.
    fn judge(&mut self, took: Duration, count: usize) {
        let each = took * u32::try_from(self.width).unwrap_or(1) / u32::try_from(count.max(1)).unwrap_or(1);
        let best = self.best.map_or(each, |best| best.min(each));
        self.best = Some(best);
        self.width = if each > best * 3 && each > Duration::from_millis(50) {
            (self.width / 2).max(1)
        } else {
            (self.width + 1).min(self.widest)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_halves_when_the_api_server_gets_slow_and_recovers_by_ones() {
        let mut pace = Pace::new(16);
        for _ in 0..20 {
            pace.judge(Duration::from_millis(64), 64);
        }
        assert_eq!(pace.width, 16);
        pace.judge(Duration::from_secs(4), 64);
        assert_eq!(pace.width, 8);
        pace.judge(Duration::from_millis(64), 64);
        assert_eq!(pace.width, 9);
        for _ in 0..20 {
            pace.judge(Duration::from_mins(1), 64);
        }
        assert_eq!(pace.width, 1);
    }
}
