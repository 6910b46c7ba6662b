//! Random rules, holds and tables for the comparison with the reference.

use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;
use proptest::sample::select;

use crate::reference_cases::{
    Action, Case, Condition, Ground, Hold, Kid, Kids, Layout, Newest, Other, PARENT, Parent, Person, Row, Rule, Time,
    World,
};

const PERIODS: [&str; 10] = [
    "P1D", "P7D", "P30D", "P6M", "P1M", "P1Y", "P2W", "P1M2D", "P1Y6M", "PT1H",
];

/// Month ends, leap days, both changes of the clock in each zone, turns of the year.
const TIMES_OF_DAY: [&str; 14] = [
    "2027-02-28T11:00:00Z",
    "2026-06-15T12:00:00Z",
    "2028-02-29T22:30:00Z",
    "2026-10-25T00:30:00Z",
    "2026-10-25T01:30:00Z",
    "2027-03-28T01:00:00Z",
    "2026-12-31T23:00:00Z",
    "2027-03-31T04:00:00Z",
    "2026-11-01T05:30:00Z",
    "2027-03-14T07:15:00Z",
    "2026-11-30T23:59:59Z",
    "2029-03-01T00:00:00Z",
    "2027-03-30T22:30:00Z",
    "2027-03-15T04:30:00Z",
];

const ZONES: [&str; 6] = [
    "Europe/Berlin",
    "America/New_York",
    "UTC",
    "Australia/Lord_Howe",
    "America/Havana",
    "Asia/Kolkata",
];

fn time() -> impl Strategy<Value = Time> {
    const MINUTE: i64 = 60_000_000;
    let jitter = prop_oneof![
        3 => Just(0),
        3 => select(vec![-1, 1, -1_000_000, 1_000_000]),
        3 => select(vec![15 * MINUTE, -15 * MINUTE, -60 * MINUTE, 30 * MINUTE, 60 * MINUTE, 24 * 60 * MINUTE, -24 * 60 * MINUTE]),
        4 => -4 * 1440 * MINUTE..4 * 1440 * MINUTE,
        2 => -500 * 1440 * MINUTE..40 * 1440 * MINUTE,
    ];
    let period = prop_oneof![8 => select(PERIODS.to_vec()), 1 => Just("P0D"), 1 => select(vec!["P2Y", "P3M"])];
    prop_oneof![
        16 => (period, jitter).prop_map(|(period, jitter)| Time::Around(period, jitter)),
        3 => Just(Time::Null),
        1 => select(vec![Time::Infinity, Time::MinusInfinity, Time::Ancient]),
    ]
}

fn row() -> impl Strategy<Value = Row> {
    (
        [time(), time(), time(), time()],
        select(vec![None, Some("a"), Some("b"), Some(""), Some(" A")]),
        select(vec![None, Some(true), Some(false)]),
        select(vec![None, Some(1), Some(2)]),
        any::<bool>(),
        any::<bool>(),
        select(vec![None, Some(true), Some(false)]),
        pointer(5),
    )
        .prop_map(|(times, e, f, g, m, m2, s, p)| Row {
            times,
            e,
            f,
            g,
            m,
            m2,
            s,
            p,
        })
}

/// At one of the first few, at one that is not there, or at none.
fn pointer(last: i32) -> impl Strategy<Value = Option<i32>> {
    prop_oneof![1 => Just(None), 5 => (0..=last).prop_map(Some)]
}

fn letter() -> impl Strategy<Value = Option<&'static str>> {
    select(vec![None, Some("a"), Some("b")])
}

fn parent() -> impl Strategy<Value = Parent> {
    (time(), select(vec![None, Some("a"), Some("b"), Some("B ")])).prop_map(|(at, e)| Parent { at, e })
}

fn kid() -> impl Strategy<Value = Kid> {
    (pointer(40), pointer(5), time(), letter()).prop_map(|(row, parent, at, e)| Kid { row, parent, at, e })
}

fn kids() -> impl Strategy<Value = Option<Kids>> {
    let asked =
        (any::<bool>(), any::<bool>(), letter(), any::<bool>()).prop_map(|(there, same, e, not_before_b)| Kids {
            there,
            same,
            e,
            not_before_b,
        });
    prop_oneof![4 => Just(None), 1 => asked.prop_map(Some)]
}

