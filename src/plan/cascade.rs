//! What goes with the rows of a rule: `dependents` and `emptyParents`, resolved by the relations of the source.

use super::columns;
use super::reasons;
use super::relations::{Mistake, dataset, pointed_at, pointing_at, relation};
use super::validated::Invalid;
use crate::api::DataSource;
use crate::api::data_retention_policy::{Delete, RetentionRule};
use crate::api::data_source::{Dataset, Relation};
use crate::contract::{PlannedCascade, PlannedDependent, PlannedParent};
use crate::domain::identifier::TableName;

/// Resolves the cascade of a rule, or says what in it cannot be.
pub fn resolve(rule: &RetentionRule, own: &Dataset, source: &DataSource) -> Result<PlannedCascade, Vec<Invalid>> {
    let mut cascade = PlannedCascade::default();
    let Some(delete) = rule.then.as_ref().and_then(|then| then.delete.as_ref()) else {
        return Ok(cascade);
    };
    let mut invalid = Vec::new();
    // Datasets whose rows go, each at its place: that of the rule first.
    let mut going: Vec<&Dataset> = vec![own];
    for (index, dependent) in delete.dependents.iter().enumerate() {
        match self::dependent(&dependent.dataset, &dependent.relation, &going, source) {
            Ok((planned, dataset)) => {
                cascade.dependents.push(planned);
                going.push(dataset);
            }
            Err((part, reason, message)) => {
                invalid.push(Invalid::new(
                    reason,
                    format!("then.delete.dependents[{index}].{part}"),
                    message,
                ));
                // What comes after it would be judged by places that have moved.
                return Err(invalid);
            }
        }
    }
    let mut from: Vec<&Dataset> = vec![own];
    for (index, parent) in delete.empty_parents.iter().enumerate() {
        match self::parent(parent.dataset.as_deref(), &parent.relation, (&from, &going), source) {
            Ok((planned, dataset)) => {
                cascade.parents.push(planned);
                from.push(dataset);
            }
            Err((part, reason, message)) => {
                invalid.push(Invalid::new(
                    reason,
                    format!("then.delete.emptyParents[{index}].{part}"),
                    message,
                ));
                return Err(invalid);
            }
        }
    }
    Ok(cascade)
}

fn dependent<'a>(
    name: &str,
    relation_name: &str,
    going: &[&'a Dataset],
    source: &'a DataSource,
) -> Result<(PlannedDependent, &'a Dataset), Mistake> {
    let (found, _) = dataset(source, name)?;
    not_twice(found, going)?;
    let relation = relation(found, relation_name)?;
    let of = going.iter().position(|other| other.name == relation.dataset).ok_or_else(|| {
        let names: Vec<String> = going.iter().map(|dataset| format!("`{}`", dataset.name)).collect();
        let message = format!(
            "the relation `{}` of `{}` points at `{}`; it must point at {}: name another relation, or list that dataset before",
            relation.name,
            found.name,
            relation.dataset,
            super::join_words(&names, "or")
        );
        ("relation", reasons::UNKNOWN_RELATION, message)
    })?;
    let relation = pointing_at(relation, found, source)?;
    Ok((PlannedDependent { of, relation }, found))
}

/// A table has one place in a cascade: what becomes of its rows is said once.
fn not_twice(found: &Dataset, listed: &[&Dataset]) -> Result<(), Mistake> {
    let table = |dataset: &Dataset| TableName::parse(&dataset.table).ok();
    if listed.iter().any(|other| table(other) == table(found)) {
        let message = format!(
            "rows of `{}` go already, as those of the rule or of an entry before; remove this entry",
            found.name
        );
        return Err(("dataset", reasons::DUPLICATE_NAME, message));
    }
    Ok(())
}

