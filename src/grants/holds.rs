//! What holds need: a sweep must see whether a row is held, and where a row of another table says so, lock it first.

use jiff::Timestamp;

use super::manifests::{Located, Manifests};
use super::needs::{NeedsError, SourceNeeds, identifier};
use crate::api::LegalHold;
use crate::contract::holds::{HeldBy, HeldPath, PlannedHold};
use crate::domain::identifier::TableName;
use crate::plan::holds::{Listed, binding};

/// Adds what the holds of a store need of the tables that its policies sweep.
pub fn add(needs: &mut SourceNeeds<'_>, manifests: &Manifests) -> Result<(), NeedsError> {
    let source = needs.source;
    let on_it = |hold: &&Located<LegalHold>| {
        let open = hold.namespace.is_none() || source.namespace.is_none() || hold.namespace == source.namespace;
        open && hold.object.spec.data_source_ref.name == source.name
    };
    for hold in manifests.holds.iter().filter(on_it) {
        let listed = Listed {
            namespace: "",
            name: &hold.name,
            hold: Some(&hold.object),
            source: Some(&source.object),
        };
        // Whatever the day is: a restriction that is released binds until the person was told.
        let binding =
            binding("", &source.object, &[listed], Timestamp::MIN).map_err(|mistakes| NeedsError::Relation {
                policy: hold.to_string(),
                field: "spec".to_owned(),
                message: mistakes
                    .first()
                    .map(|mistake| mistake.message.clone())
                    .unwrap_or_default(),
            })?;
        for planned in &binding.holds {
            add_hold(needs, hold, planned)?;
        }
    }
    Ok(())
}

fn add_hold(needs: &mut SourceNeeds<'_>, hold: &Located<LegalHold>, planned: &PlannedHold) -> Result<(), NeedsError> {
    let Ok(name) = TableName::new(&planned.schema, &planned.table) else {
        return Ok(());
    };
    let Some(table) = needs.tables.get_mut(&name).filter(|table| table.by_place) else {
        return Ok(());
    };
    for condition in &planned.when {
        for column in std::iter::once(&condition.column).chain(&condition.other_column) {
            table.select.insert(identifier(hold, "spec.when", column)?);
        }
    }
    if let Some((ours, _)) = planned.relations().find_map(|relation| relation.columns.first()) {
        table.lock.get_or_insert(identifier(hold, "spec.datasets", ours)?);
    }
    add_paths(needs, hold, &name, planned.paths())
}

fn add_paths(
    needs: &mut SourceNeeds<'_>,
    hold: &Located<LegalHold>,
    name: &TableName,
    paths: &[HeldPath],
) -> Result<(), NeedsError> {
    let field = "spec.datasets";
    for path in paths {
        let table = needs.tables.entry(name.clone()).or_default();
        let rule = format!("LegalHold {}", hold.name);
        if !table.rules.contains(&rule) {
            table.rules.push(rule);
        }
        match &path.by {
            HeldBy::Column(column) => {
                table.select.insert(identifier(hold, field, column)?);
            }
            HeldBy::Through(relation, next) => {
                for (ours, _) in &relation.columns {
                    table.select.insert(identifier(hold, field, ours)?);
                }
                let Ok(other) = TableName::new(&relation.schema, &relation.table) else {
                    continue;
                };
                let there = needs.tables.entry(other.clone()).or_default();
                for (_, theirs) in &relation.columns {
                    there.select.insert(identifier(hold, field, theirs)?);
                }
                add_paths(needs, hold, &other, next)?;
            }
        }
    }
    Ok(())
}
