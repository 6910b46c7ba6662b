//! `data.json`: everything in one document, as `schema.json` beside it says; and the files that it names.

use super::archive::Archive;
use super::context::{Context, Part};
use super::dataset::OutputColumn;
use super::fault::Fault;
use super::rows::{Cell, FilePieces, Place, TextPieces};
use super::shape::Shape;

/// The schema of `data.json`.
pub const SCHEMA: &str = include_str!("data.schema.json");

/// Writes `data.json` and `schema.json`.
pub async fn write(context: &Context<'_>, archive: &mut Archive) -> Result<(), Fault> {
    archive.member("schema.json", false, false).await?;
    archive.out().extend_from_slice(SCHEMA.as_bytes());
    archive.end(None).await?;

    archive.member("data.json", true, true).await?;
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

async fn dataset(context: &Context<'_>, archive: &mut Archive, part: &Part<'_>) -> Result<i64, Fault> {
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
    // Written once, since they stand in every row.
    let names: Vec<Vec<u8>> = dataset.columns.iter().enumerate().map(name).collect();
    let mut records = part.store.records(part.place, context.subject, false).await?;
    let mut row = 0;
    while let Some(record) = records.next().await.map_err(|error| part.store.fault(&error))? {
        archive.out().extend_from_slice(if row > 0 { b",\n" } else { b"\n" });
        row += 1;
        for (place, (name, cell)) in names.iter().zip(record.cells()).enumerate() {
            archive.out().extend_from_slice(name);
            match (cell, record.place) {
                (Cell::Long(_), Some(at)) => long(archive, part, place, at).await?,
                _ => value(archive.out(), part, (row, place), cell),
            }
        }
        archive.out().push(b'}');
        archive.drain().await?;
        if row % 1024 == 0 {
            context.go_on()?;
        }
    }
    archive.out().extend_from_slice(b"]}");
    Ok(i64::try_from(row).unwrap_or(i64::MAX))
}

/// What stands before a value: `{"id":`, `,"email":`.
fn name((place, column): (usize, &OutputColumn)) -> Vec<u8> {
    let mut out = vec![if place > 0 { b',' } else { b'{' }];
    quoted(&mut out, &column.name);
    out.push(b':');
    out
}

/// A long value, piece by piece.
async fn long(archive: &mut Archive, part: &Part<'_>, column: usize, at: Place) -> Result<(), Fault> {
    let is_json = matches!(
        part.dataset.columns[column].shape,
        Shape::Json | Shape::List | Shape::ExactList
    );
    let mut pieces = TextPieces::new(part.store.client(), part.dataset, column, at);
    if !is_json {
        archive.out().push(b'"');
    }
    while let Some(piece) = pieces.next().await.map_err(|error| part.store.fault(&error))? {
        if is_json {
            archive.out().extend_from_slice(piece.as_bytes());
        } else {
            escaped(archive.out(), &piece);
        }
        archive.drain().await?;
    }
    if !is_json {
        archive.out().push(b'"');
    }
    Ok(())
}

/// A value in JSON.
fn value(out: &mut Vec<u8>, part: &Part<'_>, (row, column): (u64, usize), cell: Cell<'_>) {
    match cell {
        // A layout with long values has the place of each row.
        Cell::Null | Cell::Long(_) => out.extend_from_slice(b"null"),
        Cell::OtherPerson => out.extend_from_slice(b"{\"otherPerson\":true}"),
        Cell::Text(value) => text(out, part.dataset.columns[column].shape, value),
        Cell::File(length, first) => {
            let file = serde_json::json!({"file": part.file(row, column, &first), "bytes": length});
            out.extend_from_slice(file.to_string().as_bytes());
        }
    }
}

fn text(out: &mut Vec<u8>, shape: Shape, text: &str) {
    match shape {
        Shape::Integer | Shape::Boolean | Shape::Json | Shape::List | Shape::ExactList => {
            out.extend_from_slice(text.as_bytes());
        }
        // NaN and the infinities are no JSON numbers.
        Shape::Float if text.ends_with(|last: char| last.is_ascii_digit()) => out.extend_from_slice(text.as_bytes()),
        _ => quoted(out, text),
    }
}

fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escaped(out, text);
    out.push(b'"');
}

/// Most texts have nothing to escape and are taken whole.
fn escaped(out: &mut Vec<u8>, text: &str) {
    let needs = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    if text.bytes().any(needs) {
        let quoted = serde_json::to_string(text).unwrap_or_default();
        out.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

/// Writes the values of bytes, each as a file of its own.
pub async fn write_files(context: &Context<'_>, archive: &mut Archive) -> Result<(), Fault> {
    for part in context.parts() {
        if !part.dataset.columns.iter().any(|column| column.shape == Shape::Bytes) {
            continue;
        }
        let mut records = part.store.records(part.place, context.subject, true).await?;
        let mut row = 0;
        while let Some(record) = records.next().await.map_err(|error| part.store.fault(&error))? {
            row += 1;
            for (place, cell) in record.cells().enumerate() {
                if let (Cell::File(length, first), Some(at)) = (cell, record.place) {
                    let is_long = length >= u64::from(u32::MAX) - 1;
                    archive.member(&part.file(row, place, &first), true, is_long).await?;
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
