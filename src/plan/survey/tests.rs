use serde_json::json;

use super::status::{FinishedSurvey, drift, status, surveyed};
use super::*;
use crate::api::data_source::Survey;
use crate::contract::survey::{FoundDataset, FoundHash, Names, SurveyReport};
use crate::contract::{Problem, Reason};
use crate::plan::conditions::Truth;
use crate::plan::fixtures;

fn source() -> DataSource {
    let mut source = fixtures::source();
    source.spec.survey = Some(Survey {
        schedule: "7 * * * *".to_owned(),
        time_zone: "Etc/UTC".to_owned(),
        without_personal_data: vec!["public.migrations".to_owned()],
        suspend: false,
    });
    source
}

fn activity(column: &str) -> ProcessingActivity {
    serde_json::from_value(json!({
        "apiVersion": "privacy-operator.dev/v1alpha1", "kind": "ProcessingActivity",
        "metadata": {"name": "a", "namespace": "shop"},
        "spec": {"noticeRef": {"name": "n"}, "title": "A", "role": "Controller", "measures": [
            {"kind": "PasswordHashing", "fields": [{"dataset": "access-log", "column": column, "scheme": "bcrypt"}]}
        ]},
    }))
    .unwrap()
}

fn report(plan: &PlannedSurvey) -> SurveyReport {
    SurveyReport {
        version: VERSION,
        plan_hash: plan.plan_hash.clone(),
        finished_at: fixtures::now(),
        server_version: Some("15.13".to_owned()),
        tls: Some("TLSv1.3".to_owned()),
        datasets: vec![FoundDataset::default(); 2],
        undeclared_tables: Names::default(),
        hashed: vec![FoundHash {
            checked: Some(3),
            others: Some(1),
            problem: None,
        }],
        problem: None,
    }
}

fn finished(uid: &str, plan: &PlannedSurvey, at: &str, report: Option<SurveyReport>) -> FinishedSurvey {
    FinishedSurvey {
        job: format!("job-{uid}"),
        uid: uid.to_owned(),
        finished_at: at.parse().unwrap(),
        plan_hash: Some(plan.plan_hash.clone()),
        report,
        cause: None,
    }
}

#[test]
fn the_plan_names_what_the_declaration_names_and_the_columns_that_are_claimed_to_be_hashes() {
    let (one, other) = (activity("client_ip"), activity("not_declared"));
    let planned = plan(&source(), &[&one, &other]).unwrap();
    assert_eq!(planned.plan.datasets[0].columns, ["client_ip", "seen_on"]);
    assert_eq!(
        planned.plan.without_personal_data,
        [("public".to_owned(), "migrations".to_owned())]
    );
    // A column that is not declared is a finding of the activity and not looked at.
    assert_eq!(planned.plan.hashed.len(), 1);
    assert_eq!(
        (planned.plan.hashed[0].dataset, planned.plan.hashed[0].scheme.as_str()),
        (0, "bcrypt")
    );
    // The order of activities is no difference, another claim is.
    assert_eq!(plan(&source(), &[&other, &one]).unwrap().plan_hash, planned.plan_hash);
    assert_ne!(plan(&source(), &[]).unwrap().plan_hash, planned.plan_hash);
}

#[test]
fn without_a_survey_and_with_a_declaration_that_cannot_be_used_there_is_no_plan() {
    assert!(plan(&fixtures::source(), &[]).is_none());
    let mut broken = source();
    broken.spec.datasets[0].table = "no_schema".to_owned();
    assert!(plan(&broken, &[]).is_none());
    let mut never = source();
    never.spec.survey.as_mut().unwrap().schedule = "0 0 31 2 *".to_owned();
    assert!(plan(&never, &[]).is_none());
}

#[test]
fn the_children_are_restricted_pods_that_run_the_survey_and_nothing_else() {
    let source = source();
    let planned = plan(&source, &[]).unwrap();
    let cron_job = children::cron_job(&source, &planned, &fixtures::settings()).unwrap();
    insta::assert_yaml_snapshot!(cron_job);
    let look = children::first_look(&source, &planned, &fixtures::settings());
    assert!(look.metadata.name.as_ref().unwrap().ends_with(&planned.plan_hash));
    let text = &children::config_map(&source, &planned).data.unwrap()["plan.json"];
    let read: SurveyPlan = serde_json::from_str(text).unwrap();
    assert_eq!(read, planned.plan);
    let policy = children::network_policy(&source, &planned).unwrap();
    let selector = policy.spec.unwrap().pod_selector.unwrap().match_labels.unwrap();
    assert_eq!(selector["privacy-operator.dev/data-source"], "platform-db");
}

