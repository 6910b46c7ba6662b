//! Reads objects of this project from YAML text.

use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::api::{
    DataRetentionPolicy, DataSource, GROUP, LegalHold, PrivacyNotice, ProcessingActivity, SubjectRightsPolicy, VERSION,
};

/// Why a file cannot be read as objects.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No YAML, or YAML that is no object of its kind.
    #[error("{file}: {object}: {problem}")]
    Invalid {
        /// The file.
        file: String,
        /// The document, and what it claims to be.
        object: String,
        /// What the parser says, with line, column and field.
        problem: String,
    },
    /// An object of ours in a version that this program does not know.
    #[error("{file}: {object} has apiVersion {found}; this program knows {GROUP}/{VERSION}")]
    Version {
        /// The file.
        file: String,
        /// Kind and name.
        object: String,
        /// Its apiVersion.
        found: String,
    },
    /// No `metadata.name`.
    #[error("{file}: {kind} without metadata.name")]
    Unnamed {
        /// The file.
        file: String,
        /// Its kind.
        kind: &'static str,
    },
    /// The same object twice.
    #[error("{file}: {object} is in the files twice; it was read from {first} before. Name one of them only")]
    Twice {
        /// The later file.
        file: String,
        /// Kind, namespace and name.
        object: String,
        /// The earlier file.
        first: String,
    },
}

/// An object, and where it was found.
#[derive(Debug, Clone)]
pub struct Located<T> {
    /// File that it stands in.
    pub file: String,
    /// Kind, for messages.
    pub kind: &'static str,
    /// `metadata.namespace`; absent where whoever applies the file says it.
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
    /// The object.
    pub object: T,
}

impl<T> fmt::Display for Located<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = self.namespace.as_deref().map(|namespace| format!("{namespace}/"));
        write!(
            f,
            "{}: {} {}{}",
            self.file,
            self.kind,
            namespace.unwrap_or_default(),
            self.name
        )
    }
}

/// Everything that was read.
#[derive(Debug, Clone, Default)]
pub struct Manifests {
    /// Each `DataSource`.
    pub sources: Vec<Located<DataSource>>,
    /// Each `DataRetentionPolicy`.
    pub policies: Vec<Located<DataRetentionPolicy>>,
    /// Each `ProcessingActivity`.
    pub activities: Vec<Located<ProcessingActivity>>,
    /// Each `PrivacyNotice`.
    pub notices: Vec<Located<PrivacyNotice>>,
    /// Each `SubjectRightsPolicy`.
    pub rights: Vec<Located<SubjectRightsPolicy>>,
    /// Each `LegalHold`.
    pub holds: Vec<Located<LegalHold>>,
    /// Objects of other kinds, a remark each.
    pub ignored: Vec<String>,
}

/// The part of a document that says what it is. A `List` carries its objects in `items`.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    items: Vec<serde_json::Value>,
}

/// A document as one of our kinds, or the parser's complaint.
type Parsed<T> = Result<T, String>;

/// A document as each of our kinds: which one it is, its head says.
struct Document {
    source: Parsed<DataSource>,
    policy: Parsed<DataRetentionPolicy>,
    activity: Parsed<ProcessingActivity>,
    notice: Parsed<PrivacyNotice>,
    rights: Parsed<SubjectRightsPolicy>,
    hold: Parsed<LegalHold>,
}

impl Document {
    fn of_item(item: &serde_json::Value) -> Self {
        Self {
            source: from_item(item),
            policy: from_item(item),
            activity: from_item(item),
            notice: from_item(item),
            rights: from_item(item),
            hold: from_item(item),
        }
    }
}

