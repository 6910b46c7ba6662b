//! Whether the lines of a ledger are one unbroken chain: none changed, none missing, none put in between.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::contract::Totals;
use crate::contract::ledger::LedgerLine;

/// What the lines of one policy prove.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Chain {
    /// Uid of the policy.
    pub policy_uid: String,
    /// Namespace and name of the policy.
    pub policy: String,
    /// Number of different lines.
    pub lines: usize,
    /// Number of the last line.
    pub last: i64,
    /// Hash of the last line: compare it with `status` or the store.
    pub head: String,
    /// Rows touched, by all lines.
    pub totals: Totals,
    /// What does not fit. Empty: the chain holds.
    pub faults: Vec<String>,
}

/// Every line of a text of log lines: within a report, or by itself. Whatever else stands there is passed over.
#[must_use]
pub fn lines(text: &str) -> Vec<LedgerLine> {
    text.lines().filter_map(line).collect()
}

fn line(text: &str) -> Option<LedgerLine> {
    // Collectors of logs put a time before the line.
    let json = text.get(text.find('{')?..)?;
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    let line = value.pointer("/ledger/line").unwrap_or(&value);
    serde_json::from_value(line.clone()).ok()
}

/// Judges the lines, policy by policy.
#[must_use]
pub fn chains(lines: Vec<LedgerLine>) -> Vec<Chain> {
    let mut by_policy: BTreeMap<String, Vec<LedgerLine>> = BTreeMap::new();
    for line in lines {
        let of_policy = by_policy.entry(line.policy_uid.clone()).or_default();
        // A log may be read twice.
        if !of_policy.contains(&line) {
            of_policy.push(line);
        }
    }
    by_policy.into_values().filter_map(chain).collect()
}

fn chain(mut lines: Vec<LedgerLine>) -> Option<Chain> {
    lines.sort_by(|one, other| (one.sequence, &one.head).cmp(&(other.sequence, &other.head)));
    let mut faults = Vec::new();
    let mut totals = Totals::default();
    let (mut before, mut head) = (0, String::new());
    for line in &lines {
        faults.extend(faults_of(line, before, &head));
        totals.deleted += line.deleted;
        totals.masked += line.masked;
        totals.set += line.set;
        (before, head) = (line.sequence, line.head.clone());
    }
    let last = lines.last()?;
    Some(Chain {
        policy_uid: last.policy_uid.clone(),
        policy: last.policy.clone(),
        lines: lines.len(),
        last: last.sequence,
        head,
        totals,
        faults,
    })
}

/// What is wrong with a line that comes after the line of this number and hash.
fn faults_of(line: &LedgerLine, before: i64, head: &str) -> Vec<String> {
    let number = line.sequence;
    let mut faults = Vec::new();
    if line.hash() != line.head {
        faults.push(format!(
            "line {number} was changed: its hash is not that of what it says"
        ));
    }
    if number == before {
        faults.push(format!("there are two different lines {number}"));
    } else if number == before + 2 {
        faults.push(format!("line {} is missing", before + 1));
    } else if number > before + 1 {
        faults.push(format!("lines {} to {} are missing", before + 1, number - 1));
    } else if line.previous != head {
        faults.push(format!(
            "line {number} does not follow line {before}: it names another hash"
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three lines of one policy.
    fn ledger() -> Vec<LedgerLine> {
        let mut lines: Vec<LedgerLine> = Vec::new();
        for sequence in 1..=3 {
            let previous = lines.last().map(|line| line.head.clone()).unwrap_or_default();
            let line = LedgerLine {
                policy_uid: "uid".to_owned(),
                policy: "shop/logs".to_owned(),
                sequence,
                run: format!("logs-{sequence}"),
                plan_hash: "0a1b".to_owned(),
                deleted: sequence * 10,
                masked: 1,
                set: 0,
                report: "[]".to_owned(),
                previous,
                head: String::new(),
            };
            lines.push(line.sealed());
        }
        lines
    }

    fn faults(lines: Vec<LedgerLine>) -> Vec<String> {
        chains(lines).remove(0).faults
    }

    #[test]
    fn what_was_not_touched_holds_in_any_order_and_read_twice() {
        let mut lines = ledger();
        lines.extend(ledger());
        lines.reverse();
        let found = chains(lines);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].lines, found[0].last), (3, 3));
        assert_eq!((found[0].totals.deleted, found[0].totals.masked), (60, 3));
        assert_eq!(found[0].head, ledger()[2].head);
        assert!(found[0].faults.is_empty(), "{:?}", found[0].faults);
    }

    #[test]
    fn a_change_a_gap_and_a_line_put_in_between_are_told() {
        let mut changed = ledger();
        changed[1].deleted = 0;
        assert_eq!(
            faults(changed),
            ["line 2 was changed: its hash is not that of what it says"]
        );
        // Whoever computes its hash anew has to change all that follow, whose last hash others have seen.
        let mut forged = ledger();
        forged[1].deleted = 0;
        forged[1] = forged[1].clone().sealed();
        assert_eq!(faults(forged), ["line 3 does not follow line 2: it names another hash"]);
        let mut gap = ledger();
        gap.remove(1);
        assert_eq!(faults(gap), ["line 2 is missing"]);
        assert_eq!(faults(vec![ledger().remove(2)]), ["lines 1 to 2 are missing"]);
        let mut twice = ledger();
        let mut other = ledger().remove(1);
        other.masked = 7;
        twice.push(other.sealed());
        assert!(faults(twice).contains(&"there are two different lines 2".to_owned()));
    }

    #[test]
    fn lines_are_found_in_reports_in_rows_and_behind_a_time() {
        let line = ledger().remove(0);
        let report = serde_json::json!({"result": "Done", "ledger": {"sequence": 1, "line": line}});
        let row = r#"{"policy_uid":"uid","sequence":1,"written_at":"2026-11-24","policy":"shop/logs","run":"r","plan_hash":"p","deleted":1,"masked":0,"set_rows":0,"report":"[]","previous":"","head":"h"}"#;
        let text = format!("some text\n{{\"level\":\"INFO\"}}\n{report}\n2026-11-24T04:05:06Z {report}\n{row}\n");
        let found = lines(&text);
        assert_eq!(found.len(), 3);
        assert_eq!((&found[0], &found[1]), (&line, &line));
        assert_eq!(found[2].plan_hash, "p");
    }
}
