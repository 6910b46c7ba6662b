//! What a `DataSource` says about whose rows there are: keys, relations and subjects, judged without the store.

use std::collections::HashSet;

use super::{Invalid, reasons};
use crate::api::DataSource;
use crate::api::data_source::{Dataset, Relation, Subject};
use crate::domain::identifier::Identifier;

/// Every mistake in keys, relations and subjects.
#[must_use]
pub fn check(source: &DataSource) -> Vec<Invalid> {
    let datasets = &source.spec.datasets;
    let mut invalid = Vec::new();
    for dataset in datasets {
        let path = format!("spec.datasets[{}]", dataset.name);
        invalid.extend(
            dataset
                .key
                .iter()
                .filter_map(|column| identifier(column, format!("{path}.key"))),
        );
        let mut names = HashSet::new();
        for relation in &dataset.relations {
            let path = format!("{path}.relations[{}]", relation.name);
            if !names.insert(&relation.name) {
                invalid.push(Invalid::new(
                    reasons::DUPLICATE_NAME,
                    path.clone(),
                    "two relations have this name; rename one",
                ));
            }
            invalid.extend(judge_relation(relation, datasets, &path));
        }
        for (index, subject) in dataset.subjects.iter().enumerate() {
            let path = format!("{path}.subjects[{index}]");
            invalid.extend(judge_subject(dataset, subject, datasets, &path));
        }
    }
    invalid
}

fn judge_relation(relation: &Relation, datasets: &[Dataset], path: &str) -> Vec<Invalid> {
    let columns = relation.columns.iter().flat_map(|(own, other)| [own, other]);
    let mut invalid: Vec<Invalid> = columns
        .filter_map(|column| identifier(column, format!("{path}.columns")))
        .collect();
    if named(datasets, &relation.dataset).is_none() {
        invalid.push(Invalid::new(
            reasons::UNKNOWN_DATASET,
            format!("{path}.dataset"),
            format!(
                "there is no dataset `{}` in this DataSource; declare it, or correct the name",
                relation.dataset
            ),
        ));
    }
    invalid
}

fn judge_subject(dataset: &Dataset, subject: &Subject, datasets: &[Dataset], path: &str) -> Vec<Invalid> {
    let columns = subject.column.iter().chain(&subject.other_party_columns);
    let mut invalid: Vec<Invalid> = columns
        .filter_map(|column| identifier(column, path.to_owned()))
        .collect();
    let hides_itself = subject
        .column
        .as_ref()
        .is_some_and(|column| subject.other_party_columns.contains(column));
    if hides_itself {
        invalid.push(Invalid::new(
            reasons::COLUMN_IN_USE,
            format!("{path}.otherPartyColumns"),
            "the column that holds the person's own identity cannot be about another person; take it off the list",
        ));
    }
    if subject.through.is_some() {
        invalid.extend(judge_through(dataset, subject, datasets, path));
    }
    invalid
}

/// Follows `through` from dataset to dataset: it must come to a column that holds the identity, and never come back.
fn judge_through(dataset: &Dataset, subject: &Subject, datasets: &[Dataset], path: &str) -> Option<Invalid> {
    let field = format!("{path}.through");
    let relation = |dataset: &Dataset, subject: &Subject| {
        let name = subject.through.as_ref()?;
        let relation = dataset.relations.iter().find(|relation| &relation.name == name)?;
        Some(relation.dataset.clone())
    };
    let Some(first) = relation(dataset, subject) else {
        return Some(Invalid::new(
            reasons::UNKNOWN_RELATION,
            field,
            "names a relation that is not in `relations` of the same dataset; declare it, or correct the name",
        ));
    };
    let mut seen = HashSet::new();
    let mut waiting = vec![first];
    let mut reaches_a_column = false;
    while let Some(name) = waiting.pop() {
        if name == dataset.name {
            return Some(Invalid::new(
                reasons::CIRCULAR_RELATION,
                field,
                "leads back to this dataset, so that it never says whose row it is; name a column with the identity instead",
            ));
        }
        if !seen.insert(name.clone()) {
            continue;
        }
        // An unknown dataset is a mistake of its own, told where the relation stands.
        let related = named(datasets, &name)?;
        for other in related
            .subjects
            .iter()
            .filter(|other| other.identity == subject.identity)
        {
            reaches_a_column |= other.column.is_some();
            waiting.extend(relation(related, other));
        }
    }
    (!reaches_a_column).then(|| {
        Invalid::new(
            reasons::UNKNOWN_IDENTITY,
            field,
            format!(
                "no dataset at the end of this relation has a subject with the identity `{}` and a column; add it under \
                 `subjects` there, or correct the identity",
                subject.identity
            ),
        )
    })
}

