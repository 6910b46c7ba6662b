//! Policies that are deleted: each leaves a last report in the log, and an event. There is no finalizer for that: it would keep
//! a namespace from going when the operator is uninstalled. What is deleted while no operator runs leaves its ledger only.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;

use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Event, watcher};
use kube::{Resource as _, ResourceExt as _};

use super::context::GuardedPolicy;
use super::run::watched;
use super::{Context, events};
use crate::api::DataRetentionPolicy;
use crate::contract::evidence::Withdrawal;
use crate::plan::withdrawal;

/// What was last known of every policy, by uid: a policy may go while the watch is interrupted, and nothing tells of it then.
#[derive(Default)]
struct Known {
    last: BTreeMap<String, Withdrawal>,
    /// Those of a list that is under way.
    listed: BTreeSet<String>,
}

impl Known {
    /// Takes in what happened. The policies that went.
    fn take(&mut self, event: Event<GuardedPolicy>) -> Vec<Withdrawal> {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(policy) => {
                self.listed.insert(policy.uid().unwrap_or_default());
                self.learn(policy);
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let gone = self.last.extract_if(.., |uid, _| !listed.contains(uid));
                return gone.map(|(_, last)| last).collect();
            }
            Event::Apply(policy) => self.learn(policy),
            Event::Delete(policy) => {
                let uid = policy.uid().unwrap_or_default();
                self.learn(policy);
                return self.last.remove(&uid).into_iter().collect();
            }
        }
        Vec::new()
    }

    /// A policy that cannot be understood is remembered as it was when it could.
    fn learn(&mut self, policy: GuardedPolicy) {
        if let Ok(policy) = policy.0 {
            let last = withdrawal::withdrawal(&policy);
            self.last.insert(last.policy_uid.clone(), last);
        }
    }
}

/// Watches one scope.
pub async fn watch(api: Api<GuardedPolicy>, context: Arc<Context>) {
    let mut events = pin!(watcher(api, watched()).default_backoff());
    let mut known = Known::default();
    loop {
        match events.try_next().await {
            Ok(Some(event)) => {
                for last in known.take(event) {
                    report(&context, &last).await;
                }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "the watch of deleted policies was interrupted; it is taken up again");
            }
        }
    }
}

async fn report(context: &Context, last: &Withdrawal) {
    let json = serde_json::to_string(last).unwrap_or_default();
    tracing::warn!(
        policy = last.policy,
        withdrawal = json,
        "a policy was deleted: its promises are kept no more"
    );
    let (namespace, name) = last.policy.split_once('/').unwrap_or_default();
    let reference = ObjectReference {
        api_version: Some(DataRetentionPolicy::api_version(&()).into_owned()),
        kind: Some(DataRetentionPolicy::kind(&()).into_owned()),
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        uid: Some(last.policy_uid.clone()),
        ..ObjectReference::default()
    };
    events::publish(context, &reference, withdrawal::event(last)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixtures;

    fn policy(name: &str) -> GuardedPolicy {
        let mut policy = fixtures::policy();
        policy.metadata.name = Some(name.to_owned());
        policy.metadata.uid = Some(format!("uid-of-{name}"));
        serde_json::from_value(serde_json::to_value(policy).unwrap()).unwrap()
    }

    #[test]
    fn a_policy_that_went_is_told_once_also_when_it_went_unseen() {
        let mut known = Known::default();
        for name in ["a", "b", "c"] {
            assert!(known.take(Event::Apply(policy(name))).is_empty());
        }
        let gone = known.take(Event::Delete(policy("a")));
        assert_eq!(gone.len(), 1);
        assert_eq!(gone[0].policy, "shop/a");
        assert_eq!(gone[0].rules[0], "seven-days");
        // The watch began anew, and the list lacks one.
        known.take(Event::Init);
        known.take(Event::InitApply(policy("c")));
        let gone = known.take(Event::InitDone);
        assert_eq!(
            gone.iter().map(|last| last.policy.as_str()).collect::<Vec<_>>(),
            ["shop/b"]
        );
        known.take(Event::Init);
        known.take(Event::InitApply(policy("c")));
        assert!(known.take(Event::InitDone).is_empty());
    }
}
