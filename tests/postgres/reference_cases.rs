//! Rules, holds and tables for the comparison with the reference: what a case is, and how a database and a plan say it.

use std::fmt::Write as _;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use serde_json::{Value, json};

/// Columns with times: `a` and `b` are timestamptz, `c` is timestamp, `d` is date, and `p.at` is that of the parent.
pub const TIMES: [&str; 5] = ["a", "b", "c", "d", "p.at"];

/// Index of the parent's time.
pub const PARENT: usize = 4;

/// Cases at one instant: a plan about as many tables, whose rows point at the same parents and kids.
#[derive(Clone, Debug)]
pub struct World {
    pub cases: Vec<Case>,
}

/// Schema of what the cases of a world share.
const SHARED: &str = "shared";

#[derive(Clone, Debug)]
pub struct Case {
    pub now: Timestamp,
    pub zone: String,
    /// Zone of `c` and `d`.
    pub column_zone: String,
    /// Zone in which the times of parents and kids were thought of.
    pub shared_zone: String,
    pub slack_seconds: i64,
    pub layout: Layout,
    pub rules: Vec<Rule>,
    pub holds: Vec<Hold>,
    pub rows: Vec<Row>,
    /// Rows of another table, at which a row may point by their places in this list.
    pub parents: Vec<Parent>,
    /// Rows of a third table, which point at rows and at parents.
    pub kids: Vec<Kid>,
}

/// How the table is built.
#[derive(Clone, Debug)]
pub struct Layout {
    pub partitioned: bool,
    /// Types of `e`, of `g`, and of the columns that point at parents.
    pub types: [&'static str; 3],
    /// A column that once was between the others is dropped.
    pub dropped: bool,
    pub index: Option<&'static str>,
    /// Indexes lead to the rows of a group.
    pub by_group: bool,
}

/// Rows that nothing may touch.
#[derive(Clone, Debug)]
pub enum Hold {
    /// All conditions hold.
    Where(Vec<Condition>),
    /// The rows of somebody.
    Of(Person),
}

/// Somebody's identities, as their Secret has them: by `e`, by `g`, and by `e` of the parent. None: that tells nobody's
/// rows apart. An empty value: the person has none.
#[derive(Clone, Debug)]
pub struct Person {
    pub e: Option<&'static str>,
    pub g: Option<&'static str>,
    pub through: Option<&'static str>,
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
    /// It is of another policy, and only protects.
    pub foreign: bool,
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

impl World {
    /// Makes all tables anew.
    pub fn sql(&self, schema: impl Fn(usize) -> String, role: &str) -> String {
        let first = &self.cases[0];
        let p = first.layout.types[2];
        let mut sql = format!(
            "DROP SCHEMA IF EXISTS {SHARED} CASCADE; CREATE SCHEMA {SHARED}; SET search_path = {SHARED};
             CREATE TABLE p (id {p} PRIMARY KEY, at timestamptz, e varchar(9));
             CREATE TABLE k (t int, p {p}, at timestamptz, e varchar(9));
             GRANT USAGE ON SCHEMA {SHARED} TO \"{role}\"; GRANT SELECT ON p, k TO \"{role}\";"
        );
        let parents = first.parents.iter().enumerate().map(|(id, parent)| {
            let (at, e) = (first.text(PARENT, parent.at), parent.e.map(String::from));
            vec![id.to_string(), literal(at), literal(e)]
        });
        insert(&mut sql, "p", parents);
        let kids = first.kids.iter().map(|kid| {
            let (at, e) = (first.text(PARENT, kid.at), kid.e.map(String::from));
            vec![number(kid.row), number(kid.parent), literal(at), literal(e)]
        });
        insert(&mut sql, "k", kids);
        let tables = self.cases.iter().enumerate();
        sql.extend(tables.map(|(index, case)| case.sql(&schema(index), role)));
        sql
    }
}

fn literal(text: Option<String>) -> String {
    text.map_or("NULL".to_owned(), |text| format!("'{text}'"))
}

fn number(number: Option<i32>) -> String {
    number.map_or("NULL".to_owned(), |number| number.to_string())
}

fn insert(sql: &mut String, table: &str, rows: impl Iterator<Item = Vec<String>>) {
    let rows: Vec<String> = rows.map(|values| format!("({})", values.join(", "))).collect();
    if !rows.is_empty() {
        let _ = write!(sql, "INSERT INTO {table} VALUES {};", rows.join(", "));
    }
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
        let zone = if column == PARENT {
            &self.shared_zone
        } else {
            &self.zone
        };
        let zoned = self.now.to_zoned(TimeZone::get(zone).unwrap());
        let instant = zoned.checked_sub(period).unwrap().timestamp() + jitter;
        // By the clock on the wall, so that times which a zone skips come up as well.
        let wall: DateTime = self.now.to_zoned(self.column_time_zone()).datetime() - period + jitter;
        Some(match column {
            0 | 1 | PARENT => instant.to_string(),
            2 => wall.to_string(),
            _ => wall.date().to_string(),
        })
    }

