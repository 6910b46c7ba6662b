//! What the policies of a store, its survey and exports read and write: the least that a role must be granted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use super::exports::{self, Exported};
use super::holds;
use super::manifests::{Located, Manifests};
use crate::api::data_retention_policy::{DataRetentionPolicySpec, Mode, RetentionRule};
use crate::api::data_source::Dataset;
use crate::api::{DataRetentionPolicy, DataSource, ProcessingActivity};
use crate::domain::identifier::{Identifier, IdentifierError, TableName};
use crate::plan::cascade;
use crate::plan::columns::{self, read_by, written_by};
use crate::plan::records::measures::holders;
use crate::plan::relations;

/// Why the needs cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum NeedsError {
    /// The policy's store is not among the files.
    #[error(
        "{policy}: spec.dataSourceRef.name: there is no DataSource `{name}` in the files{where_}; name its file too"
    )]
    UnknownSource {
        /// File, kind and name of the policy.
        policy: String,
        /// The store that it names.
        name: String,
        /// The policy's namespace, where it has one.
        where_: String,
    },
    /// Several stores of that name, in different namespaces.
    #[error(
        "{policy}: spec.dataSourceRef.name: the files hold `{name}` in several namespaces; set metadata.namespace of the policy"
    )]
    AmbiguousSource {
        /// File, kind and name of the policy.
        policy: String,
        /// The store that it names.
        name: String,
    },
    /// The rule's dataset is not declared.
    #[error("{policy}: {field}: {source_name} declares no dataset `{dataset}`; it declares {known}")]
    UnknownDataset {
        /// File, kind and name of the policy.
        policy: String,
        /// The field.
        field: String,
        /// The store.
        source_name: String,
        /// The dataset that the rule names.
        dataset: String,
        /// Those that there are.
        known: String,
    },
    /// `through` leads nowhere.
    #[error(
        "{object}: {field}: `{name}` is no relation of this dataset that leads to another one; correct it, or add the relation"
    )]
    UnknownRelation {
        /// File, kind and name of the object.
        object: String,
        /// The field.
        field: String,
        /// The relation that it names.
        name: String,
    },
    /// Rows of another dataset that cannot be told.
    #[error("{policy}: {field}: {message}")]
    Relation {
        /// File, kind and name of the policy.
        policy: String,
        /// The field.
        field: String,
        /// What is wrong with it and what to do.
        message: String,
    },
    /// A name that PostgreSQL could not hold.
    #[error("{object}: {field}: {problem}")]
    Identifier {
        /// File, kind and name of the object.
        object: String,
        /// The field.
        field: String,
        /// What is wrong with it.
        #[source]
        problem: IdentifierError,
    },
}

/// What a store's policies need of it.
#[derive(Debug)]
pub struct SourceNeeds<'a> {
    /// The store.
    pub source: &'a Located<DataSource>,
    /// Its database.
    pub database: Identifier,
    /// The policies.
    pub policies: Vec<&'a Located<DataRetentionPolicy>>,
    /// Names of the policies under which it is exported.
    pub rights: Vec<String>,
    /// Datasets of which rows are exported.
    pub exported: Vec<Exported>,
    /// What all this needs of each table.
    pub tables: BTreeMap<TableName, TableNeeds>,
}

impl SourceNeeds<'_> {
    /// Whether some policy only counts, so that its deletes and updates wait for `mode: Enforce`.
    #[must_use]
    pub fn observes(&self) -> bool {
        self.policies
            .iter()
            .any(|policy| policy.object.spec.mode == Mode::Observe)
    }
}

/// What is needed of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "needs, each on its own")]
pub struct TableNeeds {
    /// Columns that are read.
    pub select: BTreeSet<Identifier>,
    /// Columns that are written.
    pub update: BTreeSet<Identifier>,
    /// Whether rows are deleted.
    pub delete: bool,
    /// Whether rows are told apart by their place, as in a sweep and in an export; a survey looks at columns only.
    pub by_place: bool,
    /// Whether the partition of a row is told as well: its values are read and written again by its place.
    pub by_partition: bool,
    /// A column whose right to update lets rows be locked: other rows, of this table or of others, decide about rows of
    /// this one.
    pub lock: Option<Identifier>,
    /// Whether the columns of the primary key are read, which only the catalogue knows.
    pub primary_key: bool,
    /// The rules that need it, as `policy/rule`.
    pub rules: Vec<String>,
}