fn parent<'a>(
    name: Option<&str>,
    relation_name: &str,
    (from, going): (&[&'a Dataset], &[&'a Dataset]),
    source: &'a DataSource,
) -> Result<(PlannedParent, &'a Dataset), Mistake> {
    let of = match name {
        None => 0,
        Some(name) => from.iter().position(|dataset| dataset.name == name).ok_or_else(|| {
            let names: Vec<String> = from.iter().map(|dataset| format!("`{}`", dataset.name)).collect();
            let message = format!(
                "no entry before leads to `{name}`; name {}, or list the relation that leads there before",
                super::join_words(&names, "or")
            );
            ("dataset", reasons::UNKNOWN_DATASET, message)
        })?,
    };
    let relation = relation(from[of], relation_name)?;
    let (found, table) =
        dataset(source, &relation.dataset).map_err(|(_, reason, message)| ("relation", reason, message))?;
    let all: Vec<&Dataset> = from.iter().chain(&going[1..]).copied().collect();
    not_twice(found, &all).map_err(|(_, reason, message)| ("relation", reason, message))?;
    let leads_here = |relation: &&Relation| {
        let target = columns::dataset(source, &relation.dataset);
        target.is_some_and(|target| TableName::parse(&target.table).ok().as_ref() == Some(&table))
    };
    let mut pointed_at_by = Vec::new();
    for pointing in &source.spec.datasets {
        for relation in pointing.relations.iter().filter(leads_here) {
            pointed_at_by.push(pointing_at(relation, pointing, source)?);
        }
    }
    let planned = PlannedParent {
        of,
        relation: pointed_at(relation, source)?,
        pointed_at_by,
    };
    Ok((planned, found))
}

/// Tables of which rows may go with those of the rule. What does not resolve is left out.
#[must_use]
pub fn tables(rule: &RetentionRule, source: &DataSource) -> Vec<TableName> {
    let own = columns::dataset(source, &rule.dataset);
    let cascade = own.and_then(|own| resolve(rule, own, source).ok()).unwrap_or_default();
    let dependents = cascade.dependents.into_iter().map(|dependent| dependent.relation);
    let parents = cascade.parents.into_iter().map(|parent| parent.relation);
    dependents
        .chain(parents)
        .filter_map(|relation| TableName::new(&relation.schema, &relation.table).ok())
        .collect()
}

