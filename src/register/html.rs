//! The register as one HTML file: no script, nothing from elsewhere, printable.

use std::fmt::Write as _;

use super::{Entry, Language, Line, Part, Register, Section, words};
use crate::domain::comment::misleads;
use crate::domain::escape::entity;

/// Nothing may run or be loaded, whatever gets into the text.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

const STYLE: &str = include_str!("style.css");

/// The whole file.
#[must_use]
pub fn html(register: &Register, language: Language) -> String {
    let title = escape(&register.title);
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n",
        register.language
    );
    let _ = writeln!(
        text,
        "<p class=\"meta\">{} {} · {} {}</p>\n{}</header>\n<main>",
        language.pick("Printed on", "Gedruckt am"),
        register.printed_on,
        language.pick("adequacy decisions as of", "Angemessenheitsbeschlüsse, Stand"),
        register.adequacy_as_of,
        legend(language)
    );
    contents(&mut text, register, language);
    for part in &register.parts {
        print_part(&mut text, part, language);
    }
    if !register.stores.is_empty() {
        let heading = language.pick(
            "Stores that no activity explains",
            "Speicher, die keine Tätigkeit erklärt",
        );
        let _ = writeln!(text, "<section class=\"part\"><h2>{heading}</h2>");
        lines(&mut text, &register.stores, language);
        text.push_str("</section>\n");
    }
    text.push_str("</main>\n</body>\n</html>\n");
    text
}

fn legend(language: Language) -> String {
    let entry = |class: &str, words: &str| format!("<span class=\"seen {class}\">{words}</span> ");
    format!(
        "<p class=\"legend\">{}{}{}</p>\n",
        entry(
            "true",
            language.pick(
                "seen to be so in the cluster or the store",
                "im Cluster oder Speicher so gesehen"
            )
        ),
        entry("false", language.pick("seen NOT to be so", "als NICHT so gesehen")),
        entry(
            "unknown",
            language.pick(
                "recorded, or not to be seen from here",
                "nur verzeichnet, oder von hier nicht zu sehen"
            )
        )
    )
}

/// A table of all activities, with what is observed and found at a glance.
fn contents(text: &mut String, register: &Register, language: Language) {
    let columns = [
        "",
        language.pick("Activity", "Tätigkeit"),
        language.pick("Purposes", "Zwecke"),
        language.pick("Seen", "Gesehen"),
        language.pick("Findings", "Befunde"),
    ];
    text.push_str("<nav><table class=\"contents\"><thead><tr>");
    for column in columns {
        let _ = write!(text, "<th>{column}</th>");
    }
    text.push_str("</tr></thead><tbody>\n");
    for entry in register.parts.iter().flat_map(|part| &part.entries) {
        let seen = entry
            .sections
            .iter()
            .flat_map(|section| &section.lines)
            .filter_map(|line| line.observed.as_ref());
        let (mut all, mut so, mut not) = (0, 0, 0);
        for seen in seen {
            all += 1;
            so += u32::from(seen.observed == "True");
            not += u32::from(seen.observed == "False");
        }
        let class = if not > 0 { "false" } else { "" };
        let _ = writeln!(
            text,
            "<tr><td class=\"number\">{0}</td><td><a href=\"#a{0}\">{1}</a></td><td>{2}</td><td class=\"{class}\">{so}/{all}</td><td>{3}</td></tr>",
            entry.number,
            escape(&entry.title),
            escape(
                &of(entry, "purposes")
                    .map(|line| line.text.as_str())
                    .collect::<Vec<_>>()
                    .join("; ")
            ),
            findings(entry)
        );
    }
    text.push_str("</tbody></table></nav>\n");
}

fn of<'a>(entry: &'a Entry, key: &'a str) -> impl Iterator<Item = &'a Line> {
    entry
        .sections
        .iter()
        .filter(move |section| section.key == key)
        .flat_map(|section| &section.lines)
}

fn findings(entry: &Entry) -> String {
    let count = |severity: &str| {
        of(entry, "findings")
            .filter(|line| line.severity == Some(severity))
            .count()
    };
    let mut text = String::new();
    for severity in ["Error", "Warning", "Info"] {
        let number = count(severity);
        if number > 0 {
            let _ = write!(
                text,
                "<span class=\"finding {}\">{number}</span> ",
                severity.to_lowercase()
            );
        }
    }
    text
}

fn print_part(text: &mut String, part: &Part, language: Language) {
    let _ = writeln!(text, "<section class=\"part\"><h2>{}</h2>", escape(&part.notice));
    sections(text, &part.head, language);
    text.push_str("</section>\n");
    for entry in &part.entries {
        let place = if entry.namespace.is_empty() {
            escape(&entry.name)
        } else {
            format!("{}/{}", escape(&entry.namespace), escape(&entry.name))
        };
        let _ = writeln!(
            text,
            "<article id=\"a{0}\"><h3><span class=\"number\">{0}</span> {1}</h3><p class=\"meta\">{place}</p>",
            entry.number,
            escape(&entry.title)
        );
        sections(text, &entry.sections, language);
        text.push_str("</article>\n");
    }
}

fn sections(text: &mut String, sections: &[Section], language: Language) {
    text.push_str("<dl>\n");
    for section in sections {
        let article = if section.article.is_empty() {
            String::new()
        } else {
            format!(" <small>{}</small>", section.article)
        };
        let _ = write!(
            text,
            "<div class=\"{}\"><dt>{}{article}</dt><dd>",
            section.key, section.label
        );
        lines(text, &section.lines, language);
        text.push_str("</dd></div>\n");
    }
    text.push_str("</dl>\n");
}

fn lines(text: &mut String, lines: &[Line], language: Language) {
    if lines.is_empty() {
        let _ = write!(
            text,
            "<p class=\"nothing\">{}</p>",
            language.pick("nothing is recorded", "nichts verzeichnet")
        );
        return;
    }
    text.push_str("<ul>");
    for line in lines {
        text.push_str("<li>");
        if let Some(severity) = line.severity {
            let _ = write!(
                text,
                "<span class=\"finding {}\">{}</span> ",
                severity.to_lowercase(),
                words::severity(severity, language)
            );
        }
        text.push_str(&escape(&line.text));
        if let Some(seen) = &line.observed {
            let _ = write!(
                text,
                "<div class=\"state\"><span class=\"seen {}\">{}</span> <b>{}</b> {}",
                match seen.observed.as_str() {
                    "True" => "true",
                    "False" => "false",
                    _ => "unknown",
                },
                seen.words,
                escape(&seen.reason),
                escape(&seen.message)
            );
            if let Some(gone) = &seen.gone_from_backups {
                let _ = write!(
                    text,
                    "<br>{} {}",
                    language.pick("Gone from backups:", "Aus Sicherungen verschwunden:"),
                    escape(gone)
                );
            }
            text.push_str("</div>");
        }
        text.push_str("</li>");
    }
    text.push_str("</ul>");
}

/// Text in which nothing is markup, and nothing turns the direction of writing or is not seen.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match (entity(character), character) {
            (Some(entity), _) => out.push_str(entity),
            (None, '\n' | '\t') => out.push(' '),
            (None, other) if misleads(other) => out.push('\u{fffd}'),
            (None, other) => out.push(other),
        }
    }
    out
}
