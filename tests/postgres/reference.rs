//! The engine against a slow reading of the semantics that shares no code with it, on random rules and small tables.
//!
//! The clock of the server stands at month ends, leap days and changes of the clock; values lie at the very boundary,
//! a microsecond or more beside it. `PROPTEST_CASES` scales it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use jiff::Timestamp;
use privacy_operator::contract::{PlannedRule, WorkReport};
use privacy_operator::worker;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tokio_postgres::Client;

use crate::harness::{Trial, rule, trial_on};
use crate::reference_cases::{Case, cases};
use crate::reference_model::{Expected, State, expected};
use crate::support::postgres::Server;

static NOW: AtomicI64 = AtomicI64::new(0);

/// Row by row what it holds: what no rule writes as one text, then what rules write.
async fn state(admin: &Client) -> State {
    let sql = "SELECT id, (SELECT string_agg(v, '|') FROM unnest(ARRAY[a::text, b::text, c::text, d::text, e, f::text, g::text]) WITH ORDINALITY u(v, n)),
                      m, m2, s FROM t ORDER BY id";
    let rows = admin.query(sql, &[]).await.unwrap();
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

async fn run(trial: &mut Trial<'_>, case: &Case, rules: &[PlannedRule]) -> WorkReport {
    NOW.store(case.now.as_microsecond(), Ordering::SeqCst);
    trial.plan.rules = rules.to_vec();
    case.zone.clone_into(&mut trial.plan.time_zone);
    trial.plan.slack_seconds = case.slack_seconds;
    let told = || Timestamp::from_microsecond(NOW.load(Ordering::SeqCst)).unwrap();
    // On a busy machine a connection may not come up in time: the Job would try again, and so does the test. A run that
    // wrote something is never repeated.
    for _ in 0..3 {
        let report = worker::execute(&trial.settings(), told).await;
        let passing = report
            .problem
            .as_ref()
            .is_some_and(|problem| !problem.reason.is_permanent());
        if !passing || report.rules.iter().any(|rule| rule.affected > 0) {
            return report;
        }
    }
    worker::execute(&trial.settings(), told).await
}

/// What the report says: per rule affected, without start event, undetermined, no ground applies, missing a related row, still due.
fn counts(report: &WorkReport) -> Vec<[i64; 6]> {
    let rules = report.rules.iter();
    rules
        .map(|rule| {
            [
                rule.affected,
                rule.without_start_event,
                rule.undetermined,
                rule.no_ground_applies,
                rule.missing_related,
                rule.due,
            ]
        })
        .collect()
}

/// Over all cases: decisions, then what the reports say.
#[derive(Default)]
struct Tally([AtomicUsize; 6]);

impl Tally {
    fn add(&self, decisions: usize, report: &WorkReport) {
        self.0[0].fetch_add(decisions, Ordering::Relaxed);
        for counts in counts(report) {
            for (sum, count) in self.0[1..].iter().zip(counts) {
                sum.fetch_add(usize::try_from(count).unwrap(), Ordering::Relaxed);
            }
        }
    }
}

async fn check(trial: &mut Trial<'_>, admin: &Client, case: &Case, tally: &Tally) -> Result<(), TestCaseError> {
    trial.server.set_clock(case.now);
    admin.batch_execute(&case.sql(&trial.role)).await.unwrap();
    let before = state(admin).await;
    let rules: Vec<PlannedRule> = case
        .rules
        .iter()
        .enumerate()
        .map(|(index, one)| rule(one.json(index, &case.column_zone)))
        .collect();
    let report = run(trial, case, &rules).await;
    let problems: Vec<_> = report
        .rules
        .iter()
        .filter_map(|rule| rule.problem.as_ref())
        .chain(&report.problem)
        .collect();
    proptest::prop_assert!(problems.is_empty(), "{problems:?}");
    let Expected {
        state: end,
        counts: wanted,
        again,
    } = expected(case, &before);
    let found = state(admin).await;
    let differing: Vec<_> = before
        .keys()
        .filter(|id| end.get(id) != found.get(id))
        .map(|id| (id, &before[id], end.get(id), found.get(id)))
        .collect();
    proptest::prop_assert!(
        differing.is_empty(),
        "rows (id, before, expected, found): {differing:?}"
    );
    proptest::prop_assert_eq!(
        counts(&report),
        wanted,
        "affected, without start event, undetermined, no ground, missing, due"
    );
    let second = run(trial, case, &rules).await;
    proptest::prop_assert!(
        !matches!(second.result, privacy_operator::contract::RunResult::Failed),
        "the second run: {second:?}"
    );
    proptest::prop_assert_eq!(state(admin).await, end, "the second run changes something");
    proptest::prop_assert_eq!(counts(&second), again, "the second run");
    tally.add(before.len() * rules.len(), &report);
    Ok(())
}

#[test]
fn the_engine_decides_every_row_as_the_semantics_do() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let server = Server::start_with_clock(Timestamp::UNIX_EPOCH);
    let (mut trial, admin) = runtime.block_on(async {
        let mut trial = trial_on(&server, "CREATE TABLE t (id int)").await;
        trial.plan.store.verify_tls = false;
        let admin = trial.database.admin().await;
        (trial, admin)
    });
    let tally = Tally::default();
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_MAX_SHRINK_ITERS").is_none() {
        config.max_shrink_iters = 400;
    }
    let mut runner = if std::env::var_os("PROPTEST_CASES").is_some() {
        TestRunner::new(config)
    } else {
        config.cases = 300;
        let seed = proptest::test_runner::TestRng::deterministic_rng(config.rng_algorithm);
        TestRunner::new_with_rng(config, seed)
    };
    let trial = std::cell::RefCell::new(&mut trial);
    let result = runner.run(&cases(), |case| {
        runtime.block_on(check(&mut trial.borrow_mut(), &admin, &case, &tally))
    });
    let [decisions, affected, without_start, undetermined, no_ground, missing] = tally.0.map(AtomicUsize::into_inner);
    println!(
        "{decisions} decisions about rows compared: {affected} rows affected, kept {without_start} without start event, \
         {undetermined} undetermined, {no_ground} without a ground, {missing} missing a related row"
    );
    if let Err(failure) = result {
        panic!("{failure}");
    }
    // A comparison of tables in which nothing happens would prove nothing.
    assert!(affected > decisions / 20 && without_start.min(undetermined).min(no_ground).min(missing) > decisions / 200);
}
