//! The register as Markdown.

use std::fmt::Write as _;

use super::{Language, Line, Register, Section, words};
use crate::domain::comment::single_line;

/// The whole text.
#[must_use]
pub fn markdown(register: &Register, language: Language) -> String {
    let mut text = format!("# {}\n\n{}\n", plain(&register.title), register.printed_on);
    for part in &register.parts {
        let _ = writeln!(text, "\n## {}", plain(&part.notice));
        sections(&mut text, &part.head, language);
        for entry in &part.entries {
            let _ = writeln!(
                text,
                "\n### {}. {}\n\n`{}`",
                entry.number,
                plain(&entry.title),
                place(&entry.namespace, &entry.name)
            );
            sections(&mut text, &entry.sections, language);
        }
    }
    if !register.stores.is_empty() {
        let _ = writeln!(text, "\n## DataSources\n");
        lines(&mut text, &register.stores, language);
    }
    text
}

/// Names of objects are of letters, digits, hyphens and dots where they come from a cluster, and anything in a file.
fn place(namespace: &str, name: &str) -> String {
    let clean = |text: &str| single_line(text).replace('`', "");
    if namespace.is_empty() {
        clean(name)
    } else {
        format!("{}/{}", clean(namespace), clean(name))
    }
}

fn sections(text: &mut String, sections: &[Section], language: Language) {
    for section in sections {
        let article = if section.article.is_empty() {
            String::new()
        } else {
            format!(" ({})", section.article)
        };
        let _ = writeln!(text, "\n**{}**{article}\n", section.label);
        if section.lines.is_empty() {
            text.push_str("- --\n");
        }
        lines(text, &section.lines, language);
    }
}

fn lines(text: &mut String, lines: &[Line], language: Language) {
    for line in lines {
        let severity = line.severity.map_or_else(String::new, |severity| {
            format!("{}: ", words::severity(severity, language))
        });
        let _ = writeln!(text, "- {severity}{}", plain(&line.text));
        if let Some(seen) = &line.observed {
            let _ = writeln!(
                text,
                "  - *{}* ({}): {}",
                seen.words,
                plain(&seen.reason),
                plain(&seen.message)
            );
            if let Some(gone) = &seen.gone_from_backups {
                let _ = writeln!(text, "  - {}", plain(gone));
            }
        }
    }
}

/// One line in which nothing means anything to Markdown or to the HTML that it becomes.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in single_line(text).chars() {
        match character {
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '!' | '~' => {
                out.push('\\');
                out.push(character);
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            other => out.push(other),
        }
    }
    out
}
