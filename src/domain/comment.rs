//! Names of others in comments: whatever they contain, the comment ends where its line ends.

use std::fmt::Write as _;

/// `text` on one line, with everything escaped that ends a line or misleads the eye: control characters, line and
/// paragraph separators, marks that turn the direction of writing, invisible characters.
#[must_use]
pub fn single_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if misleads(character) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{}", character.escape_unicode());
        } else {
            line.push(character);
        }
    }
    line
}

/// Whether a character ends a line, is not seen, or changes how its neighbours are seen.
#[must_use]
pub fn misleads(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_ends_the_line_or_turns_it_around() {
        for (text, shown) in [
            ("plain name", "plain name"),
            ("naïve 表", "naïve 表"),
            ("a\nDROP TABLE x", "a\\u{a}DROP TABLE x"),
            ("a\r\u{85}\u{2028}\u{2029}b", "a\\u{d}\\u{85}\\u{2028}\\u{2029}b"),
            ("\u{202e}txt\u{feff}\u{1b}[2J", "\\u{202e}txt\\u{feff}\\u{1b}[2J"),
        ] {
            assert_eq!(single_line(text), shown);
        }
    }
}