impl Manifests {
    /// Adds the objects of a file's text.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), ReadError> {
        let heads: Vec<Head> = serde_saphyr::from_multiple(text).map_err(|error| ReadError::Invalid {
            file: file.to_owned(),
            object: "it is not a sequence of YAML objects".to_owned(),
            problem: one_line(&error),
        })?;
        // Each kind is read from the text itself, not from a tree, so that a complaint names line and column.
        let mut sources = documents::<DataSource>(text);
        let mut policies = documents::<DataRetentionPolicy>(text);
        let mut activities = documents::<ProcessingActivity>(text);
        let mut notices = documents::<PrivacyNotice>(text);
        let mut rights = documents::<SubjectRightsPolicy>(text);
        let mut holds = documents::<LegalHold>(text);
        for head in heads {
            let document = Document {
                source: next(&mut sources),
                policy: next(&mut policies),
                activity: next(&mut activities),
                notice: next(&mut notices),
                rights: next(&mut rights),
                hold: next(&mut holds),
            };
            if head.kind == "List" {
                for item in head.items {
                    let head = Head::deserialize(&item).unwrap_or_default();
                    self.add_document(file, &head, Document::of_item(&item))?;
                }
            } else {
                self.add_document(file, &head, document)?;
            }
        }
        Ok(())
    }

    fn add_document(&mut self, file: &str, head: &Head, document: Document) -> Result<(), ReadError> {
        let ours = head
            .api_version
            .split_once('/')
            .is_some_and(|(group, _)| group == GROUP);
        match head.kind.as_str() {
            "DataSource" if ours => {
                let source = located(file, "DataSource", head, document.source, |object| &object.metadata)?;
                push(&mut self.sources, source)
            }
            "DataRetentionPolicy" if ours => {
                let policy = located(file, "DataRetentionPolicy", head, document.policy, |object| {
                    &object.metadata
                })?;
                push(&mut self.policies, policy)
            }
            "ProcessingActivity" if ours => {
                let activity = located(file, "ProcessingActivity", head, document.activity, |object| {
                    &object.metadata
                })?;
                push(&mut self.activities, activity)
            }
            "PrivacyNotice" if ours => {
                let notice = located(file, "PrivacyNotice", head, document.notice, |object| &object.metadata)?;
                push(&mut self.notices, notice)
            }
            "SubjectRightsPolicy" if ours => {
                let rights = located(file, "SubjectRightsPolicy", head, document.rights, |object| {
                    &object.metadata
                })?;
                push(&mut self.rights, rights)
            }
            "LegalHold" if ours => {
                let hold = located(file, "LegalHold", head, document.hold, |object| &object.metadata)?;
                push(&mut self.holds, hold)
            }
            "" => {
                self.ignored.push(format!("{file}: a document without kind is ignored"));
                Ok(())
            }
            kind => {
                self.ignored
                    .push(format!("{file}: {kind} ({}) is ignored", head.api_version));
                Ok(())
            }
        }
    }
}

/// Every document of a text read as `T`. Empty documents are skipped, as in reading the heads.
fn documents<T: DeserializeOwned>(text: &str) -> std::vec::IntoIter<Parsed<T>> {
    let mut reader = std::io::Cursor::new(text.as_bytes());
    let documents: Vec<_> = serde_saphyr::read::<_, T>(&mut reader)
        .map(|document| document.map_err(|error| one_line(&error)))
        .collect();
    documents.into_iter()
}

fn next<T>(documents: &mut std::vec::IntoIter<Parsed<T>>) -> Parsed<T> {
    documents
        .next()
        .unwrap_or_else(|| Err("the document cannot be read".to_owned()))
}

fn from_item<T: DeserializeOwned>(item: &serde_json::Value) -> Parsed<T> {
    T::deserialize(item).map_err(|error| error.to_string())
}

fn located<T>(
    file: &str,
    kind: &'static str,
    head: &Head,
    object: Parsed<T>,
    metadata: impl Fn(&T) -> &kube::api::ObjectMeta,
) -> Result<Located<T>, ReadError> {
    let invalid = |problem: String| ReadError::Invalid {
        file: file.to_owned(),
        object: kind.to_owned(),
        problem,
    };
    if head.api_version != format!("{GROUP}/{VERSION}") {
        return Err(ReadError::Version {
            file: file.to_owned(),
            object: kind.to_owned(),
            found: head.api_version.clone(),
        });
    }
    let object = object.map_err(invalid)?;
    let metadata = metadata(&object).clone();
    let name = metadata
        .name
        .filter(|name| !name.is_empty())
        .ok_or_else(|| ReadError::Unnamed {
            file: file.to_owned(),
            kind,
        })?;
    Ok(Located {
        file: file.to_owned(),
        kind,
        namespace: metadata.namespace,
        name,
        object,
    })
}

fn push<T>(objects: &mut Vec<Located<T>>, object: Located<T>) -> Result<(), ReadError> {
    let same = |other: &&Located<T>| (&other.namespace, &other.name) == (&object.namespace, &object.name);
    if let Some(first) = objects.iter().find(same) {
        return Err(ReadError::Twice {
            object: format!("{} {}", object.kind, object.name),
            first: first.file.clone(),
            file: object.file,
        });
    }
    objects.push(object);
    Ok(())
}

/// The parser's complaint without the excerpt of the file that it draws below.
fn one_line(error: &serde_saphyr::Error) -> String {
    error.without_snippet().to_string().replace('\n', " ")
}
