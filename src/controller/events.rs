//! Events, as they are seen with `kubectl describe`.
//!
//! Each is a new object: the recorder of the library folds events of one reason into a series and keeps the first note,
//! while here the note is what differs.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};

use super::Context;
use crate::plan::transitions::Transition;

/// Publishes an event about an object. A failure is logged, not returned: an event is a courtesy.
pub async fn publish(context: &Context, reference: &ObjectReference, transition: Transition) {
    let now = (context.now)();
    // Events about cluster-wide objects are kept in `default`.
    let namespace = reference.namespace.clone().unwrap_or_else(|| "default".to_owned());
    let name = reference.name.clone().unwrap_or_default();
    let words = format!("{}{}{}", transition.reason, transition.note, now);
    let short_name: String = name.chars().take(200).collect();
    let event = Event {
        metadata: ObjectMeta {
            name: Some(format!("{short_name}.{}", crate::domain::hash::short(words.as_bytes()))),
            namespace: Some(namespace.clone()),
            ..ObjectMeta::default()
        },
        action: Some("Reconcile".to_owned()),
        event_time: Some(MicroTime(now)),
        note: Some(transition.note),
        reason: Some(transition.reason),
        regarding: Some(reference.clone()),
        reporting_controller: Some("privacy-operator.dev/operator".to_owned()),
        reporting_instance: Some(context.instance.clone()),
        type_: Some(if transition.warning { "Warning" } else { "Normal" }.to_owned()),
        ..Event::default()
    };
    if !(context.may_write)() {
        return;
    }
    let api: Api<Event> = Api::namespaced(context.client.clone(), &namespace);
    if let Err(error) = api.create(&PostParams::default(), &event).await {
        tracing::warn!(%namespace, %name, %error, "cannot publish an event");
    }
}
