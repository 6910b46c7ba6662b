//! The conditions of a policy. Each function judges one.

use super::rules::verdict;
use super::{Inputs, Progress};
use crate::api::data_retention_policy::{Ground, Mode, RetentionRule};
use crate::api::status::{DataRetentionPolicyStatus, ProblemStatus, RuleStatus};
use crate::contract::{Reason, RunResult, STOP_CONFIG_MAP};
use crate::plan::conditions::{Judgement, Truth};
use crate::plan::runs::reported_reason;
use crate::plan::validated::Approval;
use crate::plan::work_plan::Planned;
use crate::plan::{join_words, reasons};

/// Mistakes that one message names.
const NAMED_MISTAKES: usize = 3;

/// Every condition that applies.
pub(super) fn judgements(status: &DataRetentionPolicyStatus, inputs: &Inputs<'_>) -> Vec<Judgement> {
    let mut all = vec![ready(status, inputs), promise_kept(status, inputs)];
    all.extend(halted(status, inputs));
    all.extend(schedule_too_coarse(inputs));
    all.extend(egress_open(inputs));
    all.extend(shared_dataset(inputs));
    all.extend(shared_store(inputs));
    all.extend(race_window(status));
    let rules = &inputs.policy.spec.rules;
    all.extend(stated_as(
        rules,
        |ground| ground.for_.is_none() && ground.until.is_empty(),
        reasons::INDETERMINATE,
        "the published policy gives no end, so nothing is ever due by these grounds",
    ));
    all.extend(stated_as(
        rules,
        |ground| ground.for_.is_some(),
        reasons::PARAMETERISED,
        "the published policy gives no number; the one in the spec is yours",
    ));
    all
}

/// Understood and acted upon.
fn ready(status: &DataRetentionPolicyStatus, inputs: &Inputs<'_>) -> Judgement {
    let refuse = |reason: &str, message: String| Judgement::new(reasons::READY, false, reason, message);
    let planned = match inputs.planned {
        Ok(planned) => planned,
        Err(invalid) => {
            let reason = invalid.first().map_or(reasons::INVALID_VALUE, |mistake| mistake.reason);
            let mut texts: Vec<String> = invalid.iter().take(NAMED_MISTAKES).map(super::Invalid::text).collect();
            if invalid.len() > NAMED_MISTAKES {
                texts.push(format!("({} more)", invalid.len() - NAMED_MISTAKES));
            }
            return refuse(
                reason,
                format!("nothing runs until this is corrected: {}", texts.join(" | ")),
            );
        }
    };
    match &inputs.progress {
        Progress::Blocked(reason, message) => return refuse(reason, message.clone()),
        Progress::Waiting => {
            return refuse(
                reasons::CHANGING,
                "runs of the previous plan are being ended; the new plan is applied when their pods are gone"
                    .to_owned(),
            );
        }
        Progress::Settled => {}
    }
    if let Some(stuck) = &inputs.observation.stuck {
        return refuse(reasons::WORKER_STUCK, stuck_message(&stuck.pod, &stuck.cause, inputs));
    }
    if let Some(problem) = blocking_problem(status) {
        return refuse(&problem.reason, problem.message.clone());
    }
    if let Some(judgement) = schedule_too_coarse(inputs) {
        return refuse(&judgement.reason, judgement.message);
    }
    accepted(planned, inputs)
}

fn accepted(planned: &Planned, inputs: &Inputs<'_>) -> Judgement {
    let (reason, mut message) = if inputs.policy.spec.suspend {
        (
            reasons::SUSPENDED,
            "suspended by spec.suspend: nothing runs, and promises go on being judged by the clock".to_owned(),
        )
    } else if inputs.observation.stopped {
        (
            reasons::ACCEPTED,
            "accepted, but disposal is stopped by hand: see the condition Halted".to_owned(),
        )
    } else {
        (
            reasons::ACCEPTED,
            format!(
                "runs on `{}` in {}",
                inputs.policy.spec.schedule, planned.validated.time_zone
            ),
        )
    };
    for warning in &planned.validated.warnings {
        message = format!("{message}; {warning}");
    }
    if let Approval::Refused(text) = &planned.approval {
        message = format!("{message}; {text}");
    }
    Judgement::new(reasons::READY, true, reason, message)
}

