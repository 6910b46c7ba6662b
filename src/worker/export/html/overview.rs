//! The first page: all that Art. 15(1)(a) to (h) and 15(2) GDPR ask for, what the archive holds, and what it does not.

use super::labels::{Labels, category};
use super::page;
use super::tables::{activities, for_people, page_name};
use crate::contract::export::{Activity, Format, Language, Party, Regime};
use crate::worker::export::context::Context;
use crate::worker::export::coverage::{self, Missing};

/// Name of the overview in a language: the first language is that of `index.html`.
#[must_use]
pub fn name(context: &Context<'_>, language: Language) -> &'static str {
    match (context.plan.languages.first(), language) {
        (Some(first), other) if *first == other => "index.html",
        (_, Language::English) => "index.en.html",
        (_, Language::German) => "index.de.html",
    }
}

/// Writes the overview.
pub fn write(context: &Context<'_>, out: &mut Vec<u8>, labels: &Labels) {
    let notice = &context.plan.notice;
    let title = match notice.controllers.first() {
        Some(controller) => format!("{} {}", labels.title_at, controller.name),
        None => labels.title.to_owned(),
    };
    page::begin(out, labels.code, &title);
    page::element(out, "h1", &title);
    page::element(out, "p", &labels.request(context.plan.right, context.plan.regime));
    dates(context, out, labels);
    languages(context, out);
    contents(context, out, labels);
    if !context.plan.activities.is_empty() {
        page::element(out, "h2", labels.why);
        for activity in &context.plan.activities {
            write_activity(out, labels, activity);
        }
    }
    if context.plan.regime == Regime::Gdpr {
        page::element(out, "h2", labels.rights);
        page::element(out, "p", labels.rights_lead);
        list(out, labels.rights_list.iter().map(|right| (*right).to_owned()));
        page::element(
            out,
            "p",
            &format!(
                "{}: {}",
                labels.complaint,
                party(notice.supervisory_authority.as_ref(), labels)
            ),
        );
    }
    who(context, out, labels);
    left_out(context, out, labels, &coverage::missing(context));
    page::end(out);
}

fn dates(context: &Context<'_>, out: &mut Vec<u8>, labels: &Labels) {
    let minute = |time: jiff::Timestamp| for_people(&time.strftime("%Y-%m-%d %H:%MZ").to_string());
    let mut words = vec![format!("{}: {}", labels.received, minute(context.plan.received_at))];
    if let Some(store) = context.stores.first() {
        words.push(format!("{}: {}", labels.collected, minute(store.collected_at)));
    }
    if let Some(version) = &context.plan.notice.version {
        words.push(format!("{}: {version}", labels.notice));
    }
    page::element(out, "p class=\"soft\"", &words.join(" · "));
}

fn languages(context: &Context<'_>, out: &mut Vec<u8>) {
    if context.plan.languages.len() > 1 {
        page::markup(out, "<nav>");
        for language in &context.plan.languages {
            page::link(out, name(context, *language), super::labels::labels(*language).own_name);
        }
        page::markup(out, "</nav>\n");
    }
}

fn contents(context: &Context<'_>, out: &mut Vec<u8>, labels: &Labels) {
    page::element(out, "h2", labels.contents);
    page::element(out, "p class=\"soft\"", labels.contents_hint);
    page::markup(out, "<div class=\"wide\"><table><thead><tr>");
    page::element(out, "th scope=\"col\"", labels.dataset);
    page::element(out, "th scope=\"col\"", labels.belongs_to);
    page::element(out, "th scope=\"col\" class=\"number\"", labels.rows);
    page::markup(out, "</tr></thead><tbody>\n");
    for part in context.parts() {
        page::markup(out, "<tr><td>");
        if part.rows() > 0 {
            page::link(out, &page_name(&part, 1), &part.dataset.name);
        } else {
            page::text(out, &part.dataset.name);
        }
        if context.stores.len() > 1 {
            page::element(out, "small", &part.store.planned.name);
        }
        page::markup(out, "</td>");
        let titles = activities(context, &part).join(", ");
        page::element(out, "td", if titles.is_empty() { labels.not_stated } else { &titles });
        let rows = if part.rows() > 0 {
            page::number(part.rows())
        } else {
            labels.no_rows.to_owned()
        };
        page::element(out, "td class=\"number\"", &rows);
        page::markup(out, "</tr>\n");
    }
    page::markup(out, "</tbody></table></div>\n");
    page::element(out, "p class=\"soft\"", labels.other_person_hint);
    let mut files = vec!["manifest.json"];
    if context.has(Format::Json) {
        files.extend(["data.json", "schema.json"]);
    }
    if context.has(Format::Csv) {
        files.push("csv/");
    }
    page::element(
        out,
        "p class=\"soft\"",
        &format!("{}: {}.", labels.files_hint, files.join(", ")),
    );
}

fn write_activity(out: &mut Vec<u8>, labels: &Labels, activity: &Activity) {
    page::element(out, "h3", &activity.title);
    page::markup(out, "<dl>");
    let mut entry = |label: &str, lines: Vec<String>, otherwise: &str| {
        page::element(out, "dt", label);
        page::markup(out, "<dd>");
        if lines.is_empty() {
            page::element(out, "span class=\"none\"", otherwise);
        } else {
            page::text(out, &lines.join("\n"));
        }
        page::markup(out, "</dd>\n");
    };
    if !activity.on_behalf_of.is_empty() {
        let parties = activity.on_behalf_of.iter().map(|one| party(Some(one), labels));
        entry(labels.on_behalf_of, parties.collect(), labels.not_stated);
    }
    entry(labels.purposes, activity.purposes.clone(), labels.not_stated);
    let bases = activity.legal_bases.iter().map(|basis| {
        let details = [&basis.applies_to, &basis.reference, &basis.interest];
        with_details(
            labels.basis(basis.basis),
            details.into_iter().flatten().map(String::as_str),
        )
    });
    entry(labels.legal_bases, bases.collect(), labels.not_stated);
    let categories = activity.categories.iter().map(|one| {
        let required = one.required.then_some(labels.required);
        with_details(
            &category(&one.key),
            required.into_iter().chain(one.consequence.as_deref()),
        )
    });
    entry(labels.categories, categories.collect(), labels.not_stated);
    let recipients = activity.recipients.iter().map(|one| {
        let details = one.name.as_ref().map(|_| category(&one.category));
        let role = one.role.as_ref().map(|role| labels.role(role));
        with_details(
            one.name.as_deref().unwrap_or(&one.category),
            details.iter().chain(&role).map(String::as_str),
        )
    });
    entry(labels.recipients, recipients.collect(), labels.not_stated);
    let transfers = activity.transfers.iter().map(|one| {
        let mechanism = labels.mechanism(&one.mechanism);
        let details = std::iter::once(mechanism.as_str()).chain(one.reference.as_deref());
        with_details(&format!("{}: {}", one.recipient, one.countries.join(", ")), details)
    });
    entry(labels.transfers, transfers.collect(), labels.no_transfer);
    let retention = activity.retention.iter().map(|one| {
        let of: Vec<String> = one.categories.iter().map(|key| category(key)).collect();
        if of.is_empty() {
            labels.of(&one.text).to_owned()
        } else {
            format!("{}: {}", of.join(", "), labels.of(&one.text))
        }
    });
    entry(labels.retention, retention.collect(), labels.not_stated);
    entry(labels.sources, activity.sources.clone(), labels.from_you);
    let decisions = activity.automated_decisions.as_ref().map(|decisions| {
        if decisions.used {
            let details = [&decisions.logic, &decisions.consequences];
            with_details(labels.decisions_some, details.into_iter().flatten().map(String::as_str))
        } else {
            labels.decisions_none.to_owned()
        }
    });
    entry(labels.decisions, decisions.into_iter().collect(), labels.not_stated);
    page::markup(out, "</dl>\n");
}

fn with_details<'a>(text: &str, details: impl Iterator<Item = &'a str>) -> String {
    let details: Vec<&str> = details.collect();
    if details.is_empty() {
        text.to_owned()
    } else {
        format!("{text} ({})", details.join("; "))
    }
}

