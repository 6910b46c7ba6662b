//! One run: look the tables up, count, judge the limits, dispose, leave evidence, report. A lost connection is opened
//! again, and the rule under way begins anew: what is gone is gone, so that the end is the same.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::anchor::Anchor;
use super::catalogue::{self, Table};
use super::count;
use super::drift;
use super::guard::Guard;
use super::hash_key::HashKey;
use super::holds::Holds;
use super::judge::{Clock, Judge};
use super::ledger::{self, Line};
use super::limits::{self, Wanted};
use super::newest;
use super::progress::Progress;
use super::pseudonymise::MaskKeys;
use super::related::{self, Tables};
use super::session::{Access, Session};
use super::survey;
use super::sweep::{Fault, Sweep};
use crate::contract::evidence::{Evidence, RuleEvidence};
use crate::contract::ledger::LedgerLine;
use crate::contract::progress::Step;
use crate::contract::{
    self, Action, LedgerReport, Mode, PlannedRule, Problem, Reason, RuleReport, RunResult, Totals, WorkPlan, WorkReport,
};
use crate::domain::identifier::TableName;

/// After a lost connection the store is tried again for so long.
const PATIENCE: Duration = Duration::from_mins(5);
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How far a rule has come. It outlives a session.
#[derive(Debug, Clone, Default)]
struct RuleProgress {
    report: RuleReport,
    /// Counted before the first write.
    counted: bool,
    due_before: i64,
    /// Rows of other tables that would go with them.
    cascaded_before: i64,
    /// Rows may have gone.
    begun: bool,
    overdue_before: i64,
    total: Option<i64>,
    /// Age of the oldest row that a completed deletion leaves.
    oldest_kept: Option<i64>,
    anchor: Option<Anchor>,
    swept: bool,
}

struct Run<'a> {
    plan: &'a WorkPlan,
    plan_hash: &'a str,
    task: Task,
    guard: &'a Guard,
    live: &'a Progress,
    name: &'a str,
    clock: Option<Clock>,
    within_limits: bool,
    progress: Vec<RuleProgress>,
    server_version: Option<String>,
    ledger: Option<LedgerReport>,
    /// The ledger's line that this run wrote, or was about to write when the connection was lost.
    line: Option<LedgerLine>,
}

/// What is asked of a run, whatever the plan says.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// Whether it may write.
    pub mode: Mode,
    /// The instant by which rows are judged; `None`: the store's clock when the run begins.
    pub as_of: Option<Timestamp>,
}

/// Runs a plan.
pub async fn run(
    plan: &WorkPlan,
    plan_hash: &str,
    task: Task,
    access: &Access,
    guard: &Guard,
    live: &Progress,
    now: fn() -> Timestamp,
) -> WorkReport {
    let mut run = Run {
        plan,
        plan_hash,
        task,
        guard,
        live,
        name: &access.run,
        clock: None,
        within_limits: false,
        progress: vec![RuleProgress::default(); plan.rules.len()],
        server_version: None,
        ledger: None,
        line: None,
    };
    let begin = Instant::now();
    let worker_time = now();
    let fault = run.with_patience(access, now).await.err();
    let started_at = run.clock.as_ref().map_or(worker_time, |clock| clock.now);
    let elapsed = SignedDuration::try_from(begin.elapsed()).unwrap_or_default();
    run.report(started_at, started_at.checked_add(elapsed).unwrap_or(started_at), fault)
}

