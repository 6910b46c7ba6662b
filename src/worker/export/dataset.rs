//! A dataset as the export sees it: what of its table is read, whose the rows are, and in which order. Made from the
//! plan and the live catalogue, without the store.

use super::keys::KeySet;
use super::lookup::Table;
use super::shape::{Comparison, Shape};
use super::wire::Wire;
use crate::contract::export::{Activity, Basis, ExportDataset, ExportStore, Origin, Right, SubjectBy};
use crate::contract::{Problem, Reason};

/// A dataset with everything that a query needs.
#[derive(Debug)]
pub struct Dataset {
    /// Name of the dataset.
    pub name: String,
    /// Its table in the catalogue.
    pub table: Table,
    /// Names of the activities that it serves.
    pub activities: Vec<String>,
    /// The columns that leave the store, in their order.
    pub columns: Vec<OutputColumn>,
    /// Columns by which rows are ordered; empty where the table has no key.
    pub order: Vec<String>,
    /// Whose a row is.
    pub paths: Vec<Path>,
    /// How many relations lead to a column with an identity.
    pub level: usize,
    /// Keys that other datasets want of the rows of a person.
    pub wanted: Vec<Wanted>,
    /// Columns that do not leave the store, each with the reason.
    pub withheld: Vec<(String, Withheld)>,
    /// Columns that the `DataSource` does not declare.
    pub undeclared: Vec<String>,
    /// Why nothing of it leaves the store.
    pub left_out: Option<LeftOut>,
}

impl Dataset {
    /// An empty set for each of the keys that others want.
    #[must_use]
    pub fn key_sets(&self) -> Vec<KeySet> {
        self.wanted
            .iter()
            .map(|wanted| KeySet::new(wanted.columns.len()))
            .collect()
    }
}

/// A column that leaves the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputColumn {
    /// Name, as in the catalogue.
    pub name: String,
    /// What it holds.
    pub shape: Shape,
    /// How its values leave the store.
    pub wire: Wire,
    /// Category of personal data.
    pub category: Option<String>,
    /// Where the data came from.
    pub origin: Option<Origin>,
}

impl OutputColumn {
    /// Whether a value can be so long that it is fetched piece by piece.
    #[must_use]
    pub const fn can_be_long(&self) -> bool {
        self.wire.is_unbounded() && self.shape.can_be_long()
    }
}

/// One way in which a row is a person's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Name of the identity.
    pub identity: String,
    /// What says it.
    pub by: By,
    /// Columns, by their place, that are about somebody else.
    pub hides: Vec<usize>,
}

/// What says whose a row is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// A column holds the identity.
    Column(String, Comparison),
    /// A row of another dataset does.
    Relation(Relation),
}

/// How a row points at one of another dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Place of the other dataset.
    pub target: usize,
    /// Pairs of columns: ours, theirs.
    pub columns: Vec<(String, String)>,
    /// How ours are compared.
    pub comparisons: Vec<Comparison>,
    /// Place in the target's `wanted`; absent where a key is a secret and is not read out.
    pub wanted: Option<usize>,
}

/// Keys of a person's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Of the rows found by this identity.
    pub identity: String,
    /// Columns of the key.
    pub columns: Vec<String>,
}

/// Why a column does not leave the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withheld {
    /// It holds a password, a token or another secret.
    Secret,
    /// The right is about what the person provided or what was observed of them.
    NotPortable,
}

/// Why a dataset is no part of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// It does not say whose its rows are.
    NoSubjects,
    /// It rests on no consent and no contract.
    NotPortable,
    /// No column of it is declared, or none of them may leave.
    NoColumns,
}

/// Makes the datasets of a store. A dataset without `subjects` has no table and is only listed.
pub fn resolve(
    store: &ExportStore,
    tables: Vec<Option<Table>>,
    right: Right,
    activities: &[Activity],
) -> Result<Vec<Option<Dataset>>, Problem> {
    let mut datasets = Vec::with_capacity(store.datasets.len());
    for (planned, table) in store.datasets.iter().zip(tables) {
        let Some(table) = table else {
            datasets.push(None);
            continue;
        };
        datasets.push(Some(begin(store, planned, table, right, activities)?));
    }
    let levels = levels(store)?;
    for (place, planned) in store.datasets.iter().enumerate() {
        if datasets[place].is_none() {
            continue;
        }
        let paths = paths(store, planned, &mut datasets, place)?;
        if let Some(dataset) = &mut datasets[place] {
            dataset.paths = paths;
            dataset.level = levels[place];
        }
    }
    Ok(datasets)
}

