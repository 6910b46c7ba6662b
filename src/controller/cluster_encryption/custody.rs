//! The key Secret, its sealed copy, and the order for the migrator: read and written here and nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt as _;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};

use super::super::{Context, Error, FIELD_MANAGER};
use super::NAMESPACE;
use crate::encryption::custody::{Custody, FILE_KEY, RECORD_KEY, SECRET};
use crate::encryption::observation::{Baseline, Found, PassOrder, PassReport, Sealed};
use crate::encryption::seal::{self, seal_escrow};
use crate::encryption::status::ESCROW_CONFIG_MAP;
use crate::migrate::{ORDER, REPORT};
use crate::plan::naming;

/// Secret in which a person shows the file, where there are no agents.
const BASELINE_SECRET: &str = "encryption-baseline";
/// Key of the sealed copy.
const SEALED_KEY: &str = "keys.age";
/// Names of the sealed keys, for whom, and what a record that is recovered from them encrypts at once; no secrets.
const SEALED_KEYS: &str = "privacy-operator.dev/sealed-keys";
const SEALED_FOR: &str = "privacy-operator.dev/sealed-for";
const SEALED_ENCRYPTED: &str = "privacy-operator.dev/sealed-encrypted";

fn secrets(context: &Context) -> Api<Secret> {
    Api::namespaced(context.client.clone(), NAMESPACE)
}

fn config_maps(context: &Context) -> Api<ConfigMap> {
    Api::namespaced(context.client.clone(), NAMESPACE)
}

/// The key Secret. Read from the API server, never from a cache.
pub async fn read(context: &Context) -> Result<Found, Error> {
    let found = secrets(context)
        .get_opt(SECRET)
        .await
        .map_err(|source| Error::request::<Secret>("read", SECRET, source))?;
    let Some(secret) = found else { return Ok(Found::Absent) };
    let text = secret.data.as_ref().and_then(|data| data.get(RECORD_KEY));
    let parsed = text.map(|text| Custody::parse(&text.0));
    Ok(match parsed {
        None => Found::Damaged(format!("the Secret {SECRET} has no key {RECORD_KEY}")),
        Some(Err(what)) => Found::Damaged(what),
        Some(Ok(custody)) => Found::Present(Box::new(custody)),
    })
}

/// Writes the key Secret, if it still holds what was seen.
pub async fn write(context: &Context, seen: &Found, next: &Custody) -> Result<(), Error> {
    let api = secrets(context);
    let failed = |source| Error::request::<Secret>("write", SECRET, source);
    // What is written must be readable by whoever reads it next.
    if let Err(what) = Custody::parse(next.text().as_bytes()) {
        return Err(Error::Unsound(what));
    }
    let data = BTreeMap::from([
        (RECORD_KEY.to_owned(), ByteString(next.text().into_bytes())),
        (
            FILE_KEY.to_owned(),
            ByteString(next.file.clone().unwrap_or_default().into_bytes()),
        ),
    ]);
    let live = api.get_opt(SECRET).await.map_err(failed)?;
    context.ensure_leading()?;
    match (live, seen) {
        (None, Found::Absent) => {
            let secret = Secret {
                metadata: ObjectMeta {
                    name: Some(SECRET.to_owned()),
                    labels: Some(naming::encryption_labels()),
                    ..ObjectMeta::default()
                },
                type_: Some("Opaque".to_owned()),
                data: Some(data),
                ..Secret::default()
            };
            api.create(&PostParams::default(), &secret)
                .await
                .map(drop)
                .map_err(failed)
        }
        (Some(mut live), Found::Present(seen)) => {
            let text = live.data.as_ref().and_then(|data| data.get(RECORD_KEY));
            if text.and_then(|text| Custody::parse(&text.0).ok()).as_ref() != Some(seen) {
                return Err(Error::Changed(SECRET));
            }
            live.data = Some(data);
            // Its resourceVersion goes along: whoever wrote in between wins.
            api.replace(SECRET, &PostParams::default(), &live)
                .await
                .map(drop)
                .map_err(failed)
        }
        _ => Err(Error::Changed(SECRET)),
    }
}

