//! Who may name a Secret with keys of masks.

use serde_json::{Value, json};

use super::{AUTHOR, NAMESPACE, apply, prepare, refusal, with};

/// A policy with a rule for each of these Secrets, under whose key it pseudonymises; and with one that needs none.
pub fn policy(secrets: &[&str]) -> Value {
    let mut rules = vec![
        json!({"name": "all", "dataset": "logs", "always": {}, "then": {"mask": [{"column": "ip", "strategy": "TruncateIp"}]}}),
    ];
    rules.extend(secrets.iter().enumerate().map(|(index, secret)| {
        let mask = json!({"column": "who", "strategy": "Pseudonymise", "keySecretRef": {"name": secret, "key": "key"}});
        json!({"name": format!("rule-{index}"), "dataset": "logs", "always": {}, "then": {"mask": [mask]}})
    }));
    json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "DataRetentionPolicy",
        "metadata": {"name": "judged", "namespace": NAMESPACE},
        "spec": {"dataSourceRef": {"name": "judged"}, "schedule": "23 * * * *", "rules": rules}})
}

#[test]
fn a_retention_policy_names_one_secret_with_keys_which_its_author_may_read() {
    prepare();
    for secrets in [&[][..], &["mine"], &["mine", "mine"]] {
        assert_eq!(refusal(AUTHOR, &policy(secrets)), None, "{secrets:?}");
    }
    let said = refusal(AUTHOR, &policy(&["foreign"])).unwrap();
    assert!(said.contains("keySecretRef names Secret foreign"), "{said}");
    let said = refusal(AUTHOR, &policy(&["mine", "foreign"])).unwrap();
    assert!(said.contains("name one Secret"), "{said}");
    // Somebody who may wrote it: what is not about the key may be changed by others.
    apply(&policy(&["foreign"]));
    let patched = with(&policy(&["foreign"]), "/spec/suspend", json!(true));
    assert_eq!(refusal(AUTHOR, &patched), None);
    let said = refusal(AUTHOR, &with(&patched, "/spec/dataSourceRef/name", json!("other"))).unwrap();
    assert!(said.contains("keySecretRef names Secret foreign"), "{said}");
    let without = with(
        &policy(&[]),
        "/spec/rules/0/then/mask/0/keySecretRef",
        json!({"name": "mine", "key": "key"}),
    );
    assert!(
        refusal(AUTHOR, &without)
            .unwrap()
            .contains("Pseudonymise needs keySecretRef")
    );
}
