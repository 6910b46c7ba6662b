//! Counts what is due by a rule before anything is written, by the cheapest way that tells all, and chooses the way of the
//! sweep.

use std::time::Duration;

use super::anchor::Anchor;
use super::guard::Guard;
use super::judge::Judge;
use super::session::Session;
use super::sweep::Fault;
use super::{literals, newest, survey};
use crate::contract::{Action, Mode, Reason};
use crate::report::AccessPath;

/// A table that is locked as a whole is counted again so often.
const ATTEMPTS: u32 = 16;
const PAUSE: Duration = Duration::from_millis(400);

/// An index is worth its random reads where the heap follows it, or where little is due.
const GOOD_CORRELATION: f64 = 0.9;
const SMALL_FRACTION: f64 = 0.03;

/// Counts a rule. A lock on the whole table is waited for: without a count there is no sweep.
pub async fn patiently(
    session: &Session,
    judge: &Judge<'_>,
    guard: &Guard,
    mode: Mode,
) -> Result<(survey::Counts, Option<Anchor>, Option<AccessPath>), Fault> {
    for _ in 0..ATTEMPTS {
        match count(session, judge, guard, mode).await {
            Err(Fault::Problem(problem)) if problem.reason == Reason::RowsLocked => {}
            other => return other,
        }
        if let Some(reason) = guard.stop() {
            return Err(Fault::Stop(reason));
        }
        tokio::time::sleep(PAUSE).await;
    }
    count(session, judge, guard, mode).await
}

/// Counts a rule: along an index where it alone answers, else over the whole table. Chooses the way of the sweep.
async fn count(
    session: &Session,
    judge: &Judge<'_>,
    guard: &Guard,
    mode: Mode,
) -> Result<(survey::Counts, Option<Anchor>, Option<AccessPath>), Fault> {
    literals::check(&session.client, judge).await?;
    let mut anchor = judge.anchor()?;
    let counts = match &mut anchor {
        _ if judge.rule.keep_newest.is_some() => newest::count(&session.client, judge).await?,
        Some(anchor) if anchor.alone && mode == Mode::Enforce => {
            survey::along_index(&session.client, judge, anchor, guard).await?
        }
        _ => survey::all(&session.client, judge, guard).await?,
    };
    let anchor = anchor.filter(|anchor| {
        #[allow(clippy::cast_precision_loss, reason = "a fraction does not need the last digit")]
        let fraction = counts.report.due as f64 / judge.table.estimated_rows.max(1.0);
        anchor
            .correlation
            .is_none_or(|correlation| correlation.abs() > GOOD_CORRELATION)
            || fraction < SMALL_FRACTION
    });
    let path = match (&anchor, &judge.rule.action) {
        (_, Action::Protect) => None,
        (Some(_), _) => Some(AccessPath::Index),
        (None, _) => Some(AccessPath::Pages),
    };
    Ok((counts, anchor, path))
}
