//! Random rules and tables for the comparison with the reference.

use std::fmt::Write as _;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, ToSpan};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// Columns with times: `a` and `b` are timestamptz, `c` is timestamp, `d` is date, and `p.at` is that of the parent.
pub const TIMES: [&str; 5] = ["a", "b", "c", "d", "p.at"];

/// Index of the parent's time.
pub const PARENT: usize = 4;

#[derive(Clone, Debug)]
pub struct Case {
    pub now: Timestamp,
    pub zone: String,
    /// Zone of `c` and `d`.
    pub column_zone: String,
    pub slack_seconds: i64,
    pub index: Option<&'static str>,
    /// Indexes lead to the rows of a group.
    pub by_group: bool,
    pub rules: Vec<Rule>,
    pub rows: Vec<Row>,
    /// Rows of another table, at which a row may point by their places in this list.
    pub parents: Vec<Parent>,
    /// Rows of a third table, which point at rows and at parents.
    pub kids: Vec<Kid>,
}

#[derive(Clone, Debug)]
pub struct Parent {
    pub at: Time,
    pub e: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub struct Kid {
    pub row: Option<i32>,
    pub parent: Option<i32>,
    pub at: Time,
    pub e: Option<&'static str>,
}

/// Kids that a ground asks for.
#[derive(Clone, Debug)]
pub struct Kids {
    pub there: bool,
    /// They have the same parent as the row; else they point at the row.
    pub same: bool,
    pub e: Option<&'static str>,
    /// Their time is not before `b` of the row.
    pub not_before_b: bool,
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub action: Action,
    pub rows: Vec<Condition>,
    pub grounds: Vec<Ground>,
    pub newest: Option<Newest>,
}

/// So many newest rows stay, for each value of some of `e`, `f` and `g`, by a column of the row itself.
#[derive(Clone, Debug)]
pub struct Newest {
    pub count: usize,
    pub per: Vec<&'static str>,
    pub order_by: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Delete,
    /// The column becomes NULL.
    Mask(&'static str),
    /// `s` becomes true.
    Set,
    Protect,
}

#[derive(Clone, Debug)]
pub struct Ground {
    pub when: Vec<Condition>,
    /// Indices into [`TIMES`]; none where there is no period.
    pub from: Vec<usize>,
    pub begins_later: bool,
    pub period: Option<&'static str>,
    pub starts_at: &'static str,
    pub until: Vec<usize>,
    pub bound: &'static str,
    pub kids: Option<Kids>,
    pub on_missing: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub enum Condition {
    /// `e` of the parent, inside or not.
    ParentValues(bool, Vec<&'static str>),
    /// `e` of the parent.
    ParentExists(bool),
    Values(&'static str, bool, Vec<&'static str>),
    Exists(&'static str, bool),
    /// A time column, an operator, and `now`, a value or another column.
    Compare(usize, &'static str, Other),
}

#[derive(Clone, Debug)]
pub enum Other {
    Now,
    At(Timestamp),
    Column(usize),
}

#[derive(Clone, Debug)]
pub struct Row {
    pub times: [Time; 4],
    pub e: Option<&'static str>,
    pub f: Option<bool>,
    pub g: Option<i32>,
    pub m: bool,
    pub m2: bool,
    pub s: Option<bool>,
    pub p: Option<i32>,
}

#[derive(Clone, Copy, Debug)]
pub enum Time {
    Null,
    Infinity,
    MinusInfinity,
    Ancient,
    /// Now less a period of the calendar, and that many microseconds later.
    Around(&'static str, i64),
}

impl Case {
    pub fn time_zone(&self) -> TimeZone {
        TimeZone::get(&self.zone).unwrap()
    }

    pub fn column_time_zone(&self) -> TimeZone {
        TimeZone::get(&self.column_zone).unwrap()
    }

    /// A value as its column's text.
    pub fn text(&self, column: usize, time: Time) -> Option<String> {
        let (period, jitter) = match time {
            Time::Null => return None,
            Time::Infinity => return Some("infinity".to_owned()),
            Time::MinusInfinity => return Some("-infinity".to_owned()),
            Time::Ancient => {
                return Some(
                    if column < 2 || column == PARENT {
                        "0001-01-01 00:00:00+00"
                    } else {
                        "0001-01-01"
                    }
                    .to_owned(),
                );
            }
            Time::Around(period, jitter) => (period.parse::<Span>().unwrap(), SignedDuration::from_micros(jitter)),
        };
        let zoned = self.now.to_zoned(self.time_zone());
        let instant = zoned.checked_sub(period).unwrap().timestamp() + jitter;
        // By the clock on the wall, so that times which a zone skips come up as well.
        let wall: DateTime = self.now.to_zoned(self.column_time_zone()).datetime() - period + jitter;
        Some(match column {
            0 | 1 | PARENT => instant.to_string(),
            2 => wall.to_string(),
            _ => wall.date().to_string(),
        })
    }

    /// Makes the table anew.
    pub fn sql(&self, role: &str) -> String {
        let mut sql = format!(
            "SET client_min_messages = error; DROP TABLE IF EXISTS t;
             CREATE TABLE t (id int PRIMARY KEY, a timestamptz, b timestamptz, c timestamp, d date, e text, f bool, g int, m text, m2 text, s bool, p int);
             DROP TABLE IF EXISTS p; CREATE TABLE p (id int PRIMARY KEY, at timestamptz, e text);
             DROP TABLE IF EXISTS k; CREATE TABLE k (t int, p int, at timestamptz, e text);
             GRANT SELECT ON p, k TO \"{role}\";
             GRANT SELECT, UPDATE, DELETE ON t TO \"{role}\";"
        );
        let literal = |text: Option<String>| text.map_or("NULL".to_owned(), |text| format!("'{text}'"));
        let number = |number: Option<i32>| number.map_or("NULL".to_owned(), |number| number.to_string());
        for (id, parent) in self.parents.iter().enumerate() {
            let (at, e) = (
                literal(self.text(PARENT, parent.at)),
                literal(parent.e.map(String::from)),
            );
            let _ = write!(sql, "INSERT INTO p VALUES ({id}, {at}, {e});");
        }
        for kid in &self.kids {
            let (at, e) = (literal(self.text(PARENT, kid.at)), literal(kid.e.map(String::from)));
            let _ = write!(
                sql,
                "INSERT INTO k VALUES ({}, {}, {at}, {e});",
                number(kid.row),
                number(kid.parent)
            );
        }
        for (id, row) in self.rows.iter().enumerate() {
            let times: Vec<String> = (0..4)
                .map(|column| literal(self.text(column, row.times[column])))
                .collect();
            let rest = [
                literal(row.e.map(String::from)),
                literal(row.f.map(|f| f.to_string())),
                literal(row.g.map(|g| g.to_string())),
                literal(row.m.then(|| "m".to_owned())),
                literal(row.m2.then(|| "m2".to_owned())),
                literal(row.s.map(|s| s.to_string())),
                number(row.p),
            ];
            let before = if id == 0 { "INSERT INTO t VALUES" } else { "," };
            let _ = write!(sql, "{before} ({id}, {}, {})", times.join(", "), rest.join(", "));
        }
        sql.push(';');
        if self.by_group {
            sql.push_str("CREATE INDEX ON t (e, a); CREATE INDEX ON t (g);");
        }
        if let Some(column) = self.index {
            let _ = write!(sql, "CREATE INDEX ON t ({column}); ANALYZE t;");
        }
        sql
    }
}

impl Rule {
    pub fn json(&self, index: usize, zone: &str) -> Value {
        let action = match self.action {
            Action::Delete => json!("delete"),
            Action::Protect => json!("protect"),
            Action::Mask(column) => json!({"mask": [{"column": column, "strategy": "Nullify"}]}),
            Action::Set => json!({"set": [{"column": "s", "value": "true"}]}),
        };
        let grounds: Vec<Value> = self
            .grounds
            .iter()
            .enumerate()
            .map(|(index, ground)| ground.json(index))
            .collect();
        let mut rule = json!({"name": format!("rule-{index}"), "rows": conditions(&self.rows), "grounds": grounds, "action": action, "columnTimeZones": {"c": zone, "d": zone}});
        if let Some(Newest { count, per, order_by }) = &self.newest {
            rule["keepNewest"] = json!({"count": count, "per": per, "orderBy": TIMES[*order_by]});
        }
        if self.reads_parent() {
            rule["relations"] = json!({"p": {"schema": "public", "table": "p", "columns": [["p", "id"]]}});
        }
        rule
    }

    fn reads_parent(&self) -> bool {
        let through = |condition: &Condition| match condition {
            Condition::ParentValues(..) | Condition::ParentExists(_) => true,
            Condition::Compare(column, _, other) => *column == PARENT || matches!(other, Other::Column(PARENT)),
            _ => false,
        };
        let of_ground = |ground: &Ground| {
            ground.when.iter().any(through) || ground.from.contains(&PARENT) || ground.until.contains(&PARENT)
        };
        self.rows.iter().any(through) || self.grounds.iter().any(of_ground)
    }
}

impl Ground {
    fn json(&self, index: usize) -> Value {
        let names = |columns: &[usize]| columns.iter().map(|column| TIMES[*column]).collect::<Vec<_>>();
        let mut ground = json!({"name": format!("ground-{index}"), "when": conditions(&self.when), "from": names(&self.from),
            "beginsLater": self.begins_later, "startsAt": self.starts_at, "until": names(&self.until), "bound": self.bound});
        if let Some(period) = self.period {
            ground["for"] = json!(period);
        }
        if let Some(missing) = self.on_missing {
            ground["onMissingRelated"] = json!(missing);
        }
        if let Some(kids) = &self.kids {
            let mut when = Vec::new();
            when.extend(kids.e.map(|e| json!({"column": "e", "operator": "In", "values": [e]})));
            if kids.not_before_b {
                when.push(json!({"column": "at", "operator": "NotBefore", "otherColumn": "row.b"}));
            }
            let columns = if kids.same { ["p", "p"] } else { ["id", "t"] };
            let relation = json!({"schema": "public", "table": "k", "columns": [columns]});
            ground[if kids.there { "exists" } else { "notExists" }] = json!({"relation": relation, "when": when});
        }
        ground
    }
}

fn conditions(conditions: &[Condition]) -> Vec<Value> {
    let json = |condition: &Condition| match condition {
        Condition::Values(column, inside, values) => {
            json!({"column": column, "operator": if *inside { "In" } else { "NotIn" }, "values": values})
        }
        Condition::ParentValues(inside, values) => {
            json!({"column": "p.e", "operator": if *inside { "In" } else { "NotIn" }, "values": values})
        }
        Condition::ParentExists(there) => {
            json!({"column": "p.e", "operator": if *there { "Exists" } else { "DoesNotExist" }})
        }
        Condition::Exists(column, there) => {
            json!({"column": column, "operator": if *there { "Exists" } else { "DoesNotExist" }})
        }
        Condition::Compare(column, operator, other) => match other {
            Other::Now => json!({"column": TIMES[*column], "operator": operator, "values": ["now"]}),
            Other::At(time) => json!({"column": TIMES[*column], "operator": operator, "values": [time.to_string()]}),
            Other::Column(other) => {
                json!({"column": TIMES[*column], "operator": operator, "otherColumn": TIMES[*other]})
            }
        },
    };
    conditions.iter().map(json).collect()
}

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
        select(vec![None, Some("a"), Some("b"), Some("")]),
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
    (time(), letter()).prop_map(|(at, e)| Parent { at, e })
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

fn condition() -> impl Strategy<Value = Condition> {
    let values = prop_oneof![
        select(vec![vec!["a"], vec!["a", ""], vec!["b", "c"]]).prop_map(|values| ("e", values)),
        select(vec![vec!["true"], vec!["false"]]).prop_map(|values| ("f", values)),
        select(vec![vec!["1"], vec!["2", "3"]]).prop_map(|values| ("g", values)),
    ];
    let operator = select(vec!["Before", "NotBefore", "After", "NotAfter"]);
    let value =
        select(TIMES_OF_DAY.to_vec()).prop_map(|text| Other::At(text.parse::<Timestamp>().unwrap() - 720.hours()));
    prop_oneof![
        4 => (values, any::<bool>()).prop_map(|((column, values), inside)| Condition::Values(column, inside, values)),
        3 => (select(vec!["a", "b", "c", "d", "e", "f", "g"]), any::<bool>()).prop_map(|(column, there)| Condition::Exists(column, there)),
        2 => (0_usize..3, operator.clone(), prop_oneof![Just(Other::Now), value]).prop_map(|(column, operator, other)| Condition::Compare(column, operator, other)),
        1 => (0_usize..2, operator.clone()).prop_map(|(column, operator)| Condition::Compare(column, operator, Other::Column(1 - column))),
        1 => (any::<bool>(), select(vec![vec!["a"], vec!["b", "c"]])).prop_map(|(inside, values)| Condition::ParentValues(inside, values)),
        1 => any::<bool>().prop_map(Condition::ParentExists),
        1 => (operator, select(vec![Other::Now, Other::Column(0)])).prop_map(|(operator, other)| Condition::Compare(PARENT, operator, other)),
    ]
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
    let actions = proptest::sample::subsequence(actions, 1..=4).prop_shuffle();
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
            (some_conditions(), kept).prop_map(move |(rows, (grounds, newest))| Rule {
                action,
                rows,
                grounds,
                newest,
            })
        };
        actions.into_iter().map(rule).collect::<Vec<_>>()
    })
}

pub fn cases() -> impl Strategy<Value = Case> {
    // Cases cost by their number, hardly by their rows.
    let rows =
        prop_oneof![2 => proptest::collection::vec(row(), 1..80), 1 => proptest::collection::vec(row(), 200..600)];
    let index = select(vec![None, Some("a"), Some("b"), Some("c"), Some("d")]);
    (
        select(TIMES_OF_DAY.to_vec()),
        select(ZONES.to_vec()),
        prop_oneof![Just(None), select(ZONES.to_vec()).prop_map(Some)],
        select(vec![0, 900]),
        (index, any::<bool>()),
        rules(),
        rows,
        (
            proptest::collection::vec(parent(), 0..6),
            proptest::collection::vec(kid(), 0..40),
        ),
    )
        .prop_map(
            |(now, zone, column_zone, slack_seconds, (index, by_group), rules, rows, (parents, kids))| Case {
                now: now.parse().unwrap(),
                zone: zone.to_owned(),
                column_zone: column_zone.unwrap_or(zone).to_owned(),
                slack_seconds,
                index,
                by_group,
                rules,
                rows,
                parents,
                kids,
            },
        )
}
