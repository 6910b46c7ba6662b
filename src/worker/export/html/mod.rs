//! The pages that a person reads: an overview in each language, and the data of each dataset. They work offline, load
//! nothing, run nothing, and can be printed.

mod labels;
mod overview;
mod page;
mod tables;

use super::archive::Archive;
use super::context::Context;
use super::fault::Fault;
use crate::contract::export::Language;

/// Writes all pages.
pub async fn write(context: &Context<'_>, archive: &mut Archive) -> Result<(), Fault> {
    let first = context.plan.languages.first().copied().unwrap_or(Language::English);
    for part in context.parts() {
        tables::write(context, archive, &part, labels::labels(first)).await?;
    }
    let mut languages = context.plan.languages.clone();
    if languages.is_empty() {
        languages.push(first);
    }
    for language in languages {
        archive.member(overview::name(context, language), false, false).await?;
        overview::write(context, archive.out(), labels::labels(language));
        archive.end(None).await?;
    }
    Ok(())
}