/// What a rule's cascade is called in sentences: the datasets of the dependents, and the relations to parents.
#[must_use]
pub fn words(delete: &Delete) -> (Vec<String>, Vec<String>) {
    let dependents = delete
        .dependents
        .iter()
        .map(|dependent| format!("`{}`", dependent.dataset));
    let parents = delete.empty_parents.iter().map(|parent| match &parent.dataset {
        None => format!("`{}`", parent.relation),
        Some(dataset) => format!("`{dataset}.{}`", parent.relation),
    });
    (dependents.collect(), parents.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applications of candidates of agencies, with files that have pages; notes point at candidates too.
    fn source() -> DataSource {
        let mut source = crate::plan::fixtures::source();
        source.spec.datasets = serde_saphyr::from_str(
            "- {name: agencies, table: public.agencies}\n\
             - {name: candidates, table: public.candidates, relations: [{name: agency, dataset: agencies, columns: {agency_id: id}}]}\n\
             - {name: applications, table: public.applications, relations: [{name: candidate, dataset: candidates, columns: {candidate_id: id}}]}\n\
             - {name: files, table: public.files, relations: [{name: application, dataset: applications, columns: {application_id: id}}]}\n\
             - {name: pages, table: public.pages, relations: [{name: file, dataset: files, columns: {file_id: id}}]}\n\
             - {name: notes, table: public.notes, relations: [{name: about, dataset: candidates, columns: {who: id}}]}\n",
        )
        .unwrap();
        source
    }

    fn resolved(delete: &str) -> Result<PlannedCascade, Vec<Invalid>> {
        let rule = format!(
            "{{name: r, dataset: applications, keepWhile: [{{name: g, until: [x]}}], then: {{delete: {delete}}}}}"
        );
        let rule: RetentionRule = serde_saphyr::from_str(&rule).unwrap();
        let source = source();
        resolve(&rule, &source.spec.datasets[2], &source)
    }

    #[test]
    fn each_entry_hangs_on_the_rule_or_on_one_before_it() {
        let cascade = resolved(
            "{dependents: [{dataset: files, relation: application}, {dataset: pages, relation: file}], emptyParents: [{relation: candidate}, {dataset: candidates, relation: agency}]}",
        )
        .unwrap();
        let pair = |ours: &str, theirs: &str| vec![(ours.to_owned(), theirs.to_owned())];
        let dependents: Vec<_> = cascade
            .dependents
            .iter()
            .map(|entry| (entry.of, entry.relation.columns.clone()))
            .collect();
        assert_eq!(
            dependents,
            [(0, pair("id", "application_id")), (1, pair("id", "file_id"))]
        );
        let parents: Vec<_> = cascade
            .parents
            .iter()
            .map(|entry| (entry.of, entry.relation.columns.clone()))
            .collect();
        assert_eq!(parents, [(0, pair("candidate_id", "id")), (1, pair("agency_id", "id"))]);
        let pointing: Vec<&str> = cascade.parents[0]
            .pointed_at_by
            .iter()
            .map(|relation| relation.table.as_str())
            .collect();
        assert_eq!(pointing, ["applications", "notes"]);
    }

    #[test]
    fn what_leads_nowhere_is_refused_with_what_there_is() {
        let cases = [
            (
                "{dependents: [{dataset: pages, relation: file}]}",
                "UnknownRelation",
                "dependents[0].relation",
                "list that dataset before",
            ),
            (
                "{dependents: [{dataset: pictures, relation: application}]}",
                "UnknownDataset",
                "dependents[0].dataset",
                "files, pages and notes",
            ),
            (
                "{dependents: [{dataset: files, relation: owner}]}",
                "UnknownRelation",
                "dependents[0].relation",
                "it has application",
            ),
            (
                "{dependents: [{dataset: applications, relation: candidate}]}",
                "DuplicateName",
                "dependents[0].dataset",
                "go already",
            ),
            (
                "{dependents: [{dataset: files, relation: application}, {dataset: files, relation: application}]}",
                "DuplicateName",
                "dependents[1].dataset",
                "go already",
            ),
            (
                "{emptyParents: [{relation: agency}]}",
                "UnknownRelation",
                "emptyParents[0].relation",
                "it has candidate",
            ),
            (
                "{emptyParents: [{dataset: candidates, relation: agency}]}",
                "UnknownDataset",
                "emptyParents[0].dataset",
                "no entry before",
            ),
            (
                "{emptyParents: [{relation: candidate}, {relation: candidate}]}",
                "DuplicateName",
                "emptyParents[1].relation",
                "go already",
            ),
        ];
        for (delete, reason, field, words) in cases {
            let found = resolved(delete).unwrap_err();
            assert_eq!(found.len(), 1, "{delete}");
            assert_eq!(
                (found[0].reason, found[0].field.clone()),
                (reason, format!("then.delete.{field}"))
            );
            assert!(found[0].message.contains(words), "{}", found[0].message);
        }
    }

    #[test]
    fn rules_for_tables_of_a_cascade_protect_and_their_columns_are_not_written() {
        let rule = |text: &str| serde_saphyr::from_str::<RetentionRule>(text).unwrap();
        let cascading = rule(
            "{name: r, dataset: applications, keepWhile: [{name: g, until: [x]}], then: {delete: {dependents: [{dataset: files, relation: application}], emptyParents: [{relation: candidate}]}}}",
        );
        let mut policy = crate::plan::fixtures::policy();
        policy.spec.rules = vec![cascading];
        let tables = crate::plan::sharing::tables(&policy, &source());
        let tables: Vec<&str> = tables.iter().map(|table| table.table.as_str()).collect();
        assert_eq!(tables, ["public.applications", "public.candidates", "public.files"]);
        policy.spec.rules.push(rule(
            "{name: w, dataset: files, always: {}, then: {mask: [{column: application_id, strategy: Nullify}]}}",
        ));
        let found = crate::plan::validate::validate(&crate::plan::validate::Inputs {
            policy: &policy,
            source: Some(&source()),
            others: &[],
            holds: &[],
            now: crate::plan::fixtures::now(),
        });
        let found = found.unwrap_err();
        assert_eq!(found[0].reason, reasons::COLUMN_IN_USE);
        assert!(
            found[0]
                .message
                .contains("spec.rules[r].then.delete.dependents[0].relation"),
            "{}",
            found[0].message
        );
    }
}
