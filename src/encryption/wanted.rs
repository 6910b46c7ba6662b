//! What is wanted of encryption: the spec, and what activities ask for, united.

use jiff::SignedDuration;

use super::observation::Wanted;
use super::seal;
use crate::api::cluster_encryption::ClusterEncryptionSpec;
use crate::domain::period::{Period, PeriodError};
use crate::plan::reasons;
use crate::plan::validated::Invalid;

/// Shortest time between two rotations.
const SHORTEST_SECONDS: i64 = 3600;

/// What activities ask to be encrypted: `secrets`, or `RESOURCE.GROUP`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement(pub String);

/// The union. What is asked for but not allowed has no effect here; the record of who asks says so.
#[must_use]
pub fn unite(spec: &ClusterEncryptionSpec, requirements: &[Requirement]) -> Vec<String> {
    let mut resources = spec.resources.clone();
    for Requirement(resource) in requirements {
        if !resources.contains(resource) && spec.allowed_resources.contains(resource) {
            resources.push(resource.clone());
        }
    }
    resources
}

/// Reads the spec.
pub fn wanted(
    spec: &ClusterEncryptionSpec,
    requirements: &[Requirement],
    settle: SignedDuration,
) -> Result<Wanted, Invalid> {
    let invalid = |message: String| Invalid::new(reasons::INVALID_DURATION, "spec.rotation.every", message);
    let every: Period = spec
        .rotation
        .every
        .parse()
        .map_err(|error: PeriodError| invalid(error.to_string()))?;
    if every.shortest_seconds() < SHORTEST_SECONDS {
        return Err(invalid(
            "a rotation is at most once an hour: write PT1H or longer".to_owned(),
        ));
    }
    let escrow = spec.escrow.as_ref();
    if let Some(wrong) = escrow.and_then(|escrow| escrow.age_recipients.iter().find(|text| !seal::is_recipient(text))) {
        return Err(Invalid::new(
            reasons::INVALID_VALUE,
            "spec.escrow.ageRecipients",
            format!("`{wrong}` is no age recipient: age-keygen prints one"),
        ));
    }
    let mut recipients = escrow.map(|escrow| escrow.age_recipients.clone()).unwrap_or_default();
    recipients.sort();
    recipients.dedup();
    Ok(Wanted {
        mode: spec.mode,
        resources: unite(spec, requirements),
        every,
        keep_old_keys: usize::try_from(spec.rotation.keep_old_keys).unwrap_or(1).max(1),
        request: spec.rotation.request.clone(),
        recipients,
        settle,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: serde_json::Value) -> ClusterEncryptionSpec {
        serde_json::from_value(json).unwrap()
    }

    fn asks(resource: &str) -> Requirement {
        Requirement(resource.to_owned())
    }

    #[test]
    fn requirements_are_united_and_what_is_not_allowed_has_no_effect() {
        let spec = spec(serde_json::json!({"resources": ["configmaps"], "allowedResources": ["secrets"]}));
        let asked = [asks("secrets"), asks("secrets"), asks("configmaps"), asks("pods")];
        assert_eq!(unite(&spec, &asked), ["configmaps", "secrets"]);
    }

    #[test]
    fn the_defaults_are_those_of_the_documents() {
        let wanted = wanted(&spec(serde_json::json!({})), &[], SignedDuration::ZERO).unwrap();
        assert_eq!((wanted.keep_old_keys, wanted.every.to_string().as_str()), (10, "P90D"));
        assert_eq!(wanted.resources, ["secrets"]);
    }

    #[test]
    fn what_cannot_be_read_names_field_and_remedy() {
        for every in ["90d", "PT59M", "PT0S"] {
            let error = wanted(
                &spec(serde_json::json!({"rotation": {"every": every}})),
                &[],
                SignedDuration::ZERO,
            );
            assert_eq!(error.unwrap_err().field, "spec.rotation.every", "{every}");
        }
        let typo = format!("age1{}", "q".repeat(58));
        let error = wanted(
            &spec(serde_json::json!({"escrow": {"ageRecipients": [typo]}})),
            &[],
            SignedDuration::ZERO,
        );
        assert_eq!(error.unwrap_err().field, "spec.escrow.ageRecipients");
    }
}
