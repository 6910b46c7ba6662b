//! What can go wrong while talking to the cluster. A user's mistake is not among it: that is a condition.

use std::time::Duration;

use kube::ResourceExt as _;

/// Why a reconcile did not come to its end. It is tried again.
#[derive(thiserror::Error, Debug)]
pub enum Error {
    /// A request failed.
    #[error("cannot {action} {kind} {name}")]
    Request {
        /// `read`, `list`, `apply`, `delete`.
        action: &'static str,
        /// Kind of the object.
        kind: String,
        /// Name of the object.
        name: String,
        /// What the API server or the connection said.
        #[source]
        source: Box<kube::Error>,
    },
    /// An object cannot be written as JSON.
    #[error("cannot write {kind} as JSON")]
    Serialise {
        /// Kind of the object.
        kind: String,
        /// What the serialiser said.
        #[source]
        source: serde_json::Error,
    },
    /// Others wrote the same object again and again.
    #[error("ConfigMap {0} is written by others all the time: it is tried again")]
    Contended(String),
    /// Somebody changed an object that was about to be replaced.
    #[error("{0} was changed in between")]
    Changed(&'static str),
    /// What was about to be written does not fit together.
    #[error("the key Secret is not written, because it would make no sense: {0}")]
    Unsound(String),
    /// The machine gives no random bytes.
    #[error("this machine gives no random bytes")]
    Randomness,
    /// This replica no longer leads, or cannot know it.
    #[error("not the leader any more: writes have stopped")]
    NotLeading,
}

impl Error {
    /// A request of a kind failed.
    #[must_use]
    pub fn request<K: kube::Resource<DynamicType = ()>>(action: &'static str, name: &str, source: kube::Error) -> Self {
        Self::Request {
            action,
            kind: K::kind(&()).into_owned(),
            name: name.to_owned(),
            source: Box::new(source),
        }
    }

    /// The word for metrics. A conflict is no error: somebody else wrote, and we look again.
    #[must_use]
    pub fn result_word(&self) -> &'static str {
        if self.is_conflict() { "conflict" } else { "error" }
    }

    /// The operator lacks a right.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.status_code() == Some(403)
    }

    /// Somebody else wrote in between.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.status_code() == Some(409) || matches!(self, Self::Changed(_))
    }

    /// The API server refuses the object as such: it will not do better the next time.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self.status_code(), Some(400 | 422))
    }

    fn status_code(&self) -> Option<u16> {
        match self {
            Self::Request { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            _ => None,
        }
    }

    /// The whole chain, on one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let words = cause.to_string();
            if !text.contains(&words) {
                text = format!("{text}: {words}");
            }
            source = cause.source();
        }
        text
    }
}

/// Pauses between tries, for one object.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: std::collections::HashMap<String, u32>,
}

impl Backoff {
    /// Longest pause.
    const LONGEST: Duration = Duration::from_mins(5);

    /// The pause after one more failure: doubled each time, with up to a quarter of jitter that is taken from the
    /// object's name, so that objects that failed together do not come back together.
    pub fn failed<K: kube::Resource>(&mut self, object: &K) -> Duration {
        let key = key(object);
        let failures = self.failures.entry(key.clone()).or_insert(0);
        *failures = failures.saturating_add(1);
        let pause = Duration::from_secs(1 << (*failures - 1).min(9)).min(Self::LONGEST);
        let jitter = u32::from(crate::domain::hash::sha256(key.as_bytes()).as_bytes()[0]) % 26;
        (pause + pause * jitter / 100).min(Self::LONGEST)
    }

    /// Forgets the failures of an object.
    pub fn succeeded<K: kube::Resource>(&mut self, object: &K) {
        self.failures.remove(&key(object));
    }
}

fn key<K: kube::Resource>(object: &K) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixtures;

    #[test]
    fn pauses_grow_to_five_minutes_and_start_anew_after_a_success() {
        let (policy, mut backoff) = (fixtures::policy(), Backoff::default());
        let pauses: Vec<u64> = (0..12).map(|_| backoff.failed(&policy).as_secs()).collect();
        assert!(pauses.is_sorted(), "{pauses:?}");
        assert!(pauses[0] <= 2);
        assert_eq!(pauses[11], 300);
        backoff.succeeded(&policy);
        assert!(backoff.failed(&policy).as_secs() <= 2);
    }

    #[test]
    fn errors_are_told_apart_by_what_the_api_server_said() {
        let with_code = |code: u16| {
            let status: kube::core::Status = serde_json::from_value(
                serde_json::json!({"status": "Failure", "code": code, "message": "no", "reason": "x"}),
            )
            .unwrap();
            Error::request::<crate::api::DataSource>("apply", "a", kube::Error::Api(Box::new(status)))
        };
        assert!(with_code(403).is_forbidden());
        assert!(with_code(409).is_conflict());
        assert!(with_code(422).is_refused());
        assert!(with_code(403).chain().starts_with("cannot apply DataSource a: "));
    }
}
