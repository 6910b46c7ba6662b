//! Whether the CRDs of this release are served. Without them nothing can be promised, and saying so by name is better
//! than a controller that waits in silence.

use std::sync::{Arc, RwLock};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::Api;
use kube::{Client, ResourceExt as _};

use crate::api::{SCHEMA_HASH_ANNOTATION, all_crds};

/// What somebody on call does about it.
const REMEDY: &str = "privacy-operator crds | kubectl apply --server-side -f -";

/// Ready, or why not, to be read by the HTTP server.
#[derive(Clone, Default)]
pub struct Readiness(Arc<RwLock<Option<String>>>);

impl Readiness {
    /// Not ready, with the reason.
    #[must_use]
    pub fn waiting(reason: &str) -> Self {
        Self(Arc::new(RwLock::new(Some(reason.to_owned()))))
    }

    /// Sets the state; true if it is new.
    #[must_use]
    pub fn set(&self, reason: Option<String>) -> bool {
        match self.0.write() {
            Ok(mut state) if *state != reason => {
                *state = reason;
                true
            }
            _ => false,
        }
    }

    /// Why it is not ready. `None`: it is.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.0
            .read()
            .map_or_else(|_| Some("internal state is lost".to_owned()), |state| state.clone())
    }
}

/// What is wrong with the CRDs that are served. `None`: nothing.
#[must_use]
pub fn judge(served: &[Option<CustomResourceDefinition>]) -> Option<String> {
    let complaints: Vec<String> = all_crds()
        .iter()
        .zip(served)
        .filter_map(|(wanted, served)| {
            let name = wanted.name_any();
            let Some(served) = served else {
                return Some(format!("CRDMissing: {name} is not installed"));
            };
            let established = served
                .status
                .as_ref()
                .and_then(|status| status.conditions.as_ref())
                .is_some_and(|conditions| {
                    conditions
                        .iter()
                        .any(|it| it.type_ == "Established" && it.status == "True")
                });
            let hash = |crd: &CustomResourceDefinition| crd.annotations().get(SCHEMA_HASH_ANNOTATION).cloned();
            if !established {
                Some(format!("CRDMissing: {name} is not established yet"))
            } else if hash(served) != hash(wanted) {
                Some(format!("CRDOutdated: {name} is of another release than this operator"))
            } else {
                None
            }
        })
        .collect();
    (!complaints.is_empty()).then(|| format!("{}; install the CRDs of this release: {REMEDY}", complaints.join("; ")))
}

/// Asks the API server, and judges.
pub async fn check(client: &Client) -> Option<String> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut served = Vec::new();
    for crd in all_crds() {
        match api.get_opt(&crd.name_any()).await {
            Ok(found) => served.push(found),
            Err(error) => return Some(format!("the API server cannot be asked for the CRDs: {error}")),
        }
    }
    judge(&served)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn established(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
        crd.status = serde_json::from_value(serde_json::json!({
            "acceptedNames": {"kind": "X", "plural": "xs"}, "storedVersions": ["v1alpha1"],
            "conditions": [{"type": "Established", "status": "True", "reason": "", "message": ""}],
        }))
        .unwrap();
        crd
    }

    #[test]
    fn the_crds_of_this_release_are_fine() {
        let served: Vec<_> = all_crds().into_iter().map(|crd| Some(established(crd))).collect();
        assert_eq!(judge(&served), None);
    }

    #[test]
    fn a_missing_and_an_outdated_crd_are_named_with_the_command() {
        let mut served: Vec<_> = all_crds().into_iter().map(|crd| Some(established(crd))).collect();
        served[0] = None;
        if let Some(crd) = &mut served[1] {
            crd.metadata
                .annotations
                .get_or_insert_default()
                .insert(SCHEMA_HASH_ANNOTATION.to_owned(), "older".to_owned());
        }
        let text = judge(&served).unwrap();
        for words in [
            "CRDMissing: datasources.privacy-operator.dev",
            "CRDOutdated: dataretentionpolicies.privacy-operator.dev",
            "kubectl apply --server-side",
        ] {
            assert!(text.contains(words), "{text}");
        }
    }
}