#[test]
fn a_report_becomes_status_once_and_what_was_known_survives_a_failure() {
    let mut source = source();
    let activity = activity("client_ip");
    let planned = plan(&source, &[&activity]).unwrap();
    let mut first = report(&planned);
    first.datasets[0].undeclared = Names::of(vec!["phone".to_owned()]);
    let done = finished("1", &planned, "2026-11-22T04:08:00Z", Some(first));
    let survey = status(&source, &planned, std::slice::from_ref(&done)).unwrap();
    assert_eq!(survey.datasets[0].undeclared_columns, ["phone"]);
    assert_eq!((survey.hashed[0].checked, survey.hashed[0].others), (Some(3), Some(1)));
    source.status = Some(serde_json::from_value(json!({"survey": survey})).unwrap());
    assert_eq!(
        status(&source, &planned, std::slice::from_ref(&done)),
        Some(survey.clone())
    );

    let mut refused = report(&planned);
    refused.problem = Some(Problem::new(
        Reason::Unreachable,
        "postgres.host",
        "db:5432 does not answer",
    ));
    (refused.server_version, refused.tls, refused.datasets) = (None, None, Vec::new());
    let failed = finished("2", &planned, "2026-11-22T05:08:00Z", Some(refused));
    let after = status(&source, &planned, &[done.clone(), failed]).unwrap();
    assert_eq!(after.problem.as_ref().unwrap().reason, "Unreachable");
    assert_eq!(
        (&after.datasets, after.tls.as_deref()),
        (&survey.datasets, Some("TLSv1.3"))
    );
    assert!(after.tells_of_the_store());

    let silent = finished("3", &planned, "2026-11-22T06:08:00Z", None);
    let after = status(&source, &planned, &[done, silent]).unwrap();
    assert_eq!(after.problem.as_ref().unwrap().reason, "NoReport");
    assert!(!after.tells_of_the_store());
}

#[test]
fn a_report_about_another_declaration_says_nothing() {
    let source = source();
    let planned = plan(&source, &[]).unwrap();
    let mut old = finished("1", &planned, "2026-11-22T04:08:00Z", Some(report(&planned)));
    old.plan_hash = Some("0000000000".to_owned());
    assert_eq!(status(&source, &planned, &[old]), None);
}

fn drift_of(change: impl FnOnce(&mut SurveyReport)) -> (Truth, String, String) {
    let source = source();
    let planned = plan(&source, &[]).unwrap();
    let mut report = report(&planned);
    change(&mut report);
    let survey = status(
        &source,
        &planned,
        &[finished("1", &planned, "2026-11-22T04:08:00Z", Some(report))],
    );
    let judged = drift(survey.as_ref());
    (judged.truth, judged.reason, judged.message)
}

#[test]
fn drift_names_what_came_and_what_went() {
    assert_eq!(drift(None).truth, Truth::Unknown);
    let (truth, reason, _) = drift_of(|_| {});
    assert_eq!((truth, reason.as_str()), (Truth::False, "AsDeclared"));
    let (truth, reason, message) = drift_of(|report| {
        report.datasets[1].undeclared = Names::of(vec!["phone".to_owned()]);
        report.undeclared_tables = Names::of(vec!["public.notes".to_owned()]);
    });
    assert_eq!((truth, reason.as_str()), (Truth::True, "Undeclared"));
    assert!(
        message.contains("accounts (phone) and tables (public.notes)"),
        "{message}"
    );
    let (truth, reason, message) = drift_of(|report| {
        report.datasets[0].missing = true;
        report.datasets[1].vanished = Names::of(vec!["email".to_owned()]);
    });
    assert_eq!((truth, reason.as_str()), (Truth::True, "Vanished"));
    assert!(
        message.contains("the table of access-log and accounts (email)"),
        "{message}"
    );
}

#[test]
fn a_survey_is_judged_by_the_clock_too() {
    let judge = |finished_at: Option<&str>, suspend: bool, now: &str| {
        let mut source = source();
        source.spec.survey.as_mut().unwrap().suspend = suspend;
        let survey: Option<crate::api::data_source::SurveyStatus> =
            finished_at.map(|at| serde_json::from_value(json!({"job": "j", "uid": "u", "finishedAt": at})).unwrap());
        let created = "2026-11-22T00:00:00Z".parse().unwrap();
        let judged = surveyed(&source, survey.as_ref(), Some(created), now.parse().unwrap());
        (judged.truth, judged.reason)
    };
    // Slots at seven minutes past; the second after 04:08 is 06:07, and a survey may take 20 minutes in all.
    let at = Some("2026-11-22T04:08:00Z");
    assert_eq!(
        judge(at, false, "2026-11-22T06:26:00Z"),
        (Truth::True, "SurveyDone".to_owned())
    );
    assert_eq!(
        judge(at, false, "2026-11-22T06:28:00Z"),
        (Truth::False, "SurveyOverdue".to_owned())
    );
    assert_eq!(
        judge(at, true, "2026-11-22T06:28:00Z"),
        (Truth::Unknown, "Suspended".to_owned())
    );
    assert_eq!(
        judge(None, false, "2026-11-22T00:05:00Z"),
        (Truth::Unknown, "NoRunYet".to_owned())
    );
    assert_eq!(
        judge(None, false, "2026-11-22T03:00:00Z"),
        (Truth::False, "SurveyOverdue".to_owned())
    );
    let none = surveyed(&fixtures::source(), None, None, fixtures::now());
    assert_eq!((none.truth, none.reason.as_str()), (Truth::Unknown, "NoSurvey"));
}
