//! A validated policy becomes a work plan: deterministic text, so that its hash is its identity.

use jiff::Timestamp;

use super::reasons;
use super::relations::Related;
use super::validate::approval_date;
use super::validated::{Approval, Invalid, RulesIdentity, Validated, ValidatedRule};
use crate::api::DataRetentionPolicy;
use crate::api::data_retention_policy::{Bound, Ground};
use crate::contract::{
    Action, Approved, PlannedCascade, PlannedGround, PlannedLimits, PlannedNewest, PlannedRule, VERSION, WorkPlan,
};
use crate::domain::hash;

/// Largest work plan, in bytes. A `ConfigMap` takes 1 MiB, its metadata included.
const LARGEST_PLAN: usize = 900 * 1024;

/// A policy with everything that is to be applied for it.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The policy.
    pub validated: Validated,
    /// Which rules these are.
    pub rules: RulesIdentity,
    /// Whether a backlog is approved.
    pub approval: Approval,
    /// What the worker gets.
    pub work_plan: WorkPlan,
    /// The same as text.
    pub json: String,
    /// Hash of the text.
    pub plan_hash: String,
}

impl Planned {
    /// At least one rule does something.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.validated.rules.iter().any(|rule| rule.too_coarse.is_none())
    }

    /// Names of the rules in the order of the work plan, separated by commas.
    #[must_use]
    pub fn rule_names(&self) -> String {
        let names: Vec<&str> = self.work_plan.rules.iter().map(|rule| rule.name.as_str()).collect();
        names.join(",")
    }
}

/// Plans a validated policy.
pub fn plan(policy: &DataRetentionPolicy, validated: Validated, now: Timestamp) -> Result<Planned, Invalid> {
    let rules = rules_identity(policy, &validated);
    let approval = approval(policy, &rules, &validated, now);
    let limits = &policy.spec.limits;
    let work_plan = WorkPlan {
        version: VERSION,
        namespace: validated.namespace.clone(),
        policy: validated.name.clone(),
        policy_uid: validated.uid.clone(),
        rules_hash: rules.hash.clone(),
        generation: Some(rules.generation).filter(|generation| *generation > 0),
        mode: policy.spec.mode,
        time_zone: validated.time_zone.clone(),
        store: validated.store.clone(),
        credentials_secret: validated.credentials_secret.clone(),
        limits: PlannedLimits {
            max_rows: limits.max_rows,
            max_percent: i64::from(limits.max_percent),
            percent_from: limits.percent_from,
            approved: match &approval {
                Approval::InForce(approved) => Some(approved.clone()),
                Approval::None | Approval::Refused(_) => None,
            },
        },
        active_deadline_seconds: worker_deadline(validated.active_deadline_seconds),
        slack_seconds: validated.slack_seconds,
        rules: validated.rules.iter().filter_map(runnable).collect(),
        protections: protections(&validated),
        holds: validated.holds.holds.clone(),
        declared: validated.declared.clone(),
    };
    let json = to_json(&work_plan);
    if json.len() > LARGEST_PLAN {
        return Err(Invalid::new(
            reasons::PLAN_TOO_LARGE,
            "spec.rules",
            format!(
                "the work plan has {} KiB, and 900 KiB fit; split the policy, or list fewer values",
                json.len() / 1024
            ),
        ));
    }
    Ok(Planned {
        plan_hash: hash::short(json.as_bytes()),
        validated,
        rules,
        approval,
        work_plan,
        json,
    })
}

/// The worker ends itself before Kubernetes ends its Job: a pod that is killed at the Job's deadline is deleted, and
/// its report with it.
fn worker_deadline(job_deadline_seconds: i64) -> i64 {
    job_deadline_seconds - (job_deadline_seconds / 10).clamp(10, 60)
}

fn to_json<T: serde::Serialize>(value: &T) -> String {
    // These types have string keys and finite numbers only: serialisation cannot fail.
    serde_json::to_string(value).unwrap_or_default()
}

/// Rules, store and datasets, and nothing that only says when and how much: an approval stays in force when the
/// schedule changes, a first look is not repeated.
fn rules_identity(policy: &DataRetentionPolicy, validated: &Validated) -> RulesIdentity {
    let rules: Vec<PlannedRule> = validated
        .rules
        .iter()
        .map(|rule| PlannedRule {
            within_seconds: 0,
            ..planned_rule(rule)
        })
        .collect();
    let hash = hash::short(to_json(&(&validated.store, &validated.time_zone, &rules)).as_bytes());
    let current = policy.metadata.generation.unwrap_or_default();
    let known = policy
        .status
        .as_ref()
        .filter(|status| status.rules_hash.as_deref() == Some(&hash))
        .and_then(|status| status.rules_generation);
    RulesIdentity {
        hash,
        generation: known.unwrap_or(current),
    }
}

