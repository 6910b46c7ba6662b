//! What surveys say in the status of a `DataSource`.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::DataSource;
use crate::api::data_source::{HashedColumn, SurveyStatus, SurveyedDataset};
use crate::api::measures::HashScheme;
use crate::api::status::ProblemStatus;
use crate::contract::Problem;
use crate::contract::survey::{FoundDataset, FoundHash, PlannedHash, SurveyReport};
use crate::domain::{schedule::Schedule, zone};
use crate::plan::conditions::{Judgement, Truth};
use crate::plan::{join_words, reasons};

use super::{PlannedSurvey, scheme_word};

/// A survey that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedSurvey {
    /// Name of its Job.
    pub job: String,
    /// Uid of its Job.
    pub uid: String,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Hash of its plan, from the Job's label.
    pub plan_hash: Option<String>,
    /// Its report. `None`: it ended without one.
    pub report: Option<SurveyReport>,
    /// Why its pod ended, in a word of Kubernetes.
    pub cause: Option<String>,
}

/// The status after these surveys. Reports of another plan than the present one are counted as reached, but what they
/// found is about another declaration.
#[must_use]
pub fn status(source: &DataSource, planned: &PlannedSurvey, finished: &[FinishedSurvey]) -> Option<SurveyStatus> {
    let old = source.status.as_ref().and_then(|status| status.survey.clone());
    let newest = finished
        .iter()
        .filter(|survey| survey.plan_hash.as_deref() == Some(&planned.plan_hash))
        .max_by_key(|survey| survey.finished_at);
    match newest {
        Some(newest)
            if old
                .as_ref()
                .is_none_or(|old| old.uid != newest.uid && old.finished_at.0 <= newest.finished_at) =>
        {
            Some(of_survey(source, planned, newest, old.as_ref()))
        }
        _ => old,
    }
}

fn of_survey(
    source: &DataSource,
    planned: &PlannedSurvey,
    survey: &FinishedSurvey,
    old: Option<&SurveyStatus>,
) -> SurveyStatus {
    let found = survey.report.as_ref();
    let complete = found.filter(|report| report.problem.is_none());
    let problem = match found {
        None => Some(ProblemStatus {
            reason: reasons::NO_REPORT.to_owned(),
            field: String::new(),
            message: format!(
                "{} ended without a report{}; kubectl logs job/{} may say why",
                survey.job,
                survey
                    .cause
                    .as_ref()
                    .map_or_else(String::new, |cause| format!(" ({cause})")),
                survey.job
            ),
        }),
        Some(report) => report.problem.as_ref().map(problem_status),
    };
    // What was found by an earlier survey of the same plan stays, beside the reason why this one found nothing.
    let known = old.filter(|old| complete.is_none() && old.plan_hash.as_deref() == Some(&planned.plan_hash));
    SurveyStatus {
        job: survey.job.clone(),
        uid: survey.uid.clone(),
        finished_at: Time(survey.finished_at),
        plan_hash: survey.plan_hash.clone(),
        tls: match found {
            Some(report) if report.server_version.is_some() => report.tls.clone(),
            _ => known.and_then(|known| known.tls.clone()),
        },
        datasets: match complete {
            Some(report) => datasets(source, report),
            None => known.map(|known| known.datasets.clone()).unwrap_or_default(),
        },
        undeclared_tables: match complete {
            Some(report) => report.undeclared_tables.list.clone(),
            None => known.map(|known| known.undeclared_tables.clone()).unwrap_or_default(),
        },
        undeclared_tables_count: match complete {
            Some(report) => report.undeclared_tables.count,
            None => known.map_or(0, |known| known.undeclared_tables_count),
        },
        hashed: match complete {
            Some(report) => planned
                .plan
                .hashed
                .iter()
                .zip(&report.hashed)
                .filter_map(|(plan, found)| hashed(source, plan, found))
                .collect(),
            None => known.map(|known| known.hashed.clone()).unwrap_or_default(),
        },
        problem,
    }
}

fn problem_status(problem: &Problem) -> ProblemStatus {
    ProblemStatus {
        reason: problem.reason.as_str().to_owned(),
        field: problem.field.clone(),
        message: problem.message(),
    }
}

fn datasets(source: &DataSource, report: &SurveyReport) -> Vec<SurveyedDataset> {
    source
        .spec
        .datasets
        .iter()
        .zip(&report.datasets)
        .map(|(dataset, found): (_, &FoundDataset)| SurveyedDataset {
            name: dataset.name.clone(),
            exists: !found.missing,
            rows: found.rows,
            undeclared_columns: found.undeclared.list.clone(),
            undeclared_columns_count: found.undeclared.count,
            vanished_columns: found.vanished.list.clone(),
            vanished_columns_count: found.vanished.count,
        })
        .collect()
}

fn hashed(source: &DataSource, plan: &PlannedHash, found: &FoundHash) -> Option<HashedColumn> {
    let scheme = [
        HashScheme::Bcrypt,
        HashScheme::Argon2,
        HashScheme::Scrypt,
        HashScheme::Pbkdf2,
    ]
    .into_iter()
    .find(|scheme| scheme_word(*scheme) == plan.scheme)?;
    Some(HashedColumn {
        dataset: source.spec.datasets.get(plan.dataset)?.name.clone(),
        column: plan.column.clone(),
        scheme,
        checked: found.checked,
        others: found.others,
        problem: found.problem.as_ref().map(problem_status),
    })
}

