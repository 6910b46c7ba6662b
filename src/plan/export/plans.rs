//! The work plans of a request: deterministic text, so that its hash is its identity.

use jiff::Timestamp;
use serde::Serialize;

use super::super::reasons;
use super::super::validated::Invalid;
use super::activities::{self, Record};
use super::policy::ParsedPolicy;
use super::request::Accepted;
use crate::api::data_source::{Dataset, Origin as ApiOrigin, Subject, TlsMode};
use crate::api::export_status::SubjectStatus;
use crate::api::subject_rights_policy as api;
use crate::api::{DataSource, ExportRequest, SubjectRightsPolicy};
use crate::contract::Store;
use crate::contract::export::{
    Delivery, ExpirePlan, ExportDataset, ExportField, ExportPlan, ExportRelation, ExportStore, ExportSubject, Format,
    IdentifyPlan, Language, Localized, NotIncluded, ObjectStore, Origin, Regime, Right, Sealing, SubjectBy,
    SubjectSource, SubjectTag, VERSION, Volume, archive_name,
};
use crate::domain::hash;
use crate::domain::identifier::TableName;

/// Largest work plan, in bytes. A `ConfigMap` takes 1 MiB, its metadata included.
const LARGEST_PLAN: usize = 900 * 1024;

/// A plan as the worker gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan<T> {
    /// The plan.
    pub plan: T,
    /// The same as text.
    pub json: String,
    /// Hash of the text.
    pub hash: String,
}

impl<T: Serialize> Plan<T> {
    fn new(plan: T) -> Self {
        // These types have string keys and finite numbers only: serialisation cannot fail.
        let json = serde_json::to_string(&plan).unwrap_or_default();
        Self {
            hash: hash::short(json.as_bytes()),
            plan,
            json,
        }
    }
}

/// A request by name and uid, and its namespace.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// Namespace.
    pub namespace: &'a str,
    /// Its uid.
    pub namespace_uid: &'a str,
    /// Name of the request.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
}

/// The plan by which the person is identified.
#[must_use]
pub fn identify(
    identity: Identity<'_>,
    request: &ExportRequest,
    policy: &SubjectRightsPolicy,
    accepted: &Accepted<'_>,
) -> Plan<IdentifyPlan> {
    Plan::new(IdentifyPlan {
        version: VERSION,
        namespace_uid: identity.namespace_uid.to_owned(),
        request_uid: identity.uid.to_owned(),
        subject: subject_source(request, policy, &accepted.identities),
    })
}

/// What an export needs beside the request.
#[derive(Debug, Clone, Copy)]
pub struct Material<'a> {
    /// The policy.
    pub policy: &'a SubjectRightsPolicy,
    /// Its values.
    pub parsed: &'a ParsedPolicy,
    /// What was accepted.
    pub accepted: &'a Accepted<'a>,
    /// Who the person is.
    pub subject: &'a SubjectStatus,
    /// The record of processing.
    pub record: Record<'a>,
    /// There are stores in other namespaces.
    pub others: bool,
    /// When the request was received.
    pub received_at: Timestamp,
}

/// The plan of the export.
pub fn export(
    identity: Identity<'_>,
    request: &ExportRequest,
    material: Material<'_>,
) -> Result<Plan<ExportPlan>, Invalid> {
    let (policy, accepted) = (material.policy, material.accepted);
    let stores: Vec<ExportStore> = accepted.sources.iter().map(|source| store(source)).collect();
    let plan = Plan::new(ExportPlan {
        version: VERSION,
        namespace: identity.namespace.to_owned(),
        namespace_uid: identity.namespace_uid.to_owned(),
        request: identity.name.to_owned(),
        request_uid: identity.uid.to_owned(),
        received_at: material.received_at,
        right: match request.spec.right {
            api::Right::Access => Right::Access,
            api::Right::Portability => Right::Portability,
        },
        regime: match policy.spec.regime {
            api::Regime::Gdpr => Regime::Gdpr,
            api::Regime::Ccpa => Regime::Ccpa,
            api::Regime::ShineTheLight => Regime::ShineTheLight,
        },
        languages: policy.spec.languages.iter().copied().map(language).collect(),
        formats: policy.spec.formats.iter().copied().map(format).collect(),
        subject: subject_source(request, policy, &material.subject.identities),
        expected: SubjectTag {
            tag: material.subject.tag.clone(),
            digest: material.subject.digest.clone(),
            key_id: material.subject.key_id.clone(),
            identity: material.subject.identity.clone(),
        },
        sealing: accepted.sealing.clone(),
        delivery: delivery(policy, identity.uid, &accepted.sealing),
        largest_bytes: policy.spec.max_bytes,
        active_deadline_seconds: worker_deadline(material.parsed.active_deadline_seconds),
        stores,
        notice: activities::notice(material.record, policy),
        activities: activities::activities(material.record, &accepted.sources),
        not_included: not_included(accepted, material.others),
    });
    if plan.json.len() > LARGEST_PLAN {
        return Err(Invalid::new(
            reasons::PLAN_TOO_LARGE,
            "spec.dataSourceRefs",
            format!(
                "the work plan has {} KiB, and 900 KiB fit; look into fewer stores with one request",
                plan.json.len() / 1024
            ),
        ));
    }
    Ok(plan)
}

/// The plan by which an archive is deleted.
#[must_use]
pub fn expire(request_uid: &str, delivery: &Delivery) -> Plan<ExpirePlan> {
    Plan::new(ExpirePlan {
        version: VERSION,
        request_uid: request_uid.to_owned(),
        delivery: delivery.clone(),
    })
}