fn approval(policy: &DataRetentionPolicy, rules: &RulesIdentity, validated: &Validated, now: Timestamp) -> Approval {
    let Some(approve) = &policy.spec.approve else {
        return Approval::None;
    };
    let current = policy.metadata.generation.unwrap_or_default();
    if approve.generation < rules.generation {
        return Approval::Refused(format!(
            "spec.approve does not count: it is about generation {}, and the rules changed in generation {}; look at them again and set spec.approve.generation to {current}",
            approve.generation, rules.generation
        ));
    }
    if approve.generation > current {
        return Approval::Refused(format!(
            "spec.approve does not count: generation {} does not exist yet; set spec.approve.generation to {current}",
            approve.generation
        ));
    }
    let until = approval_date(&approve.until)
        .ok()
        .and_then(|day| day.tomorrow().ok())
        .and_then(|day| day.to_zoned(validated.zone.clone()).ok())
        .map(|start| start.timestamp());
    match until {
        Some(until) if now < until => Approval::InForce(Approved {
            up_to_rows: approve.up_to_rows,
            until,
        }),
        _ => Approval::Refused(format!(
            "spec.approve does not count: it ended with {}; remove it, or set a later day in spec.approve.until",
            approve.until
        )),
    }
}

/// The rule as the worker gets it. A rule that the schedule is too coarse for does not run, but what protects rows
/// from the other rules of its table still does.
fn runnable(rule: &ValidatedRule) -> Option<PlannedRule> {
    let planned = planned_rule(rule);
    if rule.too_coarse.is_none() {
        return Some(planned);
    }
    protecting(planned)
}

/// What protects rows from rules of other names: the Minimum grounds, and the Exact ones of a rule that deletes or only
/// protects.
fn protecting(rule: PlannedRule) -> Option<PlannedRule> {
    let exact = matches!(rule.action, Action::Delete | Action::Protect);
    let grounds: Vec<PlannedGround> = rule
        .grounds
        .into_iter()
        .filter(|ground| ground.bound == Bound::Minimum || (exact && ground.bound == Bound::Exact))
        .collect();
    (!grounds.is_empty()).then_some(PlannedRule {
        action: Action::Protect,
        grounds,
        keep_newest: None,
        cascade: PlannedCascade::default(),
        ..rule
    })
}

/// The grounds of other policies, under names that tell whose they are.
fn protections(validated: &Validated) -> Vec<PlannedRule> {
    let protecting = validated.protections.iter().filter_map(|other| {
        let rule = protecting(planned_rule(&other.rule))?;
        Some(PlannedRule {
            name: format!("{}/{}", other.policy, rule.name),
            time_zone: Some(other.time_zone.clone()).filter(|zone| *zone != validated.time_zone),
            ..rule
        })
    });
    protecting.collect()
}

fn planned_rule(rule: &ValidatedRule) -> PlannedRule {
    let spec = &rule.spec;
    let action = match &spec.then {
        None => Action::Protect,
        Some(then) if then.delete.is_some() => Action::Delete,
        Some(then) if !then.mask.is_empty() => Action::Mask(then.mask.clone()),
        Some(then) => Action::Set(then.set.clone()),
    };
    PlannedRule {
        name: spec.name.clone(),
        schema: rule.table.schema.to_string(),
        table: rule.table.name.to_string(),
        column_time_zones: rule.column_time_zones.clone(),
        time_zone: None,
        relations: rule.related.relations.clone(),
        within_seconds: rule.within_seconds,
        rows: spec.rows.clone(),
        grounds: spec
            .keep_while
            .iter()
            .map(|ground| planned_ground(ground, &rule.related))
            .collect(),
        keep_newest: spec.keep_newest.as_ref().map(|newest| PlannedNewest {
            count: newest.count,
            per: newest.per.clone(),
            order_by: newest.order_by.clone(),
            key: rule.key.clone(),
        }),
        cascade: rule.cascade.clone(),
        action,
    }
}

