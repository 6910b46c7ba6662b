//! Writes a status.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, Patch, PatchParams};
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Context, Error, FIELD_MANAGER};

/// Replaces the status of an object. Its resourceVersion goes along: a status that was computed from a stale cache ends
/// in a conflict and is computed again, so that no run is consumed twice.
pub async fn write<K, S>(context: &Context, object: &K, old: Option<&S>, new: &S) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    S: Serialize,
{
    let api = Api::<K>::namespaced(context.client.clone(), &object.namespace().unwrap_or_default());
    write_to(context, &api, object, old, new).await
}

/// As [`write`], for an object of any scope.
pub async fn write_to<K, S>(context: &Context, api: &Api<K>, object: &K, old: Option<&S>, new: &S) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    S: Serialize,
{
    let name = object.name_any();
    let serialise = |status: &S| {
        serde_json::to_value(status).map_err(|source| Error::Serialise {
            kind: K::kind(&()).into_owned(),
            source,
        })
    };
    let mut status = serialise(new)?;
    if let Some(old) = old {
        remove_what_is_gone(&serialise(old)?, &mut status);
    }
    let document = serde_json::json!({
        "metadata": {"resourceVersion": object.resource_version()},
        "status": status,
    });
    context.ensure_leading()?;
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    api.patch_status(&name, &parameters, &Patch::Merge(&document))
        .await
        .map(drop)
        .map_err(|source| Error::request::<K>("write the status of", &name, source))
}

/// In a merge patch what is not named stays: so what the new status does not have is named as null.
fn remove_what_is_gone(old: &Value, new: &mut Value) {
    if let (Value::Object(old), Value::Object(new)) = (old, new) {
        for (key, old) in old {
            match new.get_mut(key) {
                Some(new) => remove_what_is_gone(old, new),
                None => {
                    new.insert(key.clone(), Value::Null);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_gone_from_the_status_is_removed_at_every_depth() {
        let old = json!({"oldest": "3d", "due": 1, "store": {"lookedAt": "a", "problem": {"reason": "x"}}, "runs": [{"a": 1}]});
        let mut new = json!({"due": 2, "store": {"lookedAt": "b"}, "runs": [{}]});
        remove_what_is_gone(&old, &mut new);
        assert_eq!(
            new,
            json!({"oldest": null, "due": 2, "store": {"lookedAt": "b", "problem": null}, "runs": [{}]})
        );
    }
}
