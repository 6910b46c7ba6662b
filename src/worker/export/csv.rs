//! One table as `csv/STORE.DATASET.csv`, for spreadsheets: UTF-8 with a mark, CRLF, every value quoted. A text that a
//! spreadsheet would take for a formula begins with an apostrophe.

use super::archive::Archive;
use super::context::{Context, Part};
use super::fault::Fault;
use super::rows::{Cell, Place, TextPieces};
use super::shape::Shape;
use crate::domain::escape::is_formula;

/// What is shown in the place of a value that is about somebody else.
const OTHER_PERSON: &str = "other person";

/// Writes a file for each dataset.
pub async fn write(context: &Context<'_>, archive: &mut Archive) -> Result<(), Fault> {
    for part in context.parts() {
        archive.member(&format!("csv/{}.csv", part.name()), true, true).await?;
        archive.out().extend_from_slice("\u{feff}".as_bytes());
        for (place, column) in part.dataset.columns.iter().enumerate() {
            separate(archive.out(), place);
            begin(archive.out(), &column.name, Shape::Text);
            archive.out().push(b'"');
        }
        archive.out().extend_from_slice(b"\r\n");
        let mut records = part.store.records(part.place, context.subject, false).await?;
        let mut row = 0;
        while let Some(record) = records.next().await.map_err(|error| part.store.fault(&error))? {
            row += 1;
            for (place, cell) in record.cells().enumerate() {
                separate(archive.out(), place);
                match (cell, record.place) {
                    (Cell::Long(_), Some(at)) => long(archive, &part, place, at).await?,
                    _ => value(archive.out(), &part, (row, place), cell),
                }
            }
            archive.out().extend_from_slice(b"\r\n");
            archive.drain().await?;
            if row % 1024 == 0 {
                context.go_on()?;
            }
        }
        archive.end(Some(i64::try_from(row).unwrap_or(i64::MAX))).await?;
    }
    Ok(())
}

/// A long value, piece by piece.
async fn long(archive: &mut Archive, part: &Part<'_>, column: usize, at: Place) -> Result<(), Fault> {
    let mut pieces = TextPieces::new(part.store.client(), part.dataset, column, at);
    let mut is_first = true;
    while let Some(piece) = pieces.next().await.map_err(|error| part.store.fault(&error))? {
        if is_first {
            begin(archive.out(), &piece, part.dataset.columns[column].shape);
        } else {
            escaped(archive.out(), &piece);
        }
        is_first = false;
        archive.drain().await?;
    }
    archive.out().push(b'"');
    Ok(())
}

fn value(out: &mut Vec<u8>, part: &Part<'_>, (row, column): (u64, usize), cell: Cell<'_>) {
    match cell {
        // No value is an empty field without quotes; an empty text has quotes.
        Cell::Null | Cell::Long(_) => return,
        Cell::OtherPerson => begin(out, OTHER_PERSON, Shape::Text),
        Cell::Text(text) => begin(out, text, part.dataset.columns[column].shape),
        Cell::File(_, first) => begin(out, &part.file(row, column, &first), Shape::Bytes),
    }
    out.push(b'"');
}

fn separate(out: &mut Vec<u8>, place: usize) {
    if place > 0 {
        out.push(b',');
    }
}

/// The beginning of a field, its closing quote not included. A number may begin with a minus sign and is no formula.
fn begin(out: &mut Vec<u8>, text: &str, shape: Shape) {
    out.push(b'"');
    let is_number = shape.is_number();
    if is_formula(text) && !is_number {
        out.push(b'\'');
    }
    escaped(out, text);
}

fn escaped(out: &mut Vec<u8>, text: &str) {
    for (place, run) in text.split('"').enumerate() {
        if place > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(run.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str, shape: Shape) -> String {
        let mut out = Vec::new();
        begin(&mut out, text, shape);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_spreadsheet_would_run_is_text() {
        assert_eq!(field("=1+1", Shape::Text), "\"'=1+1");
        assert_eq!(field("-1", Shape::BigInteger), "\"-1");
        assert_eq!(field("-1.50", Shape::Decimal), "\"-1.50");
        assert_eq!(field("a=1", Shape::Text), "\"a=1");
        assert_eq!(field("say \"hi\",\r\n", Shape::Text), "\"say \"\"hi\"\",\r\n");
    }
}
