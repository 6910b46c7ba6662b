//! `manifest.json`: what the archive holds, of when, and what it does not hold and why.

use serde_json::{Value, json};

use super::archive::Archive;
use super::context::Context;
use super::coverage;
use super::fault::Fault;

/// Writes `manifest.json`, the last member.
pub async fn write(context: &Context<'_>, archive: &mut Archive) -> Result<(), Fault> {
    let manifest = manifest(context, archive);
    archive.member("manifest.json", false, false).await?;
    // A value of JSON can always be written.
    let _ = serde_json::to_writer_pretty(&mut *archive.out(), &manifest);
    archive.out().push(b'\n');
    archive.end(None).await
}

fn manifest(context: &Context<'_>, archive: &Archive) -> Value {
    let plan = context.plan;
    let missing = coverage::missing(context);
    let stores: Vec<Value> = context
        .stores
        .iter()
        .map(|store| {
            let datasets = context
                .parts()
                .filter(|part| part.store.planned.name == store.planned.name);
            json!({
                "name": store.planned.name,
                "server": store.server_version,
                "collectedAt": store.collected_at,
                "datasets": datasets.map(|part| json!({
                    "name": part.dataset.name,
                    "rows": part.rows(),
                    "activities": part.dataset.activities,
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    let files: Vec<Value> = archive
        .members()
        .iter()
        .map(|(name, member)| {
            let mut file = json!({"name": name, "bytes": member.bytes, "sha256": member.sha256});
            if let Some(rows) = member.rows {
                file["rows"] = json!(rows);
            }
            file
        })
        .collect();
    json!({
        "format": "privacy-operator-manifest/v1",
        "request": {
            "namespace": plan.namespace,
            "name": plan.request,
            "uid": plan.request_uid,
            "right": plan.right,
            "regime": plan.regime,
            "receivedAt": plan.received_at,
        },
        "noticeVersion": plan.notice.version,
        "stores": stores,
        "files": files,
        "contentSha256": archive.content_sha256(),
        "coverage": coverage::counts(context),
        "leftOut": {
            "categories": missing.uncovered.iter().map(|(activity, key)| json!({
                "activity": activity.name, "category": key, "reason": "NoDataset",
            })).collect::<Vec<_>>(),
            "columns": missing.withheld.iter().map(|(store, dataset, column, reason)| json!({
                "store": store, "dataset": dataset, "column": column, "reason": format!("{reason:?}"),
            })).chain(missing.undeclared.iter().flat_map(|(store, dataset, columns)| columns.iter().map(move |column| json!({
                "store": store, "dataset": dataset, "column": column, "reason": "NotDeclared",
            })))).collect::<Vec<_>>(),
            "datasets": missing.left_out.iter().map(|(store, dataset, reason)| json!({
                "store": store, "dataset": dataset, "reason": format!("{reason:?}"),
            })).collect::<Vec<_>>(),
            "stores": plan.not_included.iter().map(|store| json!({
                "store": store.name, "reason": store.reason,
            })).collect::<Vec<_>>(),
        },
    })
}
