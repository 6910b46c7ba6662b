//! Which columns a rule reads and writes, and of which tables.

use crate::api::DataSource;
use crate::api::data_retention_policy::{Condition, Ground, MaskStrategy, RelatedRows, RetentionRule};
use crate::api::data_source::Dataset;
use crate::contract::PlannedRelation;
use crate::domain::identifier::TableName;

/// What stands before the dot where `exists` speaks of the row being judged.
pub const ROW: &str = "row";

/// `relation.column` in its two parts; `None`: a column of the row itself.
#[must_use]
pub fn split(column: &str) -> Option<(&str, &str)> {
    column.split_once('.')
}

/// A column as a rule names it for the row being judged: of that row, or `relation.column`.
#[derive(Debug, Clone, PartialEq)]
pub struct Named<'a> {
    /// As it is written.
    pub column: &'a str,
    /// Field within the rule.
    pub field: String,
    /// It stands in the rule's own `rows`.
    pub in_rows: bool,
    /// The ground in which it stands.
    pub ground: Option<&'a Ground>,
}

/// Every column that a rule names for the row being judged, in the order of the spec; those within `exists` left out.
#[must_use]
pub fn named_by(rule: &RetentionRule) -> Vec<Named<'_>> {
    let mut all: Vec<Named<'_>> = of_conditions(&rule.rows, "rows")
        .map(|(column, field)| Named {
            column,
            field,
            in_rows: true,
            ground: None,
        })
        .collect();
    for ground in &rule.keep_while {
        let path = format!("keepWhile[{}]", ground.name);
        let list = |part: &'static str, columns: &'_ [String]| {
            let path = path.clone();
            let field = move |index: usize| format!("{path}.{part}[{index}]");
            (0..columns.len()).map(field).collect::<Vec<_>>()
        };
        let when = format!("{path}.when");
        let of_ground = of_conditions(&ground.when, &when)
            .chain(ground.from.iter().map(|from| (from.as_str(), format!("{path}.from"))))
            .chain(names(&ground.from_fallback).zip(list("fromFallback", &ground.from_fallback)))
            .chain(names(&ground.until).zip(list("until", &ground.until)));
        all.extend(of_ground.map(|(column, field)| Named {
            column,
            field,
            in_rows: false,
            ground: Some(ground),
        }));
    }
    all
}

fn names(columns: &[String]) -> impl Iterator<Item = &str> {
    columns.iter().map(String::as_str)
}

/// Each column of a list of conditions, with its field.
pub fn of_conditions<'a>(conditions: &'a [Condition], path: &str) -> impl Iterator<Item = (&'a str, String)> {
    let path = path.to_owned();
    conditions.iter().enumerate().flat_map(move |(index, condition)| {
        let first = (condition.column.as_str(), format!("{path}[{index}].column"));
        let other = condition.other_column.as_deref();
        std::iter::once(first).chain(other.map(|other| (other, format!("{path}[{index}].otherColumn"))))
    })
}

/// The `exists` and `notExists` of a ground, each with its part of the field.
pub fn related_rows(ground: &Ground) -> impl Iterator<Item = (&'static str, &RelatedRows)> {
    let exists = ground.exists.iter().map(|rows| ("exists", rows));
    exists.chain(ground.not_exists.iter().map(|rows| ("notExists", rows)))
}

/// A column that a rule reads, and the field where it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Its table.
    pub table: TableName,
    /// Column.
    pub column: String,
    /// Field within the rule.
    pub field: String,
    /// It stands in the rule's own `rows`.
    pub in_rows: bool,
    /// It leads to a related row, and the rule says what it means if that is missing.
    pub may_be_missing: bool,
}

/// Every column by which a rule judges rows, of whatever table. What does not resolve is left out: it is told elsewhere.
#[must_use]
pub fn read_by(rule: &RetentionRule, source: &DataSource) -> Vec<Use> {
    let Some(own) = dataset(source, &rule.dataset) else {
        return Vec::new();
    };
    let mut uses = Vec::new();
    for named in named_by(rule) {
        let mut add = |dataset: &Dataset, column: &str, may_be_missing: bool| {
            uses.extend(TableName::parse(&dataset.table).ok().map(|table| Use {
                table,
                column: column.to_owned(),
                field: named.field.clone(),
                in_rows: named.in_rows,
                may_be_missing,
            }));
        };
        let Some((name, column)) = split(named.column) else {
            add(own, named.column, false);
            continue;
        };
        let Some((columns, other)) = related(own, name, source) else {
            continue;
        };
        let may_be_missing = named.ground.is_some_and(|ground| ground.on_missing_related.is_some());
        add(other, column, false);
        for (ours, theirs) in columns {
            add(own, ours, may_be_missing);
            add(other, theirs, false);
        }
    }
    uses.extend(read_by_newest(rule, own));
    uses.extend(read_by_cascade(rule, own, source));
    for ground in &rule.keep_while {
        for (part, rows) in related_rows(ground) {
            uses.extend(read_by_related(
                rows,
                &format!("keepWhile[{}].{part}", ground.name),
                own,
                source,
            ));
        }
    }
    uses
}

