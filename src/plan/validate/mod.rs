//! Everything that can be judged without the store. This is the only place where users' mistakes are found before a
//! run; every mistake is collected, so that they need not be corrected one at a time.

mod durations;
mod rules;
pub mod source;
pub mod subjects;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kube::ResourceExt as _;

use self::durations::{active_deadline, within};
use super::reasons;
use super::sharing::Neighbour;
use super::validated::{Invalid, Validated, ValidatedRule};
use crate::api::data_source::TlsMode;
use crate::api::{DataRetentionPolicy, DataSource};
use crate::contract::Store;
use crate::domain::schedule::Schedule;
use crate::domain::zone;

/// What the CronJob controller allows a run to start late, in seconds.
pub const STARTING_DEADLINE_SECONDS: i64 = 300;

/// What validation looks at.
pub struct Inputs<'a> {
    /// The policy.
    pub policy: &'a DataRetentionPolicy,
    /// The `DataSource` that it names, if it exists.
    pub source: Option<&'a DataSource>,
    /// Policies that share a table with it.
    pub neighbours: &'a [Neighbour],
    /// The time, by which the schedule's gaps are told.
    pub now: Timestamp,
}

/// Judges a policy.
pub fn validate(inputs: &Inputs<'_>) -> Result<Validated, Vec<Invalid>> {
    let policy = inputs.policy;
    let spec = &policy.spec;
    let mut invalid = Vec::new();

    let schedule = keep(&mut invalid, schedule(&spec.schedule));
    let zone = keep(&mut invalid, time_zone(&spec.time_zone));
    let deadline = keep(&mut invalid, active_deadline(&spec.active_deadline));
    if let Some(approve) = &spec.approve {
        keep(&mut invalid, approval_date(&approve.until));
    }
    let source = keep(&mut invalid, known_source(inputs));
    if let Some(source) = source {
        invalid.extend(rules::check(&spec.rules, source));
    }
    invalid.extend(shared_dataset(policy, inputs.neighbours));

    let timing = match (&schedule, &zone, deadline) {
        (Some(schedule), Some(zone), Some(deadline)) => Some(timing(schedule, zone, deadline, inputs.now)),
        _ => None,
    };
    let gap = timing.as_ref().map_or(i64::MAX, |timing| timing.largest_gap);
    let slack = timing.as_ref().map_or(0, |timing| timing.slack);
    let mut validated_rules = Vec::new();
    for rule in &spec.rules {
        let within = keep(&mut invalid, within(rule, gap));
        let dataset = source.and_then(|source| rules::dataset(source, rule));
        if let (Some(within_seconds), Some((dataset, table))) = (within, dataset) {
            validated_rules.push(ValidatedRule {
                spec: rule.clone(),
                table,
                column_time_zones: rules::column_time_zones(dataset),
                categories: rules::categories(dataset),
                within_seconds,
                too_coarse: durations::too_coarse(rule, slack),
            });
        }
    }

    match (invalid.is_empty(), schedule, zone, timing, source) {
        (true, Some(schedule), Some(zone), Some(timing), Some(source)) => Ok(Validated {
            namespace: policy.namespace().unwrap_or_default(),
            name: policy.name_any(),
            uid: policy.uid().unwrap_or_default(),
            warnings: warnings(&schedule, &zone, inputs.now),
            schedule,
            zone,
            time_zone: spec.time_zone.clone(),
            largest_gap_seconds: timing.largest_gap,
            active_deadline_seconds: timing.active_deadline,
            slack_seconds: timing.slack,
            store: store(source),
            credentials_secret: source.spec.postgres.credentials_secret_ref.name.clone(),
            rules: validated_rules,
        }),
        _ => Err(invalid),
    }
}

/// The value, or `None` with the mistake put on the list.
fn keep<T>(invalid: &mut Vec<Invalid>, result: Result<T, Invalid>) -> Option<T> {
    result.map_err(|mistake| invalid.push(mistake)).ok()
}

