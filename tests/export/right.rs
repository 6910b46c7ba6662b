//! Portability is narrower than access, and what an archive lacks is said in it.

use privacy_operator::contract::export::{ExportResult, Right};
use serde_json::{Value, json};

use crate::shop::shop;

#[tokio::test]
async fn portability_takes_what_was_provided_or_observed_on_consent_or_contract() {
    let mut trial = shop().await;
    trial.plan.right = Right::Portability;
    let trial = trial.of(&[("user_id", "17"), ("email", "user17@example.org")]);
    let (report, opened) = trial.delivered().await;
    let users = opened.rows("users");
    let columns: Vec<&str> = users[0].as_object().unwrap().keys().map(String::as_str).collect();
    // Not the credit (derived), the tags (derived), the shoe size (from others), nor the number, whose origin nobody declared.
    assert_eq!(
        columns,
        ["active", "born", "created_at", "email", "name", "photo", "settings"]
    );
    assert_eq!(
        opened.rows("orders").len(),
        10,
        "one of two legal bases of sales is a contract"
    );
    assert_eq!(opened.rows("items").len(), 30);
    let data = opened.text("data.json");
    assert!(data.contains("\"right\":\"Portability\""));
    assert!(!data.contains("words about"), "reviews rest on legitimate interests");
    let manifest = opened.json("manifest.json");
    let reason = |part: &str, dataset: &str, column: Option<&str>| {
        let entries = manifest["leftOut"][part].as_array().unwrap().clone();
        let found = entries
            .into_iter()
            .find(|entry| entry["dataset"] == dataset && column.is_none_or(|column| entry["column"] == column));
        found.map(|entry| entry["reason"].clone())
    };
    assert_eq!(reason("datasets", "reviews", None), Some(json!("NotPortable")));
    assert_eq!(reason("columns", "users", Some("credit")), Some(json!("NotPortable")));
    assert_eq!(reason("columns", "users", Some("password_hash")), Some(json!("Secret")));
    assert_eq!(report.coverage.datasets_left_out, 2, "reviews and audit");
}

#[tokio::test]
async fn what_is_missing_is_named_in_the_manifest_the_first_page_and_the_report() {
    let mut trial = shop().await;
    trial.plan.not_included = serde_json::from_value(json!([{"name": "mail-archive", "reason": {"en": "belongs to another team", "de": "gehört einem anderen Team"}}])).unwrap();
    trial.plan.languages = serde_json::from_value(json!(["en", "de"])).unwrap();
    let trial = trial.of(&[("user_id", "17")]);
    let (report, opened) = trial.delivered().await;
    let left_out = opened.json("manifest.json")["leftOut"].clone();
    let reasons = |part: &str, name: &str| -> Vec<Value> {
        let entries = left_out[part].as_array().unwrap();
        entries
            .iter()
            .map(|entry| json!([entry[name], entry["reason"]]))
            .collect()
    };
    // No dataset of accounts holds a device; items hold what sales call financial, reviews what marketing calls content.
    assert_eq!(
        left_out["categories"],
        json!([{"activity": "accounts", "category": "user.device", "reason": "NoDataset"}])
    );
    assert_eq!(
        reasons("columns", "column"),
        [
            json!(["password_hash", "Secret"]),
            json!(["token_hash", "Secret"]),
            json!(["internal_score", "NotDeclared"])
        ]
        .map(Value::from)
        .to_vec()
    );
    assert_eq!(reasons("datasets", "dataset"), [json!(["audit", "NoSubjects"])]);
    assert_eq!(left_out["stores"][0]["store"], "mail-archive");
    for (page, words) in [
        (
            "index.html",
            [
                "device",
                "password_hash",
                "internal_score",
                "audit: it is not described whose",
                "belongs to another team",
            ],
        ),
        (
            "index.de.html",
            [
                "device",
                "password_hash",
                "internal_score",
                "audit: es ist nicht beschrieben",
                "gehört einem anderen Team",
            ],
        ),
    ] {
        let page = opened.text(page);
        for word in words {
            assert!(page.contains(word), "{word}");
        }
    }
    let coverage = report.coverage;
    assert_eq!(
        (
            coverage.stores,
            coverage.stores_not_included,
            coverage.datasets,
            coverage.datasets_left_out
        ),
        (1, 1, 6, 1)
    );
    assert_eq!(
        (
            coverage.categories,
            coverage.categories_missing,
            coverage.columns_withheld,
            coverage.columns_undeclared
        ),
        (4, 1, 2, 1)
    );
    assert_eq!(report.result, ExportResult::Delivered);
}
