//! What the documents and examples show is true: manifests are of the real types, links lead somewhere, every reason
//! that the program gives has its place in the runbook.

use std::path::Path;

use privacy_operator::api::{
    ClusterEncryption, DataRetentionPolicy, DataSource, ExportRequest, GROUP, LegalHold, PrivacyNotice,
    ProcessingActivity, SubjectRightsPolicy, VERSION,
};
use privacy_operator::contract::Reason;
use serde_json::Value;

use super::{assert_none, files, read, root};

/// Complains when a manifest is not one, or is one of our kinds and does not parse as its type.
fn judge(text: &str, place: &str, complaints: &mut Vec<String>) {
    let documents: Vec<Value> = match serde_saphyr::from_multiple(text) {
        Ok(documents) => documents,
        Err(error) => return complaints.push(format!("{place}: {error}")),
    };
    for document in documents.into_iter().filter(|document| !document.is_null()) {
        let kind = document["kind"].as_str().unwrap_or_default().to_owned();
        let api_version = document["apiVersion"].as_str().unwrap_or_default();
        if kind.is_empty() || api_version.is_empty() {
            complaints.push(format!("{place}: a document without apiVersion and kind"));
        } else if api_version.starts_with(GROUP) {
            if api_version != format!("{GROUP}/{VERSION}") {
                complaints.push(format!("{place}: {api_version} is not served"));
            }
            let result = match kind.as_str() {
                "DataSource" => serde_json::from_value::<DataSource>(document).map(drop),
                "ClusterEncryption" => serde_json::from_value::<ClusterEncryption>(document).map(drop),
                "DataRetentionPolicy" => serde_json::from_value::<DataRetentionPolicy>(document).map(drop),
                "SubjectRightsPolicy" => serde_json::from_value::<SubjectRightsPolicy>(document).map(drop),
                "ExportRequest" => serde_json::from_value::<ExportRequest>(document).map(drop),
                "ProcessingActivity" => serde_json::from_value::<ProcessingActivity>(document).map(drop),
                "LegalHold" => serde_json::from_value::<LegalHold>(document).map(drop),
                "PrivacyNotice" => serde_json::from_value::<PrivacyNotice>(document).map(drop),
                _ => return complaints.push(format!("{place}: there is no kind {kind}")),
            };
            if let Err(error) = result {
                complaints.push(format!("{place}: {kind}: {error}"));
            }
        }
    }
}

fn markdown() -> Vec<std::path::PathBuf> {
    files("", ".md")
}

#[test]
fn every_example_is_of_the_real_types() {
    let examples: Vec<_> = files("examples", ".yaml")
        .into_iter()
        .chain(files("examples", ".yml"))
        .collect();
    assert!(!examples.is_empty(), "examples/ has no manifest");
    let mut complaints = Vec::new();
    for file in examples.into_iter().filter(|file| super::examples::is_manifest(file)) {
        judge(&read(&file), &file.display().to_string(), &mut complaints);
    }
    assert_none(&complaints, "correct the example");
}

#[test]
fn every_manifest_in_a_document_is_of_the_real_types() {
    let mut complaints = Vec::new();
    for file in markdown() {
        let text = read(&file);
        for (index, block) in text.split("```yaml\n").skip(1).enumerate() {
            let block = block.split("```").next().unwrap_or_default();
            if block.contains(&format!("apiVersion: {GROUP}")) {
                judge(
                    block,
                    &format!("{}, block {}", file.display(), index + 1),
                    &mut complaints,
                );
            }
        }
    }
    assert_none(&complaints, "correct the document");
}

#[test]
fn relative_links_lead_to_files_and_headings_that_exist() {
    let mut complaints = Vec::new();
    for file in markdown() {
        let text = read(&file);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.starts_with("mailto:") || link.contains(' ') {
                continue;
            }
            let (target, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if target.is_empty() {
                file.clone()
            } else {
                file.parent().unwrap_or(Path::new("")).join(target)
            };
            if !root().join(&target).exists() {
                complaints.push(format!("{}: {link} does not exist", file.display()));
            } else if !heading.is_empty() && !headings(&read(&target)).contains(&heading.to_owned()) {
                complaints.push(format!("{}: {link}: no such heading", file.display()));
            }
        }
    }
    assert_none(&complaints, "correct the link");
}

