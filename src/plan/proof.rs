//! Whether the lines of a ledger are one unbroken chain: none changed, none missing, none put in between.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::contract::Totals;
use crate::contract::evidence::Withdrawal;
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
    /// The policy was deleted: its last report is among the lines, and says where the chain ends.
    pub withdrawn: bool,
    /// What does not fit. Empty: the chain holds.
    pub faults: Vec<String>,
}

/// What a line of a log can prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A line of a ledger, within a report or by itself.
    Line(LedgerLine),
    /// The last report of a policy.
    Withdrawal(Withdrawal),
}

/// Every piece in a text of log lines. Whatever else stands there is passed over.
#[must_use]
pub fn pieces(text: &str) -> Vec<Piece> {
    text.lines().filter_map(piece).collect()
}

fn piece(text: &str) -> Option<Piece> {
    // Collectors of logs put a time before the line.
    let json = text.get(text.find('{')?..)?;
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    if let Some(report) = value.get("withdrawal").and_then(serde_json::Value::as_str) {
        return serde_json::from_str(report).ok().map(Piece::Withdrawal);
    }
    let line = value.pointer("/ledger/line").unwrap_or(&value);
    serde_json::from_value(line.clone()).ok().map(Piece::Line)
}

/// Judges the pieces, policy by policy.
#[must_use]
pub fn chains(pieces: Vec<Piece>) -> Vec<Chain> {
    let mut by_policy: BTreeMap<String, Vec<LedgerLine>> = BTreeMap::new();
    let mut withdrawals = BTreeMap::new();
    for piece in pieces {
        match piece {
            Piece::Line(line) => {
                let of_policy = by_policy.entry(line.policy_uid.clone()).or_default();
                // A log may be read twice.
                if !of_policy.contains(&line) {
                    of_policy.push(line);
                }
            }
            Piece::Withdrawal(last) => {
                // Where its lines are all missing, nothing else tells that there were any.
                if last.sequence.is_some_and(|sequence| sequence > 0) {
                    by_policy.entry(last.policy_uid.clone()).or_default();
                }
                withdrawals.insert(last.policy_uid.clone(), last);
            }
        }
    }
    let judge = |(uid, lines): (String, Vec<LedgerLine>)| {
        let last = withdrawals.get(&uid);
        let policy = lines.last().map(|line| &line.policy);
        let policy = policy.or(last.map(|last| &last.policy)).cloned().unwrap_or_default();
        let chain = chain(uid, policy, lines);
        match last {
            Some(last) => ended(chain, last),
            None => chain,
        }
    };
    by_policy.into_iter().map(judge).collect()
}

/// The last report of a policy says where its chain ends: lines cut off at the end are seen by nothing else.
fn ended(mut chain: Chain, last: &Withdrawal) -> Chain {
    chain.withdrawn = true;
    let (Some(sequence), Some(head)) = (last.sequence, &last.head) else {
        return chain;
    };
    if sequence > chain.last {
        let (from, to) = (chain.last + 1, sequence);
        chain.faults.push(format!(
            "lines {from} to {to} are missing at the end: the last report of the policy names line {to}"
        ));
    } else if sequence == chain.last && *head != chain.head {
        let fault = format!("line {sequence} is not the one that the last report of the policy names");
        chain.faults.push(fault);
    }
    chain
}

fn chain(policy_uid: String, policy: String, mut lines: Vec<LedgerLine>) -> Chain {
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
    Chain {
        policy_uid,
        policy,
        lines: lines.len(),
        last: before,
        head,
        totals,
        withdrawn: false,
        faults,
    }
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

    fn pieces_of(lines: Vec<LedgerLine>) -> Vec<Piece> {
        lines.into_iter().map(Piece::Line).collect()
    }

    fn faults(lines: Vec<LedgerLine>) -> Vec<String> {
        chains(pieces_of(lines)).remove(0).faults
    }

    #[test]
    fn what_was_not_touched_holds_in_any_order_and_read_twice() {
        let mut lines = ledger();
        lines.extend(ledger());
        lines.reverse();
        let found = chains(pieces_of(lines));
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
        let found = pieces(&text);
        assert_eq!(found.len(), 3);
        assert_eq!(found[..2], pieces_of(vec![line.clone(), line])[..]);
        assert!(matches!(&found[2], Piece::Line(line) if line.plan_hash == "p"));
    }

    #[test]
    fn lines_cut_off_at_the_end_are_seen_by_the_last_report_of_a_policy() {
        let withdrawal = |sequence: i64, head: &str| Withdrawal {
            result: Withdrawal::RESULT.to_owned(),
            policy: "shop/logs".to_owned(),
            policy_uid: "uid".to_owned(),
            generation: Some(2),
            rules: vec!["seven-days".to_owned()],
            sequence: Some(sequence),
            head: Some(head.to_owned()),
            totals: Totals::default(),
        };
        let told = |lines: Vec<LedgerLine>, last: &Withdrawal| {
            // As the operator's log has it.
            let report = serde_json::to_string(last).unwrap();
            let log = serde_json::json!({"level": "WARN", "message": "withdrawn", "withdrawal": report}).to_string();
            let mut all = pieces_of(lines);
            all.extend(pieces(&log));
            chains(all).remove(0)
        };
        let head = ledger()[2].head.clone();
        let whole = told(ledger(), &withdrawal(3, &head));
        assert!(whole.withdrawn && whole.faults.is_empty(), "{:?}", whole.faults);
        let cut = told(ledger()[..1].to_vec(), &withdrawal(3, &head));
        assert_eq!(
            cut.faults,
            ["lines 2 to 3 are missing at the end: the last report of the policy names line 3"]
        );
        let none = told(Vec::new(), &withdrawal(3, &head));
        assert_eq!((none.policy.as_str(), none.lines), ("shop/logs", 0));
        assert_eq!(
            none.faults,
            ["lines 1 to 3 are missing at the end: the last report of the policy names line 3"]
        );
        let other = told(ledger(), &withdrawal(3, "another"));
        assert_eq!(
            other.faults,
            ["line 3 is not the one that the last report of the policy names"]
        );
    }
}
