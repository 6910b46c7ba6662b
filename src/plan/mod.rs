//! The functional core of the operator: a policy, what it refers to, what was observed and the time go in; desired
//! objects, steps, status and events come out. No client, no runtime, no clock.
//!
//! ```text
//! policy + DataSource --validate--> Validated --work_plan--> Planned --children--> ConfigMap, CronJob, ...
//! live objects + Planned --steps--> what to do now        reports + Planned --status--> conditions --transitions--> events
//! ```

pub mod by_hand;
pub mod cascade;
pub mod children;
pub mod columns;
pub mod conditions;
pub mod data_source;
pub mod export;
pub mod holds;
pub mod naming;
pub mod proof;
pub mod reasons;
pub mod records;
pub mod relations;
pub mod runs;
pub mod sentences;
pub mod settings;
pub mod sharing;
pub mod status;
pub mod steps;
pub mod survey;
pub mod transitions;
pub mod validate;
pub mod validated;
pub mod withdrawal;
pub mod work_plan;

#[cfg(test)]
pub(crate) mod fixtures;

/// Two wordings of a list that people read: `a, b and c`.
#[must_use]
pub fn join_words(words: &[String], last: &str) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [head @ .., end] => format!("{} {last} {end}", head.join(", ")),
    }
}
