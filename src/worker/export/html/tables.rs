//! A page, or several, for each dataset: a table where it has few columns, else one block a row. A page never grows so
//! large that a browser struggles with it.

use super::labels::Labels;
use super::page;
use crate::contract::export::Format;
use crate::worker::export::archive::Archive;
use crate::worker::export::context::{Context, Part};
use crate::worker::export::fault::Fault;
use crate::worker::export::rows::{Cell, Place, Record, TextPieces};
use crate::worker::export::shape::Shape;

/// Rows and bytes of one page at most.
const PAGE_ROWS: u64 = 500;
const PAGE_BYTES: u64 = 1 << 20;

/// A table with more columns does not fit a page of paper.
const TABLE_COLUMNS: usize = 7;

/// Characters that are shown of a long text where the whole of it is in `data.json`.
const SHOWN: usize = 2000;

/// Name of a page, from 1.
#[must_use]
pub fn page_name(part: &Part<'_>, page: u64) -> String {
    format!("tables/{}-{page:03}.html", part.name())
}

/// Writes the pages of a dataset. None where it has no rows.
pub async fn write(
    context: &Context<'_>,
    archive: &mut Archive,
    part: &Part<'_>,
    labels: &Labels,
) -> Result<(), Fault> {
    let mut records = part.store.records(part.place, context.subject, false).await?;
    let fault = |error| part.store.fault(&error);
    let (mut page, mut row) = (0, 0);
    while records.has_more().await.map_err(fault)? {
        page += 1;
        archive.member(&page_name(part, page), true, false).await?;
        begin(context, archive.out(), part, labels, page);
        let first = row + 1;
        while let Some(record) = records.next().await.map_err(fault)? {
            row += 1;
            write_row(context, archive, part, labels, record, row).await?;
            archive.drain().await?;
            if row + 1 - first >= PAGE_ROWS || archive.written() >= PAGE_BYTES {
                break;
            }
        }
        let more = records.has_more().await.map_err(fault)?;
        end(archive.out(), part, labels, page, more);
        archive
            .end(Some(i64::try_from(row + 1 - first).unwrap_or(i64::MAX)))
            .await?;
        context.go_on()?;
    }
    Ok(())
}

fn begin(context: &Context<'_>, out: &mut Vec<u8>, part: &Part<'_>, labels: &Labels, number: u64) {
    page::begin(out, labels.code, &part.dataset.name);
    page::element(out, "h1", &part.dataset.name);
    page::markup(out, "<p class=\"soft\">");
    let titles = activities(context, part);
    if !titles.is_empty() {
        page::text(out, &format!("{}: {} · ", labels.belongs_to, titles.join(", ")));
    }
    page::text(out, &format!("{}: {}", labels.rows, page::number(part.rows())));
    if number > 1 {
        page::text(out, &format!(" · {} {number}", labels.page));
    }
    page::markup(out, "</p>\n");
    navigation(out, part, labels, number, false);
    if is_table(part) {
        page::markup(out, "<div class=\"wide\"><table><thead><tr>");
        for column in &part.dataset.columns {
            page::markup(
                out,
                if is_number(column.shape) {
                    "<th scope=\"col\" class=\"number\">"
                } else {
                    "<th scope=\"col\">"
                },
            );
            page::text(out, &column.name);
            explanation(out, part, labels, &column.name);
            page::markup(out, "</th>");
        }
        page::markup(out, "</tr></thead><tbody>\n");
    }
}

/// Titles of the activities that a dataset serves.
#[must_use]
pub fn activities(context: &Context<'_>, part: &Part<'_>) -> Vec<String> {
    let of = |name: &String| {
        let activity = context.plan.activities.iter().find(|activity| &activity.name == name);
        activity.map_or_else(|| name.clone(), |activity| activity.title.clone())
    };
    part.dataset.activities.iter().map(of).collect()
}

fn explanation(out: &mut Vec<u8>, part: &Part<'_>, labels: &Labels, column: &str) {
    let Some(column) = part.dataset.columns.iter().find(|other| other.name == column) else {
        return;
    };
    let category = column.category.as_deref().map(super::labels::category);
    let origin = column.origin.map(|origin| labels.origin(origin).to_owned());
    let words: Vec<String> = category.into_iter().chain(origin).collect();
    if !words.is_empty() {
        page::element(out, "small", &words.join(", "));
    }
}

