//! What a request depends on, fetched from the API server and the caches, and what is judged on it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::Api;
use kube::{Resource as _, ResourceExt as _};

use super::super::{Context, Error};
use super::{live, record, rights_policy};
use crate::api::{DataRetentionPolicy, DataSource, ExportRequest, SubjectRightsPolicy};
use crate::contract::STOP_CONFIG_MAP;
use crate::domain::working_days::Holidays;
use crate::plan::export::policy::ParsedPolicy;
use crate::plan::export::request::{self as judged, Accepted, Dates};
use crate::plan::export::steps::has_archive;
use crate::plan::export::{FINALIZER, Live};
use crate::plan::validated::Invalid;

/// What was fetched for a request.
pub(super) struct Fetched {
    pub(super) policy: Option<SubjectRightsPolicy>,
    pub(super) sources: Vec<DataSource>,
    pub(super) retention: Vec<DataRetentionPolicy>,
    pub(super) others: bool,
    pub(super) namespace: Namespace,
    pub(super) live: Live,
    pub(super) stopped: bool,
    pub(super) holidays: Holidays,
    pub(super) record: record::Read,
}

/// What was decided on it, before anything is done.
pub(super) struct Judged<'a> {
    pub(super) parsed: Option<ParsedPolicy>,
    pub(super) received: Option<Timestamp>,
    pub(super) dates: Dates,
    pub(super) accepted: Option<Accepted<'a>>,
    pub(super) mistakes: Vec<Invalid>,
}

/// Fetches.
pub(super) async fn fetch(context: &Context, request: &ExportRequest, now: Timestamp) -> Result<Fetched, Error> {
    let namespace = request.namespace().unwrap_or_default();
    let policy = context
        .stores
        .rights_policy(&namespace, &request.spec.rights_policy_ref.name);
    let policy = policy.and_then(|policy| policy.0.as_ref().ok().cloned());
    let all = context.stores.sources();
    let readable = || all.iter().filter_map(|source| source.0.as_ref().ok());
    let mut sources: Vec<DataSource> = readable()
        .filter(|source| source.namespace().as_deref() == Some(&namespace))
        .cloned()
        .collect();
    sources.sort_by_key(kube::ResourceExt::name_any);
    let others = readable().any(|source| source.namespace().as_deref() != Some(&namespace));
    let retention = context.stores.policies();
    let retention = retention.iter().filter_map(|policy| policy.0.as_ref().ok());
    let retention = retention.filter(|policy| policy.namespace().as_deref() == Some(&namespace));
    let stop = Api::<ConfigMap>::namespaced(context.client.clone(), &namespace)
        .get_metadata_opt(STOP_CONFIG_MAP)
        .await
        .map_err(|source| Error::request::<ConfigMap>("read", STOP_CONFIG_MAP, source))?;
    let (holidays, record) = match &policy {
        Some(policy) => (
            rights_policy::calendar(context, policy).await?.holidays(),
            if needs_record(request) {
                record::read(context, &namespace, policy).await?
            } else {
                record::Read::default()
            },
        ),
        None => (Holidays::default(), record::Read::default()),
    };
    Ok(Fetched {
        policy,
        sources,
        retention: retention.cloned().collect(),
        others,
        namespace: Api::<Namespace>::all(context.client.clone())
            .get(&namespace)
            .await
            .map_err(|source| Error::request::<Namespace>("read", &namespace, source))?,
        live: live::read(context, request, now).await?,
        stopped: stop.is_some(),
        holidays,
        record,
    })
}

/// The record of processing is part of the export's plan, and of nothing else.
pub(super) fn needs_record(request: &ExportRequest) -> bool {
    request.meta().deletion_timestamp.is_none()
        && request.status.as_ref().is_some_and(|status| {
            status.subject.is_some() && status.admitted_at.is_some() && status.closed_on.is_none()
        })
}

/// Judges: what is a mistake is told at the request, and nothing is started.
pub(super) fn judge<'a>(
    request: &'a ExportRequest,
    fetched: &'a Fetched,
    sources: &'a [&'a DataSource],
    now: Timestamp,
) -> Judged<'a> {
    let inputs = judged::Inputs {
        request,
        policy: fetched.policy.as_ref(),
        sources,
        now,
    };
    let parsed = judged::parsed_policy(&inputs);
    let zone = parsed
        .as_ref()
        .map_or(jiff::tz::TimeZone::UTC, |parsed| parsed.zone.clone());
    let dates = judged::dates(request, fetched.policy.as_ref(), now.to_zoned(zone).date());
    let received = judged::received_at(request, now);
    let mut mistakes = dates.mistakes.clone();
    mistakes.extend(received.as_ref().err().cloned());
    mistakes.extend(parsed.as_ref().err().into_iter().flatten().cloned());
    let accepted = match (&fetched.policy, &parsed) {
        (Some(policy), Ok(_)) => judged::accept(&inputs, policy).map_err(Some),
        _ => Err(None),
    };
    // Once the answer is there, it does not matter any more whether it could be made again.
    let is_made = request
        .status
        .as_ref()
        .is_some_and(|status| has_archive(status) || status.nothing_found);
    if let (Err(Some(more)), false) = (&accepted, is_made) {
        mistakes.extend(more.iter().cloned());
    }
    Judged {
        parsed: parsed.ok(),
        received: received.ok(),
        dates,
        accepted: accepted.ok(),
        mistakes,
    }
}

/// `handling.retry`.
pub(super) fn retry(request: &ExportRequest) -> i32 {
    let handling = request.spec.handling.as_ref();
    handling.and_then(|handling| handling.retry).unwrap_or(0)
}

/// Whether our finalizer is set.
pub(super) fn has_finalizer(request: &ExportRequest) -> bool {
    request.finalizers().iter().any(|name| name == FINALIZER)
}