/// About the row itself.
fn own_condition() -> impl Strategy<Value = Condition> {
    let values = prop_oneof![
        select(vec![vec!["a"], vec!["a", ""], vec!["b", "c"]]).prop_map(|values| ("e", values)),
        select(vec![vec!["true"], vec!["false"]]).prop_map(|values| ("f", values)),
        select(vec![vec!["1"], vec!["2", "3"]]).prop_map(|values| ("g", values)),
    ];
    let value =
        select(TIMES_OF_DAY.to_vec()).prop_map(|text| Other::At(text.parse::<Timestamp>().unwrap() - 720.hours()));
    prop_oneof![
        4 => (values, any::<bool>()).prop_map(|((column, values), inside)| Condition::Values(column, inside, values)),
        3 => (select(vec!["a", "b", "c", "d", "e", "f", "g"]), any::<bool>()).prop_map(|(column, there)| Condition::Exists(column, there)),
        2 => (0_usize..3, operator(), prop_oneof![Just(Other::Now), value]).prop_map(|(column, operator, other)| Condition::Compare(column, operator, other)),
        1 => (0_usize..2, operator()).prop_map(|(column, operator)| Condition::Compare(column, operator, Other::Column(1 - column))),
    ]
}

fn operator() -> impl Strategy<Value = &'static str> {
    select(vec!["Before", "NotBefore", "After", "NotAfter"])
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        10 => own_condition(),
        1 => (any::<bool>(), select(vec![vec!["a"], vec!["b", "c"]])).prop_map(|(inside, values)| Condition::ParentValues(inside, values)),
        1 => any::<bool>().prop_map(Condition::ParentExists),
        1 => (operator(), select(vec![Other::Now, Other::Column(0)])).prop_map(|(operator, other)| Condition::Compare(PARENT, operator, other)),
    ]
}

/// With capitals, blanks and line breaks, as whoever wrote the Secret happened to type them.
fn person() -> impl Strategy<Value = Person> {
    let e = select(vec![None, Some("a"), Some("A"), Some(" b\n"), Some("zz"), Some("")]);
    let g = select(vec![None, Some("1"), Some(" 2\n"), Some("7"), Some("")]);
    let through = select(vec![None, None, Some("a"), Some("B"), Some(" ")]);
    (e, g, through).prop_map(|(e, g, through)| {
        let names = |value: Option<&str>| value.is_some_and(|value| !value.trim().is_empty());
        // Whoever has no identity at all is nobody, and stops everything.
        let somebody = names(e) || names(g) || names(through);
        let g = if somebody { g } else { Some("1") };
        Person { e, g, through }
    })
}

fn holds() -> impl Strategy<Value = Vec<Hold>> {
    let conditions = prop_oneof![1 => Just(vec![]), 12 => proptest::collection::vec(own_condition(), 1), 6 => proptest::collection::vec(own_condition(), 2)];
    let hold = prop_oneof![conditions.prop_map(Hold::Where), person().prop_map(Hold::Of)];
    prop_oneof![3 => Just(vec![]), 3 => proptest::collection::vec(hold.clone(), 1), 1 => proptest::collection::vec(hold, 2)]
}

fn some_conditions() -> impl Strategy<Value = Vec<Condition>> {
    prop_oneof![3 => Just(vec![]), 2 => proptest::collection::vec(condition(), 1), 1 => proptest::collection::vec(condition(), 2)]
}

fn ground() -> impl Strategy<Value = Ground> {
    let columns = || proptest::sample::subsequence(vec![0_usize, 1, 2, 3, PARENT], 1..=3).prop_shuffle();
    let from = prop_oneof![4 => (0_usize..=PARENT).prop_map(|column| vec![column]), 1 => columns()];
    let until = prop_oneof![4 => Just(vec![]), 1 => (0_usize..=PARENT).prop_map(|column| vec![column]), 1 => columns()];
    let starts_at =
        prop_oneof![3 => Just("Event"), 2 => Just("EndOfDay"), 1 => Just("EndOfMonth"), 1 => Just("EndOfYear")];
    let bound = prop_oneof![2 => Just("Exact"), 1 => Just("Minimum"), 1 => Just("Maximum")];
    let period = prop_oneof![6 => select(PERIODS.to_vec()).prop_map(Some), 1 => Just(None)];
    let on_missing = select(vec![None, Some("Keep"), Some("Ended"), Some("Ended")]);
    let related = (kids(), on_missing);
    (
        some_conditions(),
        from,
        any::<bool>(),
        period,
        starts_at,
        until,
        bound,
        related,
    )
        .prop_map(
            |(when, from, begins_later, period, starts_at, until, bound, (kids, on_missing))| Ground {
                when,
                kids,
                on_missing,
                starts_at: if period.is_none_or(|period| period.contains('T')) {
                    "Event"
                } else {
                    starts_at
                },
                begins_later: period.is_some() && begins_later,
                from: if period.is_some() { from } else { vec![] },
                period,
                until,
                bound,
            },
        )
}

