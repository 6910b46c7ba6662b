use serde_json::{Value, json};

use super::*;
use crate::plan::export::fixtures;
use crate::plan::fixtures::now;

fn edited<T: serde::Serialize + serde::de::DeserializeOwned>(object: &T, edits: &[(&str, Value)]) -> T {
    let mut document = serde_json::to_value(object).unwrap();
    for (pointer, value) in edits {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[field] = value.clone();
    }
    serde_json::from_value(document).unwrap()
}

/// Reasons and fields of everything that is wrong.
fn mistakes(
    request: &ExportRequest,
    policy: Option<&SubjectRightsPolicy>,
    sources: &[&DataSource],
) -> Vec<(&'static str, String)> {
    let inputs = Inputs {
        request,
        policy,
        sources,
        now: now(),
    };
    let mut invalid = Vec::new();
    invalid.extend(received_at(request, now()).err());
    match (parsed_policy(&inputs), policy) {
        (Err(mistakes), _) => invalid.extend(mistakes),
        (Ok(_), Some(policy)) => invalid.extend(accept(&inputs, policy).err().into_iter().flatten()),
        (Ok(_), None) => {}
    }
    invalid.extend(dates(request, policy, now().to_zoned(jiff::tz::TimeZone::UTC).date()).mistakes);
    invalid.into_iter().map(|one| (one.reason, one.field)).collect()
}

#[test]
fn a_request_as_it_should_be_is_accepted() {
    let (request, policy, source) = (fixtures::request(), fixtures::policy(), fixtures::source());
    assert_eq!(mistakes(&request, Some(&policy), &[&source]), []);
    let inputs = Inputs {
        request: &request,
        policy: Some(&policy),
        sources: &[&source],
        now: now(),
    };
    let accepted = accept(&inputs, &policy).unwrap();
    assert_eq!(accepted.identities, ["email", "user_id"]);
    assert_eq!(accepted.sealing, Sealing::Age(vec![fixtures::KEY.to_owned()]));
    let counted = edited(&policy, &[("/spec/countBy", json!("user_id"))]);
    assert_eq!(accept(&inputs, &counted).unwrap().identities, ["user_id", "email"]);
}

#[test]
fn each_mistake_is_named_with_its_field() {
    let (request, policy, source) = (fixtures::request(), fixtures::policy(), fixtures::source());
    let of_request = |edits: &[(&str, Value)]| mistakes(&edited(&request, edits), Some(&policy), &[&source]);
    for (edits, reason, field) in [
        (
            vec![("/spec/receivedAt", json!("2026-13-01T00:00:00Z"))],
            "InvalidValue",
            "spec.receivedAt",
        ),
        (
            vec![("/spec/receivedAt", json!("2026-11-23T00:00:00Z"))],
            "InvalidValue",
            "spec.receivedAt",
        ),
        (
            vec![(
                "/spec/dataSourceRefs",
                json!([{"name": "platform-db"}, {"name": "nobody"}]),
            )],
            "UnknownDataSource",
            "spec.dataSourceRefs[1].name",
        ),
        (
            vec![("/spec/handling/approvedOn", json!("2026-02-30"))],
            "InvalidValue",
            "spec.handling.approvedOn",
        ),
        (
            vec![("/spec/handling/answeredOn", json!("2026-12-01"))],
            "InvalidValue",
            "spec.handling.answeredOn",
        ),
        (
            vec![("/spec/handling/identity/confirmedOn", json!("2026-11-23"))],
            "InvalidValue",
            "spec.handling.identity.confirmedOn",
        ),
        (
            vec![("/status", json!({"sealingHash": "another"}))],
            "RecipientChanged",
            "spec.sealTo",
        ),
        (
            vec![(
                "/status",
                json!({"subject": {"tag": "t", "digest": "d", "keyId": "k", "identity": "email", "identities": ["email"]}}),
            )],
            "IdentitiesChanged",
            "spec.dataSourceRefs",
        ),
    ] {
        assert_eq!(of_request(&edits), [(reason, field.to_owned())], "{edits:?}");
    }
}

#[test]
fn what_policy_and_stores_lack_is_told_at_the_request() {
    let (request, policy, source) = (fixtures::request(), fixtures::policy(), fixtures::source());
    let one = |reason: &'static str, field: &str| vec![(reason, field.to_owned())];
    assert_eq!(
        mistakes(&request, None, &[&source]),
        one("UnknownRightsPolicy", "spec.rightsPolicyRef.name")
    );
    let broken = edited(&policy, &[("/spec/timeZone", json!("x"))]);
    assert_eq!(
        mistakes(&request, Some(&broken), &[&source]),
        one("InvalidRightsPolicy", "spec.rightsPolicyRef.name")
    );
    let keyless = edited(&policy, &[("/spec/sealTo", json!([]))]);
    assert_eq!(
        mistakes(&request, Some(&keyless), &[&source]),
        one("NoRecipient", "spec.sealTo")
    );
    let own_key = edited(&request, &[("/spec/sealTo", json!([fixtures::KEY]))]);
    assert_eq!(mistakes(&own_key, Some(&keyless), &[&source]), []);
    let open = edited(&keyless, &[("/spec/unsealed", json!("Allow"))]);
    assert_eq!(mistakes(&request, Some(&open), &[&source]), []);
    let ccpa = edited(&policy, &[("/spec/regime", json!("CCPA"))]);
    let portability = edited(&request, &[("/spec/right", json!("Portability"))]);
    assert_eq!(
        mistakes(&portability, Some(&ccpa), &[&source]),
        one("RightNotInRegime", "spec.right")
    );
    let nobody = crate::plan::fixtures::source();
    assert_eq!(
        mistakes(&request, Some(&policy), &[&nobody]),
        one("NoSubjects", "spec.dataSourceRefs")
    );
    assert_eq!(
        mistakes(&request, Some(&policy), &[]),
        one("UnknownDataSource", "spec.dataSourceRefs")
    );
    let invalid = edited(&source, &[("/spec/datasets/0/table", json!("no_schema"))]);
    assert_eq!(
        mistakes(&request, Some(&policy), &[&invalid]),
        one("InvalidDataSource", "spec.dataSourceRefs")
    );
}

#[test]
fn every_mistake_says_what_to_do() {
    let (request, policy) = (fixtures::request(), fixtures::policy());
    let inputs = Inputs {
        request: &request,
        policy: Some(&policy),
        sources: &[],
        now: now(),
    };
    for mistake in accept(&inputs, &policy).unwrap_err() {
        let message = mistake.message;
        let says = ["create", "correct", "add", "restore", "give"];
        assert!(says.iter().any(|word| message.contains(word)), "{message}");
    }
}
