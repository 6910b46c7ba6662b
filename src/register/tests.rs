use serde_json::json;

use super::csv::csv;
use super::html::html;
use super::markdown::markdown;
use super::*;
use crate::plan::fixtures;

/// Text that would do something in each of the forms.
const HOSTILE: &str =
    "=cmd|' /C calc'!A0\"><script>alert(1)</script><img src=x onerror=alert(1)>\r\n\u{202e}| [x](javascript:alert(1))";

fn objects(title: &str) -> Objects {
    Objects {
        notices: vec![
            serde_json::from_value(json!({
                "apiVersion": "privacy-operator.dev/v1alpha1", "kind": "PrivacyNotice", "metadata": {"name": "shop"},
                "spec": {"version": "3", "controllers": [{"name": title, "address": "Way 1"}]},
            }))
            .unwrap(),
        ],
        activities: vec![
            serde_json::from_value(json!({
                "apiVersion": "privacy-operator.dev/v1alpha1", "kind": "ProcessingActivity",
                "metadata": {"name": "logs", "namespace": "shop", "generation": 4},
                "spec": {
                    "noticeRef": {"name": "shop"}, "title": title, "role": "Controller",
                    "purposes": [{"key": "essential.service.security", "description": title, "exclusive": true}],
                    "legalBases": [{"basis": "LegitimateInterests", "interest": "security"}],
                    "dataSubjects": ["visitor"],
                    "dataCategories": [{"key": "user.device.ip_address", "required": false}],
                    "recipients": [{"category": "hosting", "name": title, "role": "Processor", "countries": ["US"]}],
                    "retention": [{"categories": ["user.device"], "ruleRef": {"policy": "logs", "rule": "seven-days"}}],
                    "measures": [{"kind": "EncryptionAtRest", "of": "KubernetesSecrets"}, {"kind": "Described", "description": title}],
                },
                "status": {
                    "observedGeneration": 4,
                    "retention": [{"line": 0, "subject": "x", "observed": "True", "reason": "OnTime", "message": "kept", "goneFromBackups": "at the latest P35D after it is gone from the store"}],
                    "measures": [{"line": 0, "subject": "x", "observed": "False", "reason": "NotEncrypted", "message": title}],
                },
            }))
            .unwrap(),
        ],
        sources: vec![fixtures::source()],
        policies: vec![fixtures::policy()],
    }
}

fn register(title: &str, language: Language) -> Register {
    build(&objects(title), language, fixtures::now())
}

#[test]
fn the_seven_points_of_the_law_stand_in_their_order_each_with_its_article() {
    let register = register("Logs", Language::English);
    let sections = &register.parts[0].entries[0].sections;
    let articles: Vec<&str> = sections
        .iter()
        .map(|section| section.article)
        .filter(|article| article.starts_with("Art. 30"))
        .collect();
    assert_eq!(
        articles,
        [
            "Art. 30(1)(a)",
            "Art. 30(1)(b)",
            "Art. 30(1)(c)",
            "Art. 30(1)(c)",
            "Art. 30(1)(d)",
            "Art. 30(1)(e)",
            "Art. 30(1)(f)",
            "Art. 30(1)(g), 32"
        ]
    );
    let of = |key: &str| &sections.iter().find(|section| section.key == key).unwrap().lines;
    // A third country without a transfer is no "none".
    assert!(of("transfers").is_empty());
    assert_eq!(of("measures")[0].text, "EncryptionAtRest of KubernetesSecrets");
    let limit = &of("retention")[0];
    assert!(
        limit.text.starts_with("user.device: A row of `public.access_log`"),
        "{}",
        limit.text
    );
    let seen = limit.observed.as_ref().unwrap();
    assert_eq!((seen.observed.as_str(), seen.words), ("True", "seen to be so"));
    assert_eq!(
        seen.gone_from_backups.as_deref(),
        Some("at the latest P35D after it is gone from the store")
    );
    assert_eq!(of("measures")[0].observed.as_ref().unwrap().words, "NOT so");
    let found: Vec<&str> = of("findings")
        .iter()
        .map(|line| line.text.split(' ').next().unwrap())
        .collect();
    assert!(
        found.contains(&"ProcessorWithoutAgreement") && found.contains(&"TransferWithoutMechanism"),
        "{found:?}"
    );
}

#[test]
fn a_status_about_an_older_spec_is_not_printed() {
    let mut objects = objects("Logs");
    objects.activities[0].metadata.generation = Some(5);
    let register = build(&objects, Language::English, fixtures::now());
    let sections = &register.parts[0].entries[0].sections;
    let limits = sections.iter().find(|section| section.key == "retention").unwrap();
    assert_eq!(limits.lines[0].observed.as_ref().unwrap().observed, "Unknown");
}