fn newest() -> impl Strategy<Value = Newest> {
    let per = proptest::sample::subsequence(vec!["e", "f", "g"], 0..=2);
    (1_usize..12, per, 0_usize..4).prop_map(|(count, per, order_by)| Newest { count, per, order_by })
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let actions = vec![
        Action::Delete,
        Action::Delete,
        Action::Mask("m"),
        Action::Set,
        Action::Protect,
        Action::Mask("m2"),
    ];
    let actions = proptest::sample::subsequence(actions, 1..=3).prop_shuffle();
    actions.prop_flat_map(|actions| {
        let rule = |action| {
            let always = usize::from(!matches!(action, Action::Mask(_) | Action::Set));
            let grounds = move |at_least| proptest::collection::vec(ground(), at_least..=3);
            let plain = grounds(always).prop_map(|grounds| (grounds, None));
            let newest = (grounds(0), newest()).prop_map(|(grounds, newest)| (grounds, Some(newest)));
            let kept = if action == Action::Protect {
                plain.boxed()
            } else {
                prop_oneof![3 => plain, 1 => newest].boxed()
            };
            let foreign = any::<bool>().prop_map(move |foreign| foreign && action == Action::Protect);
            (some_conditions(), kept, foreign).prop_map(move |(rows, (grounds, newest), foreign)| Rule {
                action,
                foreign,
                rows,
                grounds,
                newest,
            })
        };
        actions.into_iter().map(rule).collect::<Vec<_>>()
    })
}

fn layout() -> impl Strategy<Value = Layout> {
    let types = (
        select(vec!["text", "varchar", "varchar(9)"]),
        select(vec!["int2", "int4", "int8", "numeric"]),
        select(vec!["int4", "int8"]),
    );
    let index = select(vec![None, Some("a"), Some("b"), Some("c"), Some("d")]);
    (
        proptest::bool::weighted(0.1),
        types,
        any::<bool>(),
        index,
        any::<bool>(),
    )
        .prop_map(|(partitioned, (e, g, p), dropped, index, by_group)| Layout {
            partitioned,
            types: [e, g, p],
            dropped,
            index,
            by_group,
        })
}

/// A case, but for what those of a world share.
fn case() -> impl Strategy<Value = Case> {
    // Cases cost by their number, hardly by their rows.
    let rows =
        prop_oneof![19 => proptest::collection::vec(row(), 1..90), 1 => proptest::collection::vec(row(), 200..600)];
    (
        select(ZONES.to_vec()),
        prop_oneof![Just(None), select(ZONES.to_vec()).prop_map(Some)],
        layout(),
        (rules(), holds()),
        rows,
    )
        .prop_map(|(zone, column_zone, layout, (rules, holds), rows)| Case {
            now: Timestamp::UNIX_EPOCH,
            slack_seconds: 0,
            zone: zone.to_owned(),
            column_zone: column_zone.unwrap_or(zone).to_owned(),
            layout,
            rules,
            holds,
            rows,
            shared_zone: String::new(),
            parents: Vec::new(),
            kids: Vec::new(),
        })
}

/// Of ten cases on average.
pub fn worlds() -> impl Strategy<Value = World> {
    (
        select(TIMES_OF_DAY.to_vec()),
        select(vec![0, 900]),
        proptest::collection::vec(case(), 1..20),
        proptest::collection::vec(parent(), 0..6),
        proptest::collection::vec(kid(), 0..40),
    )
        .prop_map(|(now, slack_seconds, mut cases, parents, kids)| {
            let (zone, p) = (cases[0].zone.clone(), cases[0].layout.types[2]);
            for case in &mut cases {
                (case.now, case.slack_seconds) = (now.parse().unwrap(), slack_seconds);
                (case.shared_zone, case.layout.types[2]) = (zone.clone(), p);
                (case.parents, case.kids) = (parents.clone(), kids.clone());
            }
            World { cases }
        })
}
