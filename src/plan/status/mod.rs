//! What a policy says of itself: pure, from the policy, its plan, what was observed and the time.

mod judgements;
mod rules;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions::{self, policy_status_unchanged};
use super::reasons;
use super::runs::{Observation, RunningRun, consume};
use super::sharing::Neighbour;
use super::validated::Invalid;
use super::work_plan::Planned;
use crate::api::status::{DataRetentionPolicyStatus, RunningStatus};
use crate::api::{DataRetentionPolicy, DataSource};

/// Runs shorter than this never show as under way, so that an ordinary run costs one status write, not two.
const SHORT_RUN: SignedDuration = SignedDuration::from_secs(10);

/// How far the children are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Applied.
    Settled,
    /// Waiting until runs of an old plan have ended.
    Waiting,
    /// Something stands in the way: reason and message.
    Blocked(&'static str, String),
}

/// What the status is computed from.
pub struct Inputs<'a> {
    /// The policy, with its present status.
    pub policy: &'a DataRetentionPolicy,
    /// Its plan, or what is wrong with it.
    pub planned: Result<&'a Planned, &'a [Invalid]>,
    /// Its `DataSource`.
    pub source: Option<&'a DataSource>,
    /// Policies that share a table with it.
    pub neighbours: &'a [Neighbour],
    /// Its runs.
    pub observation: &'a Observation,
    /// Its children.
    pub progress: Progress,
    /// Hash of the rules for which a first look is there.
    pub first_look: Option<String>,
    /// The time.
    pub now: Timestamp,
}

/// The new status.
#[must_use]
pub fn status(inputs: &Inputs<'_>) -> DataRetentionPolicyStatus {
    let old = inputs.policy.status.clone().unwrap_or_default();
    let mut status = old.clone();
    status.observed_generation = inputs.policy.metadata.generation;
    status.first_look_rules_hash.clone_from(&inputs.first_look);
    status.last_result.get_or_insert_with(|| reasons::NEVER_RAN.to_owned());
    if let Ok(planned) = inputs.planned {
        identify(&mut status, planned, inputs);
    }
    rules::prepare(&mut status, inputs);
    for run in &inputs.observation.finished {
        consume(&mut status, run);
    }
    rules::judge(&mut status, inputs);
    totals(&mut status);
    upcoming(&mut status, &old, inputs);
    let judgements = judgements::judgements(&status, inputs);
    status.conditions = conditions::merge(
        &old.conditions,
        judgements,
        inputs.policy.metadata.generation,
        inputs.now,
    );
    status
}

/// Which rules and which plan this status is about. New rules start without numbers: those of other rules say nothing.
fn identify(status: &mut DataRetentionPolicyStatus, planned: &Planned, inputs: &Inputs<'_>) {
    if status.rules_hash.as_deref() != Some(&planned.rules.hash) {
        status.rules_hash = Some(planned.rules.hash.clone());
        status.rules_generation = Some(planned.rules.generation);
        status.accepted_at = Some(Time(inputs.now));
        status.rules.clear();
    }
    status.slack_seconds = Some(planned.validated.slack_seconds);
    if inputs.progress == Progress::Settled {
        status.plan_hash = Some(planned.plan_hash.clone());
    }
}

fn totals(status: &mut DataRetentionPolicyStatus) {
    let sum = |counts: Vec<Option<i64>>| counts.into_iter().flatten().reduce(i64::saturating_add);
    status.due = sum(status.rules.iter().map(|rule| rule.due).collect());
    status.overdue = sum(status.rules.iter().map(|rule| rule.overdue).collect());
    status.held = sum(status.rules.iter().map(|rule| rule.held).collect());
    status.oldest = status
        .rules
        .iter()
        .filter_map(|rule| rule.oldest.clone())
        .max_by_key(|age| age_seconds(age));
}

/// The run under way and the next one.
fn upcoming(status: &mut DataRetentionPolicyStatus, old: &DataRetentionPolicyStatus, inputs: &Inputs<'_>) {
    let running = inputs.observation.running.as_ref();
    let just_started = running.is_some_and(|run| inputs.now.duration_since(run.started_at) < SHORT_RUN);
    status.running = running
        .filter(|_| !just_started)
        .map(|run| under_way(run, old.running.as_ref(), inputs.now));
    let next = match inputs.planned {
        Ok(planned) if may_run(planned, inputs) => planned
            .validated
            .schedule
            .next_after(inputs.now, &planned.validated.zone),
        _ => None,
    };
    // The slot of the run that has just started stays until the run has something to say.
    if !(just_started && next.is_some() && old.next_run_at.is_some()) {
        status.next_run_at = next.map(Time);
    }
}