fn named<'a>(datasets: &'a [Dataset], name: &str) -> Option<&'a Dataset> {
    datasets.iter().find(|dataset| dataset.name == name)
}

fn identifier(column: &str, path: String) -> Option<Invalid> {
    let error = Identifier::parse(column).err()?;
    Some(Invalid::new(reasons::INVALID_IDENTIFIER, path, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(datasets: &str) -> DataSource {
        let text = format!(
            "apiVersion: privacy-operator.dev/v1alpha1\nkind: DataSource\nmetadata: {{name: db}}\nspec:\n  postgres: \
             {{host: db, database: shop, tls: {{mode: Disable}}, credentialsSecretRef: {{name: x}}}}\n  datasets:\n{datasets}"
        );
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    fn found(datasets: &str) -> Vec<(&'static str, String)> {
        let invalid = check(&source(datasets));
        invalid.into_iter().map(|one| (one.reason, one.field)).collect()
    }

    const USERS: &str = "  - {name: users, table: public.users, subjects: [{identity: user_id, column: id}]}\n";

    #[test]
    fn people_found_by_column_and_through_relations_are_accepted() {
        let datasets = format!(
            "{USERS}\
             \x20 - name: orders\n    table: public.orders\n    key: [id]\n    activities: [sales]\n\
             \x20   relations: [{{name: buyer, dataset: users, columns: {{user_id: id}}}}]\n\
             \x20   subjects: [{{identity: user_id, through: buyer}}, {{identity: email, column: gift_to, otherPartyColumns: [user_id]}}]\n\
             \x20 - name: items\n    table: public.items\n\
             \x20   relations: [{{name: order, dataset: orders, columns: {{order_id: id}}}}]\n\
             \x20   subjects: [{{identity: user_id, through: order}}]\n"
        );
        assert_eq!(found(&datasets), []);
    }

    #[test]
    fn each_mistake_is_named_with_its_field() {
        let one = |dataset: &str| found(&format!("{USERS}  - {{name: a, table: public.a, {dataset}}}\n"));
        for (dataset, reason, field) in [
            ("key: [\"a\\tb\"]", "InvalidIdentifier", "spec.datasets[a].key"),
            (
                "relations: [{name: r, dataset: nobody, columns: {x: id}}]",
                "UnknownDataset",
                "spec.datasets[a].relations[r].dataset",
            ),
            (
                "relations: [{name: r, dataset: users, columns: {\"x\\ty\": id}}]",
                "InvalidIdentifier",
                "spec.datasets[a].relations[r].columns",
            ),
            (
                "subjects: [{identity: user_id, through: r}]",
                "UnknownRelation",
                "spec.datasets[a].subjects[0].through",
            ),
            (
                "subjects: [{identity: user_id, through: r}], relations: [{name: r, dataset: a, columns: {parent: id}}]",
                "CircularRelation",
                "spec.datasets[a].subjects[0].through",
            ),
            (
                "subjects: [{identity: email, through: r}], relations: [{name: r, dataset: users, columns: {x: id}}]",
                "UnknownIdentity",
                "spec.datasets[a].subjects[0].through",
            ),
            (
                "subjects: [{identity: email, column: mail, otherPartyColumns: [mail]}]",
                "ColumnInUse",
                "spec.datasets[a].subjects[0].otherPartyColumns",
            ),
        ] {
            assert_eq!(one(dataset), [(reason, field.to_owned())], "{dataset}");
        }
    }

    #[test]
    fn two_relations_of_one_name_are_refused() {
        let relation = "{name: r, dataset: users, columns: {x: id}}";
        let datasets = format!("{USERS}  - {{name: a, table: public.a, relations: [{relation}, {relation}]}}\n");
        assert_eq!(
            found(&datasets),
            [("DuplicateName", "spec.datasets[a].relations[r]".to_owned())]
        );
    }

    #[test]
    fn a_circle_of_three_is_seen_from_each_of_them() {
        let part = |name: &str, to: &str| {
            format!(
                "  - {{name: {name}, table: public.{name}, subjects: [{{identity: user_id, through: r}}], \
                 relations: [{{name: r, dataset: {to}, columns: {{x: id}}}}]}}\n"
            )
        };
        let all = found(&[part("a", "b"), part("b", "c"), part("c", "a")].concat());
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|(reason, _)| *reason == "CircularRelation"), "{all:?}");
    }
}