/// The columns of `keepNewest`, each with its field.
pub fn newest_columns(rule: &RetentionRule) -> impl Iterator<Item = (&str, String)> {
    rule.keep_newest.iter().flat_map(|newest| {
        let per = newest.per.iter().enumerate();
        let per = per.map(|(index, column)| (column.as_str(), format!("keepNewest.per[{index}]")));
        per.chain(std::iter::once((
            newest.order_by.as_str(),
            "keepNewest.orderBy".to_owned(),
        )))
    })
}

/// Columns that tie the rows of a cascade.
fn read_by_cascade(rule: &RetentionRule, own: &Dataset, source: &DataSource) -> Vec<Use> {
    let cascade = super::cascade::resolve(rule, own, source).unwrap_or_default();
    let Ok(own) = TableName::parse(&own.table) else {
        return Vec::new();
    };
    let mut uses = Vec::new();
    let mut add = |ours: &TableName, relation: &PlannedRelation, field: &str| {
        let Ok(theirs) = TableName::new(&relation.schema, &relation.table) else {
            return None;
        };
        for (left, right) in &relation.columns {
            for (table, column) in [(ours, left), (&theirs, right)] {
                uses.push(Use {
                    table: table.clone(),
                    column: column.clone(),
                    field: field.to_owned(),
                    in_rows: false,
                    may_be_missing: false,
                });
            }
        }
        Some(theirs)
    };
    let mut tables = vec![own.clone()];
    for (index, dependent) in cascade.dependents.iter().enumerate() {
        let of = tables[dependent.of].clone();
        tables.extend(add(
            &of,
            &dependent.relation,
            &format!("then.delete.dependents[{index}].relation"),
        ));
    }
    let mut tables = vec![own];
    for (index, parent) in cascade.parents.iter().enumerate() {
        let field = format!("then.delete.emptyParents[{index}].relation");
        let of = tables[parent.of].clone();
        let Some(table) = add(&of, &parent.relation, &field) else {
            continue;
        };
        for pointing in &parent.pointed_at_by {
            add(&table, pointing, &field);
        }
        tables.push(table);
    }
    uses
}

fn read_by_newest(rule: &RetentionRule, own: &Dataset) -> Vec<Use> {
    let Some(table) = rule
        .keep_newest
        .as_ref()
        .and_then(|_| TableName::parse(&own.table).ok())
    else {
        return Vec::new();
    };
    let key = own.key.iter().map(|column| (column.as_str(), "keepNewest".to_owned()));
    newest_columns(rule)
        .chain(key)
        .map(|(column, field)| Use {
            table: table.clone(),
            column: column.to_owned(),
            field,
            in_rows: false,
            may_be_missing: false,
        })
        .collect()
}

fn read_by_related(rows: &RelatedRows, path: &str, own: &Dataset, source: &DataSource) -> Vec<Use> {
    let Some(other) = dataset(source, &rows.dataset) else {
        return Vec::new();
    };
    let mut uses = Vec::new();
    let mut add = |dataset: &Dataset, column: &str, field: String| {
        uses.extend(TableName::parse(&dataset.table).ok().map(|table| Use {
            table,
            column: column.to_owned(),
            field,
            in_rows: false,
            may_be_missing: false,
        }));
    };
    for (column, field) in of_conditions(&rows.when, &format!("{path}.when")) {
        match split(column) {
            Some((_, column)) => add(own, column, field),
            None => add(other, column, field),
        }
    }
    if let Some(name) = &rows.relation {
        for (theirs, ours) in related(other, name, source).map(|found| found.0).into_iter().flatten() {
            add(other, theirs, format!("{path}.relation"));
            add(own, ours, format!("{path}.relation"));
        }
    }
    if let Some(name) = &rows.same {
        for dataset in [own, other] {
            for (column, _) in related(dataset, name, source)
                .map(|found| found.0)
                .into_iter()
                .flatten()
            {
                add(dataset, column, format!("{path}.same"));
            }
        }
    }
    uses
}

/// Columns of a relation and the dataset to which it leads.
fn related<'a>(
    dataset: &'a Dataset,
    name: &str,
    source: &'a DataSource,
) -> Option<(&'a std::collections::BTreeMap<String, String>, &'a Dataset)> {
    let relation = dataset.relations.iter().find(|relation| relation.name == name)?;
    Some((&relation.columns, self::dataset(source, &relation.dataset)?))
}

/// The dataset of a name.
#[must_use]
pub fn dataset<'a>(source: &'a DataSource, name: &str) -> Option<&'a Dataset> {
    source.spec.datasets.iter().find(|dataset| dataset.name == name)
}

/// A column that a rule writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Column.
    pub column: String,
    /// Field within the rule.
    pub field: String,
    /// By `set`, not by `mask`.
    pub by_set: bool,
    /// It becomes NULL.
    pub to_null: bool,
}

/// Every column that a rule masks or sets.
#[must_use]
pub fn written_by(rule: &RetentionRule) -> Vec<Write> {
    let Some(then) = &rule.then else { return Vec::new() };
    let masks = then.mask.iter().map(|mask| Write {
        column: mask.column.clone(),
        field: format!("then.mask[{}].column", mask.column),
        by_set: false,
        to_null: mask.strategy == MaskStrategy::Nullify,
    });
    let sets = then.set.iter().map(|set| Write {
        column: set.column.clone(),
        field: format!("then.set[{}].column", set.column),
        by_set: true,
        to_null: false,
    });
    masks.chain(sets).collect()
}
