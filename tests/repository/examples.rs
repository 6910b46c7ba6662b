//! The examples are what `check` calls right.

use std::path::Path;

use privacy_operator::check::{Complaint, File, check};

use super::{files, read};

/// What the schemas and rules of the CRDs say, and what policies name. A record may well lack something: the five notices
/// do, and that is what the findings are for.
const OF_THE_API: &[&str] = &[
    "Duplicate",
    "FieldRequired",
    "InvalidName",
    "InvalidType",
    "InvalidValue",
    "OutOfBounds",
    "RuleBroken",
    "UnknownDataSource",
    "UnknownDataset",
    "UnknownField",
    "UnknownKind",
    "UnknownRule",
    "UnknownSubjectRightsPolicy",
    "Unreadable",
];

/// In `proof` there is no manifest, but what must be there at single instants, and what keeps each commitment.
pub fn is_manifest(file: &Path) -> bool {
    file.parent().is_none_or(|folder| !folder.ends_with("proof"))
}

#[test]
fn check_finds_nothing_wrong_with_the_examples() {
    let now = "2026-03-01T09:00:00Z".parse().unwrap();
    let all = files("examples", "yaml");
    let mut judged = 0;
    for folder in [
        "banzai-cloud",
        "cloudwerk",
        "kirim-email",
        "kubermatic",
        "ranching-farm",
    ] {
        let of_folder: Vec<File> = all
            .iter()
            .filter(|path| path.starts_with(Path::new("examples").join(folder)) && is_manifest(path))
            .map(|path| (path.display().to_string(), read(path)))
            .collect();
        assert!(!of_folder.is_empty(), "{folder}");
        let outcome = check(&of_folder, now);
        judged += outcome.objects;
        let wrong: Vec<&Complaint> = outcome
            .complaints
            .iter()
            .filter(|complaint| OF_THE_API.contains(&complaint.finding.reason.as_str()))
            .collect();
        assert!(wrong.is_empty(), "{folder}: {wrong:#?}");
    }
    assert!(judged > 90, "{judged}");
}