/// Works out what each store's policies, its survey and exports need: first the stores of the policies, in the order of
/// these, then those that are only surveyed or exported.
pub fn needs(manifests: &Manifests) -> Result<Vec<SourceNeeds<'_>>, NeedsError> {
    let mut all: Vec<SourceNeeds<'_>> = Vec::new();
    for policy in &manifests.policies {
        let source = source_of(policy, &manifests.sources)?;
        let index = place(&mut all, source)?;
        all[index].policies.push(policy);
        add_policy(&mut all[index], policy)?;
    }
    for needs in &mut all {
        holds::add(needs, manifests)?;
        let_lock(needs);
    }
    for source in manifests
        .sources
        .iter()
        .filter(|source| source.object.spec.survey.is_some())
    {
        let index = place(&mut all, source)?;
        add_survey(&mut all[index], manifests)?;
    }
    for source in &manifests.sources {
        let policies = exports::policies(source, manifests);
        if !policies.is_empty() {
            let index = place(&mut all, source)?;
            exports::add(&mut all[index], &policies)?;
        }
    }
    Ok(all)
}

/// The place of a store in the list, where it is put if it is not there yet.
fn place<'a>(all: &mut Vec<SourceNeeds<'a>>, source: &'a Located<DataSource>) -> Result<usize, NeedsError> {
    if let Some(known) = all.iter().position(|needs| std::ptr::eq(needs.source, source)) {
        return Ok(known);
    }
    let database = &source.object.spec.postgres.database;
    all.push(SourceNeeds {
        source,
        database: identifier(source, "spec.postgres.database", database)?,
        policies: Vec::new(),
        rights: Vec::new(),
        exported: Vec::new(),
        tables: BTreeMap::new(),
    });
    Ok(all.len() - 1)
}

/// The catalogue everybody may read; a survey needs rights for the columns whose hashes it counts, and no other.
fn add_survey(needs: &mut SourceNeeds<'_>, manifests: &Manifests) -> Result<(), NeedsError> {
    let source = needs.source;
    let open = |activity: &&Located<ProcessingActivity>| {
        activity.namespace == source.namespace || activity.namespace.is_none() || source.namespace.is_none()
    };
    for activity in manifests.activities.iter().filter(open) {
        let fields = activity.object.spec.measures.iter().flat_map(|measure| &measure.fields);
        for field in fields {
            for (_, dataset) in holders(&[&source.object], field) {
                let position = source
                    .object
                    .spec
                    .datasets
                    .iter()
                    .position(|other| other.name == dataset.name);
                let table = table_name(source, position.unwrap_or_default())?;
                let column = identifier(activity, "spec.measures[].fields[].column", &field.column)?;
                let table = needs.tables.entry(table).or_default();
                table.select.insert(column);
                table.rules.push(format!("the survey, for {}", activity.name));
            }
        }
    }
    Ok(())
}

/// The store that a policy names: of its own namespace, or of none where one of the two leaves the namespace open.
fn source_of<'a>(
    policy: &Located<DataRetentionPolicy>,
    sources: &'a [Located<DataSource>],
) -> Result<&'a Located<DataSource>, NeedsError> {
    let name = &policy.object.spec.data_source_ref.name;
    let named: Vec<_> = sources.iter().filter(|source| source.name == *name).collect();
    if let Some(exact) = named.iter().find(|source| source.namespace == policy.namespace) {
        return Ok(exact);
    }
    let open = |source: &&&Located<DataSource>| policy.namespace.is_none() || source.namespace.is_none();
    let mut candidates = named.iter().filter(open);
    match (candidates.next(), candidates.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => Err(NeedsError::AmbiguousSource {
            policy: policy.to_string(),
            name: name.clone(),
        }),
        (None, _) => Err(NeedsError::UnknownSource {
            policy: policy.to_string(),
            name: name.clone(),
            where_: policy
                .namespace
                .as_deref()
                .map_or_else(String::new, |namespace| format!(" for namespace `{namespace}`")),
        }),
    }
}

fn add_policy(needs: &mut SourceNeeds<'_>, policy: &Located<DataRetentionPolicy>) -> Result<(), NeedsError> {
    let spec: &DataRetentionPolicySpec = &policy.object.spec;
    let datasets = &needs.source.object.spec.datasets;
    for (index, rule) in spec.rules.iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        let Some(position) = datasets.iter().position(|dataset| dataset.name == rule.dataset) else {
            let known: Vec<&str> = datasets.iter().map(|dataset| dataset.name.as_str()).collect();
            return Err(NeedsError::UnknownDataset {
                policy: policy.to_string(),
                field: format!("{path}.dataset"),
                source_name: needs.source.to_string(),
                dataset: rule.dataset.clone(),
                known: known.join(", "),
            });
        };
        let table = table_name(needs.source, position)?;
        let table = needs.tables.entry(table).or_default();
        table.by_place = true;
        table.rules.push(format!("{}/{}", policy.name, rule.name));
        add_rule(needs, rule, policy, &path)?;
    }
    Ok(())
}