/// Reads back the plan by which an archive is deleted. `None`: it is not one.
#[must_use]
pub fn read_expire(json: &str) -> Option<Plan<ExpirePlan>> {
    let plan: ExpirePlan = serde_json::from_str(json).ok()?;
    (plan.version == VERSION).then(|| Plan::new(plan))
}

/// Where the archive of a request goes.
#[must_use]
pub fn delivery(policy: &SubjectRightsPolicy, request_uid: &str, sealing: &Sealing) -> Delivery {
    let file = archive_name(request_uid, sealing);
    let delivery = &policy.spec.delivery;
    match (&delivery.object_store, &delivery.volume) {
        (Some(store), _) => Delivery::ObjectStore(ObjectStore {
            endpoint: store.endpoint.clone(),
            region: store.region.clone(),
            bucket: store.bucket.clone(),
            key: format!("{}{file}", store.prefix),
            credentials_secret: store.credentials_secret_ref.name.clone(),
            ca_secret: store.ca_secret_ref.as_ref().map(|it| (it.name.clone(), it.key.clone())),
        }),
        // CEL allows neither both nor none.
        (None, volume) => Delivery::Volume(Volume {
            claim: volume
                .as_ref()
                .map(|volume| volume.claim_name.clone())
                .unwrap_or_default(),
            file,
        }),
    }
}

/// The worker ends itself before Kubernetes ends its Job: a pod that is killed at the Job's deadline is deleted, and its
/// report with it.
fn worker_deadline(job_deadline_seconds: i64) -> i64 {
    job_deadline_seconds - (job_deadline_seconds / 10).clamp(10, 60)
}

fn subject_source(request: &ExportRequest, policy: &SubjectRightsPolicy, identities: &[String]) -> SubjectSource {
    SubjectSource {
        secret: request.spec.subject_secret_ref.name.clone(),
        identities: identities.to_vec(),
        hash_key_secret: policy.spec.hash_key_secret_ref.name.clone(),
        hash_key: policy.spec.hash_key_secret_ref.key.clone(),
    }
}

const fn language(language: api::Language) -> Language {
    match language {
        api::Language::En => Language::English,
        api::Language::De => Language::German,
    }
}

const fn format(format: api::Format) -> Format {
    match format {
        api::Format::Html => Format::Html,
        api::Format::Json => Format::Json,
        api::Format::Csv => Format::Csv,
    }
}

fn store(source: &DataSource) -> ExportStore {
    let postgres = &source.spec.postgres;
    ExportStore {
        name: source.metadata.name.clone().unwrap_or_default(),
        store: Store {
            host: postgres.host.clone(),
            port: u16::try_from(postgres.port).unwrap_or(5432),
            database: postgres.database.clone(),
            verify_tls: postgres.tls.mode == TlsMode::VerifyFull,
            ca_secret: postgres
                .tls
                .ca_secret_ref
                .as_ref()
                .map(|it| (it.name.clone(), it.key.clone())),
        },
        credentials_secret: postgres.credentials_secret_ref.name.clone(),
        datasets: source.spec.datasets.iter().filter_map(dataset).collect(),
    }
}

/// `None` cannot happen: the source was checked.
fn dataset(dataset: &Dataset) -> Option<ExportDataset> {
    let table = TableName::parse(&dataset.table).ok()?;
    Some(ExportDataset {
        name: dataset.name.clone(),
        schema: table.schema.as_str().to_owned(),
        table: table.name.as_str().to_owned(),
        key: dataset.key.clone(),
        activities: dataset.activities.clone(),
        relations: dataset
            .relations
            .iter()
            .map(|relation| ExportRelation {
                name: relation.name.clone(),
                dataset: relation.dataset.clone(),
                columns: relation.columns.clone(),
            })
            .collect(),
        subjects: dataset.subjects.iter().filter_map(subject).collect(),
        fields: dataset
            .fields
            .iter()
            .map(|field| ExportField {
                column: field.column.clone(),
                category: field.category.clone(),
                origin: field.origin.map(origin),
                secret: field.secret,
            })
            .collect(),
    })
}

fn subject(subject: &Subject) -> Option<ExportSubject> {
    let by = match (&subject.column, &subject.through) {
        (Some(column), _) => SubjectBy::Column(column.clone()),
        (None, Some(relation)) => SubjectBy::Through(relation.clone()),
        (None, None) => return None,
    };
    Some(ExportSubject {
        identity: subject.identity.clone(),
        by,
        other_party_columns: subject.other_party_columns.clone(),
    })
}

const fn origin(origin: ApiOrigin) -> Origin {
    match origin {
        ApiOrigin::Provided => Origin::Provided,
        ApiOrigin::Observed => Origin::Observed,
        ApiOrigin::Derived => Origin::Derived,
        ApiOrigin::ThirdParty => Origin::ThirdParty,
    }
}

/// Names of stores of other namespaces are not told: who may see this namespace may not see those.
fn not_included(accepted: &Accepted<'_>, others: bool) -> Vec<NotIncluded> {
    let named = accepted.left_out.iter().map(|source| NotIncluded {
        name: source.metadata.name.clone().unwrap_or_default(),
        reason: Localized {
            en: "The request was limited to other stores.".to_owned(),
            de: "Die Anfrage wurde auf andere Datenbestände beschränkt.".to_owned(),
        },
    });
    let elsewhere = others.then(|| NotIncluded {
        name: "other namespaces".to_owned(),
        reason: Localized {
            en: "Stores of other parts of the platform are not looked into by this export.".to_owned(),
            de: "Datenbestände anderer Teile der Plattform werden von diesem Export nicht erfasst.".to_owned(),
        },
    });
    named.chain(elsewhere).collect()
}
