//! Every commitment of the five policies: it is in the list once, what is said to keep it is there, the tests that are said
//! to show it are there, and the tables of `examples/README.md` say what the list says.
//!
//! `UPDATE=1 cargo test --release --locked --test repository commitments` writes the tables anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use privacy_operator::api::DataRetentionPolicy;
use serde::Deserialize;
use serde_json::Value;

use super::{assert_none, examples, files, read, root};

/// Folder, prefix, and how many commitments of each class a reader counted: to enforce, to verify, to record, and those
/// for which software can do nothing.
const POLICIES: &[(&str, &str, [usize; 4])] = &[
    ("kubermatic", "KUB", [33, 27, 17, 1]),
    ("ranching-farm", "ANY", [27, 11, 14, 1]),
    ("banzai-cloud", "BAN", [16, 11, 16, 0]),
    ("cloudwerk", "CLW", [16, 13, 12, 2]),
    ("kirim-email", "KIR", [26, 10, 31, 3]),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    title: String,
    prefix: String,
    commitments: Vec<Commitment>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Commitment {
    id: String,
    class: Class,
    /// The commitment, in our own words.
    says: String,
    /// What keeps or records it.
    #[serde(default)]
    kept: Vec<Place>,
    /// Tests, by the names of their functions.
    #[serde(default)]
    shown_by: Vec<String>,
    /// What is not shown.
    but: Option<String>,
    /// Why software cannot.
    not_software: Option<String>,
    /// What software could do, and this project does not do yet.
    not_built: Option<String>,
}

/// What software can do for a commitment.
#[derive(Deserialize, Clone, Copy, PartialEq, Debug)]
enum Class {
    Enforce,
    Verify,
    Record,
    Nothing,
}

const CLASSES: [Class; 4] = [Class::Enforce, Class::Verify, Class::Record, Class::Nothing];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    /// Kind and name.
    object: String,
    /// Path in the object. `[x]` chooses the item of a list that is named `x`, or that says or begins with `x` somewhere.
    field: String,
}

fn list(folder: &str) -> List {
    let text = read(format!("examples/{folder}/proof/commitments.yaml"));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{folder}: {error}"))
}

/// The objects of a folder.
fn objects(folder: &str) -> Vec<Value> {
    files(&format!("examples/{folder}"), ".yaml")
        .into_iter()
        .filter(|file| examples::is_manifest(file))
        .flat_map(|file| serde_saphyr::from_multiple::<Value>(&read(file)).unwrap())
        .collect()
}

#[test]
fn every_commitment_is_in_the_list_once() {
    for (folder, prefix, counted) in POLICIES {
        let list = list(folder);
        assert_eq!(list.prefix, *prefix);
        let ids: Vec<&str> = list
            .commitments
            .iter()
            .map(|commitment| commitment.id.as_str())
            .collect();
        let total = counted.iter().sum();
        let expected: Vec<String> = (1..=total).map(|number| format!("{prefix}-{number:02}")).collect();
        assert_eq!(ids, expected, "{folder}");
        for (class, count) in CLASSES.iter().zip(counted) {
            let found = list.commitments.iter().filter(|commitment| commitment.class == *class);
            assert_eq!(found.count(), *count, "{folder}: {class:?}");
        }
    }
    let all: usize = POLICIES.iter().flat_map(|(_, _, counted)| counted).sum();
    assert_eq!(all, 287);
}

#[test]
fn what_is_said_to_keep_a_commitment_is_there() {
    let sources: String = files("tests", ".rs").iter().map(read).collect();
    let mut complaints = Vec::new();
    for (folder, _, _) in POLICIES {
        let objects = objects(folder);
        for commitment in list(folder).commitments {
            let id = &commitment.id;
            let reasons = [&commitment.not_software, &commitment.not_built];
            let answers = usize::from(!commitment.kept.is_empty()) + reasons.iter().filter(|why| why.is_some()).count();
            if answers != 1 || commitment.kept.is_empty() != commitment.shown_by.is_empty() {
                complaints.push(format!("{id}: either kept with shownBy, or notSoftware, or notBuilt"));
            }
            for place in &commitment.kept {
                if !is_there(&objects, place) {
                    complaints.push(format!("{id}: {folder} has no {} with {}", place.object, place.field));
                }
            }
            let missing = commitment
                .shown_by
                .iter()
                .filter(|test| !sources.contains(&format!("fn {test}(")));
            complaints.extend(missing.map(|test| format!("{id}: there is no test {test}")));
        }
    }
    assert_none(&complaints, "correct proof/commitments.yaml");
}

