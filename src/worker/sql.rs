//! Statements under construction: text, and values that are only ever bound.

use tokio_postgres::types::{ToSql, Type};

/// A bound value.
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
}

impl Sql {
    /// A statement that begins with `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            parameters: Vec::new(),
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

    /// Values and their types, as the driver takes them.
    #[must_use]
    pub fn values(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.parameters
            .iter()
            .map(|parameter| match parameter {
                Parameter::Text(value) => (value as &(dyn ToSql + Sync), Type::TEXT),
                Parameter::Texts(values) => (values as &(dyn ToSql + Sync), Type::TEXT_ARRAY),
            })
            .collect()
    }
}
