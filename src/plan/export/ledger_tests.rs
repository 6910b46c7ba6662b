use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::api::subject_rights_policy::Right;
use crate::domain::zone;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn limit(max: usize, window: &str, on_exceed: OnExceed) -> ParsedLimit {
    ParsedLimit {
        right: Right::Access,
        max,
        window: window.parse().unwrap(),
        on_exceed,
    }
}

fn zone() -> TimeZone {
    zone::parse("Asia/Jakarta").unwrap()
}

const TAG: &str = "0123456789abcdef0123456789abcdef";

fn ask(request: &str) -> Ask<'_> {
    Ask {
        tag: TAG,
        right: "Access",
        regime: "GDPR",
        namespace: "ns-uid",
        request,
    }
}

fn admitted(ledger: &str, request: &str, limits: &[ParsedLimit], now: &str) -> String {
    match admit(ledger, ask(request), limits, &zone(), at(now)).unwrap() {
        Admission::Admit(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_an_hour_lets_the_next_pass_an_hour_later() {
    let limits = [limit(1, "PT1H", OnExceed::Defer)];
    let ledger = admitted("", "a", &limits, "2026-11-24T10:00:00Z");
    let now = at("2026-11-24T10:59:59Z");
    let second = admit(&ledger, ask("b"), &limits, &zone(), now).unwrap();
    assert_eq!(second, Admission::Deferred(at("2026-11-24T11:00:00Z")));
    // Its own entry does not stand in its way, however late it comes back.
    let again = admit(&ledger, ask("a"), &limits, &zone(), now).unwrap();
    assert_eq!(again, Admission::Already(at("2026-11-24T10:00:00Z")));
    assert!(admitted(&ledger, "b", &limits, "2026-11-24T11:00:00Z").lines().count() == 2);
}

#[test]
fn twice_in_twelve_months_and_once_a_calendar_year() {
    let twice = [limit(2, "P1Y", OnExceed::Refuse)];
    let ledger = admitted("", "a", &twice, "2026-01-10T00:00:00Z");
    let ledger = admitted(&ledger, "b", &twice, "2026-06-01T00:00:00Z");
    let third = |now| admit(&ledger, ask("c"), &twice, &zone(), at(now)).unwrap();
    assert_eq!(third("2026-12-31T00:00:00Z"), Admission::Refused);
    assert!(matches!(third("2027-01-10T00:00:00Z"), Admission::Admit(_)));

    let year = [limit(1, "CalendarYear", OnExceed::Defer)];
    let ledger = admitted("", "a", &year, "2026-12-31T16:00:00Z");
    let second = |now| admit(&ledger, ask("b"), &year, &zone(), at(now)).unwrap();
    // Midnight in Jakarta is 17:00 UTC.
    assert_eq!(
        second("2026-12-31T16:30:00Z"),
        Admission::Deferred(at("2026-12-31T17:00:00Z"))
    );
    assert!(matches!(second("2026-12-31T17:00:00Z"), Admission::Admit(_)));
}

#[test]
fn another_person_right_law_or_namespace_does_not_count() {
    let limits = [limit(1, "PT1H", OnExceed::Defer)];
    let ledger = admitted("", "a", &limits, "2026-11-24T10:00:00Z");
    let other = "fedcba9876543210fedcba9876543210";
    for ask in [
        Ask { tag: other, ..ask("b") },
        Ask {
            right: "Portability",
            ..ask("b")
        },
        Ask {
            regime: "CCPA",
            ..ask("b")
        },
        Ask {
            namespace: "other",
            ..ask("b")
        },
    ] {
        let answer = admit(&ledger, ask, &limits, &zone(), at("2026-11-24T10:00:01Z")).unwrap();
        assert!(matches!(answer, Admission::Admit(_)), "{ask:?}");
    }
}

#[test]
fn what_is_older_than_any_window_is_dropped_and_nothing_else() {
    let limits = [limit(9, "P1Y", OnExceed::Defer)];
    let ledger = admitted("", "old", &limits, "2024-01-01T00:00:00Z");
    let ledger = admitted(&ledger, "year", &limits, "2025-12-01T00:00:00Z");
    let ledger = admitted(&ledger, "new", &limits, "2026-11-24T00:00:00Z");
    let requests: Vec<String> = parse(&ledger).unwrap().into_iter().map(|entry| entry.request).collect();
    assert_eq!(requests, ["year", "new"]);
}

#[test]
fn a_ledger_that_somebody_wrote_into_admits_nobody() {
    let limits = [limit(1, "PT1H", OnExceed::Defer)];
    for text in ["nonsense", "{}", "{\"tag\":\"x\"}\n", "[]"] {
        let answer = admit(text, ask("a"), &limits, &zone(), at("2026-11-24T00:00:00Z"));
        assert_eq!(answer, Err(LedgerError::Unreadable(1)), "{text}");
    }
}

#[test]
fn a_full_ledger_admits_nobody() {
    let entry = Entry {
        tag: TAG.to_owned(),
        right: "Access".to_owned(),
        regime: "GDPR".to_owned(),
        namespace: "another".to_owned(),
        request: "r".repeat(36),
        admitted_at: at("2026-11-01T00:00:00Z"),
    };
    let ledger = write(&vec![entry; 6000]);
    let answer = admit(&ledger, ask("a"), &[], &zone(), at("2026-11-24T00:00:00Z"));
    assert_eq!(answer, Err(LedgerError::Full));
}

#[test]
fn a_tag_names_one_of_256_config_maps_and_nothing_else_does() {
    assert_eq!(config_map(TAG).as_deref(), Some("rights-ledger-01"));
    for tag in ["", "01", "../x", &"g".repeat(32), &"A".repeat(32), &"0".repeat(33)] {
        assert_eq!(config_map(tag), None, "{tag}");
    }
}

#[test]
fn another_hash_key_holds_everybody_back_for_the_longest_window() {
    let limits = [limit(1, "PT1H", OnExceed::Defer), limit(2, "P1D", OnExceed::Defer)];
    let judge =
        |known: Option<&str>, key: &str, now: &str| judge_key(known, key, "Access", &limits, &zone(), at(now)).unwrap();
    let KeyVerdict::Record(first) = judge(None, "k1", "2026-11-24T10:00:00Z") else {
        panic!()
    };
    assert_eq!(judge(Some(&first), "k1", "2026-11-24T10:00:01Z"), KeyVerdict::Known);
    let KeyVerdict::Record(second) = judge(Some(&first), "k2", "2026-11-24T12:00:00Z") else {
        panic!()
    };
    let until = at("2026-11-25T12:00:00Z");
    assert_eq!(
        judge(Some(&second), "k2", "2026-11-25T11:59:59Z"),
        KeyVerdict::DeferUntil(until)
    );
    assert_eq!(judge(Some(&second), "k2", "2026-11-25T12:00:00Z"), KeyVerdict::Known);
    // Back to the first: that is an exchange as well.
    assert!(matches!(
        judge(Some(&second), "k1", "2026-11-25T13:00:00Z"),
        KeyVerdict::Record(_)
    ));
    // A right without a limit waits for nothing.
    let free = judge_key(
        Some(&second),
        "k2",
        "Portability",
        &limits,
        &zone(),
        at("2026-11-24T12:00:01Z"),
    )
    .unwrap();
    assert_eq!(free, KeyVerdict::Known);
    assert!(judge_key(Some("x"), "k2", "Access", &limits, &zone(), until).is_err());
}

proptest! {
    /// Independent of how admission counts: in what was admitted, no window holds more than it may.
    #[test]
    fn no_hour_ever_sees_more_than_the_limit(gaps in proptest::collection::vec(0_i64..3000, 1..60), max in 1_usize..4) {
        let limits = [limit(max, "PT1H", OnExceed::Defer)];
        let mut now = at("2026-11-24T00:00:00Z");
        let mut ledger = String::new();
        let mut times: Vec<Timestamp> = Vec::new();
        let mut waits: BTreeMap<usize, Timestamp> = BTreeMap::new();
        for (index, gap) in gaps.iter().enumerate() {
            now += SignedDuration::from_secs(*gap);
            let name = format!("r{index}");
            match admit(&ledger, ask(&name), &limits, &zone(), now).unwrap() {
                Admission::Admit(text) => {
                    ledger = text;
                    times.push(now);
                }
                Admission::Deferred(until) => {
                    prop_assert!(until > now);
                    waits.insert(index, until);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        for (index, time) in times.iter().enumerate() {
            let within = times[index..].iter().filter(|other| other.duration_since(*time) < SignedDuration::from_hours(1)).count();
            prop_assert!(within <= max);
        }
        // Whoever is told to wait is let in at that very time, if nobody else comes.
        for (index, until) in waits {
            if index + 1 == gaps.len() {
                let answer = admit(&ledger, ask("late"), &limits, &zone(), until).unwrap();
                prop_assert!(matches!(answer, Admission::Admit(_)));
            }
        }
    }
}