/// And the other way round: no rule without a promise, and no promise of a rule that no commitment is about.
#[test]
fn every_rule_keeps_a_commitment() {
    let mut complaints = Vec::new();
    for (folder, _, _) in POLICIES {
        let named: BTreeSet<String> = list(folder)
            .commitments
            .iter()
            .flat_map(|commitment| &commitment.kept)
            .map(|place| {
                format!(
                    "{}/{}",
                    place.object,
                    place.field.split("].").next().unwrap().trim_end_matches(']')
                )
            })
            .collect();
        let policies = objects(folder)
            .into_iter()
            .filter(|object| object["kind"] == "DataRetentionPolicy");
        for policy in policies {
            let policy: DataRetentionPolicy = serde_json::from_value(policy).unwrap();
            let name = policy.metadata.name.unwrap();
            for rule in policy.spec.rules {
                if rule.promise.is_none() {
                    complaints.push(format!("{folder}: {name}/{} has no promise", rule.name));
                }
                if !named.contains(&format!("DataRetentionPolicy/{name}/spec.rules[{}", rule.name)) {
                    complaints.push(format!("{folder}: no commitment names {name}/{}", rule.name));
                }
            }
        }
    }
    assert_none(&complaints, "name the rule in proof/commitments.yaml");
}

fn is_there(objects: &[Value], place: &Place) -> bool {
    let (kind, name) = place.object.split_once('/').unwrap();
    let object = objects
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    object
        .and_then(|object| at(object, &place.field))
        .is_some_and(|value| !value.is_null())
}

/// What a path leads to.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let (mut value, mut rest) = (value, path);
    while !rest.is_empty() {
        if let Some(selector) = rest.strip_prefix('[') {
            let (selector, after) = selector.split_once(']')?;
            value = item(value.as_array()?, selector)?;
            rest = after.trim_start_matches('.');
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            value = value.get(&rest[..end])?;
            rest = rest[end..].trim_start_matches('.');
        }
    }
    Some(value)
}

fn item<'a>(items: &'a [Value], selector: &str) -> Option<&'a Value> {
    let named = items.iter().find(|item| item["name"] == selector);
    named
        .or_else(|| items.iter().find(|item| says(item, &|text| text == selector)))
        .or_else(|| items.iter().find(|item| says(item, &|text| text.starts_with(selector))))
}

/// Whether a text anywhere in a value fits.
fn says(value: &Value, fits: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => fits(text),
        Value::Array(items) => items.iter().any(|item| says(item, fits)),
        Value::Object(fields) => fields.values().any(|field| says(field, fits)),
        _ => false,
    }
}

const BEGIN: &str = "<!-- made from */proof/commitments.yaml; do not edit: UPDATE=1 cargo test --release --locked --test repository commitments -->\n";

#[test]
fn the_tables_of_the_commitments_say_what_the_list_says() {
    let document = read("examples/README.md");
    let (before, now) = document
        .split_once(BEGIN)
        .expect("examples/README.md has no place for the tables");
    let tables = tables();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(root().join("examples/README.md"), format!("{before}{BEGIN}{tables}")).unwrap();
    } else {
        assert!(
            now == tables,
            "the tables of examples/README.md are not those of the lists: run the command that stands there"
        );
    }
}

fn tables() -> String {
    let mut text = String::new();
    let lists: Vec<(&str, List)> = POLICIES.iter().map(|(folder, _, _)| (*folder, list(folder))).collect();
    text.push_str("\n| policy | commitments | kept or recorded here | not built yet | not for software |\n|---|---|---|---|---|\n");
    for (folder, list) in &lists {
        let count = |fits: fn(&Commitment) -> bool| list.commitments.iter().filter(|one| fits(one)).count();
        let (kept, later) = (count(|one| !one.kept.is_empty()), count(|one| one.not_built.is_some()));
        let never = count(|one| one.not_software.is_some());
        let _ = writeln!(
            text,
            "| {folder} | {} | {kept} | {later} | {never} |",
            list.commitments.len()
        );
    }
    for (_, list) in &lists {
        let _ = write!(
            text,
            "\n### {}\n\n| id | what is promised | class | kept by | shown by |\n|---|---|---|---|---|\n",
            list.title
        );
        for commitment in &list.commitments {
            let _ = writeln!(text, "{}", row(commitment));
        }
    }
    text
}

fn row(commitment: &Commitment) -> String {
    let places: Vec<String> = commitment
        .kept
        .iter()
        .map(|place| format!("`{}` `{}`", place.object, place.field))
        .collect();
    let tests: Vec<String> = commitment.shown_by.iter().map(|test| format!("`{test}`")).collect();
    let (kept, shown) = match (&commitment.not_software, &commitment.not_built) {
        (Some(why), _) => (format!("not for software: {why}"), String::new()),
        (_, Some(what)) => (format!("not built yet: {what}"), String::new()),
        _ => (places.join(", "), tests.join(", ")),
    };
    let but = commitment
        .but
        .as_ref()
        .map_or_else(String::new, |but| format!(" ({but})"));
    format!(
        "| {} | {} | {:?} | {kept}{but} | {shown} |",
        commitment.id, commitment.says, commitment.class
    )
}
