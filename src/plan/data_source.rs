//! What a `DataSource` says of itself: whether its declaration is usable, and how the runs of its policies found it.

use jiff::Timestamp;

use super::conditions::{Judgement, Truth, merge};
use super::reasons;
use super::records::stores;
use super::survey::{
    PlannedSurvey,
    status::{self as surveys, FinishedSurvey},
};
use super::validate::source::check;
use crate::api::data_source::DataSourceStatus;
use crate::api::findings::Finding;
use crate::api::status::StoreStatus;
use crate::api::{DataRetentionPolicy, DataSource, ProcessingActivity};

/// What the status is computed from.
pub struct Inputs<'a> {
    /// The source, with its present status.
    pub source: &'a DataSource,
    /// Policies of its namespace that refer to it.
    pub policies: &'a [&'a DataRetentionPolicy],
    /// The activities of its namespace.
    pub activities: &'a [&'a ProcessingActivity],
    /// Its survey, if one is wanted and possible.
    pub planned: Option<&'a PlannedSurvey>,
    /// The surveys that have ended.
    pub finished: &'a [FinishedSurvey],
    /// What stands in the way of the survey: reason and message.
    pub blocked: Option<(&'static str, String)>,
    /// The time.
    pub now: Timestamp,
}

/// The new status.
#[must_use]
pub fn status(inputs: &Inputs<'_>) -> DataSourceStatus {
    let (source, policies, now) = (inputs.source, inputs.policies, inputs.now);
    let old = source.status.clone().unwrap_or_default();
    let survey = inputs.planned.map_or_else(
        || old.survey.clone().filter(|_| source.spec.survey.is_some()),
        |planned| surveys::status(source, planned, inputs.finished),
    );
    let looked: Option<StoreStatus> = survey
        .as_ref()
        .filter(|survey| survey.tells_of_the_store())
        .map(|survey| StoreStatus {
            looked_at: survey.finished_at.clone(),
            server_version: inputs
                .finished
                .iter()
                .find(|finished| finished.uid == survey.uid)
                .and_then(|finished| finished.report.as_ref()?.server_version.clone()),
            problem: survey.problem.clone(),
        });
    let looks = policies
        .iter()
        .filter_map(|policy| policy.status.as_ref().and_then(|status| status.store.as_ref()))
        .chain(looked.as_ref());
    let newest = looks.clone().max_by_key(|look| look.looked_at.0);
    let newest_reached = looks
        .filter(|look| look.problem.is_none())
        .max_by_key(|look| look.looked_at.0);
    DataSourceStatus {
        observed_generation: source.metadata.generation,
        engine: Some("PostgreSQL".to_owned()),
        server_version: newest_reached
            .and_then(|look| look.server_version.clone())
            .or(old.server_version),
        last_reached_at: newest_reached
            .map(|look| look.looked_at.clone())
            .or(old.last_reached_at),
        datasets: i64::try_from(source.spec.datasets.len()).unwrap_or(i64::MAX),
        policies: i64::try_from(policies.len()).unwrap_or(i64::MAX),
        conditions: merge(
            &old.conditions,
            vec![
                ready(source),
                reachable(newest),
                surveyed(inputs, survey.as_ref()),
                surveys::drift(survey.as_ref()),
                recorded(source, inputs.activities),
            ],
            source.metadata.generation,
            now,
        ),
        survey,
    }
}

fn surveyed(inputs: &Inputs<'_>, survey: Option<&crate::api::data_source::SurveyStatus>) -> Judgement {
    if let Some((reason, message)) = &inputs.blocked {
        return Judgement::new(reasons::SURVEYED, false, reason, message.clone());
    }
    let accepted = inputs.source.metadata.creation_timestamp.as_ref().map(|time| time.0);
    surveys::surveyed(inputs.source, survey, accepted, inputs.now)
}

/// Whether every dataset serves a declared activity.
fn recorded(source: &DataSource, activities: &[&ProcessingActivity]) -> Judgement {
    let found = stores::of_source(source, activities);
    if activities.is_empty() && found.is_empty() {
        return Judgement::new(
            reasons::RECORDED,
            Truth::Unknown,
            reasons::NO_ACTIVITY,
            "this namespace has no ProcessingActivity: what the data is for is not recorded here",
        );
    }
    match found.first() {
        None => Judgement::new(
            reasons::RECORDED,
            true,
            reasons::NOTHING_FOUND,
            "every dataset serves a declared activity",
        ),
        Some(first) => {
            let texts: Vec<String> = found
                .iter()
                .map(|finding: &Finding| format!("{}: {}", finding.field, finding.message))
                .collect();
            let message = format!("{}; {}", texts.join("; "), first.remedy);
            Judgement::new(reasons::RECORDED, false, &first.reason, message)
        }
    }
}

