//! Whose runs do not know a hold yet. What a plan says of itself stands beside it: the store, and the holds it knows.

use std::collections::BTreeSet;

/// A work plan, as its `ConfigMap` is labelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivePlan {
    /// Its namespace.
    pub namespace: String,
    /// Its hash.
    pub hash: String,
    /// Which store it is about. `None`: it does not say so.
    pub store: Option<String>,
    /// Uids of the holds that it knows.
    pub holds: Vec<String>,
}

/// What can run a plan, now or at its next slot: a `CronJob` that is not suspended, a Job or a pod that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    /// Its namespace.
    pub namespace: String,
    /// Its policy, as it is labelled.
    pub policy: String,
    /// Hash of its plan.
    pub plan: Option<String>,
}

/// Policies, as `namespace/name`, of which something can run on the store without knowing the hold. Whatever cannot be told
/// counts as one of them.
#[must_use]
pub fn waiting_for(uid: &str, store: &str, plans: &[LivePlan], runners: &[Runner]) -> BTreeSet<String> {
    let knows = |runner: &&Runner| {
        let of_runner =
            |plan: &&LivePlan| plan.namespace == runner.namespace && Some(&plan.hash) == runner.plan.as_ref();
        let mut of_runner = plans.iter().filter(of_runner).peekable();
        of_runner.peek().is_some()
            && of_runner.all(|plan| {
                plan.store.as_ref().is_some_and(|other| other != store) || plan.holds.iter().any(|known| known == uid)
            })
    };
    runners
        .iter()
        .filter(|runner| !knows(runner))
        .map(|runner| format!("{}/{}", runner.namespace, runner.policy))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(hash: &str, store: Option<&str>, holds: &[&str]) -> LivePlan {
        LivePlan {
            namespace: "shop".to_owned(),
            hash: hash.to_owned(),
            store: store.map(str::to_owned),
            holds: holds.iter().map(|uid| (*uid).to_owned()).collect(),
        }
    }

    fn runner(plan: Option<&str>) -> Runner {
        Runner {
            namespace: "shop".to_owned(),
            policy: "logs".to_owned(),
            plan: plan.map(str::to_owned),
        }
    }

    fn waits(plans: &[LivePlan], of: Option<&str>) -> bool {
        !waiting_for("hold", "store", plans, &[runner(of)]).is_empty()
    }

    #[test]
    fn a_hold_waits_for_whatever_runs_on_its_store_without_it() {
        let plans = [
            plan("with", Some("store"), &["other", "hold"]),
            plan("without", Some("store"), &["other"]),
            plan("elsewhere", Some("another"), &[]),
            plan("silent", None, &[]),
        ];
        for (of, expected) in [
            ("with", false),
            ("without", true),
            ("elsewhere", false),
            ("silent", true),
        ] {
            assert_eq!(waits(&plans, Some(of)), expected, "{of}");
        }
        assert!(waiting_for("hold", "store", &plans, &[]).is_empty());
    }

    #[test]
    fn a_run_whose_plan_is_not_there_is_waited_for() {
        let elsewhere = LivePlan {
            namespace: "crm".to_owned(),
            ..plan("with", Some("store"), &["hold"])
        };
        assert!(waits(&[], Some("gone")));
        assert!(waits(&[plan("with", Some("store"), &["hold"])], None));
        // A plan of the same hash in another namespace is another plan.
        assert!(waits(&[elsewhere], Some("with")));
    }

    #[test]
    fn each_policy_is_named_once() {
        let found = waiting_for("hold", "store", &[], &[runner(None), runner(Some("x"))]);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["shop/logs"]);
    }
}