impl Run<'_> {
    /// Opens a lost session again. Before the first one, the Job's own retries are patience enough.
    async fn with_patience(&mut self, access: &Access, now: fn() -> Timestamp) -> Result<(), Fault> {
        let mut lost_at: Option<Instant> = None;
        let mut pause = SHORTEST_PAUSE;
        loop {
            let problem = match (self.session(access, now).await, lost_at) {
                (Err(Fault::Lost(problem)), _) => {
                    (lost_at, pause) = (Some(Instant::now()), SHORTEST_PAUSE);
                    problem
                }
                // While the store starts again it may refuse, or be a standby for a moment.
                (Err(Fault::Problem(problem)), Some(since))
                    if !problem.reason.is_permanent() && since.elapsed() < PATIENCE =>
                {
                    problem
                }
                (ended, _) => return ended,
            };
            if let Some(reason) = self.guard.stop() {
                return Err(Fault::Stop(reason));
            }
            tracing::warn!(reason = problem.reason.as_str(), "the store was lost; connecting again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn session(&mut self, access: &Access, now: fn() -> Timestamp) -> Result<(), Fault> {
        if let Some(reason) = self.guard.stop() {
            return Err(Fault::Stop(reason));
        }
        let writes = self.task.mode == Mode::Enforce;
        self.live.step(Step::Connecting, 0, None);
        let session = Session::open(&self.plan.store, access, now(), writes)
            .await
            .map_err(Fault::Problem)?;
        self.server_version = Some(session.server_version.clone());
        let clock = self.clock(&session)?;

        let tables = self.look_up(&session).await?;
        let related = self.related(&session).await?;
        let judges = self.judges(&tables, &related, &clock, &access.holds);
        self.live.step(Step::Counting, 0, None);
        self.count(&session, &judges).await?;
        if writes {
            self.judge_limits(&session, &judges).await?;
            self.live
                .step(Step::Disposing, self.affected(), Some(self.due_before()));
            let swept = self.sweep(&session, &judges, &access.keys).await;
            if !matches!(swept, Err(Fault::Lost(_))) {
                self.leave_evidence(&session).await?;
            }
            swept?;
            self.tell_levels(&session, &judges, &access.keys).await?;
        } else if session.ledger {
            self.ledger = Some(
                ledger::read(&session.client, self.plan)
                    .await
                    .map_err(|error| Fault::Problem(error.problem("ledger")))?,
            );
        }
        Ok(())
    }

    /// The clock of the run: the store's, read once, so that a cut-off never moves while rows are disposed of.
    fn clock(&mut self, session: &Session) -> Result<Clock, Problem> {
        if let Some(clock) = &self.clock {
            return Ok(clock.clone());
        }
        let clock = Clock::of(self.plan, self.task.as_of.unwrap_or(session.store_time))?;
        self.clock = Some(clock.clone());
        Ok(clock)
    }

    /// Each rule's table, or why the rule cannot run.
    async fn look_up(&mut self, session: &Session) -> Result<Vec<Option<Table>>, Fault> {
        let mut tables: Vec<Option<Table>> = Vec::with_capacity(self.plan.rules.len());
        for (rule, progress) in self.plan.rules.iter().zip(&mut self.progress) {
            let field = format!("rules[{}].dataset", rule.name);
            let name = TableName::new(&rule.schema, &rule.table)
                .map_err(|error| Problem::new(Reason::InvalidPlan, &field, error.to_string()))?;
            // Many rules speak of one table: the catalogue is asked once.
            let table = match tables.iter().flatten().find(|table| table.name == name) {
                Some(known) => Ok(known.clone()),
                None => catalogue::table(&session.client, &name, &field).await,
            };
            let table = table.and_then(|table| drift::check(self.plan, &table, &field).map(|()| table));
            match table.map_err(Fault::from) {
                Ok(table) => tables.push(Some(table)),
                Err(Fault::Problem(problem)) => {
                    progress.report.problem = Some(problem);
                    tables.push(None);
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(tables)
    }

    /// The tables at whose rows the rules look besides their own.
    async fn related(&self, session: &Session) -> Result<Tables, Fault> {
        Ok(related::tables(&session.client, self.plan).await?)
    }

    fn judges<'b>(
        &self,
        tables: &'b [Option<Table>],
        related: &'b Tables,
        clock: &'b Clock,
        holds: &'b Holds,
    ) -> Vec<Option<Judge<'b>>>
    where
        Self: 'b,
    {
        let plan = self.plan;
        let judge = |(table, rule): (&'b Option<Table>, &'b PlannedRule)| {
            Some(Judge::new(plan, rule, table.as_ref()?, related, clock, holds))
        };
        tables.iter().zip(&plan.rules).map(judge).collect()
    }

    /// Counts what is due before anything is written. A rule that does not fit its table stops here.
    async fn count(&mut self, session: &Session, judges: &[Option<Judge<'_>>]) -> Result<(), Fault> {
        for (judge, progress) in judges.iter().zip(&mut self.progress) {
            let Some(judge) = judge else { continue };
            if let Err(problem) = judge.check() {
                progress.report.problem = Some(problem);
                continue;
            }
            if progress.counted {
                continue;
            }
            match count::patiently(session, judge, self.guard, self.task.mode).await {
                Ok((mut counts, anchor, path)) => {
                    if judge.rule.action == Action::Protect {
                        // It disposes of nothing, so that nothing is late and no hold keeps anything from it.
                        (counts.report.due, counts.report.overdue, counts.report.held) = (0, 0, 0);
                    }
                    progress.report = counts.report;
                    progress.report.due_starts = judge.due_starts()?;
                    let race_window = judge.has_race_window(&session.client).await;
                    progress.report.race_window = race_window.map_err(|error| Fault::of_stripped(&error, judge))?;
                    progress.report.access_path = path;
                    progress.due_before = progress.report.due;
                    if progress.due_before > 0 && !judge.rule.cascade.is_empty() {
                        progress.cascaded_before = survey::cascaded(&session.client, judge).await?;
                        progress.report.cascaded = progress.cascaded_before;
                    }
                    progress.overdue_before = progress.report.overdue;
                    progress.total = counts.total;
                    progress.oldest_kept = survey::age(counts.oldest_kept, judge);
                    progress.anchor = anchor;
                    progress.counted = true;
                    tracing::info!(rule = judge.rule.name, due = progress.due_before, "counted");
                }
                Err(Fault::Problem(problem)) => progress.report.problem = Some(problem),
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    async fn judge_limits(&mut self, session: &Session, judges: &[Option<Judge<'_>>]) -> Result<(), Fault> {
        if self.within_limits {
            return Ok(());
        }
        let limits = &self.plan.limits;
        let mut wanted = Vec::new();
        for (judge, progress) in judges.iter().zip(&mut self.progress) {
            let Some(judge) = judge else { continue };
            if progress.report.problem.is_some() || judge.rule.action == Action::Protect {
                continue;
            }
            let due = progress.due_before;
            let estimated = judge.table.estimated_rows;
            let total = match progress.total {
                Some(total) => total,
                None if limits::needs_total(limits, due, estimated, judge.clock.now) => {
                    survey::total(&session.client, judge).await?
                }
                // Far enough below the limit that any plausible size will do.
                None => i64::MAX / 200,
            };
            wanted.push(Wanted {
                rule: judge.rule.name.clone(),
                due,
                along: progress.cascaded_before,
                total,
            });
        }
        let now = self.clock.as_ref().map_or(Timestamp::MAX, |clock| clock.now);
        limits::judge(limits, &wanted, now)?;
        self.within_limits = true;
        Ok(())
    }

    /// Deletes first, then masks, then sets.
    async fn sweep(&mut self, session: &Session, judges: &[Option<Judge<'_>>], keys: &MaskKeys) -> Result<(), Fault> {
        let mut order: Vec<usize> = (0..judges.len()).collect();
        order.sort_by_key(|index| match &self.plan.rules[*index] {
            // The newest are counted among the rows that other rules leave.
            rule if rule.action == Action::Delete => u8::from(rule.keep_newest.is_some()),
            rule if matches!(rule.action, Action::Mask(_)) => 2,
            rule if matches!(rule.action, Action::Set(_)) => 3,
            _ => 4,
        });
        for index in order {
            let (Some(judge), progress) = (&judges[index], &mut self.progress[index]) else {
                continue;
            };
            let nothing = progress.swept || progress.due_before == 0 || judge.rule.action == Action::Protect;
            if nothing || progress.report.problem.is_some() {
                continue;
            }
            let keys = match keys.of_rule(judge) {
                Ok(keys) => keys,
                Err(problem) => {
                    without_key(session, judge, self.guard, progress, problem).await?;
                    continue;
                }
            };
            if !progress.begun {
                progress.begun = true;
                progress.report.cascaded = 0;
            }
            match sweep_rule(session, judge, &keys, (self.guard, self.live), progress).await {
                Ok(()) => progress.swept = true,
                Err(Fault::Problem(problem)) => progress.report.problem = Some(problem),
                Err(Fault::Lost(problem)) => {
                    progress.report.inexact = true;
                    return Err(Fault::Lost(problem));
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// How far the rows are that each rule disposed of, where nothing is left of it to do.
    async fn tell_levels(
        &mut self,
        session: &Session,
        judges: &[Option<Judge<'_>>],
        keys: &MaskKeys,
    ) -> Result<(), Fault> {
        for (judge, progress) in judges.iter().zip(&mut self.progress) {
            let Some(judge) = judge else { continue };
            if progress.report.problem.is_none() && progress.report.due == 0 {
                progress.report.level = keys.level(&session.client, judge).await?;
            }
        }
        Ok(())
    }

    async fn leave_evidence(&mut self, session: &Session) -> Result<(), Fault> {
        if !session.ledger {
            return Ok(());
        }
        let totals = self.totals();
        let fault = |error: super::connection::StoreError| {
            let problem = error.problem("privacy_operator.ledger");
            if error.lost {
                Fault::Lost(problem)
            } else {
                Fault::Problem(problem)
            }
        };
        if totals == Totals::default() {
            self.ledger = Some(ledger::read(&session.client, self.plan).await.map_err(fault)?);
            return Ok(());
        }
        let report = serde_json::to_string(&self.evidence()).unwrap_or_default();
        let line = Line {
            run: self.name,
            plan_hash: self.plan_hash,
            totals,
            report: &report,
        };
        self.ledger = Some(
            ledger::append(&session.client, self.plan, &line, &mut self.line)
                .await
                .map_err(fault)?,
        );
        Ok(())
    }

    fn evidence(&self) -> Evidence {
        let rule = |(rule, progress): (&PlannedRule, &RuleProgress)| RuleEvidence {
            name: rule.name.clone(),
            affected: progress.report.affected,
            cascaded: progress.report.cascaded,
            due: progress.report.due,
            held: progress.report.held,
            due_starts: progress.report.due_starts.clone(),
        };
        Evidence {
            generation: self.plan.generation,
            store_time: self.clock.as_ref().map_or(Timestamp::MIN, |clock| clock.now),
            rules: self.plan.rules.iter().zip(&self.progress).map(rule).collect(),
        }
    }

    fn affected(&self) -> i64 {
        self.progress.iter().map(|progress| progress.report.affected).sum()
    }

    fn due_before(&self) -> i64 {
        self.progress.iter().map(|progress| progress.due_before).sum()
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for (rule, progress) in self.plan.rules.iter().zip(&self.progress) {
            let sum = match rule.action {
                Action::Delete => &mut totals.deleted,
                Action::Mask(_) => &mut totals.masked,
                Action::Set(_) => &mut totals.set,
                Action::Protect => continue,
            };
            *sum += progress.report.affected;
            if progress.begun {
                *sum += progress.report.cascaded;
            }
        }
        totals
    }

    fn report(self, started_at: Timestamp, finished_at: Timestamp, fault: Option<Fault>) -> WorkReport {
        let problem = fault.map(|fault| match fault {
            Fault::Lost(problem) | Fault::Problem(problem) => problem,
            Fault::Stop(reason) => Problem::new(reason, "", ""),
        });
        let due = self.due_before();
        let failed = |problem: &Problem| problem.reason != Reason::RowsLocked;
        let result = match problem.as_ref().map(|problem| problem.reason) {
            Some(Reason::StoppedByHand | Reason::LimitExceeded) => RunResult::Halted,
            Some(Reason::DeadlineReached | Reason::Interrupted) => RunResult::Done,
            Some(_) => RunResult::Failed,
            None if self
                .progress
                .iter()
                .any(|progress| progress.report.problem.as_ref().is_some_and(failed)) =>
            {
                RunResult::Failed
            }
            None if due == 0 && self.progress.iter().all(|progress| progress.report.problem.is_none()) => {
                RunResult::NothingDue
            }
            None => RunResult::Done,
        };
        WorkReport {
            version: contract::VERSION,
            plan_hash: self.plan_hash.to_owned(),
            mode: self.task.mode,
            generation: self.plan.generation,
            result,
            started_at,
            finished_at,
            server_version: self.server_version,
            rules: self.progress.into_iter().map(|progress| progress.report).collect(),
            ledger: self.ledger,
            problem,
        }
    }
}

/// What stays of a rule without a key. Nothing may be left: another rule may have deleted what was due.
async fn without_key(
    session: &Session,
    judge: &Judge<'_>,
    guard: &Guard,
    progress: &mut RuleProgress,
    mut problem: Problem,
) -> Result<(), Fault> {
    let (counts, ..) = count::patiently(session, judge, guard, Mode::Enforce).await?;
    progress.report.due = counts.report.due;
    progress.report.overdue = counts.report.overdue;
    if counts.report.due == 0 {
        progress.swept = true;
        return Ok(());
    }
    problem.detail = format!("{} rows are due; {}", counts.report.due, problem.detail);
    progress.report.problem = Some(problem);
    Ok(())
}

/// Sweeps a rule and counts what had to stay.
async fn sweep_rule(
    session: &Session,
    judge: &Judge<'_>,
    keys: &[HashKey],
    (guard, live): (&Guard, &Progress),
    progress: &mut RuleProgress,
) -> Result<(), Fault> {
    session.lock_table(judge.table.oid, &judge.field("dataset")).await?;
    let mut sweep = Sweep::new(&session.client, judge, keys, guard, live);
    let swept = sweep.run(progress.anchor.as_ref()).await;
    // Rows that a crash may have brought back are counted when they go again.
    let (affected, along) = match &swept {
        Err(Fault::Lost(_)) => sweep.durable.rows,
        _ => (sweep.affected, sweep.along),
    };
    progress.report.affected += affected;
    progress.report.cascaded += along;
    let locked = std::mem::take(&mut sweep.locked);
    // What was counted and not disposed of is still due, until a complete pass tells better. The oldest went first.
    progress.report.due = (progress.due_before - progress.report.affected).max(0);
    progress.report.overdue = (progress.overdue_before - progress.report.affected)
        .max(0)
        .min(progress.report.due);
    let rows_left = sweep.rows_left;
    swept?;
    let (due, overdue) = if rows_left {
        let left = newest::count(&session.client, judge).await?.report;
        (left.due, left.overdue)
    } else {
        survey::left_in(&session.client, judge, &locked).await?
    };
    progress.report.due = due;
    progress.report.overdue = overdue;
    if due == 0 && judge.rule.action == Action::Delete {
        progress.report.oldest_seconds = progress.oldest_kept;
    }
    if due > 0 {
        let detail = format!("{due} due rows stayed locked by other sessions");
        progress.report.problem = Some(Problem::new(Reason::RowsLocked, judge.field("dataset"), detail));
    }
    Ok(())
}