/// Whether the last survey did its work, by the clock.
#[must_use]
pub fn surveyed(
    source: &DataSource,
    survey: Option<&SurveyStatus>,
    accepted: Option<Timestamp>,
    now: Timestamp,
) -> Judgement {
    let unknown = |reason: &str, text: String| Judgement::new(reasons::SURVEYED, Truth::Unknown, reason, text);
    let Some(wanted) = &source.spec.survey else {
        return unknown(
            reasons::NO_SURVEY,
            "no survey is scheduled; set spec.survey.schedule to see whether the declaration is still true".to_owned(),
        );
    };
    let late = next_slots_passed(
        &wanted.schedule,
        &wanted.time_zone,
        survey.map(|survey| survey.finished_at.0).or(accepted),
        now,
    );
    match survey {
        _ if wanted.suspend => unknown(reasons::SUSPENDED, "spec.survey.suspend is true".to_owned()),
        None if late => Judgement::new(
            reasons::SURVEYED,
            false,
            reasons::SURVEY_OVERDUE,
            "no survey has reported though its time has passed twice; kubectl get jobs,pods -l privacy-operator.dev/data-source shows what keeps it",
        ),
        None => unknown(reasons::NO_RUN_YET, "no survey has reported yet".to_owned()),
        Some(_) if late => Judgement::new(
            reasons::SURVEYED,
            false,
            reasons::SURVEY_OVERDUE,
            "the last survey is two slots of the schedule ago; kubectl get jobs,pods -l privacy-operator.dev/data-source shows what keeps it",
        ),
        Some(SurveyStatus {
            problem: Some(problem), ..
        }) => Judgement::new(reasons::SURVEYED, false, &problem.reason, problem.message.clone()),
        Some(_) => Judgement::new(
            reasons::SURVEYED,
            true,
            reasons::SURVEY_DONE,
            "the last survey did its work",
        ),
    }
}

/// Whether two slots of the schedule have passed since a time, with the time that a survey may take.
fn next_slots_passed(schedule: &str, time_zone: &str, since: Option<Timestamp>, now: Timestamp) -> bool {
    let second = || {
        let schedule: Schedule = schedule.parse().ok()?;
        let zone = zone::parse(time_zone).ok()?;
        let first = schedule.next_after(since?, &zone)?;
        schedule.next_after(first, &zone)
    };
    let may_take = crate::plan::validate::STARTING_DEADLINE_SECONDS + crate::contract::survey::ACTIVE_DEADLINE_SECONDS;
    second().is_some_and(|second| now.duration_since(second).as_secs() > may_take)
}

/// Whether the store differs from the declaration.
#[must_use]
pub fn drift(survey: Option<&SurveyStatus>) -> Judgement {
    let Some(survey) = survey.filter(|survey| !survey.datasets.is_empty()) else {
        return Judgement::new(
            reasons::SCHEMA_DRIFT,
            Truth::Unknown,
            reasons::NO_RUN_YET,
            "no survey has looked at the store",
        );
    };
    let mut vanished: Vec<String> = Vec::new();
    let mut undeclared: Vec<String> = Vec::new();
    for dataset in &survey.datasets {
        if !dataset.exists {
            vanished.push(format!("the table of {}", dataset.name));
        }
        if dataset.vanished_columns_count > 0 {
            vanished.push(names(
                &dataset.name,
                &dataset.vanished_columns,
                dataset.vanished_columns_count,
            ));
        }
        if dataset.undeclared_columns_count > 0 {
            undeclared.push(names(
                &dataset.name,
                &dataset.undeclared_columns,
                dataset.undeclared_columns_count,
            ));
        }
    }
    let tables = survey.undeclared_tables_count;
    if tables > 0 {
        undeclared.push(names("tables", &survey.undeclared_tables, tables));
    }
    let mut texts = Vec::new();
    if !vanished.is_empty() {
        texts.push(format!(
            "the store no longer has {}: correct the DataSource, or find out where the data went",
            join_words(&vanished, "and")
        ));
    }
    if !undeclared.is_empty() {
        texts.push(format!(
            "the store has what is not declared, {}: add the columns to fields (with a category where they hold personal data), and the tables to datasets or survey.withoutPersonalData",
            join_words(&undeclared, "and")
        ));
    }
    let reason = match (vanished.is_empty(), undeclared.is_empty()) {
        (true, true) => {
            let text = "columns and tables are as declared";
            return Judgement::new(reasons::SCHEMA_DRIFT, false, reasons::AS_DECLARED, text);
        }
        (false, _) => reasons::VANISHED,
        (true, false) => reasons::UNDECLARED,
    };
    Judgement::new(reasons::SCHEMA_DRIFT, true, reason, texts.join("; "))
}

/// `users (phone, fax and 3 more)`.
fn names(of: &str, list: &[String], count: i64) -> String {
    const SHOWN: usize = 6;
    let shown: Vec<&str> = list.iter().take(SHOWN).map(String::as_str).collect();
    let more = count - i64::try_from(shown.len()).unwrap_or(0);
    match (shown.is_empty(), more) {
        (true, _) => format!("{of} ({count})"),
        (false, 0) => format!("{of} ({})", shown.join(", ")),
        (false, more) => format!("{of} ({} and {more} more)", shown.join(", ")),
    }
}