/// The columns of a dataset.
fn begin(
    store: &ExportStore,
    planned: &ExportDataset,
    table: Table,
    right: Right,
    activities: &[Activity],
) -> Result<Dataset, Problem> {
    let field = field(store, planned);
    let mut order = if planned.key.is_empty() {
        table.primary_key.clone()
    } else {
        planned.key.clone()
    };
    let mut columns: Vec<OutputColumn> = Vec::new();
    let mut withheld = Vec::new();
    // What identifies a row comes first, then what is declared, in the order of the declaration.
    let key = order.iter().map(|column| (column, "key".to_owned()));
    let identities = planned
        .subjects
        .iter()
        .enumerate()
        .filter_map(|(index, subject)| match &subject.by {
            SubjectBy::Column(column) => Some((column, format!("subjects[{index}].column"))),
            SubjectBy::Through(_) => None,
        });
    let declared = planned
        .fields
        .iter()
        .map(|field| (&field.column, format!("fields[{}]", field.column)));
    for (name, place) in key.chain(identities).chain(declared) {
        let known =
            columns.iter().any(|column| &column.name == name) || withheld.iter().any(|(other, _)| other == name);
        if known {
            continue;
        }
        let declaration = planned.fields.iter().find(|field| &field.column == name);
        let origin = declaration.and_then(|field| field.origin);
        let portable = matches!(origin, Some(Origin::Provided | Origin::Observed));
        if declaration.is_some_and(|field| field.secret) {
            // It is not read, so that no right is needed.
            withheld.push((name.clone(), Withheld::Secret));
            continue;
        }
        let found = table.column(name, &format!("{field}.{place}"))?;
        if right == Right::Portability && !portable {
            withheld.push((name.clone(), Withheld::NotPortable));
        } else {
            columns.push(OutputColumn {
                name: name.clone(),
                shape: Shape::of(found),
                wire: Wire::of(found),
                category: declaration.and_then(|field| field.category.clone()),
                origin,
            });
        }
    }
    if order
        .iter()
        .any(|name| withheld.contains(&(name.clone(), Withheld::Secret)))
    {
        // Not even to order by: a secret is not read.
        order.clear();
    }
    let named = |name: &String| {
        columns.iter().any(|column| &column.name == name)
            || withheld.iter().any(|(other, _)| other == name)
            || planned
                .relations
                .iter()
                .any(|relation| relation.columns.contains_key(name))
    };
    let undeclared = table.columns.keys().filter(|name| !named(name)).cloned().collect();
    let rests_on_consent_or_contract = activities
        .iter()
        .filter(|activity| planned.activities.contains(&activity.name))
        .flat_map(|activity| &activity.legal_bases)
        .any(|basis| matches!(basis.basis, Basis::Consent | Basis::Contract));
    let left_out = if right == Right::Portability && !rests_on_consent_or_contract {
        Some(LeftOut::NotPortable)
    } else if columns.is_empty() {
        Some(LeftOut::NoColumns)
    } else {
        None
    };
    Ok(Dataset {
        name: planned.name.clone(),
        table,
        activities: planned.activities.clone(),
        columns,
        order,
        paths: Vec::new(),
        level: 0,
        wanted: Vec::new(),
        withheld,
        undeclared,
        left_out,
    })
}