fn stuck_message(pod: &str, cause: &str, inputs: &Inputs<'_>) -> String {
    let namespace = inputs.policy.metadata.namespace.as_deref().unwrap_or_default();
    format!(
        "the worker's pod {pod} has not started for two minutes ({cause}); kubectl describe pod {pod} -n {namespace} says more"
    )
}

/// The first problem that keeps rules from doing their work: of the last run as a whole, then of a rule. What passes
/// with the next run, and what is told by `Halted`, is not one.
fn blocking_problem(status: &DataRetentionPolicyStatus) -> Option<&ProblemStatus> {
    let of_run = status.runs.first().and_then(|run| run.problem.as_ref());
    let of_rules = status.rules.iter().filter_map(|rule| rule.problem.as_ref());
    of_run
        .into_iter()
        .chain(of_rules)
        .find(|problem| match reported_reason(problem) {
            Some(reason) => {
                !passes_by_itself(reason) && !matches!(reason, Reason::LimitExceeded | Reason::StoppedByHand)
            }
            None => problem.reason == reasons::NO_REPORT,
        })
}

const fn passes_by_itself(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::SweepInProgress | Reason::RowsLocked | Reason::DeadlineReached
    )
}

/// Every rule keeps its promise.
fn promise_kept(status: &DataRetentionPolicyStatus, inputs: &Inputs<'_>) -> Judgement {
    let judged: Vec<(&RuleStatus, Truth, &'static str)> = status
        .rules
        .iter()
        .filter(|rule| rule.on_time.is_some())
        .map(|rule| {
            let (truth, reason) = verdict(rule, inputs.now);
            (rule, truth, reason)
        })
        .collect();
    for truth in [Truth::False, Truth::Unknown] {
        let concerned: Vec<&(&RuleStatus, Truth, &'static str)> =
            judged.iter().filter(|judged| judged.1 == truth).collect();
        let Some((first, _, reason)) = concerned.first() else {
            continue;
        };
        let observing = inputs.policy.spec.mode == Mode::Observe && *reason == reasons::OVERDUE;
        // Rows that are known to be late are late whatever else is wrong.
        let reported = first
            .problem
            .as_ref()
            .filter(|_| *reason != reasons::OVERDUE)
            .map(|problem| problem.reason.as_str());
        let reason = if observing {
            reasons::ONLY_OBSERVING
        } else {
            reported.unwrap_or(reason)
        };
        let words: Vec<String> = concerned
            .iter()
            .map(|(rule, _, reason)| lateness(rule, reason))
            .collect();
        let mut message = words.join("; ");
        if observing {
            message = format!(
                "{message}. The mode is Observe, so nothing is disposed of; when the numbers are right: {}",
                enforce_command(inputs)
            );
        }
        return Judgement::new(reasons::PROMISE_KEPT, truth, reason, message);
    }
    Judgement::new(reasons::PROMISE_KEPT, true, reasons::ON_TIME, "every rule is on time")
}

fn lateness(rule: &RuleStatus, reason: &str) -> String {
    let name = &rule.name;
    let rows = |number: Option<i64>| match number.unwrap_or(0) {
        1 => "1 row".to_owned(),
        number => format!("{number} rows"),
    };
    let text = match reason {
        reasons::OVERDUE => format!("rule `{name}`: {} stayed longer than promised", rows(rule.overdue)),
        reasons::NO_RECENT_RUN => format!(
            "rule `{name}`: no run has left nothing due since {}, longer ago than promised",
            rule.clean_at
                .as_ref()
                .map(|time| time.0.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
                .unwrap_or_default()
        ),
        reasons::NEVER_RAN => format!("rule `{name}`: no run has counted its rows yet, and the time it had is over"),
        reasons::BACKLOG_REMAINING => format!(
            "rule `{name}`: {} due, none of them overdue when last counted",
            rows(rule.due)
        ),
        _ => format!("rule `{name}`: no run has counted its rows yet"),
    };
    match &rule.problem {
        Some(problem) => format!("{text} ({})", problem.message),
        None => text,
    }
}

fn enforce_command(inputs: &Inputs<'_>) -> String {
    patch_command(inputs, r#"{"spec":{"mode":"Enforce"}}"#)
}

fn patch_command(inputs: &Inputs<'_>, patch: &str) -> String {
    let metadata = &inputs.policy.metadata;
    format!(
        "kubectl patch drp {} -n {} --type merge -p '{patch}'",
        metadata.name.as_deref().unwrap_or_default(),
        metadata.namespace.as_deref().unwrap_or_default()
    )
}

/// Disposal stopped on purpose. Not there as long as nothing ever halted.
fn halted(status: &DataRetentionPolicyStatus, inputs: &Inputs<'_>) -> Option<Judgement> {
    let namespace = inputs.policy.metadata.namespace.as_deref().unwrap_or_default();
    if inputs.observation.stopped {
        let message = format!(
            "the ConfigMap {STOP_CONFIG_MAP} stops all disposal in this namespace; to go on: kubectl delete configmap {STOP_CONFIG_MAP} -n {namespace}"
        );
        return Some(Judgement::new(reasons::HALTED, true, reasons::STOPPED_BY_HAND, message));
    }
    let last = status
        .runs
        .iter()
        .find(|run| run.result != crate::plan::runs::UNKNOWN)?;
    let of_run = last
        .problem
        .as_ref()
        .filter(|_| last.result == RunResult::Halted.as_str());
    let of_rules = status.rules.iter().filter_map(|rule| rule.problem.as_ref());
    let (problem, reason) = of_run.into_iter().chain(of_rules).find_map(|problem| {
        let reason = reported_reason(problem)?;
        let halts = matches!(
            reason,
            Reason::LimitExceeded | Reason::UndeclaredCascade | Reason::SchemaDrift
        );
        halts.then_some((problem, reason))
    })?;
    let message = match reason {
        Reason::LimitExceeded => format!("{}; {}", problem.message, approval_advice(problem, status, inputs)),
        _ => problem.message.clone(),
    };
    Some(Judgement::new(reasons::HALTED, true, &problem.reason, message))
}

/// The command that lets this backlog through.
fn approval_advice(problem: &ProblemStatus, status: &DataRetentionPolicyStatus, inputs: &Inputs<'_>) -> String {
    let rows = first_number(&problem.message).or(status.due).unwrap_or(0);
    let generation = inputs.policy.metadata.generation.unwrap_or_default();
    let zone = inputs
        .planned
        .map_or(jiff::tz::TimeZone::UTC, |planned| planned.validated.zone.clone());
    let today = inputs.now.to_zoned(zone).date();
    let until = today.checked_add(jiff::Span::new().days(7)).unwrap_or(today);
    let patch =
        format!(r#"{{"spec":{{"approve":{{"upToRows":{rows},"generation":{generation},"until":"{until}"}}}}}}"#);
    format!(
        "to let these rows through until {until}: {}",
        patch_command(inputs, &patch)
    )
}

/// The number after `would touch`, as the worker writes it.
fn first_number(text: &str) -> Option<i64> {
    let rest = text.split_once("would touch ")?.1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn schedule_too_coarse(inputs: &Inputs<'_>) -> Option<Judgement> {
    let planned = inputs.planned.ok()?;
    let rules: Vec<String> = planned
        .validated
        .rules
        .iter()
        .filter_map(|rule| {
            Some(format!(
                "rule `{}` does not run: {}",
                rule.spec.name,
                rule.too_coarse.as_ref()?
            ))
        })
        .collect();
    (!rules.is_empty()).then(|| {
        Judgement::new(
            reasons::SCHEDULE_TOO_COARSE,
            true,
            reasons::SCHEDULE_TOO_COARSE,
            rules.join("; "),
        )
    })
}

fn egress_open(inputs: &Inputs<'_>) -> Option<Judgement> {
    inputs.source.filter(|source| source.spec.network.is_none()).map(|source| {
        Judgement::new(
            reasons::EGRESS_OPEN,
            true,
            "NoNetworkDeclared",
            format!(
                "no NetworkPolicy holds the worker, because the DataSource `{}` does not say where the store is; set spec.network.podSelector or spec.network.cidrs there",
                source.metadata.name.as_deref().unwrap_or_default()
            ),
        )
    })
}

fn shared_dataset(inputs: &Inputs<'_>) -> Option<Judgement> {
    let namespace = inputs.policy.metadata.namespace.as_deref().unwrap_or_default();
    let others: Vec<String> = inputs
        .neighbours
        .iter()
        .filter(|neighbour| neighbour.namespace == namespace)
        .map(|neighbour| format!("{} ({})", neighbour.name, neighbour.table))
        .collect();
    (!others.is_empty()).then(|| {
        let message = format!(
            "policies with rules for the same table: {}; the grounds of each protect rows from the others, also while a policy observes, is suspended or refused",
            join_words(&others, "and")
        );
        Judgement::new(reasons::SHARED_DATASET, true, reasons::SHARED_DATASET, message)
    })
}

fn shared_store(inputs: &Inputs<'_>) -> Option<Judgement> {
    let own = inputs.policy.metadata.namespace.as_deref().unwrap_or_default();
    let mut others: Vec<String> = inputs
        .neighbours
        .iter()
        .filter(|neighbour| neighbour.namespace != own)
        .map(|neighbour| format!("{} in namespace {}", neighbour.table, neighbour.namespace))
        .collect();
    others.dedup();
    (!others.is_empty()).then(|| {
        let message = format!(
            "policies of other namespaces have rules for the same tables: {}; neither knows what the other must keep",
            join_words(&others, "and")
        );
        Judgement::new(reasons::SHARED_STORE, true, reasons::SHARED_STORE, message)
    })
}

fn race_window(status: &DataRetentionPolicyStatus) -> Option<Judgement> {
    let rules = status.rules.iter().filter(|rule| rule.race_window);
    let rules: Vec<String> = rules.map(|rule| format!("`{}`", rule.name)).collect();
    (!rules.is_empty()).then(|| {
        let message = format!(
            "by {} rows go or stay by rows of another table, and no foreign key ties the two; each row is locked and judged again before it goes, but what another session commits to the other table in those milliseconds may come too late; add the foreign key, or let writers lock the row first (SELECT ... FOR KEY SHARE)",
            join_words(&rules, "and")
        );
        Judgement::new(reasons::RACE_WINDOW, true, "NoForeignKey", message)
    })
}

/// Grounds that carry the published policy's own words.
fn stated_as(
    rules: &[RetentionRule],
    concerned: fn(&Ground) -> bool,
    type_: &'static str,
    meaning: &str,
) -> Option<Judgement> {
    let grounds: Vec<String> = rules
        .iter()
        .flat_map(|rule| rule.keep_while.iter().map(move |ground| (rule, ground)))
        .filter(|(_, ground)| concerned(ground))
        .filter_map(|(rule, ground)| {
            let words = ground.stated_as.as_ref()?;
            Some(format!("rule `{}`, ground `{}` (\"{words}\")", rule.name, ground.name))
        })
        .collect();
    (!grounds.is_empty()).then(|| {
        Judgement::new(
            type_,
            true,
            "StatedInWords",
            format!("{meaning}: {}", join_words(&grounds, "and")),
        )
    })
}
