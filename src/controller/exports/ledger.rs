//! The ledger of requests, by compare-and-swap: read from a quorum, decide, write with the version that was read, and
//! on a conflict begin anew. However many operators do this at once, no limit is exceeded.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PostParams};

use super::super::{Context, Error, FIELD_MANAGER};
use crate::plan::export::ledger::{
    Admission, Ask, ENTRIES_KEY, KEYS_CONFIG_MAP, KeyVerdict, LedgerError, admit, config_map, judge_key, policy_key,
};
use crate::plan::export::policy::ParsedLimit;
use crate::plan::naming;

/// Conflicts in a row after which somebody else may have a turn.
const TRIES: usize = 50;

/// Who asks, and by which limits.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who asks for what.
    pub ask: Ask<'a>,
    /// Which hash key made the tag.
    pub key_id: &'a str,
    /// Name of the policy.
    pub policy: &'a str,
    /// Its limits.
    pub limits: &'a [ParsedLimit],
    /// Its zone.
    pub zone: &'a TimeZone,
}

/// What the ledger says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Admitted, now or before.
    Admitted(Timestamp),
    /// Not before this time.
    Deferred(Timestamp),
    /// The hash key was exchanged: not before this time.
    KeyChanged(Timestamp),
    /// Not at all.
    Refused,
    /// A ConfigMap of the ledger cannot be used: its name, and why.
    Unusable(String, LedgerError),
}

/// Asks the ledger.
pub async fn ask(context: &Context, question: Question<'_>) -> Result<Answer, Error> {
    let now = (context.now)();
    let Some(name) = config_map(question.ask.tag) else {
        return Ok(Answer::Unusable(String::new(), LedgerError::Unreadable(1)));
    };
    if let Some(answer) = judge(context, question, now).await? {
        return Ok(answer);
    }
    for _ in 0..TRIES {
        let live = read(context, &name).await?;
        let text = value(live.as_ref(), ENTRIES_KEY).unwrap_or_default();
        match admit(text, question.ask, question.limits, question.zone, now) {
            Err(error) => return Ok(Answer::Unusable(name, error)),
            Ok(Admission::Already(at)) => return Ok(Answer::Admitted(at)),
            Ok(Admission::Deferred(until)) => return Ok(Answer::Deferred(until)),
            Ok(Admission::Refused) => return Ok(Answer::Refused),
            Ok(Admission::Admit(text)) => {
                if write(context, &name, live, ENTRIES_KEY, text).await? {
                    return Ok(Answer::Admitted(now));
                }
            }
        }
    }
    Err(Error::Contended(name))
}

/// Asks whether the hash key is one that is known, and makes it known. `None`: it is.
async fn judge(context: &Context, question: Question<'_>, now: Timestamp) -> Result<Option<Answer>, Error> {
    let key = policy_key(question.ask.namespace, question.policy);
    for _ in 0..TRIES {
        let live = read(context, KEYS_CONFIG_MAP).await?;
        let known = value(live.as_ref(), &key);
        match judge_key(
            known,
            question.key_id,
            question.ask.right,
            question.limits,
            question.zone,
            now,
        ) {
            Err(error) => return Ok(Some(Answer::Unusable(KEYS_CONFIG_MAP.to_owned(), error))),
            Ok(KeyVerdict::Known) => return Ok(None),
            Ok(KeyVerdict::DeferUntil(until)) => return Ok(Some(Answer::KeyChanged(until))),
            Ok(KeyVerdict::Record(text)) => {
                write(context, KEYS_CONFIG_MAP, live, &key, text).await?;
            }
        }
    }
    Err(Error::Contended(KEYS_CONFIG_MAP.to_owned()))
}

fn api(context: &Context) -> Api<ConfigMap> {
    Api::namespaced(context.client.clone(), &context.worker.operator_namespace)
}

/// Without a resourceVersion in the request, the API server reads from a quorum and not from its cache.
async fn read(context: &Context, name: &str) -> Result<Option<ConfigMap>, Error> {
    let found = api(context).get_opt(name).await;
    found.map_err(|source| Error::request::<ConfigMap>("read", name, source))
}

fn value<'a>(live: Option<&'a ConfigMap>, key: &str) -> Option<&'a str> {
    live?.data.as_ref()?.get(key).map(String::as_str)
}

/// Writes over what was read. False: somebody else wrote in between.
async fn write(context: &Context, name: &str, live: Option<ConfigMap>, key: &str, text: String) -> Result<bool, Error> {
    context.ensure_leading()?;
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let outcome = match live {
        Some(mut config_map) => {
            config_map.data.get_or_insert_default().insert(key.to_owned(), text);
            // It carries the resourceVersion that was read.
            api(context).replace(name, &parameters, &config_map).await
        }
        None => {
            let new = ConfigMap {
                metadata: metadata(context, name),
                data: Some(BTreeMap::from([(key.to_owned(), text)])),
                ..ConfigMap::default()
            };
            api(context).create(&parameters, &new).await
        }
    };
    match outcome {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(source) => Err(Error::request::<ConfigMap>("write", name, source)),
    }
}

fn metadata(context: &Context, name: &str) -> ObjectMeta {
    let labels = [
        (naming::LABEL_NAME, naming::APPLICATION),
        (naming::LABEL_COMPONENT, "rights-ledger"),
    ];
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(context.worker.operator_namespace.clone()),
        labels: Some(
            labels
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        ),
        ..ObjectMeta::default()
    }
}