/// The sealed copy.
pub async fn read_sealed(context: &Context) -> Result<Option<Sealed>, Error> {
    let found = config_maps(context)
        .get_opt(ESCROW_CONFIG_MAP)
        .await
        .map_err(|source| Error::request::<ConfigMap>("read", ESCROW_CONFIG_MAP, source))?;
    let list = |map: &ConfigMap, key: &str| -> BTreeSet<String> {
        let text = map.annotations().get(key).cloned().unwrap_or_default();
        text.split(',')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    Ok(found
        // What was emptied by hand is no copy.
        .filter(|map| {
            map.data.as_ref().is_some_and(|data| {
                data.get(SEALED_KEY)
                    .is_some_and(|text| text.starts_with("-----BEGIN AGE"))
            })
        })
        .map(|map| Sealed {
            keys: list(&map, SEALED_KEYS),
            recipients: list(&map, SEALED_FOR).into_iter().collect(),
            encrypted: list(&map, SEALED_ENCRYPTED),
        }))
}

/// Seals the record for these recipients.
pub async fn seal(
    context: &Context,
    custody: &Custody,
    recipients: &[String],
) -> Result<Result<(), seal::Failure>, Error> {
    let sealed = match seal_escrow(recipients, &custody.text()) {
        Ok(sealed) => sealed,
        Err(failure) => return Ok(Err(failure)),
    };
    let names: Vec<&str> = custody.keys.iter().map(|key| key.name.as_str()).collect();
    let encrypted: Vec<String> = custody.encrypted_when_recovered().into_iter().collect();
    let annotations = BTreeMap::from([
        (SEALED_ENCRYPTED.to_owned(), encrypted.join(",")),
        (SEALED_KEYS.to_owned(), names.join(",")),
        (SEALED_FOR.to_owned(), recipients.join(",")),
    ]);
    put(context, ESCROW_CONFIG_MAP, SEALED_KEY, sealed, annotations)
        .await
        .map(Ok)
}

/// Asks the migrator for a pass.
pub async fn order(context: &Context, order: &PassOrder) -> Result<(), Error> {
    let text = serde_json::to_string(order).map_err(|source| Error::Serialise {
        kind: "PassOrder".to_owned(),
        source,
    })?;
    put(context, ORDER.0, ORDER.1, text, BTreeMap::new()).await
}

/// What the migrator was asked for and what it reported.
pub async fn read_pass(context: &Context) -> Result<(Option<PassOrder>, Option<PassReport>), Error> {
    Ok((parsed(context, ORDER).await?, parsed(context, REPORT).await?))
}

async fn parsed<T: serde::de::DeserializeOwned>(
    context: &Context,
    (name, key): (&str, &str),
) -> Result<Option<T>, Error> {
    let found = config_maps(context)
        .get_opt(name)
        .await
        .map_err(|source| Error::request::<ConfigMap>("read", name, source))?;
    Ok(found
        .and_then(|map| map.data?.remove(key))
        .and_then(|text| serde_json::from_str(&text).ok()))
}

/// The file that a person shows.
pub async fn read_baseline(context: &Context) -> Result<Baseline, Error> {
    let found = secrets(context)
        .get_opt(BASELINE_SECRET)
        .await
        .map_err(|source| Error::request::<Secret>("read", BASELINE_SECRET, source))?;
    let text = found
        .and_then(|secret| secret.data?.remove(FILE_KEY))
        .and_then(|bytes| String::from_utf8(bytes.0).ok());
    Ok(text.map_or(Baseline::Unknown, Baseline::Text))
}

async fn put(
    context: &Context,
    name: &str,
    key: &str,
    text: String,
    annotations: BTreeMap<String, String>,
) -> Result<(), Error> {
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(naming::encryption_labels()),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(key.to_owned(), text)])),
        ..ConfigMap::default()
    };
    context.ensure_leading()?;
    config_maps(context)
        .patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&map))
        .await
        .map(drop)
        .map_err(|source| Error::request::<ConfigMap>("apply", name, source))
}
