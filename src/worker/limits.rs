//! What a run may touch at most. Judged before the first write.

use jiff::Timestamp;

use crate::contract::{PlannedLimits, Problem, Reason};

/// What a rule would touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Name of the rule.
    pub rule: String,
    /// Rows that are due.
    pub due: i64,
    /// Rows of other tables that would go with them.
    pub along: i64,
    /// Rows of its table.
    pub total: i64,
}

/// Whether the percentage of a rule can only be judged with the exact size of its table.
#[must_use]
pub fn needs_total(limits: &PlannedLimits, due: i64, estimated: f64, now: Timestamp) -> bool {
    if due == 0 || is_approved(limits, due, now) {
        return false;
    }
    // Half of the estimate is a wide margin for stale statistics; negative means that there are none.
    #[allow(
        clippy::cast_precision_loss,
        reason = "a margin of one half does not need the last digit"
    )]
    let clearly_below = (due as f64) * 100.0 < estimated * 0.5 * (limits.max_percent as f64);
    !clearly_below
}

fn is_approved(limits: &PlannedLimits, rows: i64, now: Timestamp) -> bool {
    limits
        .approved
        .as_ref()
        .is_some_and(|approved| now < approved.until && rows <= approved.up_to_rows)
}

/// Refuses a run that would touch more than the policy expects, with the numbers.
pub fn judge(limits: &PlannedLimits, wanted: &[Wanted], now: Timestamp) -> Result<(), Problem> {
    let rows: i64 = wanted
        .iter()
        .map(|wanted| wanted.due.saturating_add(wanted.along))
        .fold(0, i64::saturating_add);
    if is_approved(limits, rows, now) {
        return Ok(());
    }
    let approved = match &limits.approved {
        Some(approved) if now < approved.until => format!(", and approve.upToRows is {}", approved.up_to_rows),
        Some(_) => ", and the approval has expired".to_owned(),
        None => String::new(),
    };
    let exceeded = |limit: String| {
        let detail = format!("would touch {rows} rows, {limit}{approved}");
        Err(Problem::new(Reason::LimitExceeded, "spec.limits", detail))
    };
    if let Some(most) = limits.max_rows
        && rows > most
    {
        return exceeded(format!("limits.maxRows is {most}"));
    }
    for Wanted { rule, due, total, .. } in wanted {
        let over = due.saturating_mul(100) > total.saturating_mul(limits.max_percent);
        if *total >= limits.percent_from && over {
            return exceeded(format!(
                "rule {rule} {due} of the {total} in its table, limits.maxPercent is {}",
                limits.max_percent
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Approved;

    fn limits(max_rows: Option<i64>, approved: Option<(i64, &str)>) -> PlannedLimits {
        PlannedLimits {
            max_rows,
            max_percent: 25,
            percent_from: 200,
            approved: approved.map(|(up_to_rows, until)| Approved {
                up_to_rows,
                until: until.parse().unwrap(),
            }),
        }
    }

    fn wanted(due: i64, total: i64) -> Vec<Wanted> {
        vec![Wanted {
            rule: "logs".to_owned(),
            due,
            along: 0,
            total,
        }]
    }

    fn now() -> Timestamp {
        "2026-05-01T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn rows_and_percent_are_limited() {
        assert!(judge(&limits(Some(50), None), &wanted(50, 1000), now()).is_ok());
        let problem = judge(&limits(Some(50), None), &wanted(51, 1000), now()).unwrap_err();
        assert_eq!(problem.detail, "would touch 51 rows, limits.maxRows is 50");
        assert!(judge(&limits(None, None), &wanted(250, 1000), now()).is_ok());
        assert!(judge(&limits(None, None), &wanted(251, 1000), now()).is_err());
    }

    #[test]
    fn rows_that_go_with_others_are_counted_by_rows_and_not_by_percent() {
        let mut wanted = wanted(40, 1000);
        wanted[0].along = 10;
        assert!(judge(&limits(Some(50), None), &wanted, now()).is_ok());
        wanted[0].along = 11;
        assert!(judge(&limits(Some(50), None), &wanted, now()).is_err());
        assert!(judge(&limits(None, None), &wanted, now()).is_ok());
    }

    #[test]
    fn small_tables_are_not_judged_by_percent() {
        assert!(judge(&limits(None, None), &wanted(199, 199), now()).is_ok());
        assert!(judge(&limits(None, None), &wanted(200, 200), now()).is_err());
    }

    #[test]
    fn an_approval_counts_up_to_its_rows_and_its_date() {
        let valid = limits(Some(10), Some((900, "2026-05-02T00:00:00Z")));
        assert!(judge(&valid, &wanted(900, 1000), now()).is_ok());
        assert!(judge(&valid, &wanted(901, 1000), now()).is_err());
        let expired = limits(Some(10), Some((900, "2026-05-01T12:00:00Z")));
        let problem = judge(&expired, &wanted(900, 1000), now()).unwrap_err();
        assert!(problem.detail.ends_with("the approval has expired"));
    }

    #[test]
    fn the_exact_size_is_asked_for_only_where_it_matters() {
        let limits = limits(None, None);
        assert!(!needs_total(&limits, 0, -1.0, now()));
        assert!(needs_total(&limits, 1, -1.0, now()));
        assert!(!needs_total(&limits, 100, 1000.0, now()));
        assert!(needs_total(&limits, 130, 1000.0, now()));
    }
}
