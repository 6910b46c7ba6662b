//! Which paths a source file names: `use` trees taken apart, and paths written in place.

use std::collections::BTreeSet;

/// Every path with at least two segments, without those in comments and strings.
pub fn paths(source: &str) -> BTreeSet<String> {
    let code = code_only(source);
    let mut found = BTreeSet::new();
    let mut prefixes: Vec<String> = Vec::new();
    let mut path = String::new();
    let mut rest = code.char_indices().peekable();
    while let Some((at, character)) = rest.next() {
        if character.is_alphanumeric() || character == '_' {
            path.push(character);
        } else if character == ':' && code[at..].starts_with("::") && !path.is_empty() {
            rest.next();
            path.push_str("::");
        } else if character == '{' && path.ends_with("::") {
            prefixes.push(prefixes.last().cloned().unwrap_or_default() + &path);
            path.clear();
        } else {
            record(&mut found, prefixes.last(), &mut path);
            match character {
                '}' => drop(prefixes.pop()),
                ';' => prefixes.clear(),
                _ => {}
            }
        }
    }
    record(&mut found, prefixes.last(), &mut path);
    found
}

fn record(found: &mut BTreeSet<String>, prefix: Option<&String>, path: &mut String) {
    let whole = prefix.cloned().unwrap_or_default() + path.trim_end_matches("::");
    if !path.is_empty() && whole.contains("::") {
        found.insert(whole);
    }
    path.clear();
}

/// The source without comments and without the content of plain strings.
pub fn code_only(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    for line in source.lines() {
        let mut inside = false;
        let mut before = ' ';
        for (at, character) in line.char_indices() {
            if !inside && line[at..].starts_with("//") {
                break;
            }
            if character == '"' && before != '\\' && (inside || before != '\'') {
                inside = !inside;
                code.push('"');
            } else if !inside {
                code.push(character);
            }
            before = if before == '\\' && character == '\\' {
                ' '
            } else {
                character
            };
        }
        code.push('\n');
    }
    code
}

/// Whether the path is the module or something in it.
pub fn is_within(path: &str, module: &str) -> bool {
    path.strip_prefix(module)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[test]
fn a_use_tree_is_taken_apart_into_whole_paths() {
    let source = "use kube::{Api, runtime::{watcher, Controller}};\nuse std::fs;\nfn main() { tokio::spawn(x); }";
    let found: Vec<String> = paths(source).into_iter().collect();
    assert_eq!(
        found,
        [
            "kube::Api",
            "kube::runtime::Controller",
            "kube::runtime::watcher",
            "std::fs",
            "tokio::spawn"
        ]
    );
}

#[test]
fn comments_and_strings_name_no_path() {
    assert!(paths("// tokio::spawn\n/// kube::Api\nlet x = \"tokio::spawn // no\"; // std::fs").is_empty());
    assert_eq!(paths("let x = \"\\\"\"; std::fs::read(x)").len(), 1);
}
