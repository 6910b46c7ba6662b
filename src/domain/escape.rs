//! Text from anywhere in documents for people: in HTML no markup, in a spreadsheet no formula.

/// What stands for a character that HTML would take for markup; `None`: the character itself.
#[must_use]
pub const fn entity(character: char) -> Option<&'static str> {
    Some(match character {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&#39;",
        _ => return None,
    })
}

/// Whether a spreadsheet would run the text as a formula. It gets an apostrophe in front then, as spreadsheets themselves
/// write text.
#[must_use]
pub fn is_formula(text: &str) -> bool {
    // Spreadsheets look past blanks.
    text.trim_start_matches([' ', '\u{a0}', '\u{feff}'])
        .starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '|', '%', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_markup_is_left() {
        let escaped: String = "<a href=\"x\" on='y'>&amp;"
            .chars()
            .map(|character| entity(character).map_or_else(|| character.to_string(), str::to_owned))
            .collect();
        assert_eq!(escaped, "&lt;a href=&quot;x&quot; on=&#39;y&#39;&gt;&amp;amp;");
    }

    #[test]
    fn what_a_spreadsheet_would_run_is_seen() {
        for text in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "  =1",
            "\u{feff}=1",
            "＝1",
            "|calc",
            "%x",
        ] {
            assert!(is_formula(text), "{text:?}");
        }
        for text in ["", "a=1", "1+1", "'=1", "person@example.org"] {
            assert!(!is_formula(text), "{text:?}");
        }
    }
}