    /// Makes the table anew, in a schema of its own.
    fn sql(&self, schema: &str, role: &str) -> String {
        let Layout { types: [e, g, p], .. } = &self.layout;
        let (dropped, partitioned) = (
            if self.layout.dropped { "gone int, " } else { "" },
            if self.layout.partitioned {
                "PARTITION BY HASH (id)"
            } else {
                ""
            },
        );
        let mut sql = format!(
            "DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}; SET search_path = {schema};
             CREATE TABLE t (id int PRIMARY KEY, a timestamptz, b timestamptz, c timestamp, {dropped}d date, e {e}, f bool, g {g}, m varchar(9), m2 varchar(9), s bool, p {p}) {partitioned};
             GRANT USAGE ON SCHEMA {schema} TO \"{role}\"; GRANT SELECT, UPDATE, DELETE ON t TO \"{role}\";"
        );
        if self.layout.dropped {
            sql.push_str("ALTER TABLE t DROP gone;");
        }
        if self.layout.partitioned {
            for part in 0..2 {
                let _ = write!(
                    sql,
                    "CREATE TABLE t{part} PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER {part});"
                );
            }
        }
        let rows = self.rows.iter().enumerate().map(|(id, row)| {
            let times = (0..4).map(|column| literal(self.text(column, row.times[column])));
            let rest = [
                literal(row.e.map(String::from)),
                literal(row.f.map(|f| f.to_string())),
                literal(row.g.map(|g| g.to_string())),
                literal(row.m.then(|| "m".to_owned())),
                literal(row.m2.then(|| "m2".to_owned())),
                literal(row.s.map(|s| s.to_string())),
                number(row.p),
            ];
            std::iter::once(id.to_string()).chain(times).chain(rest).collect()
        });
        insert(&mut sql, "t (id, a, b, c, d, e, f, g, m, m2, s, p)", rows);
        if self.layout.by_group {
            sql.push_str("CREATE INDEX ON t (e, a); CREATE INDEX ON t (g);");
        }
        if let Some(column) = self.layout.index {
            let _ = write!(sql, "CREATE INDEX ON t ({column}); ANALYZE t;");
        }
        sql
    }

    /// The holds as a plan carries them, those of people with what the Secret of that name holds.
    pub fn holds(&self, schema: &str) -> Vec<(Value, Vec<(&'static str, &'static str)>)> {
        let zones = json!({"c": self.column_zone, "d": self.column_zone});
        let plan = |(index, hold): (usize, &Hold)| {
            let secret = format!("{schema}-{index}");
            let mut json = json!({"name": secret, "schema": schema, "table": "t", "columnTimeZones": zones});
            match hold {
                Hold::Where(when) => {
                    json["when"] = json!(conditions(when));
                    (json, Vec::new())
                }
                Hold::Of(person) => {
                    json["person"] = json!({"secret": secret, "paths": person.paths()});
                    (json, person.identities())
                }
            }
        };
        self.holds.iter().enumerate().map(plan).collect()
    }
}

impl Person {
    fn identities(&self) -> Vec<(&'static str, &'static str)> {
        let all = [("mail", self.e), ("number", self.g), ("parents-mail", self.through)];
        all.into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    fn paths(&self) -> Vec<Value> {
        let relation = json!({"schema": SHARED, "table": "p", "columns": [["p", "id"]]});
        let by = |(name, _): (&'static str, &'static str)| match name {
            "mail" => json!({"identity": name, "by": {"column": "e"}}),
            "number" => json!({"identity": name, "by": {"column": "g"}}),
            _ => {
                let next = json!([{"identity": name, "by": {"column": "e"}}]);
                json!({"identity": name, "by": {"through": [relation, next]}})
            }
        };
        self.identities().into_iter().map(by).collect()
    }
}

impl Rule {
    pub fn json(&self, schema: &str, index: usize, case: &Case) -> Value {
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
        let name = format!("{}{schema}-{index}", if self.foreign { "other/" } else { "" });
        let zone = &case.column_zone;
        let mut rule = json!({"name": name, "schema": schema, "rows": conditions(&self.rows), "grounds": grounds, "action": action,
            "columnTimeZones": {"c": zone, "d": zone}});
        // The first case's zone is that of the plan.
        if schema != "c0" {
            rule["timeZone"] = json!(case.zone);
        }
        if let Some(Newest { count, per, order_by }) = &self.newest {
            rule["keepNewest"] = json!({"count": count, "per": per, "orderBy": TIMES[*order_by]});
        }
        if self.reads_parent() {
            rule["relations"] = json!({"p": {"schema": SHARED, "table": "p", "columns": [["p", "id"]]}});
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
            let relation = json!({"schema": SHARED, "table": "k", "columns": [columns]});
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
