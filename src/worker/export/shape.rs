//! What a column holds, as far as an export must know: how its values are compared with a person's identity, and in
//! which form they leave the store.

use super::lookup::Column;
use crate::domain::identifier::Identifier;
use crate::worker::catalogue::Kind;

/// In which form values leave the store, and how they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A number without a fraction that every reader keeps exactly; a JSON number.
    Integer,
    /// One of 64 bits; a text, since JavaScript and others round JSON numbers from 2^53 on.
    BigInteger,
    /// A binary floating-point number; a JSON number where it is one.
    Float,
    /// A decimal number of any length; a text, so that no reader rounds it.
    Decimal,
    /// True or false.
    Boolean,
    /// JSON, which stays JSON.
    Json,
    /// An array, as JSON.
    List,
    /// An array of numbers of 64 bits or of any length, as JSON texts.
    ExactList,
    /// An instant, in UTC.
    Instant,
    /// A date and time without a zone.
    LocalTime,
    /// Bytes, as a file of their own.
    Bytes,
    /// Anything else, as the store writes it.
    Text,
}

/// Values longer than this are fetched piece by piece.
pub const LONGEST_INLINE: usize = 16 << 10;

impl Shape {
    /// The shape of a column.
    #[must_use]
    pub fn of(column: &Column) -> Self {
        let name = column.cast.strip_prefix("\"pg_catalog\".\"").unwrap_or_default();
        match name.trim_end_matches('"') {
            "int2" | "int4" => Self::Integer,
            "int8" => Self::BigInteger,
            "float4" | "float8" => Self::Float,
            "numeric" => Self::Decimal,
            "bool" => Self::Boolean,
            "json" | "jsonb" => Self::Json,
            "timestamptz" => Self::Instant,
            "timestamp" => Self::LocalTime,
            "bytea" => Self::Bytes,
            "_int8" | "_numeric" => Self::ExactList,
            // The catalogue's name of an array type begins with an underscore.
            array if array.starts_with('_') => Self::List,
            _ if column.cast.contains("\".\"_") => Self::List,
            _ => Self::Text,
        }
    }

    /// The word in `data.json` and the manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::BigInteger => "bigInteger",
            Self::Float => "float",
            Self::Decimal => "decimal",
            Self::Boolean => "boolean",
            Self::Json => "json",
            Self::List | Self::ExactList => "list",
            Self::Instant => "instant",
            Self::LocalTime => "localTime",
            Self::Bytes => "file",
            Self::Text => "text",
        }
    }

    /// The value as text, in SQL.
    #[must_use]
    pub fn rendered(self, column: &str) -> String {
        match self {
            Self::List => format!("to_jsonb({column})::text"),
            Self::ExactList => format!("to_jsonb({column}::text[])::text"),
            _ => format!("{column}::text"),
        }
    }

    /// Whether values can be so long that they are fetched piece by piece, where their type sets no bound.
    #[must_use]
    pub const fn can_be_long(self) -> bool {
        matches!(
            self,
            Self::Json | Self::List | Self::ExactList | Self::Text | Self::Decimal
        )
    }

    /// Whether values are numbers: aligned so, and no formula when they begin with a sign.
    #[must_use]
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::BigInteger | Self::Float | Self::Decimal)
    }
}

/// How values of a column are compared with texts so that only the very same value is equal, whatever the type's own
/// equality is: `citext`, collations that ignore case, blanks of `char(n)` and `007` must not meet a foreign row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// By the type's own equality, which an index serves, and once more by bytes.
    Text,
    /// By the type's own equality, for texts that are the only way to write their value.
    Native(String, Written),
    /// By the bytes of the value as the store writes it.
    Rendered,
}

/// The only way to write a value of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// A number without leading zeros, plus sign or blanks, in this many bits.
    Integer(u32),
    /// Lower-case hexadecimal with hyphens.
    Uuid,
}

