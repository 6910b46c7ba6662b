//! `data.json`: everything in one document, as `schema.json` beside it says; and the files that it names.

use super::archive::Archive;
use super::context::{Context, Part, has_file, instant, local_time};
use super::fault::Fault;
use super::rows::{Cell, FilePieces, Record, TextPieces};
use super::shape::Shape;

/// The schema of `data.json`.
pub const SCHEMA: &str = include_str!("data.schema.json");

/// Writes `data.json` and `schema.json`.
pub async fn write(context: &Context<'_>, archive: &mut Archive<'_>) -> Result<(), Fault> {
    archive.member("schema.json", false, false)?;
    archive.out().extend_from_slice(SCHEMA.as_bytes());
    archive.end(None).await?;

    archive.member("data.json", true, true)?;
    let mut rows = 0;
    archive
        .out()
        .extend_from_slice(b"{\"format\":\"privacy-operator-export/v1\",\"right\":");
    quoted(archive.out(), &format!("{:?}", context.plan.right));
    archive.out().extend_from_slice(b",\"stores\":[");
    for (place, store) in context.stores.iter().enumerate() {
        archive
            .out()
            .extend_from_slice(if place > 0 { b",\n{\"name\":" } else { b"\n{\"name\":" });
        quoted(archive.out(), &store.planned.name);
        archive.out().extend_from_slice(b",\"datasets\":[");
        let mut first = true;
        for part in context.parts().filter(|part| part.store_place == place) {
            archive.out().extend_from_slice(if first { b"\n" } else { b",\n" });
            first = false;
            rows += dataset(context, archive, &part).await?;
        }
        archive.out().extend_from_slice(b"]}");
    }
    archive.out().extend_from_slice(b"]}\n");
    archive.end(Some(rows)).await
}

async fn dataset(context: &Context<'_>, archive: &mut Archive<'_>, part: &Part<'_>) -> Result<i64, Fault> {
    let dataset = part.dataset;
    let head = serde_json::json!({
        "name": dataset.name,
        "table": dataset.table.name.to_string(),
        "activities": dataset.activities,
        "columns": dataset.columns.iter().map(|column| serde_json::json!({
            "name": column.name,
            "type": column.shape.as_str(),
            "category": column.category,
            "origin": column.origin,
        })).collect::<Vec<_>>(),
    });
    let head = head.to_string();
    archive.out().extend_from_slice(head.trim_end_matches('}').as_bytes());
    archive.out().extend_from_slice(b",\"rows\":[");
    let mut records = part.store.records(part.place, context.subject).await?;
    let mut row = 0;
    while let Some(record) = records.next().await.map_err(|error| part.store.fault(&error))? {
        archive.out().extend_from_slice(if row > 0 { b",\n" } else { b"\n" });
        row += 1;
        write_row(archive, part, &record, row).await?;
        archive.drain().await?;
        if row % 256 == 0 {
            context.go_on()?;
        }
    }
    archive.out().extend_from_slice(b"]}");
    Ok(i64::try_from(row).unwrap_or(i64::MAX))
}

async fn write_row(archive: &mut Archive<'_>, part: &Part<'_>, record: &Record, row: u64) -> Result<(), Fault> {
    for (place, (column, cell)) in part.dataset.columns.iter().zip(&record.cells).enumerate() {
        archive.out().push(if place > 0 { b',' } else { b'{' });
        quoted(archive.out(), &column.name);
        archive.out().push(b':');
        match (cell, &record.place) {
            // A layout with long values has the place of each row.
            (Cell::Null, _) | (Cell::Long(_), None) => archive.out().extend_from_slice(b"null"),
            (Cell::OtherPerson, _) => archive.out().extend_from_slice(b"{\"otherPerson\":true}"),
            (Cell::Text(text), _) => value(archive.out(), column.shape, text),
            (Cell::File(length, first), _) => {
                let file = serde_json::json!({"file": part.file(row, place, first), "bytes": length});
                archive.out().extend_from_slice(file.to_string().as_bytes());
            }
            (Cell::Long(_), Some(at)) => {
                let is_json = matches!(column.shape, Shape::Json | Shape::List | Shape::ExactList);
                let mut pieces = TextPieces::new(part.store.client(), part.dataset, place, at);
                if !is_json {
                    archive.out().push(b'"');
                }
                while let Some(piece) = pieces.next().await.map_err(|error| part.store.fault(&error))? {
                    if is_json {
                        archive.out().extend_from_slice(piece.as_bytes());
                    } else {
                        let escaped = serde_json::to_string(&piece).unwrap_or_default();
                        archive
                            .out()
                            .extend_from_slice(&escaped.as_bytes()[1..escaped.len() - 1]);
                    }
                    archive.drain().await?;
                }
                if !is_json {
                    archive.out().push(b'"');
                }
            }
        }
    }
    archive.out().push(b'}');
    Ok(())
}

fn quoted(out: &mut Vec<u8>, text: &str) {
    // Writing a text into memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

/// A value in JSON.
fn value(out: &mut Vec<u8>, shape: Shape, text: &str) {
    match shape {
        Shape::Integer | Shape::Boolean | Shape::Json | Shape::List | Shape::ExactList => {
            out.extend_from_slice(text.as_bytes());
        }
        // NaN and the infinities are no JSON numbers.
        Shape::Float if text.ends_with(|last: char| last.is_ascii_digit()) => out.extend_from_slice(text.as_bytes()),
        Shape::Instant => quoted(out, &instant(text)),
        Shape::LocalTime => quoted(out, &local_time(text)),
        Shape::Float | Shape::BigInteger | Shape::Decimal | Shape::Text | Shape::Bytes => quoted(out, text),
    }
}

/// Writes the values of bytes, each as a file of its own.
pub async fn write_files(context: &Context<'_>, archive: &mut Archive<'_>) -> Result<(), Fault> {
    for part in context.parts() {
        if !part.dataset.columns.iter().any(|column| column.shape == Shape::Bytes) {
            continue;
        }
        let mut records = part.store.records(part.place, context.subject).await?;
        let mut row = 0;
        while let Some(record) = records.next().await.map_err(|error| part.store.fault(&error))? {
            row += 1;
            for (place, cell) in record.cells.iter().enumerate().filter(|(_, cell)| has_file(cell)) {
                if let (Cell::File(length, first), Some(at)) = (cell, &record.place) {
                    let is_long = *length >= u64::from(u32::MAX) - 1;
                    archive.member(&part.file(row, place, first), true, is_long)?;
                    let mut pieces = FilePieces::new(part.store.client(), part.dataset, place, at);
                    while let Some(piece) = pieces.next().await.map_err(|error| part.store.fault(&error))? {
                        archive.out().extend_from_slice(piece.get::<_, &[u8]>(0));
                        drop(piece);
                        archive.drain().await?;
                    }
                    archive.end(None).await?;
                    context.go_on()?;
                }
            }
        }
    }
    Ok(())
}