fn end(out: &mut Vec<u8>, part: &Part<'_>, labels: &Labels, number: u64, more: bool) {
    if is_table(part) {
        page::markup(out, "</tbody></table></div>\n");
    }
    navigation(out, part, labels, number, more);
    page::end(out);
}

fn navigation(out: &mut Vec<u8>, part: &Part<'_>, labels: &Labels, number: u64, more: bool) {
    // Pages lie beside each other, the overview one folder above.
    let beside = |number: u64| page_name(part, number).trim_start_matches("tables/").to_owned();
    page::markup(out, "<nav>");
    page::link(out, "../index.html", labels.back);
    if number > 1 {
        page::link(out, &beside(number - 1), labels.previous);
    }
    if more {
        page::link(out, &beside(number + 1), labels.next);
    }
    page::markup(out, "</nav>\n");
}

fn is_table(part: &Part<'_>) -> bool {
    part.dataset.columns.len() <= TABLE_COLUMNS
}

const fn is_number(shape: Shape) -> bool {
    shape.is_number()
}

async fn write_row(
    context: &Context<'_>,
    archive: &mut Archive,
    part: &Part<'_>,
    labels: &Labels,
    record: &Record,
    row: u64,
) -> Result<(), Fault> {
    let table = is_table(part);
    if table {
        page::markup(archive.out(), "<tr>");
    } else {
        page::markup(archive.out(), "<section class=\"row\">");
        page::element(
            archive.out(),
            "h3",
            &format!(
                "{} {}",
                labels.row,
                page::number(i64::try_from(row).unwrap_or(i64::MAX))
            ),
        );
        page::markup(archive.out(), "<dl>");
    }
    for (place, (column, cell)) in part.dataset.columns.iter().zip(record.cells()).enumerate() {
        if table {
            page::markup(
                archive.out(),
                if is_number(column.shape) {
                    "<td class=\"number\">"
                } else {
                    "<td>"
                },
            );
        } else {
            page::markup(archive.out(), "<dt>");
            page::text(archive.out(), &column.name);
            explanation(archive.out(), part, labels, &column.name);
            page::markup(archive.out(), "</dt><dd>");
        }
        write_cell(context, archive, part, labels, (cell, record.place), (row, place)).await?;
        page::markup(archive.out(), if table { "</td>" } else { "</dd>" });
    }
    page::markup(archive.out(), if table { "</tr>\n" } else { "</dl></section>\n" });
    Ok(())
}

async fn write_cell(
    context: &Context<'_>,
    archive: &mut Archive,
    part: &Part<'_>,
    labels: &Labels,
    (cell, at): (Cell<'_>, Option<Place>),
    (row, place): (u64, usize),
) -> Result<(), Fault> {
    let shape = part.dataset.columns[place].shape;
    match (cell, at) {
        (Cell::Null, _) | (Cell::Long(_), None) => page::markup(archive.out(), "<span class=\"none\">–</span>"),
        (Cell::OtherPerson, _) => page::element(archive.out(), "span class=\"none\"", labels.other_person),
        (Cell::Text(""), _) => page::element(archive.out(), "span class=\"none\"", labels.empty),
        (Cell::Text(text), _) => match shape {
            Shape::Instant | Shape::LocalTime => page::text(archive.out(), &for_people(text)),
            _ => page::text(archive.out(), text),
        },
        (Cell::File(length, first), _) => {
            let to = format!("../{}", part.file(row, place, &first));
            page::link(archive.out(), &to, &format!("{}, {}", labels.file, page::size(length)));
        }
        (Cell::Long(length), Some(at)) => {
            let shortened = context.has(Format::Json);
            let mut pieces = TextPieces::new(part.store.client(), part.dataset, place, at);
            while let Some(piece) = pieces.next().await.map_err(|error| part.store.fault(&error))? {
                if shortened {
                    let shown: String = piece.chars().take(SHOWN).collect();
                    page::text(archive.out(), &shown);
                    page::markup(archive.out(), "… <span class=\"none\">");
                    page::text(
                        archive.out(),
                        &format!("({}, {})", page::size(length), labels.shortened),
                    );
                    page::markup(archive.out(), "</span>");
                    break;
                }
                page::text(archive.out(), &piece);
                archive.drain().await?;
            }
        }
    }
    Ok(())
}

/// `2026-01-02T03:04:05Z` becomes `2026-01-02 03:04:05 UTC`.
#[must_use]
pub fn for_people(time: &str) -> String {
    let time = time.replacen('T', " ", 1);
    match time.strip_suffix('Z') {
        Some(rest) => format!("{rest} UTC"),
        None => time,
    }
}
