//! The outcome of `run` for people.

use std::fmt::Write as _;

use super::Outcome;
use crate::contract::{Problem, RuleReport, WorkReport};
use crate::domain::comment::single_line;
use crate::worker::explain::{Dated, ExplainedGround, ExplainedRow, ExplainedRule, GroundState};

/// Everything that was found, and what was done.
pub fn text(outcome: &Outcome) -> String {
    let mut text = format!("policy {}", outcome.policy);
    if let Some(as_of) = outcome.as_of {
        let _ = write!(text, ", as of {as_of}");
    }
    text.push('\n');
    for (index, explained) in outcome.explained.iter().enumerate() {
        rule(&mut text, outcome, explained);
        if let Some(report) = outcome.report.as_ref().and_then(|report| report.rules.get(index)) {
            counts(&mut text, report);
        }
    }
    if let Some(report) = &outcome.report {
        result(&mut text, report);
    }
    text
}

fn rule(text: &mut String, outcome: &Outcome, explained: &ExplainedRule) {
    let _ = writeln!(text, "\n{}", explained.rule);
    if let Some(named) = outcome.sentences.iter().find(|named| named.rule == explained.rule) {
        let _ = writeln!(text, "  {}", named.sentence);
        if let Some(quote) = &named.quote {
            let _ = writeln!(text, "  promised: “{}”", single_line(quote));
        }
    }
    if let Some(problem) = &explained.problem {
        let _ = writeln!(text, "  {}", self::problem(problem));
    }
    for explained in &explained.rows {
        let _ = writeln!(text, "  {:<24} {}", key(explained), verdict(explained));
        for ground in &explained.grounds {
            let _ = writeln!(text, "  {:<24}   {}", "", self::ground(ground));
        }
    }
}

fn key(row: &ExplainedRow) -> String {
    let parts: Vec<String> = row.key.iter().map(dated).collect();
    parts.join(", ")
}

fn dated(dated: &Dated) -> String {
    let value = dated.value.as_deref().map_or_else(|| "NULL".to_owned(), single_line);
    format!("{} = {value}", dated.column)
}

fn verdict(row: &ExplainedRow) -> String {
    if row.due {
        return "due".to_owned();
    }
    if !row.covered {
        return "stays: the rule is not about it".to_owned();
    }
    let mut why: Vec<String> = Vec::new();
    let holding: Vec<&str> = names(row, GroundState::Holds);
    if !holding.is_empty() {
        why.push(format!("kept by {}", holding.join(", ")));
    }
    if !row.grounds.is_empty()
        && row
            .grounds
            .iter()
            .all(|ground| ground.state == GroundState::DoesNotApply)
    {
        why.push("no ground applies".to_owned());
    }
    if !row.protected_by.is_empty() {
        why.push(format!("protected by {}", row.protected_by.join(", ")));
    }
    if !row.held_by.is_empty() {
        why.push(format!("held by {}", row.held_by.join(", ")));
    }
    if row.among_newest {
        why.push("it is among the newest".to_owned());
    }
    if row.pointed_at {
        why.push("a row of another table points at it".to_owned());
    }
    if why.is_empty() {
        why.push("nothing is left to do".to_owned());
    }
    format!("stays: {}", why.join("; "))
}

fn names(row: &ExplainedRow, state: GroundState) -> Vec<&str> {
    let grounds = row.grounds.iter().filter(|ground| ground.state == state);
    grounds.map(|ground| ground.name.as_str()).collect()
}

fn ground(ground: &ExplainedGround) -> String {
    let state = match ground.state {
        GroundState::DoesNotApply => "does not apply",
        GroundState::Holds => "holds",
        GroundState::Ended => "has ended",
    };
    let mut parts: Vec<String> = ground.dates.iter().map(dated).collect();
    parts.extend(ground.period.iter().map(|period| format!("for {period}")));
    if parts.is_empty() {
        format!("{}: {state}", ground.name)
    } else {
        format!("{}: {state} ({})", ground.name, parts.join(", "))
    }
}

fn counts(text: &mut String, report: &RuleReport) {
    let counts = [
        ("due", report.due),
        ("overdue", report.overdue),
        ("disposed of", report.affected),
        ("of other tables with them", report.cascaded),
        ("without start event", report.without_start_event),
        ("undetermined", report.undetermined),
        ("no ground applies", report.no_ground_applies),
        ("kept by a dependent row", report.kept_by_dependent),
        ("kept since a related row is missing", report.missing_related),
        ("held", report.held),
    ];
    let said: Vec<String> = counts
        .iter()
        .enumerate()
        .filter(|(index, (_, count))| *index == 0 || *count > 0)
        .map(|(_, (name, count))| format!("{count} {name}"))
        .collect();
    let _ = writeln!(text, "  {}", said.join(", "));
    if let Some(problem) = &report.problem {
        let _ = writeln!(text, "  {}", self::problem(problem));
    }
}

fn result(text: &mut String, report: &WorkReport) {
    let _ = write!(text, "\n{:?}: {}", report.mode, report.result.as_str());
    if let Some(problem) = &report.problem {
        let _ = write!(text, ", {}", self::problem(problem));
    }
    text.push('\n');
}

/// A problem with its field, where it has one, and its remedy.
fn problem(problem: &Problem) -> String {
    let parts = [problem.reason.as_str(), &problem.field, &problem.detail];
    let said: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("{}; {}", said.join(": "), problem.reason.remedy())
}
