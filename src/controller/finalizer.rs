//! Finalizers: they keep an object until what hangs on it has been seen to.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, Patch, PatchParams};
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use super::{Context, Error, FIELD_MANAGER};

/// Adds our finalizer to an object, or takes it away; those of others stay. An object that is gone needs none.
pub async fn set<K>(context: &Context, object: &K, finalizer: &str, ours: bool) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let others = object.finalizers().iter().filter(|name| *name != finalizer).cloned();
    let finalizers: Vec<String> = others.chain(ours.then(|| finalizer.to_owned())).collect();
    let patch =
        serde_json::json!({"metadata": {"resourceVersion": object.resource_version(), "finalizers": finalizers}});
    context.ensure_leading()?;
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let name = object.name_any();
    let api = Api::<K>::namespaced(context.client.clone(), &object.namespace().unwrap_or_default());
    match api.patch(&name, &parameters, &Patch::Merge(&patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(Error::request::<K>("write the finalizer of", &name, source)),
    }
}