/// What a run under way says of itself; what it said before stays until it says something else.
fn under_way(run: &RunningRun, old: Option<&RunningStatus>, now: Timestamp) -> RunningStatus {
    let before = old.filter(|old| old.job == run.job).cloned();
    let mut status = before.unwrap_or_else(|| RunningStatus {
        job: run.job.clone(),
        started_at: Some(Time(run.started_at)),
        ..RunningStatus::default()
    });
    if let Some(progress) = &run.progress {
        status.step = Some(progress.step.as_str().to_owned());
        status.affected = Some(progress.rows);
        status.due = progress.of;
        status.asked_at = Some(Time(now));
    }
    status
}

/// Whether a run under way is to be asked how far it is: at most every ten seconds, and not in its first ten.
#[must_use]
pub fn asks_for_progress(old: Option<&DataRetentionPolicyStatus>, run: &RunningRun, now: Timestamp) -> bool {
    let asked = old
        .and_then(|old| old.running.as_ref())
        .filter(|old| old.job == run.job)
        .and_then(|old| old.asked_at.as_ref());
    [Some(run.started_at), asked.map(|asked| asked.0)]
        .into_iter()
        .flatten()
        .all(|before| now.duration_since(before) >= SHORT_RUN)
}

fn may_run(planned: &Planned, inputs: &Inputs<'_>) -> bool {
    planned.has_work() && !inputs.policy.spec.suspend && !inputs.observation.stopped
}

/// When to look again at the latest: at the next time at which the clock alone changes something.
#[must_use]
pub fn next_look(status: &DataRetentionPolicyStatus, inputs: &Inputs<'_>) -> SignedDuration {
    const LONGEST: SignedDuration = SignedDuration::from_hours(1);
    const SOON: SignedDuration = SignedDuration::from_secs(2);
    const WHILE_SHARED: SignedDuration = SignedDuration::from_mins(1);
    // A run that did not start by then was missed.
    let missed = SignedDuration::from_secs(super::validate::STARTING_DEADLINE_SECONDS + 5);
    if inputs.progress == Progress::Waiting {
        return SOON;
    }
    let mut candidates = vec![LONGEST];
    if let Some(run) = &inputs.observation.running {
        candidates.push(pause_while_running(inputs.now.duration_since(run.started_at)));
    }
    if conditions::is_true(&status.conditions, reasons::SHARED_DATASET)
        || conditions::is_true(&status.conditions, reasons::SHARED_STORE)
        || matches!(inputs.progress, Progress::Blocked(..))
    {
        candidates.push(WHILE_SHARED);
    }
    candidates.extend(
        status
            .next_run_at
            .as_ref()
            .map(|next| next.0.duration_since(inputs.now) + missed),
    );
    let overdue = status.rules.iter().filter_map(|rule| rule.overdue_from.as_ref());
    candidates.extend(
        overdue
            .map(|from| from.0.duration_since(inputs.now))
            .filter(SignedDuration::is_positive),
    );
    candidates
        .into_iter()
        .min()
        .unwrap_or(LONGEST)
        .max(SignedDuration::from_secs(1))
}

/// The older a run, the longer the pause between two looks: its end is seen without looking, and where the first runs of
/// a thousand policies wait for a place at once, looking at each every ten seconds leaves no time for new ones.
fn pause_while_running(age: SignedDuration) -> SignedDuration {
    const LONGEST: SignedDuration = SignedDuration::from_mins(1);
    if age < SHORT_RUN {
        SHORT_RUN - age
    } else {
        (age / 6).clamp(SHORT_RUN, LONGEST)
    }
}

/// Whether the new status is worth a write.
#[must_use]
pub fn is_unchanged(old: Option<&DataRetentionPolicyStatus>, new: &DataRetentionPolicyStatus) -> bool {
    old.is_some_and(|old| policy_status_unchanged(old, new))
}

/// An age as columns show it: the two largest of days, hours, minutes and seconds, such as `6d23h`.
#[must_use]
pub fn compact_age(seconds: i64) -> String {
    let parts = [
        (seconds / 86_400, 'd'),
        (seconds / 3600 % 24, 'h'),
        (seconds / 60 % 60, 'm'),
        (seconds % 60, 's'),
    ];
    let words: Vec<String> = parts
        .into_iter()
        .skip_while(|(number, _)| *number == 0)
        .take(2)
        .filter(|(number, _)| *number != 0)
        .map(|(number, unit)| format!("{number}{unit}"))
        .collect();
    let text = words.concat();
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// The reverse of [`compact_age`], for comparisons.
fn age_seconds(text: &str) -> i64 {
    let (mut total, mut number) = (0_i64, 0_i64);
    for character in text.chars() {
        match character {
            'd' => total += number * 86_400,
            'h' => total += number * 3600,
            'm' => total += number * 60,
            's' => total += number,
            digit => {
                number = number.saturating_mul(10) + i64::from(digit.to_digit(10).unwrap_or(0));
                continue;
            }
        }
        number = 0;
    }
    total
}

#[cfg(test)]
mod tests;
