//! `privacy-operator register`: the record of processing activities of Art. 30 GDPR, in the order in which European
//! authorities print it, each line with what is observed of it.
//!
//! Pure: objects in, text out. [`build`] makes one [`Register`]; [`html`], [`csv`] and [`markdown`] write it down, and JSON
//! is the register itself.

mod build;
pub mod csv;
mod german;
pub mod html;
mod lines;
pub mod markdown;
mod words;

#[cfg(test)]
mod tests;

use serde::Serialize;

pub use crate::plan::sentences::Language;
pub use build::{Objects, build};
pub(crate) use words::{mechanism, recipient_role};

/// The whole register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Register {
    /// Version of this form.
    pub version: u32,
    /// Title, in the language of the register.
    pub title: String,
    /// `en` or `de`.
    pub language: &'static str,
    /// Day on which it was printed.
    pub printed_on: String,
    /// What the table of countries is right up to.
    pub adequacy_as_of: &'static str,
    /// Each notice with the activities that refer to it, the activities without a notice last.
    pub parts: Vec<Part>,
    /// Datasets and stores that no activity explains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<Line>,
}

/// A notice and its activities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Name of the notice.
    pub notice: String,
    /// Controllers, representative, officer, authority: the front sheet.
    pub head: Vec<Section>,
    /// The activities.
    pub entries: Vec<Entry>,
}

/// One activity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Number in the register, from 1.
    pub number: usize,
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// Title.
    pub title: String,
    /// The parts of the record.
    pub sections: Vec<Section>,
}

/// A heading with its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Section {
    /// What it is, the same in every language.
    pub key: &'static str,
    /// Where the law asks for it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub article: &'static str,
    /// The heading.
    pub label: &'static str,
    /// The lines. None: nothing is recorded.
    pub lines: Vec<Line>,
}

/// A line, and what is observed of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The text.
    pub text: String,
    /// What is observed of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<Seen>,
    /// How bad a finding is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<&'static str>,
}

/// What is observed of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// `True`, `False` or `Unknown`.
    pub observed: String,
    /// In the language of the register.
    pub words: &'static str,
    /// One word.
    pub reason: String,
    /// What was looked at.
    pub message: String,
    /// By when it is gone from backups too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gone_from_backups: Option<String>,
}

impl Line {
    fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }
}

/// The register as one JSON document.
#[must_use]
pub fn json(register: &Register) -> String {
    // These types have string keys and finite numbers only: serialisation cannot fail.
    let mut text = serde_json::to_string_pretty(register).unwrap_or_default();
    text.push('\n');
    text
}