#[test]
fn german_has_german_headings_and_a_processor_the_articles_of_the_shorter_record() {
    let mut objects = objects("Logs");
    objects.activities[0].spec.role = crate::api::processing_activity::Role::Processor;
    let register = build(&objects, Language::German, fixtures::now());
    assert_eq!(
        register.title,
        "Verzeichnis von Verarbeitungstätigkeiten (Art. 30 DSGVO)"
    );
    let sections = &register.parts[0].entries[0].sections;
    let purposes = sections.iter().find(|section| section.key == "purposes").unwrap();
    assert_eq!(
        (purposes.label, purposes.article),
        ("Zwecke der Verarbeitung", "Art. 30(2)(b)")
    );
    let measures = sections.iter().find(|section| section.key == "measures").unwrap();
    assert_eq!(
        measures.lines[0].text,
        "Verschlüsselung gespeicherter Daten (Secrets des Clusters)"
    );
    for text in [html(&register, Language::German), markdown(&register, Language::German)] {
        assert!(text.contains("Warnung") && !text.contains("Warning"), "{text}");
    }
}

#[test]
fn an_activity_whose_notice_is_missing_is_in_the_register_all_the_same() {
    let mut objects = objects("Logs");
    objects.notices.clear();
    let register = build(&objects, Language::English, fixtures::now());
    assert_eq!((register.parts.len(), register.parts[0].entries.len()), (1, 1));
    assert!(json(&register).contains("UnknownNotice"));
}

/// Every tag of the text, as its name with a slash where it ends.
fn tags(html: &str) -> std::collections::BTreeSet<String> {
    html.split('<')
        .skip(1)
        .map(|rest| rest.split([' ', '>', '\n']).next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn hostile_text_stays_text_in_html() {
    let plain = html(&register("Logs", Language::English), Language::English);
    let hostile = html(&register(HOSTILE, Language::English), Language::English);
    assert_eq!(tags(&plain), tags(&hostile), "no tag comes in with the text");
    assert!(!hostile.contains("<script") && !hostile.contains("<img"));
    assert!(hostile.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!hostile.contains('\u{202e}'), "the direction of writing is not turned");
    assert!(hostile.contains("default-src 'none'"));
    assert_eq!(plain.matches('"').count() % 2, 0);
    assert!(
        !plain.contains("http://") && !plain.contains("https://"),
        "nothing is loaded from elsewhere"
    );
}

/// A small reader of RFC 4180, written for this test.
fn cells(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (quoted, character) {
            (true, '"') if characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            (_, '"') => quoted = !quoted,
            (false, ',') => row.push(std::mem::take(&mut cell)),
            (false, '\r') => {}
            (false, '\n') => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            (_, other) => cell.push(other),
        }
    }
    rows
}

#[test]
fn a_spreadsheet_finds_no_formula_and_every_row_has_every_cell() {
    let rows = cells(&csv(&register(HOSTILE, Language::English)));
    let width = rows[0].len();
    assert!(rows.len() > 10 && rows.iter().all(|row| row.len() == width));
    let dangerous = |cell: &&String| cell.trim_start().starts_with(['=', '+', '-', '@', '|', '%']);
    assert_eq!(rows.iter().flatten().find(dangerous), None);
    assert!(
        rows.iter().flatten().any(|cell| cell == &format!("'{HOSTILE}")),
        "the text itself is all there"
    );
}

#[test]
fn hostile_text_is_one_line_without_meaning_in_markdown() {
    let plain = markdown(&register("Logs", Language::English), Language::English);
    let hostile = markdown(&register(HOSTILE, Language::English), Language::English);
    assert_eq!(plain.lines().count(), hostile.lines().count());
    assert!(!hostile.contains("<script") && !hostile.contains("[x](") && !hostile.contains('\u{202e}'));
}

#[test]
fn json_is_the_register_itself() {
    let value: serde_json::Value = serde_json::from_str(&json(&register("Logs", Language::English))).unwrap();
    assert_eq!(value["version"], 1);
    assert_eq!(value["parts"][0]["entries"][0]["name"], "logs");
    assert_eq!(value["parts"][0]["entries"][0]["sections"][2]["key"], "purposes");
}

#[test]
fn a_german_register_says_in_german_what_is_wrong_and_what_was_seen() {
    let html = html(&register("Logs", Language::German), Language::German);
    for words in [
        "Mit einem Auftragsverarbeiter ist kein Vertrag verzeichnet",
        "Die Zusage wird eingehalten, nach der Uhr [kept]",
        "spätestens P35D nach der Löschung im Speicher",
    ] {
        assert!(html.contains(words), "{words}: {html}");
    }
}
