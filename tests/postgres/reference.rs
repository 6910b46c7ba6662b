//! The engine against a slow reading of the semantics that shares no code with it, on random rules, holds and small tables.
//!
//! The clock of each server stands at month ends, leap days and changes of the clock; values lie at the very boundary,
//! a microsecond or more beside it. A run costs by what it asks of the server, so each judges a whole world of cases, and
//! several servers, each with a clock of its own, work side by side. `PROPTEST_CASES` scales it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use jiff::Timestamp;
use privacy_operator::contract::{PlannedRule, RuleReport, RunResult, WorkReport};
use privacy_operator::worker;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use tokio_postgres::Client;

use crate::harness::{Trial, rule, trial_on};
use crate::reference_cases::{Case, World};
use crate::reference_model::{Expected, State, expected};
use crate::reference_random::worlds;
use crate::support::postgres::Server;

/// Cases of a usual run, and decisions about rows that each stands for at least.
const CASES: usize = 10_000;
const DECISIONS_PER_CASE: usize = 100;

const CASES_PER_WORLD: usize = 10;

/// Servers side by side. The same on every machine, so that the cases are.
const LANES: usize = 4;

/// After so many worlds a new database: what thousands of dropped tables leave in a catalogue slows it down.
const WORLDS_PER_DATABASE: usize = 25;

thread_local! {
    static NOW: Cell<Timestamp> = const { Cell::new(Timestamp::UNIX_EPOCH) };
}

/// Row by row what it holds: what no rule writes as one text, then what rules write.
async fn state(admin: &Client, schema: &str) -> State {
    let sql = format!(
        "SELECT id, (SELECT string_agg(v, '|') FROM unnest(ARRAY[a::text, b::text, c::text, d::text, e, f::text, g::text, p::text]) WITH ORDINALITY u(v, n)),
                m, m2, s FROM {schema}.t ORDER BY id"
    );
    let rows = admin.query(&sql, &[]).await.unwrap();
    rows.iter()
        .map(|row| {
            (
                row.get(0),
                (
                    row.get::<_, Option<String>>(1).unwrap_or_default(),
                    row.get(2),
                    row.get(3),
                    row.get(4),
                ),
            )
        })
        .collect::<BTreeMap<_, _>>()
}

/// What the report says of a rule: affected, without start event, undetermined, no ground applies, missing a related row, still
/// due, held.
fn counts(rule: &RuleReport) -> [i64; 7] {
    [
        rule.affected,
        rule.without_start_event,
        rule.undetermined,
        rule.no_ground_applies,
        rule.missing_related,
        rule.due,
        rule.held,
    ]
}

/// What was compared.
#[derive(Default)]
struct Tally {
    cases: usize,
    decisions: usize,
    counts: [i64; 7],
    /// Rows that one thing alone kept, by what that was.
    kept: BTreeMap<String, usize>,
}

fn add(sums: &mut [i64; 7], counts: &[i64; 7]) {
    for (sum, count) in sums.iter_mut().zip(counts) {
        *sum += count;
    }
}

impl Tally {
    fn of(case: &Case, expected: Expected) -> Self {
        let mut sums = [0; 7];
        for counts in &expected.counts {
            add(&mut sums, counts);
        }
        Self {
            cases: 1,
            decisions: case.rows.len() * case.rules.len(),
            counts: sums,
            kept: expected.kept,
        }
    }

    fn merge(&mut self, other: Self) {
        self.cases += other.cases;
        self.decisions += other.decisions;
        add(&mut self.counts, &other.counts);
        for (reason, rows) in other.kept {
            *self.kept.entry(reason).or_default() += rows;
        }
    }

    fn kept_by(&self, word: &str) -> usize {
        let reasons = self.kept.iter().filter(|(reason, _)| reason.contains(word));
        reasons.map(|(_, rows)| rows).sum()
    }
}

/// One server, and a database of it.
struct Lane<'a> {
    trial: Trial<'a>,
    admin: Client,
    worlds: usize,
}

