//! Text as YAML scalars and comments, whatever is in it.

use std::fmt::Write as _;

use crate::domain::comment::misleads;

/// Words that some YAML parser reads as something other than text: `kubectl` follows YAML 1.1.
const RESERVED: [&str; 11] = [
    "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf",
];

/// A scalar that every YAML parser reads as exactly this text: bare where that is safe, else in double quotes.
#[must_use]
pub fn scalar(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(character);
            }
            _ if misleads(character) || matches!(character, '\u{fffe}' | '\u{ffff}') => {
                // Writing to a String cannot fail. Every such character has at most four hexadecimal digits.
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// Letters, digits and what is common in names, beginning with a letter, and no word with a meaning of its own.
fn is_plain(text: &str) -> bool {
    let mut characters = text.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|character| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.' | '/'))
        && !RESERVED.contains(&text.to_ascii_lowercase().as_str())
}

/// A label of DNS made from a name: lower-case letters, digits and hyphens, at most `longest` of them, never empty.
#[must_use]
pub fn label(name: &str, longest: usize) -> String {
    let mut label = String::new();
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            label.push(character.to_ascii_lowercase());
        } else if !label.is_empty() && !label.ends_with('-') {
            label.push('-');
        }
    }
    label.truncate(longest);
    let label = label.trim_end_matches('-');
    if label.is_empty() {
        "unnamed".to_owned()
    } else {
        label.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_with_a_meaning_of_their_own_are_quoted() {
        for text in [
            "on",
            "No",
            "NULL",
            "~",
            "y",
            "true",
            "",
            " ",
            "a: b",
            "a #b",
            "#a",
            "- a",
            "-",
            "1",
            "1e3",
            "0x1",
            "1:20",
            "?",
            "!a",
            "&a",
            "*a",
            "%a",
            "@a",
            "`a`",
            "{a",
            "[a",
            "|",
            ">",
            "'",
            "\"",
            "\\",
            "a\nb",
            "a\u{85}b",
            "\u{feff}",
            "---",
            "...",
            "2001-01-01",
            "=",
            "<<",
            ".nan",
            "表",
            "naïve",
        ] {
            let scalar = scalar(text);
            assert!(
                scalar.starts_with('"') && scalar.ends_with('"') && !scalar.contains('\n'),
                "{scalar}"
            );
        }
        assert_eq!(scalar("public.users"), "public.users");
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in any::<String>()) {
            let document = format!("key: {} # comment\nnext: x\n", scalar(&text));
            let read: std::collections::BTreeMap<String, String> = serde_saphyr::from_str(&document).unwrap();
            prop_assert_eq!(&read["key"], &text);
            prop_assert_eq!(&read["next"], "x");
        }

        #[test]
        fn every_name_makes_a_label(name in any::<String>(), longest in 8_usize..63) {
            let label = label(&name, longest);
            prop_assert!(!label.is_empty() && label.len() <= longest);
            prop_assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
            prop_assert!(!label.starts_with('-') && !label.ends_with('-'));
        }
    }
}
