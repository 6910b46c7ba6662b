//! Judges objects of files as far as that can be done without a cluster and without a store: their schema, the rules of
//! their CRDs, what they name among each other, and what the record of processing lacks.

mod rules;
mod schema;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::api::findings::{Finding, Severity};
use crate::api::status::Sentence;
use crate::api::{DataRetentionPolicy, DataSource, GROUP, LegalHold, VERSION};
use crate::grants::Manifests;
use crate::grants::manifests::Located;
use crate::plan::by_hand::{named_source, planned};
use crate::plan::holds::judge::days;
use crate::plan::holds::status::mistakes;
use crate::plan::reasons;
use crate::plan::records::neighbours::Neighbours;
use crate::plan::records::notice::of_notice;
use crate::plan::records::stores::of_source;
use crate::plan::records::{Inputs, findings};
use crate::plan::sentences::sentence;

/// Everything that was found.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// How many objects were judged.
    pub objects: usize,
    /// What is wrong or in doubt, in the order of the files.
    pub complaints: Vec<Complaint>,
    /// Every rule in words, for reading beside the published promise.
    pub rules: Vec<RuleInWords>,
    /// What was not looked at.
    pub remarks: Vec<String>,
}

/// Something that is wrong or in doubt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Complaint {
    /// File, kind and name.
    pub object: String,
    /// What, where and what to do.
    #[serde(flatten)]
    pub finding: Finding,
}

/// A rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleInWords {
    /// Policy.
    pub policy: String,
    /// Rule.
    pub rule: String,
    /// What it does.
    pub sentence: Sentence,
    /// Where the promise stands, and its words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promise: Option<(String, String)>,
}

impl Outcome {
    /// Whether something is wrong, and not only in doubt.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.complaints
            .iter()
            .any(|complaint| complaint.finding.severity == Severity::Error)
    }
}

/// A file and its text.
pub type File = (String, String);

/// Judges the objects of files.
#[must_use]
pub fn check(files: &[File], now: Timestamp) -> Outcome {
    let mut outcome = Outcome::default();
    let mut references = Vec::new();
    for (file, text) in files {
        by_schema(file, text, &mut outcome, &mut references);
    }
    named_objects(&references, &mut outcome);
    let mut manifests = Manifests::default();
    for (file, text) in files {
        if let Err(error) = manifests.add(file, text) {
            // What the schema says of a field is clearer than what the parser says.
            if !outcome.has_errors() {
                let remedy = "correct the file".to_owned();
                outcome.add(file, wrong("Unreadable", "", error.to_string(), remedy));
            }
            let remark = format!("{file} cannot be read, so what the objects name among each other was not judged");
            outcome.remarks.push(remark);
            return outcome;
        }
    }
    policies(&manifests, now, &mut outcome);
    records(&manifests, now, &mut outcome);
    outcome
}

impl Outcome {
    fn add(&mut self, object: &str, finding: Finding) {
        self.complaints.push(Complaint {
            object: object.to_owned(),
            finding,
        });
    }
}

fn wrong(reason: &str, field: &str, message: String, remedy: String) -> Finding {
    Finding {
        reason: reason.to_owned(),
        severity: Severity::Error,
        field: field.to_owned(),
        message,
        remedy,
    }
}

/// An object as far as others name it.
struct Named {
    place: String,
    kind: String,
    namespace: Option<String>,
    name: String,
    spec: Value,
}

fn by_schema(file: &str, text: &str, outcome: &mut Outcome, named: &mut Vec<Named>) {
    let documents: Vec<Value> = match serde_saphyr::from_multiple(text) {
        Ok(documents) => documents,
        Err(error) => {
            let message = error.without_snippet().to_string();
            let remedy = "write YAML, documents separated by a line with ---".to_owned();
            return outcome.add(file, wrong("Unreadable", "", message, remedy));
        }
    };
    let items = documents.into_iter().flat_map(|document| match document {
        Value::Object(mut list) if list.get("kind").is_some_and(|kind| kind == "List") => match list.remove("items") {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        },
        other => vec![other],
    });
    for object in items.filter(|object| !object.is_null()) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let kind = text("/kind").unwrap_or_default();
        let version = text("/apiVersion").unwrap_or_default();
        let name = text("/metadata/name").unwrap_or_default();
        let place = format!("{file}: {kind} {name}");
        if version.split('/').next() != Some(GROUP) {
            let what = if kind.is_empty() {
                "a document without kind"
            } else {
                kind.as_str()
            };
            outcome
                .remarks
                .push(format!("{file}: {what} is of another project and was not judged"));
            continue;
        }
        outcome.objects += 1;
        let Some(schema) = schema::of_kind(&kind).filter(|_| version == format!("{GROUP}/{VERSION}")) else {
            let message = format!("there is no {kind} in {version}");
            let remedy = format!("this program knows {} of {GROUP}/{VERSION}", schema::kinds().join(", "));
            outcome.add(&place, wrong("UnknownKind", "kind", message, remedy));
            continue;
        };
        for finding in schema::judge(&schema, &object) {
            outcome.add(&place, finding);
        }
        named.push(Named {
            place,
            kind,
            namespace: text("/metadata/namespace"),
            name,
            spec: object.get("spec").cloned().unwrap_or_default(),
        });
    }
}

