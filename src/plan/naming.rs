//! Names and labels of child objects: deterministic, and short enough for every policy name.
//!
//! A CronJob's name may have 52 characters, because Kubernetes adds a time to it for each Job; a label's value may have
//! 63. A policy's name may have 253. A longer name is cut and gets the hash of the whole name instead of its end, so
//! that two policies never meet.

use crate::domain::hash;

/// Longest name of a child. The CronJob sets it; the others keep to it too.
const LONGEST_NAME: usize = 52;
/// Longest value of a label.
const LONGEST_LABEL: usize = 63;

/// Label: name of the software.
pub const LABEL_NAME: &str = "app.kubernetes.io/name";
/// Label: who made the object.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Label: what the object does.
pub const LABEL_COMPONENT: &str = "app.kubernetes.io/component";
/// Label: the policy, see [`label_value`].
pub const LABEL_POLICY: &str = "privacy-operator.dev/policy";
/// Label: the `DataSource` that a survey is about, see [`label_value`].
pub const LABEL_SOURCE: &str = "privacy-operator.dev/data-source";
/// Component of everything that belongs to a survey.
pub const SURVEY: &str = "survey";
/// Label: hash of the work plan.
pub const LABEL_PLAN: &str = "privacy-operator.dev/plan";
/// Label: hash of rules, store and datasets.
pub const LABEL_RULES: &str = "privacy-operator.dev/rules";
/// Label of a work plan: which store it is about, see [`super::sharing::store_key`].
pub const LABEL_STORE: &str = "privacy-operator.dev/store";
/// Annotation of a work plan: uids of the holds that it knows, separated by commas.
pub const ANNOTATION_HOLDS: &str = "privacy-operator.dev/holds";
/// Component of a work plan.
pub const WORK_PLAN: &str = "work-plan";
/// Annotation: names of the rules in the order of the work plan.
pub const ANNOTATION_RULE_NAMES: &str = "privacy-operator.dev/rule-names";
/// Annotation: hash of the object as it was last applied.
pub const ANNOTATION_APPLIED_HASH: &str = "privacy-operator.dev/applied-hash";
/// Value of [`LABEL_NAME`] and [`LABEL_MANAGED_BY`].
pub const APPLICATION: &str = "privacy-operator";
/// Kubernetes puts the name of a Job on its pods under this label.
pub const LABEL_JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// Selects everything that this operator made.
#[must_use]
pub fn managed_selector() -> String {
    format!("{LABEL_MANAGED_BY}={APPLICATION}")
}