impl Comparison {
    /// How values of a column are compared.
    #[must_use]
    pub fn of(column: &Column) -> Self {
        let written = match column.cast.as_str() {
            "\"pg_catalog\".\"int2\"" => Written::Integer(16),
            "\"pg_catalog\".\"int4\"" => Written::Integer(32),
            "\"pg_catalog\".\"int8\"" => Written::Integer(64),
            "\"pg_catalog\".\"uuid\"" => Written::Uuid,
            // Blanks at the end of a char(n) are not part of it, and an index on it does not help.
            "\"pg_catalog\".\"bpchar\"" => return Self::Rendered,
            _ if column.kind == Kind::Text => return Self::Text,
            _ => return Self::Rendered,
        };
        Self::Native(column.cast.clone(), written)
    }

    /// Whether a text can be a value of the column at all.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        match self {
            Self::Text | Self::Rendered => true,
            Self::Native(_, Written::Integer(bits)) => {
                let parsed = text.parse::<i64>().ok();
                let largest = i64::MAX >> (64 - bits);
                parsed.is_some_and(|number| number.to_string() == text && (-largest - 1..=largest).contains(&number))
            }
            Self::Native(_, Written::Uuid) => is_uuid(text),
        }
    }

    /// The text in the form in which it is compared: the same uuid may be written in capitals.
    #[must_use]
    pub fn normalised(&self, text: &str) -> String {
        match self {
            Self::Native(_, Written::Uuid) => text.to_ascii_lowercase(),
            _ => text.to_owned(),
        }
    }

    /// `column` is one of the texts in the array `values`, in SQL.
    #[must_use]
    pub fn is_one_of(&self, column: &str, values: &str) -> String {
        match self {
            Self::Text => format!("({column} = ANY ({values}) AND {column}::text COLLATE \"C\" = ANY ({values}))"),
            Self::Native(cast, _) => format!("{column} = ANY ({values}::{cast}[])"),
            Self::Rendered => format!("{column}::text COLLATE \"C\" = ANY ({values})"),
        }
    }

    /// `column` equals the text `value`, in SQL.
    #[must_use]
    pub fn equals(&self, column: &str, value: &str) -> String {
        match self {
            Self::Text => format!("{column} = {value} AND {column}::text COLLATE \"C\" = {value}"),
            Self::Native(cast, _) => format!("{column} = {value}::{cast}"),
            Self::Rendered => format!("{column}::text COLLATE \"C\" = {value}"),
        }
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

/// A column of a table that stands under a name of ours, in SQL.
#[must_use]
pub fn qualified(table: &str, column: &str) -> String {
    match Identifier::parse(column) {
        Ok(identifier) => format!("{table}.{}", identifier.quoted()),
        // The catalogue has no such column: it was looked up before.
        Err(_) => format!("{table}.\"\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_way_to_write_a_number_is_that_number() {
        let integer = Comparison::Native("int4".to_owned(), Written::Integer(32));
        for text in ["0", "7", "-1", "2147483647", "-2147483648"] {
            assert!(integer.fits(text), "{text}");
        }
        for text in [
            "",
            "07",
            "+7",
            " 7",
            "7 ",
            "-0",
            "7.0",
            "1e1",
            "0x7",
            "1_0",
            "٧",
            "2147483648",
            "-2147483649",
            "7\n",
        ] {
            assert!(!integer.fits(text), "{text:?}");
        }
        assert!(Comparison::Native("int8".to_owned(), Written::Integer(64)).fits("-9223372036854775808"));
        assert!(!Comparison::Native("int2".to_owned(), Written::Integer(16)).fits("32768"));
    }

    #[test]
    fn a_uuid_is_the_same_in_capitals_and_in_no_other_form() {
        let uuid = Comparison::Native("uuid".to_owned(), Written::Uuid);
        let capital = "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11";
        assert!(uuid.fits(&uuid.normalised(capital)));
        for text in [
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g",
        ] {
            assert!(!uuid.fits(&uuid.normalised(text)), "{text}");
        }
    }
}