fn schema(index: usize) -> String {
    format!("c{index}")
}

impl<'a> Lane<'a> {
    async fn on(server: &'a Server) -> Self {
        let mut trial = trial_on(server, "").await;
        trial.plan.store.verify_tls = false;
        let admin = trial.database.admin().await;
        admin.batch_execute("SET client_min_messages = error").await.unwrap();
        Self {
            trial,
            admin,
            worlds: 0,
        }
    }

    /// Puts the rules and holds into the plan, and the people where their Secrets are mounted.
    fn plan(&mut self, world: &World) {
        let plan = &mut self.trial.plan;
        world.cases[0].zone.clone_into(&mut plan.time_zone);
        plan.slack_seconds = world.cases[0].slack_seconds;
        (plan.rules, plan.protections, plan.holds) = (Vec::new(), Vec::new(), Vec::new());
        for (index, case) in world.cases.iter().enumerate() {
            let schema = schema(index);
            for (index, one) in case.rules.iter().enumerate() {
                let rule: PlannedRule = rule(one.json(&schema, index, case));
                if one.foreign {
                    plan.protections.push(rule);
                } else {
                    plan.rules.push(rule);
                }
            }
            for (hold, identities) in case.holds(&schema) {
                let directory = hold["person"]["secret"].as_str().unwrap_or("nobody");
                let directory = self.trial.files.path().join("holds").join(directory);
                std::fs::create_dir_all(&directory).unwrap();
                for (name, value) in identities {
                    std::fs::write(directory.join(name), value).unwrap();
                }
                plan.holds.push(serde_json::from_value(hold).unwrap());
            }
        }
    }

    async fn run(&self) -> WorkReport {
        // On a busy machine a connection may not come up in time: the Job would try again, and so does the test. A run that
        // wrote something is never repeated.
        for _ in 0..3 {
            let report = worker::execute(&self.trial.settings(), || NOW.get()).await;
            let passing = report
                .problem
                .as_ref()
                .is_some_and(|problem| !problem.reason.is_permanent());
            if !passing || report.rules.iter().any(|rule| rule.affected > 0) {
                return report;
            }
        }
        worker::execute(&self.trial.settings(), || NOW.get()).await
    }

    async fn states(&self, world: &World) -> Vec<State> {
        let mut states = Vec::new();
        for index in 0..world.cases.len() {
            states.push(state(&self.admin, &schema(index)).await);
        }
        states
    }

    /// Runs the plan, and compares what it did and says with what it should.
    async fn compare(
        &self,
        world: &World,
        wanted: impl Fn(usize) -> (State, Vec<[i64; 7]>),
    ) -> Result<(), TestCaseError> {
        let report = self.run().await;
        let rules = report.rules.iter();
        let problems: Vec<_> = rules
            .filter_map(|rule| rule.problem.as_ref())
            .chain(&report.problem)
            .collect();
        proptest::prop_assert!(problems.is_empty(), "{problems:?}");
        proptest::prop_assert!(report.result != RunResult::Failed);
        let mut reported = report.rules.iter().map(counts);
        for (index, found) in self.states(world).await.into_iter().enumerate() {
            let (end, counts) = wanted(index);
            let differing: Vec<_> = world.cases[index]
                .rows
                .iter()
                .zip(0..)
                .filter(|(_, id)| end.get(id) != found.get(id))
                .map(|(row, id)| (id, row, end.get(&id), found.get(&id)))
                .collect();
            proptest::prop_assert!(
                differing.is_empty(),
                "case {index}: rows (id, row, expected, found): {differing:?}"
            );
            let reported: Vec<_> = reported.by_ref().take(counts.len()).collect();
            proptest::prop_assert_eq!(
                reported,
                counts,
                "case {}: affected, without start event, undetermined, no ground, missing, due, held",
                index
            );
        }
        Ok(())
    }

