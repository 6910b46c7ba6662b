//! Reconciles begin when every cache is filled, and they do begin, however long the list of one kind takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use http::{Method, Request, Response};
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use privacy_operator::controller::{Scopes, run};
use serde_json::{Value, json};
use tower_test::mock;

use super::context::context;
use super::wait::until;

/// Longer than any pause in which changes are gathered: reconciles wait for it.
const SLOW: Duration = Duration::from_secs(2);

fn now() -> Timestamp {
    "2026-11-22T05:10:00Z".parse().unwrap()
}

/// Lists are empty but for the one object; the list of one kind comes late; nothing ever changes.
fn client(slow: &'static str, statuses: Arc<AtomicUsize>) -> Client {
    let (service, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    tokio::spawn(async move {
        while let Some((request, answer)) = handle.next_request().await {
            let statuses = statuses.clone();
            tokio::spawn(async move {
                let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
                if query.contains("watch=true") {
                    std::future::pending::<()>().await;
                }
                if path.ends_with(slow) {
                    let _ = tokio::time::timeout(SLOW, std::future::pending::<()>()).await;
                }
                if request.method() == Method::PATCH && path.ends_with("/clusterencryptions/cluster/status") {
                    statuses.fetch_add(1, Ordering::Relaxed);
                }
                let body = Body::from(serde_json::to_vec(&found(path)).unwrap());
                answer.send_response(Response::new(body));
            });
        }
    });
    Client::new(service, "default")
}

fn found(path: &str) -> Value {
    let object = json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "ClusterEncryption",
        "metadata": {"name": "cluster", "uid": "u", "resourceVersion": "1", "generation": 1}, "spec": {"escrow": {"none": {}}}});
    if path.contains("/clusterencryptions/") {
        return object;
    }
    let items = if path.ends_with("/clusterencryptions") {
        vec![object]
    } else {
        vec![]
    };
    json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_comes_late_delays_reconciles_and_loses_none() {
    let kinds = [
        "dataretentionpolicies",
        "datasources",
        "subjectrightspolicies",
        "exportrequests",
        "processingactivities",
    ];
    for kind in kinds {
        let statuses = Arc::new(AtomicUsize::new(0));
        let client = client(kind, statuses.clone());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let shutdown = stopped.map(drop).boxed().shared();
        let controllers = tokio::spawn(async move {
            let of = |stores| Arc::new(context(client.clone(), stores, now));
            run(client.clone(), &Scopes::All, shutdown, of).await;
        });
        let what = format!("a reconcile after a late list of {kind}");
        until(&what, async || statuses.load(Ordering::Relaxed) > 0).await;
        stop.send(()).unwrap();
        let stopped = tokio::time::timeout(Duration::from_mins(1), controllers).await;
        stopped.expect("they stop when they are told to").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_to_stop_stops_though_a_list_never_comes() {
    let (service, handle) = mock::pair::<Request<Body>, Response<Body>>();
    let client = Client::new(service, "default");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = stopped.map(drop).boxed().shared();
    let controllers = tokio::spawn(async move {
        let of = |stores| Arc::new(context(client.clone(), stores, now));
        run(client.clone(), &Scopes::All, shutdown, of).await;
    });
    // Nobody answers anything.
    let _handle = handle;
    assert!(!controllers.is_finished());
    stop.send(()).unwrap();
    let stopped = tokio::time::timeout(Duration::from_mins(1), controllers).await;
    stopped.expect("they stop when they are told to").unwrap();
}