/// Labels of what the encryption of the cluster keeps. No policy owns it.
#[must_use]
pub fn encryption_labels() -> std::collections::BTreeMap<String, String> {
    [(LABEL_NAME, APPLICATION), (LABEL_COMPONENT, "encryption")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Selects everything that belongs to one policy.
#[must_use]
pub fn policy_selector(policy: &str) -> String {
    format!(
        "{LABEL_MANAGED_BY}={APPLICATION},{LABEL_POLICY}={}",
        label_value(policy)
    )
}

/// Name of the CronJob.
#[must_use]
pub fn cron_job(policy: &str) -> String {
    compose(policy, "")
}

/// Name of the `ConfigMap` with the work plan.
#[must_use]
pub fn config_map(policy: &str, plan_hash: &str) -> String {
    compose(policy, &format!("-{plan_hash}"))
}

/// Name of the Job of the first look at a set of rules.
#[must_use]
pub fn first_look(policy: &str, rules_hash: &str) -> String {
    compose(policy, &format!("-look-{rules_hash}"))
}

/// Name of the `NetworkPolicy`.
#[must_use]
pub fn network_policy(policy: &str) -> String {
    compose(policy, "-worker")
}

/// Selects everything that belongs to surveys.
#[must_use]
pub fn survey_selector() -> String {
    format!("{LABEL_MANAGED_BY}={APPLICATION},{LABEL_COMPONENT}={SURVEY}")
}

/// Selects everything that belongs to the survey of one `DataSource`.
#[must_use]
pub fn source_selector(source: &str) -> String {
    format!("{},{LABEL_SOURCE}={}", survey_selector(), label_value(source))
}

/// Name of the CronJob of a survey.
#[must_use]
pub fn survey_cron_job(source: &str) -> String {
    compose_with("dsrc-", source, "")
}

/// Name of the `ConfigMap` with the plan of a survey.
#[must_use]
pub fn survey_config_map(source: &str, plan_hash: &str) -> String {
    compose_with("dsrc-", source, &format!("-{plan_hash}"))
}

/// Name of the Job that carries out a plan of a survey at once.
#[must_use]
pub fn survey_first_look(source: &str, plan_hash: &str) -> String {
    compose_with("dsrc-", source, &format!("-look-{plan_hash}"))
}

/// Name of the `NetworkPolicy` of a survey.
#[must_use]
pub fn survey_network_policy(source: &str) -> String {
    compose_with("dsrc-", source, "-worker")
}

/// The policy's name as the value of a label.
#[must_use]
pub fn label_value(policy: &str) -> String {
    shorten(policy, LONGEST_LABEL)
}

/// `drp-<policy><suffix>`. The suffix is always kept whole. Dots of a policy's name become hyphens: the names of pods
/// come from these, and a host name with a dot is refused in some places.
fn compose(policy: &str, suffix: &str) -> String {
    compose_with("drp-", policy, suffix)
}

fn compose_with(prefix: &str, policy: &str, suffix: &str) -> String {
    let room = LONGEST_NAME - prefix.len() - suffix.len();
    let body = if policy.contains('.') {
        let flat = format!("{}-{}", policy.replace('.', "-"), hash::short(policy.as_bytes()));
        if flat.len() <= room {
            flat
        } else {
            cut(&policy.replace('.', "-"), policy, room)
        }
    } else {
        shorten(policy, room)
    };
    format!("{prefix}{body}{suffix}")
}

fn shorten(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        text.to_owned()
    } else {
        cut(text, text, longest)
    }
}

/// The beginning of `text` and the hash of `whole`. Names of Kubernetes objects are ASCII.
fn cut(text: &str, whole: &str, longest: usize) -> String {
    let hash = hash::short(whole.as_bytes());
    let head: String = text.chars().take(longest - hash.len() - 1).collect();
    format!("{}-{hash}", head.trim_end_matches(['-', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest() -> String {
        "a".repeat(253)
    }

    #[test]
    fn names_are_readable_where_they_fit() {
        assert_eq!(cron_job("logs"), "drp-logs");
        assert_eq!(config_map("logs", "0123456789"), "drp-logs-0123456789");
        assert_eq!(first_look("logs", "0123456789"), "drp-logs-look-0123456789");
        assert_eq!(network_policy("logs"), "drp-logs-worker");
        assert_eq!(label_value("logs"), "logs");
    }

    #[test]
    fn a_policy_name_of_253_characters_still_gives_names_that_kubernetes_takes() {
        let policy = longest();
        for name in [
            cron_job(&policy),
            config_map(&policy, "0123456789"),
            first_look(&policy, "0123456789"),
            network_policy(&policy),
        ] {
            assert!(name.len() <= LONGEST_NAME, "{name}");
        }
        assert!(label_value(&policy).len() <= LONGEST_LABEL);
        assert!(first_look(&policy, "0123456789").ends_with("-0123456789"));
    }

    #[test]
    fn two_policies_never_share_a_name() {
        let (mut first, mut second) = (longest(), longest());
        first.push('b');
        second.push('c');
        assert_ne!(cron_job(&first), cron_job(&second));
        assert_ne!(label_value(&first), label_value(&second));
        assert_ne!(cron_job("a.b"), cron_job("a-b"));
    }

    #[test]
    fn a_cut_never_leaves_a_hyphen_or_dot_before_the_hash() {
        let policy = format!("{}-.-{}", "a".repeat(35), "b".repeat(60));
        let name = cron_job(&policy);
        assert!(!name.contains("--") && !name.contains('.'), "{name}");
    }
}
