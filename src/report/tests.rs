//! The short form of a report, at its largest.

use super::*;

fn report(rules: Vec<RuleReport>) -> WorkReport {
    WorkReport {
        version: crate::contract::VERSION,
        plan_hash: "0123456789".to_owned(),
        mode: Mode::Enforce,
        generation: Some(i64::MAX),
        result: RunResult::Failed,
        started_at: "2026-11-22T04:05:06.123456Z".parse().unwrap(),
        finished_at: "2026-11-22T05:05:06.123456Z".parse().unwrap(),
        server_version: Some("15.18 (Debian 15.18-0+deb12u1)".to_owned()),
        rules,
        ledger: Some(LedgerReport {
            sequence: LARGEST_COUNT,
            head: "f".repeat(64),
            totals: Totals {
                deleted: i64::MAX,
                masked: i64::MAX,
                set: i64::MAX,
            },
            line: None,
        }),
        problem: None,
    }
}

fn worst_rule() -> RuleReport {
    RuleReport {
        affected: i64::MAX,
        due: i64::MAX,
        overdue: i64::MAX,
        without_start_event: i64::MAX,
        undetermined: i64::MAX,
        no_ground_applies: i64::MAX,
        kept_by_dependent: i64::MAX,
        oldest_seconds: Some(99_999_999_999),
        access_path: Some(AccessPath::Pages),
        inexact: true,
        race_window: true,
        level: Some(Level::Deleted),
        missing_related: i64::MAX,
        cascaded: i64::MAX,
        held: i64::MAX,
        due_starts: Vec::new(),
        problem: None,
    }
}

#[test]
fn thirty_two_rules_at_the_largest_numbers_fit_into_a_termination_message() {
    let text = report(vec![worst_rule(); 32]).to_termination_message();
    assert!(text.len() <= TERMINATION_MESSAGE_LIMIT, "{} bytes", text.len());
    let back = parse_termination_message(&text).unwrap();
    assert_eq!(back.rules.len(), 32);
    assert_eq!(back.rules[31].affected, LARGEST_COUNT);
    assert_eq!(back.rules[31].oldest_seconds, Some(99_999_999_999));
    assert_eq!(back.rules[31].missing_related, LARGEST_COUNT);
    assert_eq!(back.rules[31].cascaded, LARGEST_COUNT);
    assert_eq!(back.rules[31].held, LARGEST_COUNT);
    assert!(back.rules[31].race_window && back.rules[31].inexact);
    assert_eq!(back.generation, Some(i64::MAX));
    assert_eq!(back.rules[31].level, Some(Level::Deleted));
}

#[test]
fn every_level_comes_back_beside_every_flag() {
    for level in Level::ALL.map(Some).into_iter().chain([None]) {
        for rule in [
            RuleReport::default(),
            RuleReport {
                access_path: Some(AccessPath::Index),
                inexact: true,
                ..RuleReport::default()
            },
        ] {
            let rule = RuleReport { level, ..rule };
            let text = report(vec![rule.clone()]).to_termination_message();
            assert_eq!(parse_termination_message(&text).unwrap().rules, [rule]);
        }
    }
    assert!(Level::ALL.is_sorted());
}

#[test]
fn thirty_two_problems_lose_their_details_before_any_count() {
    let rule = RuleReport {
        affected: 7,
        problem: Some(Problem::new(
            Reason::UndeclaredCascade,
            "f".repeat(150),
            "d".repeat(300),
        )),
        ..RuleReport::default()
    };
    let text = report(vec![rule; 32]).to_termination_message();
    assert!(text.len() <= TERMINATION_MESSAGE_LIMIT, "{} bytes", text.len());
    let back = parse_termination_message(&text).unwrap();
    assert_eq!(back.rules[31].affected, 7);
    assert_eq!(
        back.rules[31].problem.as_ref().unwrap().reason,
        Reason::UndeclaredCascade
    );
}

#[test]
fn what_is_not_a_report_is_discarded() {
    for text in ["", "panicked at 'Key (email)=(a@b.c)'", "{}", "{\"v\":1}", "[1,2,3]"] {
        assert_eq!(parse_termination_message(text), None, "{text}");
    }
    let other = report(vec![])
        .to_termination_message()
        .replacen("\"v\":1", "\"v\":2", 1);
    assert_eq!(parse_termination_message(&other), None);
}