fn schedule(text: &str) -> Result<Schedule, Invalid> {
    text.parse()
        .map_err(|error| Invalid::new(reasons::INVALID_SCHEDULE, "spec.schedule", format!("{error}")))
}

fn time_zone(name: &str) -> Result<TimeZone, Invalid> {
    zone::parse(name).map_err(|error| Invalid::new(reasons::INVALID_TIME_ZONE, "spec.timeZone", error.to_string()))
}

/// The last day of an approval.
pub fn approval_date(text: &str) -> Result<jiff::civil::Date, Invalid> {
    text.parse().map_err(|_| {
        Invalid::new(
            reasons::INVALID_VALUE,
            "spec.approve.until",
            format!("`{text}` is not a day; write it as YYYY-MM-DD"),
        )
    })
}

fn known_source<'a>(inputs: &Inputs<'a>) -> Result<&'a DataSource, Invalid> {
    let name = &inputs.policy.spec.data_source_ref.name;
    let namespace = inputs.policy.namespace().unwrap_or_default();
    let source = inputs.source.ok_or_else(|| {
        Invalid::new(
            reasons::UNKNOWN_DATA_SOURCE,
            "spec.dataSourceRef.name",
            format!(
                "there is no DataSource `{name}` in this namespace; create it, or correct the name (kubectl get datasources -n {namespace} lists them)"
            ),
        )
    })?;
    match source::check(source).first() {
        None => Ok(source),
        Some(mistake) => Err(Invalid::new(
            reasons::INVALID_DATA_SOURCE,
            "spec.dataSourceRef.name",
            format!(
                "the DataSource `{name}` is invalid, correct it first: {}",
                mistake.text()
            ),
        )),
    }
}

/// Two policies with rules for one table are refused, both of them, until it is built what they mean together: one may
/// protect rows that the other deletes.
fn shared_dataset(policy: &DataRetentionPolicy, neighbours: &[Neighbour]) -> Option<Invalid> {
    let namespace = policy.namespace().unwrap_or_default();
    let others: Vec<String> = neighbours
        .iter()
        .filter(|neighbour| neighbour.namespace == namespace)
        .map(|neighbour| format!("{} ({})", neighbour.name, neighbour.table))
        .collect();
    (!others.is_empty()).then(|| {
        Invalid::new(
            reasons::SHARED_DATASET,
            "spec.rules",
            format!(
                "other policies of this namespace have rules for the same table, and neither they nor this one run: {}; move all rules for a table into one policy",
                super::join_words(&others, "and")
            ),
        )
    })
}

/// In seconds.
struct Timing {
    largest_gap: i64,
    active_deadline: i64,
    slack: i64,
}

fn timing(schedule: &Schedule, zone: &TimeZone, active_deadline: i64, now: Timestamp) -> Timing {
    let largest_gap = schedule.largest_gap_seconds(now, zone);
    Timing {
        largest_gap,
        active_deadline,
        slack: largest_gap
            .saturating_add(STARTING_DEADLINE_SECONDS)
            .saturating_add(active_deadline),
    }
}

fn warnings(schedule: &Schedule, zone: &TimeZone, now: Timestamp) -> Vec<String> {
    let mut warnings = Vec::new();
    if schedule.may_meet_daylight_saving(now, zone) {
        warnings.push(
            "spec.schedule has slots between 00:00 and 03:59, which daylight saving time may skip or double; choose a later hour, or timeZone Etc/UTC"
                .to_owned(),
        );
    }
    warnings
}

/// How to reach the store.
#[must_use]
pub fn store(source: &DataSource) -> Store {
    let postgres = &source.spec.postgres;
    Store {
        host: postgres.host.clone(),
        // The schema bounds the port; a value outside it cannot come from the API server.
        port: u16::try_from(postgres.port).unwrap_or_default(),
        database: postgres.database.clone(),
        verify_tls: postgres.tls.mode == TlsMode::VerifyFull,
        ca_secret: postgres
            .tls
            .ca_secret_ref
            .as_ref()
            .map(|reference| (reference.name.clone(), reference.key.clone())),
    }
}

#[cfg(test)]
mod tests;
