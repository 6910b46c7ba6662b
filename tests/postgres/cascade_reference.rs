//! Cascades against a slow reading of SEMANTICS 2.4 and 3.3 that shares no code with the engine, on random rows and holds.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use privacy_operator::contract::holds::PlannedHold;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRng, TestRunner};
use serde_json::json;
use tokio_postgres::Client;

use crate::cascade::{SCHEMA, counts, deletes, dependents, keeps, parents};
use crate::harness::{Trial, rule, trial};

/// Rows by their places in the lists, which are their keys; pointers may lead nowhere.
#[derive(Clone, Debug)]
struct Rows {
    q: usize,
    /// Pointer, and whether a ground keeps it.
    p: Vec<(Option<usize>, bool)>,
    /// Pointer, and whether it is due.
    t: Vec<(Option<usize>, bool)>,
    f: Vec<(Option<usize>, bool)>,
    g: Vec<Option<usize>>,
    /// Rows of a table that no rule names, pointing at rows of `p`, `t`, `f` or `g`, in this order.
    u: Vec<(usize, usize)>,
    /// Rows that a hold binds, of `q`, `p`, `t`, `f` or `g`, in this order.
    held: Vec<(usize, usize)>,
}

/// The tables of the cascade.
const TABLES: [&str; 5] = ["q", "p", "t", "f", "g"];

fn rows() -> impl Strategy<Value = Rows> {
    let pointer = || proptest::option::weighted(0.9, 0_usize..1000);
    let rare = || proptest::bool::weighted(0.15);
    (
        1_usize..4,
        proptest::collection::vec((pointer(), rare()), 1..20),
        proptest::collection::vec((pointer(), proptest::bool::weighted(0.7)), 1..60),
        proptest::collection::vec((pointer(), proptest::bool::weighted(0.08)), 0..60),
        proptest::collection::vec(pointer(), 0..60),
        proptest::collection::vec((0_usize..4, 0_usize..1000), 0..8),
        prop_oneof![1 => Just(vec![]), 1 => proptest::collection::vec((0_usize..5, 0_usize..1000), 1..8)],
    )
        .prop_map(|(q, mut p, mut t, mut f, mut g, u, mut held)| {
            let within = |pointer: &mut Option<usize>, length: usize| {
                *pointer = pointer.filter(|_| length > 0).map(|place| place % length);
            };
            for row in &mut p {
                within(&mut row.0, q);
            }
            for row in &mut t {
                within(&mut row.0, p.len());
            }
            for row in &mut f {
                within(&mut row.0, t.len());
            }
            for row in &mut g {
                within(row, f.len());
            }
            let lengths = [q, p.len(), t.len(), f.len(), g.len()];
            held.retain(|(table, _)| lengths[*table] > 0);
            for (table, place) in &mut held {
                *place %= lengths[*table];
            }
            Rows { q, p, t, f, g, u, held }
        })
}

impl Rows {
    fn pointed(&self, table: usize, key: usize) -> bool {
        let lengths = [self.p.len(), self.t.len(), self.f.len(), self.g.len()];
        let pointers = self.u.iter().filter(|(to, _)| *to == table);
        pointers
            .into_iter()
            .any(|(_, place)| place % lengths[table].max(1) == key)
    }

    fn sql(&self) -> String {
        let mut sql = "TRUNCATE q, p, t, f, g, u;".to_owned();
        let key = |pointer: Option<usize>| pointer.map_or("NULL".to_owned(), |key| key.to_string());
        for id in 0..self.q {
            let _ = write!(sql, "INSERT INTO q VALUES ({id});");
        }
        for (id, (q, kept)) in self.p.iter().enumerate() {
            let _ = write!(sql, "INSERT INTO p VALUES ({id}, {}, {kept});", key(*q));
        }
        for (id, (p, due)) in self.t.iter().enumerate() {
            let age = if *due { 30 } else { 1 };
            let _ = write!(
                sql,
                "INSERT INTO t VALUES ({id}, {}, now() - interval '{age} days');",
                key(*p)
            );
        }
        for (id, (t, kept)) in self.f.iter().enumerate() {
            let _ = write!(sql, "INSERT INTO f VALUES ({id}, {}, {kept});", key(*t));
        }
        for (id, f) in self.g.iter().enumerate() {
            let _ = write!(sql, "INSERT INTO g VALUES ({id}, {});", key(*f));
        }
        for (table, place) in &self.u {
            let lengths = [self.p.len(), self.t.len(), self.f.len(), self.g.len()];
            if lengths[*table] > 0 {
                let column = ["p", "t", "f", "g"][*table];
                let _ = write!(sql, "INSERT INTO u ({column}) VALUES ({});", place % lengths[*table]);
            }
        }
        sql
    }

    /// A hold on each table that has held rows.
    fn holds(&self) -> Vec<PlannedHold> {
        let on = |(table, name): (usize, &&str)| {
            let bound = self.held.iter().filter(|(of, _)| *of == table);
            let keys: Vec<String> = bound.map(|(_, place)| place.to_string()).collect();
            let when = json!([{"column": "id", "operator": "In", "values": keys}]);
            let hold = json!({"name": name, "schema": "public", "table": name, "when": when});
            (!keys.is_empty()).then(|| serde_json::from_value(hold).unwrap())
        };
        TABLES.iter().enumerate().filter_map(on).collect()
    }

    fn is_held(&self, table: usize, place: usize) -> bool {
        self.held.contains(&(table, place))
    }