    async fn check(&mut self, world: &World, tally: &mut Tally) -> Result<(), TestCaseError> {
        self.worlds += 1;
        if self.worlds > WORLDS_PER_DATABASE {
            *self = Self::on(self.trial.server).await;
        }
        NOW.set(world.cases[0].now);
        self.trial.server.set_clock(world.cases[0].now);
        let tables = world.sql(schema, &self.trial.role);
        self.admin.batch_execute(&tables).await.unwrap();
        self.plan(world);
        let before = self.states(world).await;
        let expected: Vec<Expected> = world
            .cases
            .iter()
            .zip(&before)
            .map(|(case, before)| expected(case, before))
            .collect();
        self.compare(world, |index| {
            (expected[index].state.clone(), expected[index].counts.clone())
        })
        .await?;
        // A second run changes nothing. It costs as much as the first, and has less to tell.
        if self.worlds.is_multiple_of(5) {
            self.compare(world, |index| {
                (expected[index].state.clone(), expected[index].again.clone())
            })
            .await?;
        }
        for (case, expected) in world.cases.iter().zip(expected) {
            tally.merge(Tally::of(case, expected));
        }
        Ok(())
    }
}

/// So many worlds on a server of its own.
fn lane(lane: usize, worlds_to_judge: usize) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let server = Server::start_with_clock(Timestamp::UNIX_EPOCH);
    let judge = RefCell::new((runtime.block_on(Lane::on(&server)), Tally::default()));
    let mut config = Config {
        failure_persistence: None,
        cases: u32::try_from(worlds_to_judge).unwrap(),
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_MAX_SHRINK_ITERS").is_none() {
        config.max_shrink_iters = 1000;
    }
    let mut runner = if std::env::var_os("PROPTEST_CASES").is_some() {
        TestRunner::new(config)
    } else {
        let seed = [u8::try_from(lane).unwrap(); 32];
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
    };
    let result = runner.run(&worlds(), |world| {
        let (judge, tally) = &mut *judge.borrow_mut();
        runtime.block_on(judge.check(&world, tally))
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    judge.into_inner().1
}

#[test]
fn the_engine_decides_every_row_as_the_semantics_do() {
    let wanted = std::env::var("PROPTEST_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    let worlds = (wanted + wanted / 10).div_ceil(CASES_PER_WORLD).div_ceil(LANES);
    let lanes: Vec<_> = (0..LANES)
        .map(|number| std::thread::spawn(move || lane(number, worlds)))
        .collect();
    let mut tally = Tally::default();
    for lane in lanes {
        tally.merge(lane.join().unwrap());
    }
    let [affected, without_start, undetermined, no_ground, missing, _, held] = tally.counts;
    println!(
        "{} decisions about rows in {} cases compared: {affected} rows affected, kept {without_start} without start event, \
         {undetermined} undetermined, {no_ground} without a ground, {missing} missing a related row, {held} by holds",
        tally.decisions, tally.cases
    );
    println!("kept by one thing alone: {:#?}", tally.kept);
    assert!(tally.cases >= wanted && tally.decisions >= wanted * DECISIONS_PER_CASE);
    // A comparison of tables in which nothing happens would prove nothing.
    let decisions = i64::try_from(tally.decisions).unwrap();
    assert!(
        affected > decisions / 25
            && without_start.min(undetermined).min(no_ground).min(missing).min(held) > decisions / 250
    );
    // Each of these decided alone, more than now and then.
    for word in [
        "Exact ground",
        "Minimum ground",
        "Maximum ground",
        "Event",
        "EndOfDay",
        "EndOfMonth",
        "EndOfYear",
        "no period",
        "until",
        ", exists",
        "not exists",
        "no ground that certainly applied",
        "another rule",
        "newest",
        "hold on rows",
        "hold on a person's column",
        "hold on a person's number",
        "hold on what points at a person",
        "hold on what may be a person's",
    ] {
        assert!(
            tally.kept_by(word) > wanted / 50,
            "{word} kept {} rows",
            tally.kept_by(word)
        );
    }
}
