//! The register as CSV (RFC 4180), one row a line of the register. Safe to open in a spreadsheet: no cell begins with a
//! character that starts a formula.

use super::{Line, Register, Section};
use crate::domain::escape::is_formula;

const HEADER: [&str; 11] = [
    "notice",
    "number",
    "namespace",
    "name",
    "title",
    "section",
    "article",
    "text",
    "observed",
    "reason",
    "goneFromBackups",
];

/// The whole text.
#[must_use]
pub fn csv(register: &Register) -> String {
    let mut text = String::new();
    row(&mut text, HEADER);
    for part in &register.parts {
        for section in &part.head {
            rows(&mut text, [&part.notice, "", "", "", ""], section);
        }
        for entry in &part.entries {
            let number = entry.number.to_string();
            let start = [
                part.notice.as_str(),
                &number,
                &entry.namespace,
                &entry.name,
                &entry.title,
            ];
            for section in &entry.sections {
                rows(&mut text, start, section);
            }
        }
    }
    for line in &register.stores {
        let reason = line.severity.unwrap_or_default();
        row(
            &mut text,
            ["", "", "", "", "", "stores", "", &line.text, "", reason, ""],
        );
    }
    text
}

fn rows(text: &mut String, start: [&str; 5], section: &Section) {
    let [notice, number, namespace, name, title] = start;
    let nothing = [Line::default()];
    let lines = if section.lines.is_empty() {
        &nothing[..]
    } else {
        &section.lines
    };
    for line in lines {
        let seen = line.observed.as_ref();
        row(
            text,
            [
                notice,
                number,
                namespace,
                name,
                title,
                section.key,
                section.article,
                &line.text,
                seen.map_or("", |seen| &seen.observed),
                seen.map_or(line.severity.unwrap_or_default(), |seen| &seen.reason),
                seen.and_then(|seen| seen.gone_from_backups.as_deref())
                    .unwrap_or_default(),
            ],
        );
    }
}

fn row<const N: usize>(text: &mut String, cells: [&str; N]) {
    for (index, cell) in cells.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push('"');
        if is_formula(cell) {
            text.push('\'');
        }
        text.push_str(&cell.replace('"', "\"\""));
        text.push('"');
    }
    text.push_str("\r\n");
}