/// Whose the rows of a dataset are. Keys that are wanted of other datasets are noted there.
fn paths(
    store: &ExportStore,
    planned: &ExportDataset,
    datasets: &mut [Option<Dataset>],
    place: usize,
) -> Result<Vec<Path>, Problem> {
    let field = field(store, planned);
    let mut paths = Vec::with_capacity(planned.subjects.len());
    for (index, subject) in planned.subjects.iter().enumerate() {
        let field = format!("{field}.subjects[{index}]");
        let Some(dataset) = &datasets[place] else { continue };
        for column in &subject.other_party_columns {
            dataset.table.column(column, &format!("{field}.otherPartyColumns"))?;
        }
        let hides = (0..dataset.columns.len())
            .filter(|column| subject.other_party_columns.contains(&dataset.columns[*column].name))
            .collect();
        let by = match &subject.by {
            SubjectBy::Column(column) => {
                let found = dataset.table.column(column, &format!("{field}.column"))?;
                By::Column(column.clone(), Comparison::of(found))
            }
            SubjectBy::Through(name) => {
                let own: Vec<(String, String)> = relation(planned, name, &field)?
                    .columns
                    .iter()
                    .map(|(own, theirs)| (own.clone(), theirs.clone()))
                    .collect();
                let mut comparisons = Vec::with_capacity(own.len());
                for (column, _) in &own {
                    comparisons.push(Comparison::of(
                        dataset.table.column(column, &format!("{field}.through"))?,
                    ));
                }
                let target = target(store, planned, name, &field)?;
                let wanted = want(store, datasets, target, &subject.identity, &own, &field)?;
                By::Relation(Relation {
                    target,
                    columns: own,
                    comparisons,
                    wanted,
                })
            }
        };
        paths.push(Path {
            identity: subject.identity.clone(),
            by,
            hides,
        });
    }
    Ok(paths)
}

/// Notes that keys of the target are wanted. A secret is never read out, not even to follow it.
fn want(
    store: &ExportStore,
    datasets: &mut [Option<Dataset>],
    target: usize,
    identity: &str,
    columns: &[(String, String)],
    field: &str,
) -> Result<Option<usize>, Problem> {
    let planned = &store.datasets[target];
    let Some(dataset) = &mut datasets[target] else {
        let detail = format!("dataset {} does not say whose its rows are", planned.name);
        return Err(Problem::new(Reason::InvalidPlan, field, detail));
    };
    let theirs: Vec<String> = columns.iter().map(|(_, theirs)| theirs.clone()).collect();
    for column in &theirs {
        dataset.table.column(column, field)?;
    }
    let secret = |column: &String| {
        planned
            .fields
            .iter()
            .any(|field| &field.column == column && field.secret)
    };
    if theirs.iter().any(secret) {
        return Ok(None);
    }
    let wanted = Wanted {
        identity: identity.to_owned(),
        columns: theirs,
    };
    let place = dataset.wanted.iter().position(|other| *other == wanted);
    Ok(Some(place.unwrap_or_else(|| {
        dataset.wanted.push(wanted);
        dataset.wanted.len() - 1
    })))
}

/// How many relations each dataset is away from a column with an identity. A circle would never say whose a row is.
fn levels(store: &ExportStore) -> Result<Vec<usize>, Problem> {
    let mut levels: Vec<Option<usize>> = vec![None; store.datasets.len()];
    for _ in 0..=store.datasets.len() {
        for (place, planned) in store.datasets.iter().enumerate() {
            let mut level = Some(0);
            for (index, subject) in planned.subjects.iter().enumerate() {
                if let SubjectBy::Through(name) = &subject.by {
                    let target = target(
                        store,
                        planned,
                        name,
                        &format!("{}.subjects[{index}]", field(store, planned)),
                    )?;
                    level = level.zip(levels[target]).map(|(level, below)| level.max(below + 1));
                }
            }
            levels[place] = level;
        }
    }
    let circle = |place: usize| {
        let detail = "through leads in a circle, so that it never says whose a row is";
        Problem::new(Reason::InvalidPlan, field(store, &store.datasets[place]), detail)
    };
    levels
        .into_iter()
        .enumerate()
        .map(|(place, level)| level.ok_or_else(|| circle(place)))
        .collect()
}

fn relation<'a>(
    planned: &'a ExportDataset,
    name: &str,
    field: &str,
) -> Result<&'a crate::contract::export::ExportRelation, Problem> {
    let found = planned
        .relations
        .iter()
        .find(|relation| relation.name == name && !relation.columns.is_empty());
    found.ok_or_else(|| Problem::new(Reason::InvalidPlan, field, format!("no relation {name}")))
}

fn target(store: &ExportStore, planned: &ExportDataset, name: &str, field: &str) -> Result<usize, Problem> {
    let dataset = &relation(planned, name, field)?.dataset;
    let place = store.datasets.iter().position(|other| &other.name == dataset);
    place.ok_or_else(|| Problem::new(Reason::InvalidPlan, field, format!("no dataset {dataset}")))
}

/// Where a dataset stands in the resources.
#[must_use]
pub fn field(store: &ExportStore, dataset: &ExportDataset) -> String {
    format!("DataSource {}: datasets[{}]", store.name, dataset.name)
}