/// A role that writes a column may lock rows; one that only deletes needs a column for it.
fn let_lock(needs: &mut SourceNeeds<'_>) {
    for table in needs
        .tables
        .values_mut()
        .filter(|table| table.delete && table.update.is_empty())
    {
        table.update.extend(table.lock.clone());
    }
}

/// Every column by which rows are judged is read, of whatever table, and so is every column that is written: a value
/// that is masked or set already is recognised and left alone.
fn add_rule(
    needs: &mut SourceNeeds<'_>,
    rule: &RetentionRule,
    policy: &Located<DataRetentionPolicy>,
    path: &str,
) -> Result<(), NeedsError> {
    let source = &needs.source.object;
    let own = columns::dataset(source, &rule.dataset);
    let Some((dataset, own)) = own.and_then(|own| Some((own, TableName::parse(&own.table).ok()?))) else {
        return Ok(());
    };
    let related = relations::resolve(rule, dataset, source).err();
    let mistakes = related.or_else(|| cascade::resolve(rule, dataset, source).err());
    if let Some(mistake) = mistakes.as_ref().and_then(|mistakes| mistakes.first()) {
        return Err(NeedsError::Relation {
            policy: policy.to_string(),
            field: format!("{path}.{}", mistake.field),
            message: mistake.message.clone(),
        });
    }
    for used in read_by(rule, source) {
        let column = identifier(policy, &format!("{path}.{}", used.field), &used.column)?;
        let is_other = used.table != own;
        let table = needs.tables.entry(used.table).or_default();
        let name = format!("{}/{}", policy.name, rule.name);
        if is_other && !table.rules.contains(&name) {
            table.rules.push(name);
        }
        table.select.insert(column);
    }
    let table = needs.tables.entry(own).or_default();
    if let Some(column) = leads_elsewhere(rule, dataset, source) {
        table.lock.get_or_insert(identifier(policy, path, &column)?);
    }
    if let Some(newest) = &rule.keep_newest {
        table.lock.get_or_insert(identifier(policy, path, &newest.order_by)?);
        table.primary_key |= dataset.key.is_empty();
    }
    let cascade = cascade::resolve(rule, dataset, source).unwrap_or_default();
    if let Some((ours, _)) = cascade.relations().next().and_then(|relation| relation.columns.first()) {
        table.lock.get_or_insert(identifier(policy, path, ours)?);
    }
    let Some(then) = &rule.then else { return Ok(()) };
    table.delete |= then.delete.is_some();
    table.by_partition |= then.mask.iter().any(|mask| mask.key_secret_ref.is_some());
    for write in written_by(rule) {
        let column = identifier(policy, &format!("{path}.{}", write.field), &write.column)?;
        table.select.insert(column.clone());
        table.update.insert(column);
    }
    // Rows of other tables that go as well are locked before, and those at the far end are told apart by their place.
    let dependents = cascade.dependents.iter().map(|dependent| (&dependent.relation, false));
    let parents = cascade.parents.iter().map(|parent| (&parent.relation, true));
    for (relation, by_place) in dependents.chain(parents) {
        let Ok(name) = TableName::new(&relation.schema, &relation.table) else {
            continue;
        };
        let table = needs.tables.entry(name).or_default();
        table.delete = true;
        table.by_place |= by_place;
        if let Some((_, theirs)) = relation.columns.first() {
            table.lock.get_or_insert(identifier(policy, path, theirs)?);
        }
    }
    Ok(())
}

/// The column of the row by which it is tied to the first other row that the rule looks at.
fn leads_elsewhere(rule: &RetentionRule, dataset: &Dataset, source: &DataSource) -> Option<String> {
    let related = relations::resolve(rule, dataset, source).ok()?;
    let exists = related.exists.into_values().chain(related.not_exists.into_values());
    let mut all = related
        .relations
        .into_values()
        .chain(exists.map(|exists| exists.relation));
    Some(all.next()?.columns.into_iter().next()?.0)
}

/// The table of the dataset at this place.
pub(super) fn table_name(source: &Located<DataSource>, position: usize) -> Result<TableName, NeedsError> {
    TableName::parse(&source.object.spec.datasets[position].table).map_err(|problem| NeedsError::Identifier {
        object: source.to_string(),
        field: format!("spec.datasets[{position}].table"),
        problem,
    })
}

pub(super) fn identifier(object: &impl Display, field: &str, name: &str) -> Result<Identifier, NeedsError> {
    Identifier::parse(name).map_err(|problem| NeedsError::Identifier {
        object: object.to_string(),
        field: field.to_owned(),
        problem,
    })
}