/// Requests for exports and what they name; the other kinds are judged as the operator judges them.
fn named_objects(all: &[Named], outcome: &mut Outcome) {
    for object in all.iter().filter(|object| object.kind == "ExportRequest") {
        let mut wants = vec![(
            "spec.rightsPolicyRef.name",
            "SubjectRightsPolicy",
            object.spec.pointer("/rightsPolicyRef/name"),
        )];
        for source in object.spec["dataSourceRefs"].as_array().into_iter().flatten() {
            wants.push(("spec.dataSourceRefs", "DataSource", source.get("name")));
        }
        for (field, kind, name) in wants {
            let Some(name) = name.and_then(Value::as_str) else {
                continue;
            };
            let is_there = |other: &Named| {
                (other.kind.as_str(), other.name.as_str(), &other.namespace) == (kind, name, &object.namespace)
            };
            if !all.iter().any(is_there) {
                let message = format!("there is no {kind} `{name}` in the files");
                let remedy = format!("name the file with it, or correct {field}");
                outcome.add(&object.place, wrong(&format!("Unknown{kind}"), field, message, remedy));
            }
        }
    }
}

fn policies(manifests: &Manifests, now: Timestamp, outcome: &mut Outcome) {
    let all: Vec<&DataRetentionPolicy> = manifests.policies.iter().map(|policy| &policy.object).collect();
    let sources: Vec<&DataSource> = manifests.sources.iter().map(|source| &source.object).collect();
    let holds: Vec<&LegalHold> = manifests.holds.iter().map(|hold| &hold.object).collect();
    for hold in &manifests.holds {
        let source = named_source(
            &hold.object.spec.data_source_ref.name,
            hold.namespace.as_deref(),
            &sources,
        );
        for problem in mistakes(&hold.object, source).into_iter().chain(days(&hold.object)) {
            let finding = wrong(problem.reason, &problem.field, problem.message, String::new());
            outcome.add(&place(hold), finding);
        }
    }
    for policy in &manifests.policies {
        if let Err(problems) = planned(&policy.object, &all, &sources, &holds, now) {
            // What a hold lacks is told above, once.
            for problem in problems
                .into_iter()
                .filter(|problem| problem.reason != reasons::HOLD_UNCLEAR)
            {
                let finding = wrong(problem.reason, &problem.field, problem.message.clone(), String::new());
                outcome.add(&place(policy), finding);
            }
        }
        outcome.rules.extend(in_words(policy, &sources));
    }
}

fn in_words(policy: &Located<DataRetentionPolicy>, sources: &[&DataSource]) -> Vec<RuleInWords> {
    let source = crate::plan::by_hand::source_of(&policy.object, sources);
    let table = |dataset: &str| {
        source
            .and_then(|source| source.spec.datasets.iter().find(|known| known.name == dataset))
            .map_or_else(|| dataset.to_owned(), |known| known.table.clone())
    };
    let rules = policy.object.spec.rules.iter();
    rules
        .map(|rule| RuleInWords {
            policy: policy.name.clone(),
            rule: rule.name.clone(),
            sentence: sentence(rule, &table(&rule.dataset)),
            promise: rule
                .promise
                .as_ref()
                .map(|promise| (promise.clause.clone(), promise.quote.clone())),
        })
        .collect()
}

fn records(manifests: &Manifests, now: Timestamp, outcome: &mut Outcome) {
    for notice in &manifests.notices {
        for finding in of_notice(&notice.object) {
            outcome.add(&place(notice), finding);
        }
    }
    for activity in &manifests.activities {
        let beside = neighbours(manifests, &activity.object);
        let notice = manifests
            .notices
            .iter()
            .find(|notice| notice.name == activity.object.spec.notice_ref.name);
        let inputs = Inputs {
            activity: &activity.object,
            notice: notice.map(|notice| &notice.object),
            activities: &beside.activities,
            sources: &beside.sources,
            policies: &beside.policies,
            encryption: None,
            readers: &[],
            now,
        };
        for finding in findings(&inputs) {
            outcome.add(&place(activity), finding);
        }
    }
    for source in &manifests.sources {
        let activities = neighbours(manifests, &source.object).activities;
        // Without any activity nobody keeps a record here.
        if !activities.is_empty() {
            for finding in of_source(&source.object, &activities) {
                outcome.add(&place(source), finding);
            }
        }
    }
}

fn neighbours<'a>(manifests: &'a Manifests, object: &impl kube::ResourceExt) -> Neighbours<'a> {
    Neighbours::of(
        object,
        manifests.activities.iter().map(|found| &found.object),
        manifests.sources.iter().map(|found| &found.object),
        manifests.policies.iter().map(|found| &found.object),
    )
}

fn place<T>(located: &Located<T>) -> String {
    format!("{}: {} {}", located.file, located.kind, located.name)
}

#[cfg(test)]
mod tests;
