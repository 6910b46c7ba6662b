//! Everything that can be judged without the store. This is the only place where users' mistakes are found before a
//! run; every mistake is collected, so that they need not be corrected one at a time.

mod durations;
mod rules;
pub mod source;
pub mod subjects;
mod writes;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kube::ResourceExt as _;

use self::durations::{active_deadline, within};
use super::cascade;
use super::holds::{self, Listed};
use super::reasons;
use super::relations;
use super::sharing::{self, Other};
use super::validated::{Invalid, Protection, Validated, ValidatedRule};
use crate::api::data_retention_policy::{Condition, RetentionRule};
use crate::api::data_source::TlsMode;
use crate::api::{DataRetentionPolicy, DataSource};
use crate::contract::{DeclaredTable, Store};
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
    /// The other policies of its namespace on the same store, each with its `DataSource`.
    pub others: &'a [Other<'a>],
    /// The holds of every namespace, as they are now.
    pub holds: &'a [Listed<'a>],
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
        invalid.extend(writes::check(&parties(inputs, source)));
    }

    let timing = match (&schedule, &zone, deadline) {
        (Some(schedule), Some(zone), Some(deadline)) => Some(timing(schedule, zone, deadline, inputs.now)),
        _ => None,
    };
    let gap = timing.as_ref().map_or(i64::MAX, |timing| timing.largest_gap);
    let slack = timing.as_ref().map_or(0, |timing| timing.slack);
    let mut validated_rules = Vec::new();
    for rule in &spec.rules {
        let within = keep(&mut invalid, within(rule, gap));
        if let (Some(within_seconds), Some(source)) = (within, source) {
            let too_coarse = durations::too_coarse(rule, slack);
            validated_rules.extend(validated_rule(rule, source, within_seconds, too_coarse));
        }
    }
    if let Some(source) = source {
        // Last: what is wrong here is told before what is wrong elsewhere.
        invalid.extend(unclear_protections(inputs, source));
    }
    let binding = source.and_then(|source| {
        let namespace = policy.namespace().unwrap_or_default();
        let binding = holds::binding(&namespace, source, inputs.holds, inputs.now);
        binding.map_err(|unclear| invalid.extend(unclear)).ok()
    });

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
            protections: protections(inputs, source),
            holds: binding.unwrap_or_default(),
            declared: declared(&spec.rules, source),
            store_key: sharing::store_key(source),
            rules: validated_rules,
        }),
        _ => Err(invalid),
    }
}

/// A rule with what its dataset adds to it. `None`: it has mistakes, which are told elsewhere.
fn validated_rule(
    rule: &RetentionRule,
    source: &DataSource,
    within_seconds: i64,
    too_coarse: Option<String>,
) -> Option<ValidatedRule> {
    let (dataset, table) = rules::dataset(source, rule)?;
    Some(ValidatedRule {
        spec: rule.clone(),
        table,
        key: dataset.key.clone(),
        column_time_zones: relations::column_time_zones(dataset),
        related: relations::resolve(rule, dataset, source).ok()?,
        cascade: cascade::resolve(rule, dataset, source).ok()?,
        categories: rules::categories(dataset),
        within_seconds,
        too_coarse,
    })
}

/// What the source declares of the tables of the rules.
fn declared(rules: &[RetentionRule], source: &DataSource) -> Vec<DeclaredTable> {
    let mut tables: Vec<DeclaredTable> = rules
        .iter()
        .filter_map(|rule| super::survey::dataset(rules::dataset(source, rule)?.0))
        .map(|declared| DeclaredTable {
            schema: declared.schema,
            table: declared.table,
            columns: declared.columns,
        })
        .filter(|declared| !declared.columns.is_empty())
        .collect();
    tables.sort();
    tables.dedup();
    tables
}

fn parties<'a>(inputs: &Inputs<'a>, source: &'a DataSource) -> Vec<writes::Party<'a>> {
    let own = writes::Party {
        policy: None,
        rules: &inputs.policy.spec.rules,
        source,
    };
    let others = inputs.others.iter().map(|other| writes::Party {
        policy: other.policy.metadata.name.as_deref(),
        rules: &other.policy.spec.rules,
        source: other.source,
    });
    std::iter::once(own).chain(others).collect()
}

/// Rules of other policies on the tables of this one, each with its policy and source.
fn shared_rules<'a>(inputs: &Inputs<'a>, source: &DataSource) -> Vec<(Other<'a>, &'a RetentionRule)> {
    let own = sharing::tables(inputs.policy, source);
    let rules = inputs
        .others
        .iter()
        .flat_map(|other| other.policy.spec.rules.iter().map(move |rule| (*other, rule)));
    let shares = |other: &Other<'_>, rule: &RetentionRule| {
        rules::dataset(other.source, rule)
            .is_some_and(|(_, table)| own.iter().any(|own| own.table == table.to_string()))
    };
    rules.filter(|(other, rule)| shares(other, rule)).collect()
}

/// What a rule of another policy protects must be known: while it cannot be told, neither of the two runs.
fn unclear_protections(inputs: &Inputs<'_>, source: &DataSource) -> Vec<Invalid> {
    let mistakes = shared_rules(inputs, source).into_iter().flat_map(|(other, rule)| {
        let zone = time_zone(&other.policy.spec.time_zone).err();
        let mistakes = zone.into_iter().chain(rules::each(rule, other.source));
        mistakes.map(move |mistake| (other.policy.name_any(), mistake))
    });
    mistakes
        .map(|(policy, mistake)| {
            let message = format!(
                "the policy `{policy}` has rules for the same table, and what they protect cannot be told; correct there {}",
                mistake.text()
            );
            Invalid::new(reasons::SHARED_DATASET, "spec.rules", message)
        })
        .collect()
}

/// The grounds of other policies that protect rows of this one's tables, whatever those policies do at the moment.
fn protections(inputs: &Inputs<'_>, source: &DataSource) -> Vec<Protection> {
    shared_rules(inputs, source)
        .into_iter()
        .filter_map(|(other, rule)| {
            Some(Protection {
                policy: other.policy.name_any(),
                time_zone: other.policy.spec.time_zone.clone(),
                rule: validated_rule(rule, other.source, 0, None)?,
            })
        })
        .collect()
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

/// Times that stand in conditions and are none.
#[must_use]
pub fn times(conditions: &[Condition], path: &str) -> Vec<Invalid> {
    rules::conditions(conditions, path)
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