fn planned_ground(ground: &Ground, related: &Related) -> PlannedGround {
    PlannedGround {
        name: ground.name.clone(),
        when: ground.when.clone(),
        exists: related.exists.get(&ground.name).cloned(),
        not_exists: related.not_exists.get(&ground.name).cloned(),
        on_missing_related: ground.on_missing_related,
        from: ground.from.iter().chain(&ground.from_fallback).cloned().collect(),
        begins_later: ground.begins_later,
        period: ground.for_.clone(),
        starts_at: ground.starts_at.unwrap_or_default(),
        until: ground.until.clone(),
        bound: ground.bound(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::data_retention_policy::{Approve, Mode};
    use crate::api::status::DataRetentionPolicyStatus;
    use crate::plan::fixtures;

    fn with_approval(generation: i64, until: &str) -> DataRetentionPolicy {
        let mut policy = fixtures::policy();
        policy.spec.approve = Some(Approve {
            up_to_rows: 1_500_000,
            generation,
            until: until.to_owned(),
        });
        policy
    }

    #[test]
    fn the_work_plan_reads_as_expected() {
        let planned = fixtures::planned(&fixtures::policy());
        insta::assert_yaml_snapshot!(planned.work_plan);
        assert_eq!(planned.plan_hash, hash::short(planned.json.as_bytes()));
        assert_eq!(
            serde_json::from_str::<WorkPlan>(&planned.json).unwrap(),
            planned.work_plan
        );
    }

    #[test]
    fn what_only_says_when_and_how_much_changes_the_plan_but_not_the_rules() {
        let before = fixtures::planned(&fixtures::policy());
        let mut policy = fixtures::policy();
        policy.spec.mode = Mode::Enforce;
        policy.spec.schedule = "*/30 * * * *".to_owned();
        policy.spec.limits.max_rows = Some(7);
        policy.spec.rules[0].within = Some("P3D".to_owned());
        policy.spec.rules[0].promise = None;
        let after = fixtures::planned(&policy);
        assert_eq!(before.rules.hash, after.rules.hash);
        assert_ne!(before.plan_hash, after.plan_hash);
    }

    #[test]
    fn what_changes_which_rows_go_changes_the_rules() {
        let before = fixtures::planned(&fixtures::policy()).rules.hash;
        let changes: [fn(&mut DataRetentionPolicy); 4] = [
            |policy| policy.spec.rules[0].keep_while[0].for_ = Some("P8D".to_owned()),
            |policy| policy.spec.time_zone = "Etc/UTC".to_owned(),
            |policy| policy.spec.rules[1].dataset = "accounts".to_owned(),
            |policy| {
                policy.spec.rules.pop();
            },
        ];
        for change in changes {
            let mut policy = fixtures::policy();
            change(&mut policy);
            assert_ne!(fixtures::planned(&policy).rules.hash, before);
        }
    }

    #[test]
    fn an_approval_of_the_present_rules_is_in_force_until_the_end_of_its_day() {
        let planned = fixtures::planned(&with_approval(3, "2026-12-01"));
        let expected = Approved {
            up_to_rows: 1_500_000,
            until: "2026-12-01T23:00:00Z".parse().unwrap(),
        };
        assert_eq!(planned.work_plan.limits.approved, Some(expected));
    }

    #[test]
    fn an_approval_that_is_too_old_or_expired_or_ahead_does_not_count_and_says_so() {
        for (generation, until, word) in [
            (2, "2026-12-01", "rules changed in generation 3"),
            (4, "2026-12-01", "does not exist yet"),
            (3, "2026-11-21", "ended with 2026-11-21"),
        ] {
            let planned = fixtures::planned(&with_approval(generation, until));
            assert_eq!(planned.work_plan.limits.approved, None);
            assert!(
                matches!(&planned.approval, Approval::Refused(text) if text.contains(word)),
                "{:?}",
                planned.approval
            );
        }
    }

    #[test]
    fn an_approval_outlives_edits_that_leave_the_rules_alone() {
        let mut policy = with_approval(2, "2026-12-01");
        policy.status = Some(DataRetentionPolicyStatus {
            rules_hash: Some(fixtures::planned(&policy).rules.hash),
            rules_generation: Some(1),
            ..DataRetentionPolicyStatus::default()
        });
        assert!(matches!(fixtures::planned(&policy).approval, Approval::InForce(_)));
    }

    #[test]
    fn a_rule_that_the_schedule_is_too_coarse_for_still_protects() {
        let mut policy = fixtures::policy();
        policy.spec.schedule = "@weekly".to_owned();
        let mut minimum = policy.spec.rules[0].keep_while[0].clone();
        minimum.name = "claims".to_owned();
        minimum.bound = Some(Bound::Minimum);
        policy.spec.rules[0].keep_while.push(minimum);
        let planned = fixtures::planned(&policy);
        assert_eq!(planned.rule_names(), "seven-days,addresses");
        assert_eq!(planned.work_plan.rules[0].action, Action::Protect);
        assert_eq!(planned.work_plan.rules[0].grounds.len(), 1);
        assert_eq!(planned.work_plan.rules[0].grounds[0].name, "claims");

        policy.spec.rules[0].keep_while.pop();
        assert_eq!(fixtures::planned(&policy).rule_names(), "addresses");
    }

    #[test]
    fn a_plan_that_does_not_fit_into_a_config_map_is_refused() {
        let mut policy = fixtures::policy();
        let condition = serde_json::json!({"column": "status", "operator": "In", "values": vec!["x".repeat(253); 256]});
        policy.spec.rules[0].rows = vec![serde_json::from_value(condition).unwrap(); 16];
        let validated = fixtures::validated(&policy);
        let error = plan(&policy, validated, fixtures::now()).unwrap_err();
        assert_eq!(error.reason, reasons::PLAN_TOO_LARGE);
    }
}
