//! Objects for tests, written as their users write them.

use super::{Finished, Live, LiveJob, Report, Work};
use crate::api::{DataSource, ExportRequest, SubjectRightsPolicy};
use crate::contract::export::{
    Archive, Coverage, ExpireReport, ExportReport, ExportResult, IdentifyReport, SubjectTag, VERSION,
};
use crate::contract::{Problem, Reason};
use crate::plan::fixtures::now;

/// A key that `age-keygen` printed.
pub const KEY: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

/// A policy with everything that has no default.
pub fn policy() -> SubjectRightsPolicy {
    serde_saphyr::from_str(&format!(
        r"
apiVersion: privacy-operator.dev/v1alpha1
kind: SubjectRightsPolicy
metadata: {{name: default, namespace: shop, uid: rights-uid, generation: 1}}
spec:
  regime: GDPR
  timeZone: Europe/Berlin
  delivery: {{volume: {{claimName: archives}}}}
  sealTo: [{KEY}]
  hashKeySecretRef: {{name: hash-key, key: key}}
  limits: [{{right: Access, max: 1, window: PT1H}}]
"
    ))
    .unwrap()
}

/// A request that came three weeks before [`now`].
pub fn request() -> ExportRequest {
    serde_saphyr::from_str(
        r#"
apiVersion: privacy-operator.dev/v1alpha1
kind: ExportRequest
metadata: {name: dsr-7f3a, namespace: shop, uid: request-uid, generation: 1}
spec:
  right: Access
  rightsPolicyRef: {name: default}
  subjectSecretRef: {name: dsr-7f3a}
  receivedAt: "2026-11-01T09:00:00Z"
  handling:
    identity: {method: LoggedIn, confirmedOn: "2026-11-01"}
    approvedOn: "2026-11-02"
"#,
    )
    .unwrap()
}

/// A store that says whose its rows are.
pub fn source() -> DataSource {
    let mut source = crate::plan::fixtures::source();
    source.spec.datasets = serde_saphyr::from_str(
        r"
- name: users
  table: public.users
  activities: [accounts]
  subjects: [{identity: user_id, column: id}, {identity: email, column: email}]
  fields:
  - {column: email, category: user.contact.email, origin: Provided}
  - {column: password_hash, category: user.authorization.credentials, secret: true}
- name: orders
  table: public.orders
  relations: [{name: buyer, dataset: users, columns: {user_id: id}}]
  subjects: [{identity: user_id, through: buyer}]
",
    )
    .unwrap();
    source
}

/// A Job of this work with this plan.
#[allow(
    clippy::option_option,
    reason = "not finished, finished without a report, finished with one"
)]
pub fn job(work: Work, plan: &str, finished: Option<Option<Report>>) -> LiveJob {
    LiveJob {
        work,
        name: work.job("request-uid"),
        uid: format!("{}-{plan}", work.argument()),
        plan_hash: plan.to_owned(),
        started_at: Some(now()),
        finished: finished.map(|report| Finished {
            at: now(),
            report,
            cause: None,
        }),
        deleting: false,
    }
}

/// What lives, if these are the Jobs.
pub fn live(jobs: Vec<LiveJob>) -> Live {
    Live {
        jobs,
        ..Live::default()
    }
}

/// What `worker identify` says.
pub fn identified(plan: &str) -> Report {
    Report::Identify(IdentifyReport {
        version: VERSION,
        plan_hash: plan.to_owned(),
        subject: Some(SubjectTag {
            tag: "ab".repeat(16),
            digest: "cd".repeat(16),
            key_id: "01".repeat(8),
            identity: "email".to_owned(),
        }),
        problem: None,
    })
}

/// What `worker export` says.
pub fn exported(plan: &str, result: ExportResult, problem: Option<Reason>) -> Report {
    Report::Export(Box::new(ExportReport {
        version: VERSION,
        plan_hash: plan.to_owned(),
        result,
        started_at: now(),
        finished_at: now(),
        collected_at: Some(now()),
        rows: i64::from(result == ExportResult::Delivered) * 42,
        coverage: Coverage {
            stores: 1,
            datasets: 2,
            columns_withheld: 1,
            ..Coverage::default()
        },
        archive: (result == ExportResult::Delivered).then(|| Archive {
            location: "volume://archives/request-uid.zip.age".to_owned(),
            bytes: 1_300_000,
            parts: 1,
            sha256: "f".repeat(64),
            content_sha256: "e".repeat(64),
            files: 5,
        }),
        problem: problem.map(|reason| Problem::new(reason, "datasets[users].table", "users")),
    }))
}

/// What `worker expire` says.
pub fn expired(plan: &str, gone: bool) -> Report {
    Report::Expire(ExpireReport {
        version: VERSION,
        plan_hash: plan.to_owned(),
        gone,
        problem: (!gone).then(|| Problem::new(Reason::DeliveryRefused, "", "403")),
    })
}

/// A person as the status knows them.
pub fn subject() -> crate::api::export_status::SubjectStatus {
    crate::api::export_status::SubjectStatus {
        tag: "ab".repeat(16),
        digest: "cd".repeat(16),
        key_id: "01".repeat(8),
        identity: "email".to_owned(),
        identities: vec!["email".to_owned(), "user_id".to_owned()],
    }
}
