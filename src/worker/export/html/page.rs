//! HTML under construction. What comes from outside this program can only get in through [`text`], which escapes it.

use std::fmt::Write as _;

use crate::domain::escape::entity;

/// Styles of every page. No picture, no font and no script is loaded from anywhere.
const STYLE: &str = include_str!("style.css");

/// Appends markup, which stands in this program.
pub fn markup(out: &mut Vec<u8>, markup: &'static str) {
    out.extend_from_slice(markup.as_bytes());
}

/// Appends text from anywhere, as text. What needs nothing is taken whole.
pub fn text(out: &mut Vec<u8>, text: &str) {
    let mut taken = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((place, character)) = characters.next() {
        let is_before_newline = matches!(characters.peek(), Some((_, '\n')));
        let instead = match character {
            '\n' | '\t' => continue,
            // A line may end in either way; it ends once.
            '\r' if is_before_newline => "",
            '\r' => "\n",
            // HTML has no place for other control characters, and a reader could not see them.
            character if character.is_control() || ('\u{fdd0}'..='\u{fdef}').contains(&character) => "\u{fffd}",
            character => match entity(character) {
                Some(entity) => entity,
                None => continue,
            },
        };
        out.extend_from_slice(&text.as_bytes()[taken..place]);
        out.extend_from_slice(instead.as_bytes());
        taken = place + character.len_utf8();
    }
    out.extend_from_slice(&text.as_bytes()[taken..]);
}

/// Appends `<TAG>text</TAG>`.
pub fn element(out: &mut Vec<u8>, tag: &'static str, content: &str) {
    markup(out, "<");
    markup(out, tag);
    markup(out, ">");
    text(out, content);
    markup(out, "</");
    // Attributes are not repeated.
    markup(out, tag.split(' ').next().unwrap_or(tag));
    markup(out, ">");
}

/// Appends a link within the archive.
pub fn link(out: &mut Vec<u8>, to: &str, content: &str) {
    markup(out, "<a href=\"");
    text(out, to);
    markup(out, "\">");
    text(out, content);
    markup(out, "</a>");
}

/// Begins a page.
pub fn begin(out: &mut Vec<u8>, language: &'static str, title: &str) {
    markup(out, "<!doctype html>\n<html lang=\"");
    markup(out, language);
    markup(
        out,
        "\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\
         <meta name=\"referrer\" content=\"no-referrer\"><meta name=\"robots\" content=\"noindex\">",
    );
    element(out, "title", title);
    markup(out, "<style>");
    markup(out, STYLE);
    markup(out, "</style></head><body><main>\n");
}

/// Ends a page.
pub fn end(out: &mut Vec<u8>) {
    markup(out, "</main></body></html>\n");
}

/// A number with its thousands set apart, as it is written in both languages.
#[must_use]
pub fn number(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    if number < 0 { format!("-{grouped}") } else { grouped }
}

/// A size for people.
#[must_use]
pub fn size(bytes: u64) -> String {
    let mut text = String::new();
    let (unit, name) = match bytes {
        0..1_000 => (1, "bytes"),
        1_000..1_000_000 => (1_000, "kB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    // Writing to a String cannot fail.
    let _ = write!(text, "{} {name}", bytes.div_ceil(unit));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let mut out = Vec::new();
        text(
            &mut out,
            "<script>alert(\"1\")</script>&amp;'\u{0}\u{1b}\r\u{85}\r\nä\n",
        );
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;amp;&#39;\u{fffd}\u{fffd}\n\u{fffd}\nä\n"
        );
        let mut out = Vec::new();
        link(&mut out, "tables/a\"onclick=\"x.html", "<b>");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "<a href=\"tables/a&quot;onclick=&quot;x.html\">&lt;b&gt;</a>"
        );
    }

    #[test]
    fn numbers_and_sizes_are_written_for_people() {
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(number(-12), "-12");
        assert_eq!(size(999), "999 bytes");
        assert_eq!(size(1_500), "2 kB");
    }
}
