//! An API server for one test: it keeps objects by their path, answers what the operator asks, and remembers writes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, header};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower_test::mock;

/// Every object by its path, and every write as `VERB path`.
#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    writes: Vec<String>,
    uids: u32,
    versions: u32,
    /// The reply to the write after so many more is lost: it is done, and nobody hears of it.
    lost_reply: Option<usize>,
    /// Requests whose path ends so are refused.
    refused: Option<&'static str>,
}

/// The server, shared between the test and the task that answers.
#[derive(Clone, Default)]
pub struct Server(Arc<Mutex<State>>);

impl Server {
    /// A client of this server.
    pub fn client(&self) -> Client {
        let (service, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
        let server = self.clone();
        tokio::spawn(async move {
            while let Some((request, answer)) = handle.next_request().await {
                answer.send_response(server.answer(request).await);
            }
        });
        Client::new(service, "default")
    }

    /// Puts an object in without counting it as a write.
    pub fn put(&self, path: &str, mut object: Value) {
        let mut state = self.0.lock().unwrap();
        if object["metadata"]["uid"].is_null() {
            state.uids += 1;
            object["metadata"]["uid"] = json!(format!("uid-{}", state.uids));
        }
        if object["metadata"]["creationTimestamp"].is_null() {
            object["metadata"]["creationTimestamp"] = json!("2026-11-22T05:10:00Z");
        }
        state.objects.insert(path.to_owned(), object);
    }

    /// The object at a path.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.0.lock().unwrap().objects.get(path).cloned()
    }

    /// Loses the reply to a write to come: the first is number 0. Events do not count.
    pub fn lose_reply(&self, number: usize) {
        self.0.lock().unwrap().lost_reply = Some(number);
    }

    /// Whether a reply is still to be lost.
    pub fn will_lose_a_reply(&self) -> bool {
        self.0.lock().unwrap().lost_reply.is_some()
    }

    /// Paths of all objects of a collection.
    pub fn paths(&self, collection: &str) -> Vec<String> {
        let prefix = format!("{collection}/");
        let state = self.0.lock().unwrap();
        state
            .objects
            .keys()
            .filter(|path| path.starts_with(&prefix))
            .cloned()
            .collect()
    }

    /// Paths of all objects of a kind, of whatever namespace.
    fn paths_of_all(&self, plural: &str) -> Vec<String> {
        let part = format!("/{plural}/");
        let state = self.0.lock().unwrap();
        state
            .objects
            .keys()
            .filter(|path| path.contains(&part))
            .cloned()
            .collect()
    }

    /// Refuses every request whose path ends so, from now on.
    pub fn refuse(&self, end: Option<&'static str>) {
        self.0.lock().unwrap().refused = end;
    }

    /// Takes an object away without counting it as a write.
    pub fn remove(&self, path: &str) -> Option<Value> {
        self.0.lock().unwrap().objects.remove(path)
    }

    /// Every write since the last call, events left out.
    pub fn writes(&self) -> Vec<String> {
        let writes = std::mem::take(&mut self.0.lock().unwrap().writes);
        writes.into_iter().filter(|write| !write.contains("/events")).collect()
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = tokio::time::timeout(Duration::from_secs(1), body.collect_bytes())
            .await
            .unwrap()
            .unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let metadata_only = parts
            .headers
            .get(header::ACCEPT)
            .is_some_and(|accept| accept.to_str().unwrap().contains("PartialObjectMetadata"));
        let path = parts.uri.path().to_owned();
        if self.0.lock().unwrap().refused.is_some_and(|end| path.ends_with(end)) {
            return failure(StatusCode::FORBIDDEN, "Forbidden");
        }
        // Whoever else is waiting may come first.
        tokio::task::yield_now().await;
        let is_write = parts.method != Method::GET && !path.contains("/events");
        if (parts.method == Method::PUT || parts.method == Method::POST)
            && let Some(conflict) = self.swap(&path, &body, &parts.method)
        {
            return conflict;
        }
        let answer = match parts.method {
            Method::GET => self.read(&path, parts.uri.query().unwrap_or_default(), metadata_only),
            Method::PATCH => Some(self.patch(&path, &body)),
            Method::POST | Method::PUT => Some(self.create(&path, &body)),
            Method::DELETE => self.delete(&path),
            other => panic!("{other} {path} is not expected"),
        };
        let (status, answer) = answer.map_or_else(
            || {
                let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": path});
                (StatusCode::NOT_FOUND, status)
            },
            |answer| (StatusCode::OK, answer),
        );
        if is_write && self.is_reply_lost() {
            return failure(StatusCode::INTERNAL_SERVER_ERROR, "lost");
        }
        let body = Body::from(serde_json::to_vec(&answer).unwrap());
        Response::builder().status(status).body(body).unwrap()
    }

