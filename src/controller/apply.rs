//! Server-side apply of one child, with two checks before: it is ours, and there is something to do.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, Patch, PatchParams};
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Context, Error, FIELD_MANAGER};
use crate::domain::hash;
use crate::plan::naming::ANNOTATION_APPLIED_HASH;

/// What became of a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// It was as desired: nothing was written.
    Unchanged,
    /// It was created or brought to the desired form.
    Written,
    /// An object of that name exists that this policy does not control. It was not touched: whoever made it did not
    /// give it to us, and overwriting it would let a policy's author change what they may not write themselves.
    Foreign(String),
}

/// Brings a child to its desired form.
pub async fn apply<K>(context: &Context, namespace: &str, owner_uid: &str, desired: K) -> Result<Applied, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned,
{
    let name = desired.name_any();
    let api: Api<K> = Api::namespaced(context.client.clone(), namespace);
    let live = api
        .get_opt(&name)
        .await
        .map_err(|source| Error::request::<K>("read", &name, source))?;
    let serialise = |object: &K| {
        serde_json::to_value(object).map_err(|source| Error::Serialise {
            kind: K::kind(&()).into_owned(),
            source,
        })
    };
    let mut document = serialise(&desired)?;
    let digest = hash::short(document.to_string().as_bytes());
    document["metadata"]["annotations"][ANNOTATION_APPLIED_HASH] = Value::String(digest);
    if let Some(live) = live {
        if !is_controlled_by(&live, owner_uid) {
            return Ok(Applied::Foreign(format!("{} {name}", K::kind(&()))));
        }
        if contains(&serialise(&live)?, &document) {
            return Ok(Applied::Unchanged);
        }
        // Should it be replaced by another one meanwhile, the API server refuses.
        document["metadata"]["uid"] = live.uid().into();
    }
    document["apiVersion"] = K::api_version(&()).into_owned().into();
    document["kind"] = K::kind(&()).into_owned().into();
    context.ensure_leading()?;
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(&name, &parameters, &Patch::Apply(&document))
        .await
        .map_err(|source| Error::request::<K>("apply", &name, source))?;
    Ok(Applied::Written)
}

/// Whether the object's controller is the one with this uid.
pub fn is_controlled_by<K: Resource>(object: &K, uid: &str) -> bool {
    object
        .owner_references()
        .iter()
        .any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// Whether `live` has everything that `desired` has. What the API server adds is no difference; lists are compared
/// item by item, because a longer list means something else.
#[must_use]
pub fn contains(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => desired.iter().all(|(key, value)| match live.get(key) {
            Some(live) => contains(live, value),
            // An empty object or list that the API server does not store.
            None => value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty),
        }),
        (Value::Array(live), Value::Array(desired)) => {
            live.len() == desired.len() && live.iter().zip(desired).all(|(live, desired)| contains(live, desired))
        }
        _ => live == desired,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_of_the_api_server_are_no_difference_and_edits_are() {
        let desired = json!({"spec": {"suspend": false, "list": [{"name": "a"}], "empty": {}}});
        for (live, same) in [
            (
                json!({"spec": {"suspend": false, "list": [{"name": "a", "added": 1}], "added": true}}),
                true,
            ),
            (json!({"spec": {"suspend": true, "list": [{"name": "a"}]}}), false),
            (
                json!({"spec": {"suspend": false, "list": [{"name": "a"}, {"name": "b"}]}}),
                false,
            ),
            (json!({"spec": {"suspend": false, "list": []}}), false),
            (json!({"spec": {"list": [{"name": "a"}]}}), false),
        ] {
            assert_eq!(contains(&live, &desired), same, "{live}");
        }
    }
}