/// The anchors that a renderer makes of the headings.
pub fn headings(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter_map(|character| match character {
                    ' ' => Some('-'),
                    '-' | '_' => Some(character),
                    _ => character.is_alphanumeric().then_some(character),
                })
                .collect()
        })
        .collect()
}

#[test]
fn line_one_of_the_runbook_stops_everything() {
    let runbook = read("docs/runbook.md");
    let first = runbook.lines().next().unwrap_or_default();
    let name = privacy_operator::contract::STOP_CONFIG_MAP;
    assert!(
        first.contains(&format!("kubectl create configmap {name} -n NAMESPACE --from-literal=")),
        "line 1 of docs/runbook.md must be the command that stops all disposal, with a key in the ConfigMap"
    );
}

#[test]
fn every_reason_has_its_place_in_the_runbook() {
    let runbook = read("docs/runbook.md");
    let mut words: Vec<String> = Reason::ALL.iter().map(|reason| reason.as_str().to_owned()).collect();
    // Types and reasons of conditions: constants, each a word.
    for file in files("src", "reasons.rs") {
        let constants = read(file);
        let found = constants
            .lines()
            .filter_map(|line| line.strip_prefix("pub const ")?.split('"').nth(1));
        let before = words.len();
        words.extend(found.map(str::to_owned));
        assert!(words.len() > before + 20, "src/plan/reasons.rs was not understood");
    }
    let missing: Vec<String> = words.into_iter().filter(|word| !has_place(&runbook, word)).collect();
    assert_none(
        &missing,
        "say in docs/runbook.md what it means and what to do (a heading or a table row)",
    );
}

/// A heading, or the first cell of a table row, that names the word.
fn has_place(runbook: &str, word: &str) -> bool {
    let named = format!("`{word}`");
    runbook.lines().any(|line| {
        line.starts_with('#') && line.contains(word)
            || line.starts_with('|') && line.split('|').nth(1).is_some_and(|cell| cell.contains(&named))
    })
}

/// A test that is named and is not there would be a promise about nothing.
#[test]
fn every_test_that_the_hazards_name_is_there() {
    let sources: String = files("src", ".rs")
        .iter()
        .chain(&files("tests", ".rs"))
        .map(read)
        .collect();
    let mut complaints = Vec::new();
    for document in ["docs/encryption-hazards.md", "docs/retention-hazards.md"] {
        let text = read(document);
        let rows: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("| ") && !line.starts_with("| what") && !line.starts_with("| fault"))
            .collect();
        assert!(rows.len() > 20, "{document} was not understood");
        for row in rows {
            let shown_by = row.split(" | ").nth(2).unwrap_or_default();
            let names: Vec<&str> = shown_by
                .split('`')
                .filter(|word| word.contains('_') && !word.contains(' '))
                .collect();
            if names.is_empty() {
                complaints.push(format!("{document}: no test is named: {row}"));
            }
            let missing = names
                .into_iter()
                .filter(|name| !sources.contains(&format!("fn {name}(")));
            complaints.extend(missing.map(|name| format!("{document}: there is no test {name}")));
        }
    }
    assert_none(&complaints, "correct the document");
}

#[test]
fn every_finding_is_explained_with_its_severity_and_remedy() {
    let document = read("docs/records.md");
    let missing: Vec<String> = privacy_operator::plan::records::found::ALL
        .iter()
        .filter(|finding| {
            let row = format!("| `{}` | {} |", finding.word, finding.severity.as_str());
            !document
                .lines()
                .any(|line| line.starts_with(&row) && line.contains(finding.remedy))
        })
        .map(|finding| finding.word.to_owned())
        .collect();
    assert_none(&missing, "write its row into the table of docs/records.md");
}
