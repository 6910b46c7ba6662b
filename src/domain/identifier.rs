//! SQL identifiers. Nothing reaches a statement as an identifier except through these types.

use std::fmt;

/// Longest identifier of PostgreSQL, in bytes. A longer one would be cut silently and could name another object.
const LONGEST: usize = 63;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// Nothing there.
    #[error("a name is empty")]
    Empty,
    /// More than 63 bytes.
    #[error("a name of {0} bytes is too long; PostgreSQL knows at most 63")]
    TooLong(usize),
    /// Contains a control character.
    #[error("a name contains a control character, such as a line break or NUL")]
    Control,
    /// Not `schema.table`.
    #[error(
        "write the table as schema.table, for example public.users; put a part that contains a dot in double quotes"
    )]
    NotQualified,
    /// A double quote without its partner.
    #[error("the double quotes do not match; a quote within a quoted name is written twice")]
    Quotes,
    /// Belongs to the database itself.
    #[error("tables of system schemas hold no data of yours; name a table of your own")]
    System,
}

/// A column, table or schema name, exactly as in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identifier(String);

impl Identifier {
    /// Takes any name that PostgreSQL could hold, except control characters, which have no place in a policy.
    pub fn parse(name: &str) -> Result<Self, IdentifierError> {
        if name.is_empty() {
            Err(IdentifierError::Empty)
        } else if name.len() > LONGEST {
            Err(IdentifierError::TooLong(name.len()))
        } else if name.chars().any(char::is_control) {
            Err(IdentifierError::Control)
        } else {
            Ok(Self(name.to_owned()))
        }
    }

    /// The name as in the catalogue.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as it stands in a statement: always quoted, so that no keyword, case or character matters.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('"', "\"\""))
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A table with its schema.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    /// Schema.
    pub schema: Identifier,
    /// Table.
    pub name: Identifier,
}

impl TableName {
    /// Reads `schema.table`, each part bare or in double quotes.
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        let (schema, rest) = part(text)?;
        let rest = rest.strip_prefix('.').ok_or(IdentifierError::NotQualified)?;
        let (name, rest) = part(rest)?;
        if !rest.is_empty() {
            return Err(IdentifierError::NotQualified);
        }
        Self::new(&schema, &name)
    }

    /// A table of a schema, both as in the catalogue.
    pub fn new(schema: &str, name: &str) -> Result<Self, IdentifierError> {
        let table = Self {
            schema: Identifier::parse(schema)?,
            name: Identifier::parse(name)?,
        };
        if table.schema.as_str().starts_with("pg_") || table.schema.as_str() == "information_schema" {
            return Err(IdentifierError::System);
        }
        Ok(table)
    }

    /// The name as it stands in a statement.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("{}.{}", self.schema.quoted(), self.name.quoted())
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// One part of a qualified name, and what follows it.
fn part(text: &str) -> Result<(String, &str), IdentifierError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find('.').unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        return if name.contains('"') {
            Err(IdentifierError::Quotes)
        } else {
            Ok((name.to_owned(), rest))
        };
    };
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let end = rest.find('"').ok_or(IdentifierError::Quotes)?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Ok((name, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_so_that_nothing_in_them_is_sql() {
        for name in [
            "users",
            "Users",
            "select",
            "a b",
            "x\"; drop table y; --",
            "ünïcode",
            "'",
            "a.b",
            "$1",
        ] {
            let quoted = Identifier::parse(name).unwrap().quoted();
            assert_eq!(
                quoted[1..quoted.len() - 1]
                    .replace("\"\"", "\u{1}")
                    .matches('"')
                    .count(),
                0
            );
            assert_eq!(quoted[1..quoted.len() - 1].replace("\"\"", "\""), name);
        }
    }

    #[test]
    fn what_postgres_would_cut_or_a_person_cannot_see_is_refused() {
        assert_eq!(Identifier::parse(""), Err(IdentifierError::Empty));
        assert_eq!(Identifier::parse(&"x".repeat(64)), Err(IdentifierError::TooLong(64)));
        assert!(Identifier::parse(&"x".repeat(63)).is_ok());
        assert_eq!(Identifier::parse(&"ü".repeat(32)), Err(IdentifierError::TooLong(64)));
        for name in ["a\nb", "a\0", "\u{7f}", "a\u{85}"] {
            assert_eq!(Identifier::parse(name), Err(IdentifierError::Control), "{name:?}");
        }
    }

    #[test]
    fn tables_are_qualified() {
        let table = |text: &str| TableName::parse(text).map(|table| (table.schema.0, table.name.0));
        assert_eq!(table("public.users"), Ok(("public".to_owned(), "users".to_owned())));
        assert_eq!(table("\"a.b\".\"c\"\"d\""), Ok(("a.b".to_owned(), "c\"d".to_owned())));
        assert_eq!(table("users"), Err(IdentifierError::NotQualified));
        assert_eq!(table("db.public.users"), Err(IdentifierError::NotQualified));
        assert_eq!(table("public."), Err(IdentifierError::Empty));
        assert_eq!(table("public.us\"ers"), Err(IdentifierError::Quotes));
        assert_eq!(table("public.\"users"), Err(IdentifierError::Quotes));
        assert_eq!(table("pg_catalog.pg_authid"), Err(IdentifierError::System));
        assert_eq!(table("information_schema.tables"), Err(IdentifierError::System));
    }
}