fn who(context: &Context<'_>, out: &mut Vec<u8>, labels: &Labels) {
    let notice = &context.plan.notice;
    page::element(out, "h2", labels.who);
    page::markup(out, "<dl>");
    let mut entry = |label: &str, text: &str| {
        page::element(out, "dt", label);
        page::element(out, "dd", text);
    };
    if notice.controllers.is_empty() {
        entry(labels.controller, labels.not_stated);
    }
    for controller in &notice.controllers {
        entry(labels.controller, &party(Some(controller), labels));
    }
    if let Some(representative) = &notice.representative {
        entry(labels.representative, &party(Some(representative), labels));
    }
    entry(labels.officer, &party(notice.data_protection_officer.as_ref(), labels));
    if context.plan.regime == Regime::Gdpr {
        entry(labels.authority, &party(notice.supervisory_authority.as_ref(), labels));
    }
    page::markup(out, "</dl>\n");
}

fn party(party: Option<&Party>, labels: &Labels) -> String {
    party.map_or_else(
        || labels.not_stated.to_owned(),
        |party| {
            let rest = [&party.address, &party.contact];
            let lines = std::iter::once(party.name.as_str()).chain(rest.into_iter().flatten().map(String::as_str));
            lines.collect::<Vec<_>>().join(", ")
        },
    )
}

