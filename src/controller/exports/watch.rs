//! What the controllers of requests and their policies look at besides their own kind.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Controller;
use kube::runtime::reflector::{ObjectRef, Store};

use super::super::context::{GuardedRequest, GuardedRightsPolicy, GuardedSource};
use super::super::run::{Watched, watched};
use crate::api::ExportRequest;
use crate::contract::STOP_CONFIG_MAP;
use crate::plan::export::children::LABEL_REQUEST;

impl Watched<'_> {
    /// Requests: their Jobs, their policy, the stores of their namespace, and whether everything is stopped there.
    pub fn by_requests(&self, controller: Controller<GuardedRequest>) -> Controller<GuardedRequest> {
        let stop = watched().fields(&format!("metadata.name={STOP_CONFIG_MAP}"));
        let own = controller.store();
        let (of_rights, of_sources, of_stops) = (own.clone(), own.clone(), own);
        controller
            .owns::<PartialObjectMeta<Job>>(self.api_of_metadata(), watched().labels(LABEL_REQUEST))
            .watches::<GuardedRightsPolicy, _>(self.api(), watched(), move |policy| {
                let (namespace, name) = (policy.namespace(), policy.name_any());
                references(&of_rights, |request| {
                    request.namespace() == namespace && request.spec.rights_policy_ref.name == name
                })
            })
            .watches::<GuardedSource, _>(self.api(), watched(), move |source| {
                let namespace = source.namespace();
                references(&of_sources, |request| {
                    request.namespace() == namespace && is_open(request)
                })
            })
            .watches::<PartialObjectMeta<ConfigMap>, _>(self.api_of_metadata(), stop, move |stop| {
                let namespace = stop.namespace();
                references(&of_stops, |request| {
                    request.namespace() == namespace && is_open(request)
                })
            })
    }

    /// Policies of rights: the requests that refer to them.
    pub fn by_rights(&self, controller: Controller<GuardedRightsPolicy>) -> Controller<GuardedRightsPolicy> {
        controller.watches::<GuardedRequest, _>(self.api(), watched(), |request| {
            let request = request.0.ok()?;
            let namespace = request.namespace()?;
            Some(ObjectRef::new(&request.spec.rights_policy_ref.name).within(&namespace))
        })
    }
}

fn is_open(request: &ExportRequest) -> bool {
    request.status.as_ref().is_none_or(|status| status.closed_on.is_none())
}

fn references(
    store: &Store<GuardedRequest>,
    wanted: impl Fn(&ExportRequest) -> bool,
) -> Vec<ObjectRef<GuardedRequest>> {
    store
        .state()
        .iter()
        .filter(|request| request.0.as_ref().is_ok_and(&wanted))
        .map(|request| ObjectRef::from_obj(request.as_ref()))
        .collect()
}
