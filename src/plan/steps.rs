//! What to do now, from what is wanted and what is live. A plan is never changed under a running sweep: first nothing
//! new may start, then what runs is ended, then its pods are gone, and only then the new plan is applied.

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Goal<'a> {
    /// The plan to be applied. `None`: the policy is invalid, and there is none.
    pub plan: Option<&'a str>,
    /// Runs may start. False: suspended, stopped by hand, or invalid.
    pub runs: bool,
}

/// The CronJob as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveCronJob {
    /// Hash of the plan that its Jobs run.
    pub plan: Option<String>,
    /// Whether it starts Jobs.
    pub suspended: bool,
}

/// A Job as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveJob {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// Hash of the plan that it runs.
    pub plan: Option<String>,
    /// It has ended.
    pub finished: bool,
    /// It is being deleted, in the foreground: it vanishes with its last pod.
    pub deleting: bool,
}

/// A pod that is not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivePod {
    /// Hash of the plan that it runs.
    pub plan: Option<String>,
}

/// The children as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// The CronJob, if there is one of ours.
    pub cron_job: Option<LiveCronJob>,
    /// Every Job of the policy.
    pub jobs: Vec<LiveJob>,
    /// Pods that are not finished.
    pub pods: Vec<LivePod>,
}

/// What to do now, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    /// Suspend the CronJob before anything else.
    pub suspend_first: bool,
    /// Delete these Jobs.
    pub end_jobs: Vec<LiveJob>,
    /// Then wait until they and their pods are gone, and decide again.
    pub wait: bool,
    /// Then apply the children of the plan.
    pub apply: bool,
}

/// Decides what to do now.
#[must_use]
pub fn decide(goal: Goal<'_>, live: &Live) -> Steps {
    let stale = |plan: &Option<String>| !goal.runs || plan.as_deref() != goal.plan;
    let end_jobs: Vec<LiveJob> = live
        .jobs
        .iter()
        .filter(|job| !job.finished && !job.deleting && stale(&job.plan))
        .cloned()
        .collect();
    let ending =
        live.jobs.iter().any(|job| job.deleting && !job.finished) || live.pods.iter().any(|pod| stale(&pod.plan));
    let wait = !end_jobs.is_empty() || ending;
    Steps {
        suspend_first: live
            .cron_job
            .as_ref()
            .is_some_and(|cron_job| !cron_job.suspended && stale(&cron_job.plan)),
        apply: goal.plan.is_some() && !wait,
        end_jobs,
        wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(plan: &str, finished: bool, deleting: bool) -> LiveJob {
        LiveJob {
            name: format!("job-{plan}"),
            uid: format!("uid-{plan}"),
            plan: Some(plan.to_owned()),
            finished,
            deleting,
        }
    }

    fn live(plan: &str, suspended: bool, jobs: Vec<LiveJob>) -> Live {
        Live {
            cron_job: Some(LiveCronJob {
                plan: Some(plan.to_owned()),
                suspended,
            }),
            jobs,
            pods: Vec::new(),
        }
    }

    const RUN_NEW: Goal<'_> = Goal {
        plan: Some("new"),
        runs: true,
    };

    #[test]
    fn a_new_policy_is_applied_at_once() {
        let steps = decide(RUN_NEW, &Live::default());
        assert_eq!(
            steps,
            Steps {
                apply: true,
                ..Steps::default()
            }
        );
    }

    #[test]
    fn a_run_of_the_present_plan_is_left_alone() {
        let steps = decide(RUN_NEW, &live("new", false, vec![job("new", false, false)]));
        assert_eq!((steps.suspend_first, steps.wait, steps.apply), (false, false, true));
        assert!(steps.end_jobs.is_empty());
    }

    #[test]
    fn a_plan_change_suspends_then_ends_then_waits_and_only_then_applies() {
        let first = decide(
            RUN_NEW,
            &live("old", false, vec![job("old", false, false), job("old", true, false)]),
        );
        assert_eq!((first.suspend_first, first.wait, first.apply), (true, true, false));
        assert_eq!(first.end_jobs.len(), 1);

        let second = decide(RUN_NEW, &live("old", true, vec![job("old", false, true)]));
        assert_eq!((second.suspend_first, second.wait, second.apply), (false, true, false));
        assert!(second.end_jobs.is_empty());

        let mut pods_left = live("old", true, Vec::new());
        pods_left.pods = vec![LivePod {
            plan: Some("old".to_owned()),
        }];
        assert!(!decide(RUN_NEW, &pods_left).apply);

        assert!(decide(RUN_NEW, &live("old", true, vec![job("old", true, false)])).apply);
    }

    #[test]
    fn holding_ends_runs_of_the_present_plan_too() {
        let hold = Goal {
            plan: Some("new"),
            runs: false,
        };
        let steps = decide(hold, &live("new", false, vec![job("new", false, false)]));
        assert_eq!(
            (steps.suspend_first, steps.end_jobs.len(), steps.apply),
            (true, 1, false)
        );
        assert!(decide(hold, &live("new", true, Vec::new())).apply);
    }

    #[test]
    fn an_invalid_policy_runs_nothing_and_applies_nothing() {
        let invalid = Goal {
            plan: None,
            runs: false,
        };
        let steps = decide(invalid, &live("old", false, vec![job("old", false, false)]));
        assert_eq!(
            (steps.suspend_first, steps.end_jobs.len(), steps.apply),
            (true, 1, false)
        );
        assert_eq!(decide(invalid, &Live::default()), Steps::default());
    }
}