fn left_out(context: &Context<'_>, out: &mut Vec<u8>, labels: &Labels, missing: &Missing<'_>) {
    page::element(out, "h2", labels.missing);
    page::element(out, "p class=\"soft\"", labels.missing_hint);
    let stores = &context.plan.not_included;
    let datasets = &missing.left_out;
    if stores.is_empty()
        && datasets.is_empty()
        && missing.withheld.is_empty()
        && missing.undeclared.is_empty()
        && missing.uncovered.is_empty()
    {
        page::element(out, "p", labels.nothing_missing);
        return;
    }
    list(
        out,
        stores
            .iter()
            .map(|store| format!("{}: {}", store.name, labels.of(&store.reason)))
            .chain(
                datasets
                    .iter()
                    .map(|(_, dataset, reason)| format!("{dataset}: {}", labels.left_out(*reason))),
            ),
    );
    group(
        out,
        labels.uncovered,
        missing
            .uncovered
            .iter()
            .map(|(activity, key)| format!("{}: {}", activity.title, category(key))),
    );
    group(
        out,
        labels.withheld,
        missing
            .withheld
            .iter()
            .map(|(_, dataset, column, reason)| format!("{dataset}, {column}: {}", labels.reason(*reason))),
    );
    group(
        out,
        labels.undeclared,
        missing
            .undeclared
            .iter()
            .map(|(_, dataset, columns)| format!("{dataset}: {}", columns.join(", "))),
    );
}

fn group(out: &mut Vec<u8>, heading: &str, lines: impl Iterator<Item = String>) {
    let lines: Vec<String> = lines.collect();
    if !lines.is_empty() {
        let mut capital = heading.chars();
        let first = capital
            .next()
            .map(|first| first.to_uppercase().to_string())
            .unwrap_or_default();
        page::element(out, "h3", &format!("{first}{}", capital.as_str()));
        list(out, lines.into_iter());
    }
}

fn list(out: &mut Vec<u8>, lines: impl Iterator<Item = String>) {
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        return;
    }
    page::markup(out, "<ul>");
    for line in &lines {
        page::element(out, "li", line);
    }
    page::markup(out, "</ul>\n");
}