fn ready(source: &DataSource) -> Judgement {
    let mistakes = check(source);
    match mistakes.first() {
        None => Judgement::new(reasons::READY, true, reasons::ACCEPTED, "the declaration is usable"),
        Some(first) => {
            let texts: Vec<String> = mistakes.iter().map(super::validated::Invalid::text).collect();
            Judgement::new(reasons::READY, false, first.reason, texts.join(". "))
        }
    }
}

fn reachable(newest: Option<&StoreStatus>) -> Judgement {
    match newest {
        None => Judgement::new(
            reasons::REACHABLE,
            Truth::Unknown,
            reasons::NO_RUN_YET,
            "no run of a policy and no survey has reported on this store yet",
        ),
        Some(StoreStatus {
            problem: Some(problem), ..
        }) => Judgement::new(reasons::REACHABLE, false, &problem.reason, problem.message.clone()),
        Some(_) => Judgement::new(
            reasons::REACHABLE,
            true,
            reasons::REACHED,
            "the last run reached the store",
        ),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::api::status::{DataRetentionPolicyStatus, ProblemStatus};
    use crate::plan::conditions::find;
    use crate::plan::fixtures;

    fn judged(source: &DataSource, policies: &[&DataRetentionPolicy]) -> DataSourceStatus {
        status(&Inputs {
            source,
            policies,
            activities: &[],
            planned: None,
            finished: &[],
            blocked: None,
            now: fixtures::now(),
        })
    }

    fn policy(at: &str, problem: Option<&str>) -> DataRetentionPolicy {
        let mut policy = fixtures::policy();
        policy.status = Some(DataRetentionPolicyStatus {
            store: Some(StoreStatus {
                looked_at: Time(at.parse().unwrap()),
                server_version: problem.is_none().then(|| "15.13".to_owned()),
                problem: problem.map(|reason| ProblemStatus {
                    reason: reason.to_owned(),
                    ..ProblemStatus::default()
                }),
            }),
            ..DataRetentionPolicyStatus::default()
        });
        policy
    }

    #[test]
    fn before_the_first_run_it_does_not_claim_to_be_reachable() {
        let status = judged(&fixtures::source(), &[]);
        assert_eq!(find(&status.conditions, reasons::REACHABLE).unwrap().status, "Unknown");
        assert_eq!(find(&status.conditions, reasons::READY).unwrap().status, "True");
        assert_eq!((status.datasets, status.policies), (2, 0));
    }

    #[test]
    fn the_newest_look_decides_and_the_last_success_is_remembered() {
        let reached = policy("2026-11-22T03:00:00Z", None);
        let failed = policy("2026-11-22T04:00:00Z", Some("AuthenticationFailed"));
        let status = judged(&fixtures::source(), &[&failed, &reached]);
        let condition = find(&status.conditions, reasons::REACHABLE).unwrap();
        assert_eq!(
            (condition.status.as_str(), condition.reason.as_str()),
            ("False", "AuthenticationFailed")
        );
        assert_eq!(status.server_version.as_deref(), Some("15.13"));
        assert_eq!(
            status.last_reached_at.unwrap().0,
            "2026-11-22T03:00:00Z".parse().unwrap()
        );
    }

    #[test]
    fn mistakes_in_the_declaration_are_all_named() {
        let mut source = fixtures::source();
        source.spec.datasets[0].table = "no_schema".to_owned();
        source.spec.datasets[0].fields[1].time_zone = Some("Europe/Nowhere".to_owned());
        let status = judged(&source, &[]);
        let ready = find(&status.conditions, reasons::READY).unwrap();
        assert_eq!(ready.status, "False");
        assert!(
            ready.message.contains("spec.datasets[access-log].table"),
            "{}",
            ready.message
        );
        assert!(ready.message.contains("Europe/Nowhere"), "{}", ready.message);
    }
}