    fn is_reply_lost(&self) -> bool {
        let mut state = self.0.lock().unwrap();
        match state.lost_reply {
            Some(0) => state.lost_reply = None,
            Some(number) => {
                state.lost_reply = Some(number - 1);
                return false;
            }
            None => return false,
        }
        true
    }

    /// Compare and swap, as an API server does it: what is there must have the version that the writer has read, and a
    /// new object must not be there. `None`: it is written.
    fn swap(&self, path: &str, body: &Value, method: &Method) -> Option<Response<Body>> {
        let mut state = self.0.lock().unwrap();
        let name = body["metadata"]["name"].as_str().unwrap();
        let target = if method == Method::PUT {
            path.to_owned()
        } else {
            format!("{path}/{name}")
        };
        let live = state
            .objects
            .get(&target)
            .map(|live| live["metadata"]["resourceVersion"].clone());
        let fits = match live {
            None => method == Method::POST,
            Some(version) => method == Method::PUT && version == body["metadata"]["resourceVersion"],
        };
        if !fits {
            return Some(failure(StatusCode::CONFLICT, "Conflict"));
        }
        state.versions += 1;
        let mut object = body.clone();
        object["metadata"]["resourceVersion"] = json!(format!("v{}", state.versions));
        if object["metadata"]["uid"].is_null() {
            state.uids += 1;
            object["metadata"]["uid"] = json!(format!("uid-{}", state.uids));
        }
        state.objects.insert(target, object);
        None
    }

    fn read(&self, path: &str, query: &str, metadata_only: bool) -> Option<Value> {
        let partial = |object: &Value| json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]});
        let last = path.rsplit('/').next().unwrap_or_default();
        let lists = [
            "jobs",
            "pods",
            "configmaps",
            "cronjobs",
            "processingactivities",
            "legalholds",
        ];
        if !lists.contains(&last) {
            let object = self.get(path)?;
            return Some(if metadata_only { partial(&object) } else { object });
        }
        let selector = query.replace("%3D", "=").replace("%2C", ",").replace("%2F", "/");
        let paths = if path.contains("/namespaces/") {
            self.paths(path)
        } else {
            self.paths_of_all(last)
        };
        let items: Vec<Value> = paths
            .iter()
            .filter_map(|path| self.get(path))
            .filter(|object| !selector.contains("labelSelector") || is_selected(object, &selector))
            .map(|object| if metadata_only { partial(&object) } else { object })
            .collect();
        Some(json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}))
    }

    fn patch(&self, path: &str, body: &Value) -> Value {
        let target = path.trim_end_matches("/status");
        self.note("PATCH", path);
        let mut object = self.get(target).unwrap_or_else(|| json!({}));
        merge(&mut object, body);
        self.put(target, object);
        self.get(target).unwrap()
    }

    /// Written already, by [`Self::swap`].
    fn create(&self, path: &str, body: &Value) -> Value {
        self.note("POST", path);
        let name = body["metadata"]["name"].as_str().unwrap();
        let is_whole = path.ends_with(&format!("/{name}"));
        let path = if is_whole {
            path.to_owned()
        } else {
            format!("{path}/{name}")
        };
        self.get(&path).unwrap()
    }

    /// In the foreground: the object stays, marked, until the test removes it.
    fn delete(&self, path: &str) -> Option<Value> {
        let mut object = self.get(path)?;
        self.note("DELETE", path);
        if path.contains("/jobs/") {
            object["metadata"]["deletionTimestamp"] = json!("2026-11-22T05:10:00Z");
            self.put(path, object);
        } else {
            self.remove(path);
        }
        Some(json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "code": 200}))
    }

    fn note(&self, verb: &str, path: &str) {
        self.0.lock().unwrap().writes.push(format!("{verb} {path}"));
    }
}

fn failure(status: StatusCode, reason: &str) -> Response<Body> {
    let answer = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": status.as_u16(), "message": reason});
    Response::builder()
        .status(status)
        .body(Body::from(serde_json::to_vec(&answer).unwrap()))
        .unwrap()
}

fn is_selected(object: &Value, query: &str) -> bool {
    let labels = object["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    let selector = query
        .split('&')
        .find_map(|part| part.strip_prefix("labelSelector="))
        .unwrap_or_default();
    selector.split(',').all(|part| {
        let (key, value) = part.split_once('=').unwrap();
        labels.get(key).is_some_and(|label| label == value)
    })
}

fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    target.remove(key);
                } else {
                    merge(target.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}
