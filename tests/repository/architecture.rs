//! Three colours: pure, cluster I/O (`controller`), data I/O (`worker`). Pure never imports the others, and those two
//! never import each other: they share the contract and nothing else.

use std::path::Path;

use super::imports::{code_only, is_within, paths};
use super::{assert_none, files, read};

/// What pure code must not name: anything that reaches a cluster, a store, the machine or its clock.
const IMPURE: &[&str] = &[
    "axum",
    "futures",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "Timestamp::now",
    "Zoned::now",
    "kube::Api",
    "kube::Client",
    "kube::api::Api",
    "kube::client",
    "kube::config",
    "kube::runtime",
    "rustls",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
    "tokio_postgres",
    "tracing",
    "crate::cli",
    "crate::clock",
    "crate::controller",
    "crate::http",
    "crate::lease",
    "crate::metrics",
    "crate::telemetry",
    "crate::worker",
];

/// What each part of the source must not name.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("src/api", IMPURE),
    ("src/domain", IMPURE),
    ("src/plan", IMPURE),
    ("src/register", IMPURE),
    ("src/check", IMPURE),
    ("src/encryption", IMPURE),
    (
        "src/agent",
        &[
            "crate::controller",
            "crate::worker",
            "kube",
            "k8s_openapi",
            "tokio_postgres",
        ],
    ),
    (
        "src/migrate",
        &["crate::controller", "crate::worker", "crate::agent", "tokio_postgres"],
    ),
    ("src/contract.rs", IMPURE),
    ("src/contract", IMPURE),
    ("src/report.rs", IMPURE),
    ("src/report", IMPURE),
    ("src/controller", &["crate::worker", "tokio_postgres"]),
    (
        "src/worker",
        &[
            "crate::controller",
            "crate::plan",
            "crate::lease",
            "kube",
            "k8s_openapi",
        ],
    ),
];

/// Longest file, tests included. Where one grows beyond 500 lines, split it by child object or by step.
const LONGEST_FILE: usize = 600;

fn sources() -> Vec<std::path::PathBuf> {
    files("src", ".rs")
}

#[test]
fn pure_code_reaches_nothing_and_controller_and_worker_never_meet() {
    let mut complaints = Vec::new();
    for (part, forbidden) in FORBIDDEN {
        for file in sources().iter().filter(|file| file.starts_with(part)) {
            for path in paths(&read(file)) {
                if let Some(module) = forbidden.iter().find(|module| is_within(&path, module)) {
                    complaints.push(format!(
                        "{} names {path}: {part} must not know {module}",
                        file.display()
                    ));
                }
            }
        }
    }
    assert_none(
        &complaints,
        "pass it in from above, or move the code to the part that may do this",
    );
}

#[test]
fn the_rules_speak_of_parts_that_exist() {
    for part in ["src/api", "src/domain", "src/contract.rs", "src/report.rs"] {
        assert!(super::root().join(part).exists(), "{part} is gone: correct FORBIDDEN");
    }
}

#[test]
fn no_file_is_too_long_to_be_read_in_one_go() {
    let mut complaints = Vec::new();
    for folder in ["src", "tests", "dev", "benches", "bench"] {
        for ending in [".rs", ".sh", ".py", ".go"] {
            for file in files(folder, ending) {
                let lines = read(&file).lines().count();
                if lines > LONGEST_FILE {
                    complaints.push(format!("{} has {lines} lines", file.display()));
                } else if lines > 500 {
                    eprintln!("note: {} has {lines} lines", file.display());
                }
            }
        }
    }
    assert_none(&complaints, &format!("split it: at most {LONGEST_FILE} lines"));
}

#[test]
fn nothing_in_the_source_waits_to_be_done() {
    let mut complaints = Vec::new();
    for file in sources() {
        let text = read(&file);
        for (number, line) in text.lines().enumerate() {
            for word in ["TODO", "FIXME", "XXX", "HACK", "todo!(", "unimplemented!("] {
                if line.contains(word) {
                    complaints.push(format!("{}:{}: {word}", file.display(), number + 1));
                }
            }
        }
    }
    assert_none(&complaints, "do it, or open an issue");
}

#[test]
fn no_test_sleeps() {
    // Split, so that this file does not find itself.
    let calls = [concat!("thread::", "sleep("), concat!("time::", "sleep(")];
    let may_poll = ["tests/support", "tests/cluster"];
    let mut complaints = Vec::new();
    for file in files("tests", ".rs") {
        if may_poll.iter().any(|folder| file.starts_with(folder)) {
            continue;
        }
        let code = code_only(&read(&file));
        for call in calls.iter().filter(|call| code.contains(**call)) {
            complaints.push(format!("{} calls {call}...)", file.display()));
        }
    }
    assert_none(&complaints, "wait for a condition with a helper of tests/support");
}

#[test]
fn main_only_starts_things() {
    let lines = read("src/main.rs").lines().count();
    assert!(lines <= 20, "src/main.rs has {lines} lines: move it to src/cli.rs");
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let mut complaints = Vec::new();
    for file in sources() {
        let is_tests = file
            .file_stem()
            .is_some_and(|name| name.to_string_lossy().ends_with("tests"));
        if !is_tests && !read(&file).starts_with("//!") && file != Path::new("src/domain/mod.rs") {
            complaints.push(file.display().to_string());
        }
    }
    assert_none(&complaints, "begin the file with a //! line");
}