    /// What goes of `q`, `p`, `t`, `f` and `g`, how many due trees stay, and how many because the row itself is held.
    fn expected(&self) -> ([BTreeSet<usize>; 5], i64, i64) {
        let mut gone: [BTreeSet<usize>; 5] = Default::default();
        let (mut kept, mut held) = (0, 0);
        for (root, _) in self.t.iter().enumerate().filter(|(_, row)| row.1) {
            if self.is_held(2, root) {
                held += 1;
                continue;
            }
            let files: BTreeSet<usize> = (0..self.f.len()).filter(|file| self.f[*file].0 == Some(root)).collect();
            let pages: BTreeSet<usize> = (0..self.g.len())
                .filter(|page| self.g[*page].is_some_and(|file| files.contains(&file)))
                .collect();
            let stays = self.pointed(1, root)
                || files
                    .iter()
                    .any(|file| self.f[*file].1 || self.pointed(2, *file) || self.is_held(3, *file))
                || pages
                    .iter()
                    .any(|page| self.pointed(3, *page) || self.is_held(4, *page));
            if stays {
                kept += 1;
                continue;
            }
            gone[2].insert(root);
            gone[3].extend(files);
            gone[4].extend(pages);
        }
        let reached: BTreeSet<usize> = gone[2].iter().filter_map(|root| self.t[*root].0).collect();
        for parent in reached.iter().copied() {
            let child = (0..self.t.len()).any(|row| self.t[row].0 == Some(parent) && !gone[2].contains(&row));
            if !child && !self.p[parent].1 && !self.pointed(0, parent) && !self.is_held(1, parent) {
                gone[1].insert(parent);
            }
        }
        for parent in reached.iter().filter_map(|parent| self.p[*parent].0) {
            let child = (0..self.p.len()).any(|row| self.p[row].0 == Some(parent) && !gone[1].contains(&row));
            if !child && !self.is_held(0, parent) {
                gone[0].insert(parent);
            }
        }
        (gone, kept, held)
    }
}

async fn ids(admin: &Client, table: &str) -> BTreeSet<usize> {
    let rows = admin.query(&format!("SELECT id FROM {table}"), &[]).await.unwrap();
    rows.iter()
        .map(|row| usize::try_from(row.get::<_, i32>(0)).unwrap())
        .collect()
}

/// What was compared: decisions about rows, and rows that went, trees that stayed, held rows of the rule and of other tables.
#[derive(Default)]
struct Tally {
    decisions: usize,
    gone: i64,
    kept: i64,
    held: i64,
    held_elsewhere: usize,
}

async fn check(trial: &mut Trial<'_>, admin: &Client, rows: &Rows, tally: &mut Tally) -> Result<(), TestCaseError> {
    admin.batch_execute(&rows.sql()).await.unwrap();
    trial.plan.holds = rows.holds();
    let (gone, kept, held) = rows.expected();
    let report = trial.run().await;
    let lengths = [rows.q, rows.p.len(), rows.t.len(), rows.f.len(), rows.g.len()];
    for ((table, length), gone) in TABLES.iter().zip(lengths).zip(&gone) {
        let left: BTreeSet<usize> = (0..length).filter(|id| !gone.contains(id)).collect();
        prop_assert_eq!(ids(admin, table).await, left, "what is left of {}", table);
    }
    let count = |sets: &[BTreeSet<usize>]| i64::try_from(sets.iter().map(BTreeSet::len).sum::<usize>()).unwrap();
    let along = count(&gone) - count(&gone[2..3]);
    prop_assert_eq!(counts(&report), (count(&gone[2..3]), along, 0, kept));
    prop_assert_eq!(report.rules[0].held, held, "held");
    tally.decisions += lengths.iter().sum::<usize>();
    tally.gone += count(&gone);
    tally.kept += kept;
    tally.held += held;
    tally.held_elsewhere += rows.held.iter().filter(|(table, _)| *table != 2).count();
    Ok(())
}

#[test]
fn every_cascade_goes_or_stays_as_the_semantics_say() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (mut trial, admin) = runtime.block_on(async {
        let more = "CREATE TABLE u (p int REFERENCES p, t int REFERENCES t, f int REFERENCES f, g int REFERENCES g);
            CREATE INDEX ON f (t); CREATE INDEX ON g (f);";
        let mut trial = trial(&format!("{SCHEMA}{more}")).await;
        trial.plan.store.verify_tls = false;
        trial.plan.rules = [
            deletes(json!({"dependents": dependents(), "parents": parents()})),
            keeps("f", "Minimum", "protect"),
            keeps("p", "Exact", "protect"),
        ]
        .into_iter()
        .map(rule)
        .collect();
        let admin = trial.database.admin().await;
        (trial, admin)
    });
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = if std::env::var_os("PROPTEST_CASES").is_some() {
        TestRunner::new(config)
    } else {
        config.cases = 400;
        let seed = TestRng::deterministic_rng(config.rng_algorithm);
        TestRunner::new_with_rng(config, seed)
    };
    let judged = std::cell::RefCell::new((&mut trial, Tally::default()));
    let result = runner.run(&rows(), |rows| {
        let (trial, tally) = &mut *judged.borrow_mut();
        runtime.block_on(check(trial, &admin, &rows, tally))
    });
    let tally = judged.into_inner().1;
    println!(
        "{} decisions about rows of cascades compared: {} went, {} trees kept by what hangs on them, {} by a hold on their row, {} held rows of other tables",
        tally.decisions, tally.gone, tally.kept, tally.held, tally.held_elsewhere
    );
    if let Err(failure) = result {
        panic!("{failure}");
    }
    let enough = i64::try_from(tally.decisions / 500).unwrap();
    assert!(
        tally.gone > enough * 50 && tally.kept.min(tally.held) > enough && tally.held_elsewhere > tally.decisions / 200
    );
}
