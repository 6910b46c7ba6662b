//! Objects as the caches keep them: readable or not, and without what nobody here reads.

use std::borrow::Cow;

use kube::Resource;
use kube::api::ObjectMeta;
use kube::core::error_boundary::InvalidObject;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// What `kubectl apply` leaves in each object: a copy of all of it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object, or why it cannot be read: one broken object does not stop the watch of the others.
///
/// The record of who wrote which field is dropped. It is larger than the object itself, and with a thousand policies
/// most of the operator's memory.
#[derive(Debug, Clone)]
pub struct Guarded<K>(pub Result<K, InvalidObject>);

impl<'de, K: Resource + DeserializeOwned> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The library's own guard keeps a second tree of all of it, managed fields included.
        let mut object = Value::deserialize(deserializer)?;
        forget_what_nobody_reads(&mut object);
        match K::deserialize(&object) {
            Ok(object) => Ok(Self(Ok(object))),
            Err(error) => {
                let metadata = ObjectMeta::deserialize(&object["metadata"]).map_err(D::Error::custom)?;
                let error = error.to_string();
                Ok(Self(Err(InvalidObject { error, metadata })))
            }
        }
    }
}

fn forget_what_nobody_reads(object: &mut Value) {
    let Some(Value::Object(metadata)) = object.get_mut("metadata") else {
        return;
    };
    metadata.remove("managedFields");
    if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
        annotations.remove(LAST_APPLIED);
    }
}

impl<K: Resource> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        match &self.0 {
            Ok(object) => object.meta(),
            Err(invalid) => &invalid.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Ok(object) => object.meta_mut(),
            Err(invalid) => &mut invalid.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::DataRetentionPolicy;
    use crate::plan::fixtures;

    #[test]
    fn what_nobody_reads_is_dropped_and_the_rest_stays() {
        let mut document = serde_json::to_value(fixtures::policy()).unwrap();
        document["metadata"]["managedFields"] =
            json!([{"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {}}}]);
        document["metadata"]["annotations"] = json!({LAST_APPLIED: "{}", "mine": "x"});
        let guarded: Guarded<DataRetentionPolicy> = serde_json::from_value(document).unwrap();
        let metadata = guarded.meta();
        assert_eq!(metadata.managed_fields, None);
        assert_eq!(metadata.annotations.as_ref().unwrap().len(), 1);
        assert_eq!(guarded.0.unwrap().spec, fixtures::policy().spec);
    }

    #[test]
    fn an_object_that_cannot_be_read_still_has_its_name() {
        let broken = json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "DataRetentionPolicy", "metadata": {"name": "broken"}, "spec": 7});
        let guarded: Guarded<DataRetentionPolicy> = serde_json::from_value(broken).unwrap();
        assert!(guarded.0.is_err());
        assert_eq!(guarded.meta().name.as_deref(), Some("broken"));
    }
}
