//! Statements under construction: text, and values that are only ever bound.

use bytes::BytesMut;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};

/// A bound value, sent as text: the server reads it once, by the input function of the type that the statement casts it
/// to. A text that the statement itself converts would be read again for every row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameter {
    /// One text.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
}

/// A statement under construction. Identifiers come quoted from `domain::identifier`, values through `bind`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sql {
    /// The text so far.
    pub text: String,
    /// The values so far, `$1` first.
    pub parameters: Vec<Parameter>,
    /// Times are written so that an index can answer for them. Otherwise the server is kept from that: it would take the
    /// index of a start event for every window, and walk through all that is due each time.
    pub by_index: bool,
}

impl Sql {
    /// A statement that begins with `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            ..Self::default()
        }
    }

    /// Appends text.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Appends a value.
    pub fn bind(&mut self, parameter: Parameter) {
        self.parameters.push(parameter);
        self.text.push('$');
        self.text.push_str(&self.parameters.len().to_string());
    }

    /// Appends a text value, cast to a type.
    pub fn bind_as(&mut self, value: impl Into<String>, cast: &str) {
        self.bind(Parameter::Text(value.into()));
        self.push("::");
        self.push(cast);
    }

    /// Appends the parts, separated by `between`; `otherwise` where there are none.
    pub fn join<T, E>(
        &mut self,
        between: &str,
        otherwise: &str,
        parts: &[T],
        mut write: impl FnMut(&mut Self, usize, &T) -> Result<(), E>,
    ) -> Result<(), E> {
        if parts.is_empty() {
            self.push(otherwise);
            return Ok(());
        }
        self.push("(");
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                self.push(between);
            }
            write(self, index, part)?;
        }
        self.push(")");
        Ok(())
    }

    /// Values and their types, as the driver takes them: the casts tell the server the types.
    #[must_use]
    pub fn values(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.parameters
            .iter()
            .map(|parameter| (parameter as &(dyn ToSql + Sync), Type::UNKNOWN))
            .collect()
    }
}

impl ToSql for Parameter {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
            Self::Texts(texts) => out.extend_from_slice(array(texts).as_bytes()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// An array literal; every element is quoted, so that none is read as NULL or as a part of the array.
fn array(texts: &[String]) -> String {
    let quoted = |text: &String| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    format!("{{{}}}", texts.iter().map(quoted).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::array;

    #[test]
    fn every_element_of_an_array_is_itself() {
        let texts = ["NULL", "a,b", "{}", r#"say "no""#, r"back\slash", ""].map(str::to_owned);
        assert_eq!(array(&texts), r#"{"NULL","a,b","{}","say \"no\"","back\\slash",""}"#);
    }
}
