//! One table as `csv/STORE.DATASET.csv`, for spreadsheets: UTF-8 with a mark, CRLF, every value quoted. A text that a
//! spreadsheet would take for a formula begins with an apostrophe.

use super::archive::Archive;
use super::context::{Context, Part, instant, local_time};
use super::fault::Fault;
use super::rows::{Cell, Record, TextPieces};
use super::shape::Shape;
use crate::domain::escape::is_formula;

/// What is shown in the place of a value that is about somebody else.
const OTHER_PERSON: &str = "other person";

/// Writes a file for each dataset.
pub async fn write(context: &Context<'_>, archive: &mut Archive<'_>) -> Result<(), Fault> {
    for part in context.parts() {
        archive.member(&format!("csv/{}.csv", part.name()), true, true)?;
        archive.out().extend_from_slice("\u{feff}".as_bytes());
        for (place, column) in part.dataset.columns.iter().enumerate() {
            separate(archive.out(), place);
            begin(archive.out(), &column.name, Shape::Text);
            archive.out().push(b'"');
        }
        archive.out().extend_from_slice(b"\r\n");
        let mut records = part.store.records(part.place, context.subject).await?;
        let mut row = 0;
        while let Some(record) = records.next().await.map_err(|error| part.store.fault(&error))? {
            row += 1;
            write_row(archive, &part, &record, row).await?;
            archive.drain().await?;
            if row % 256 == 0 {
                context.go_on()?;
            }
        }
        archive.end(Some(i64::try_from(row).unwrap_or(i64::MAX))).await?;
    }
    Ok(())
}

async fn write_row(archive: &mut Archive<'_>, part: &Part<'_>, record: &Record, row: u64) -> Result<(), Fault> {
    for (place, (column, cell)) in part.dataset.columns.iter().zip(&record.cells).enumerate() {
        separate(archive.out(), place);
        match (cell, &record.place) {
            // No value is an empty field without quotes; an empty text has quotes.
            (Cell::Null, _) | (Cell::Long(_), None) => continue,
            (Cell::OtherPerson, _) => begin(archive.out(), OTHER_PERSON, Shape::Text),
            (Cell::Text(text), _) => match column.shape {
                Shape::Instant => begin(archive.out(), &instant(text), Shape::Instant),
                Shape::LocalTime => begin(archive.out(), &local_time(text), Shape::LocalTime),
                shape => begin(archive.out(), text, shape),
            },
            (Cell::File(_, first), _) => begin(archive.out(), &part.file(row, place, first), Shape::Bytes),
            (Cell::Long(_), Some(at)) => {
                let mut pieces = TextPieces::new(part.store.client(), part.dataset, place, at);
                let mut is_first = true;
                while let Some(piece) = pieces.next().await.map_err(|error| part.store.fault(&error))? {
                    if is_first {
                        begin(archive.out(), &piece, column.shape);
                    } else {
                        escaped(archive.out(), &piece);
                    }
                    is_first = false;
                    archive.drain().await?;
                }
            }
        }
        archive.out().push(b'"');
    }
    archive.out().extend_from_slice(b"\r\n");
    Ok(())
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
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
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
