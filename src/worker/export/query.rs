//! The one statement that finds a person's rows of a dataset. Identifiers come quoted from the checked type, values are
//! bound.

use std::sync::Arc;

use tokio_postgres::types::{ToSql, Type};

use super::dataset::{By, Dataset, OutputColumn, Path, Relation};
use super::keys::{KeyColumn, KeySet};
use super::shape::{Comparison, LONGEST_INLINE, Shape, qualified};
use super::subject::Subject;
use super::wire::Wire;

/// A bound value.
#[derive(Debug)]
enum Parameter {
    Text(String),
    Keys(KeyColumn),
}

/// A statement and its values.
#[derive(Default)]
pub struct Query {
    /// The text.
    pub sql: String,
    parameters: Vec<Parameter>,
}

impl Query {
    /// Values and their types, as the driver takes them.
    #[must_use]
    pub fn values(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        let parameters = self.parameters.iter();
        parameters
            .map(|parameter| match parameter {
                Parameter::Text(text) => (text as &(dyn ToSql + Sync), Type::TEXT),
                Parameter::Keys(keys) => (keys as &(dyn ToSql + Sync), Type::TEXT_ARRAY),
            })
            .collect()
    }

    fn bind(&mut self, parameter: Parameter) -> String {
        self.parameters.push(parameter);
        let cast = match self.parameters.last() {
            Some(Parameter::Keys(_)) => "text[]",
            _ => "text",
        };
        format!("${}::{cast}", self.parameters.len())
    }
}

/// What is known when a statement is written.
pub struct Known<'a> {
    /// The person.
    pub subject: &'a Subject,
    /// The datasets of the store.
    pub datasets: &'a [Option<Dataset>],
    /// Keys that were collected of each of them.
    pub keys: &'a [Vec<Arc<KeySet>>],
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    /// The keys that other datasets want.
    Keys,
    /// What leaves the store too, in order; of long values only the length.
    Data,
    /// The same where it is known that no value is long, and nothing will be asked for piece by piece.
    ShortData,
}

/// Where each thing stands in a row of the result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Layout {
    /// One column for each path, whether it fits; none where there is only one path.
    pub flags: usize,
    /// Whether the row's place follows, in two columns.
    pub place: bool,
    /// Columns of the wanted keys.
    pub keys: usize,
    /// Whether a length follows each value that can be long.
    pub lengths: bool,
}

impl Layout {
    /// The layout of a dataset's rows.
    #[must_use]
    pub fn of(dataset: &Dataset, select: Select) -> Self {
        let in_pieces = |column: &OutputColumn| column.can_be_long() || column.shape == Shape::Bytes;
        Self {
            flags: if dataset.paths.len() > 1 {
                dataset.paths.len()
            } else {
                0
            },
            place: select == Select::Data && dataset.columns.iter().any(in_pieces),
            keys: dataset.wanted.iter().map(|wanted| wanted.columns.len()).sum(),
            lengths: select == Select::Data,
        }
    }

    /// Place of the wanted keys.
    #[must_use]
    pub const fn keys_begin(&self) -> usize {
        self.flags + if self.place { 2 } else { 0 }
    }

    /// Place of what leaves the store.
    #[must_use]
    pub const fn data_begin(&self) -> usize {
        self.keys_begin() + self.keys
    }
}

/// The rows of a dataset that are the person's; `None` where no row can be.
#[must_use]
pub fn rows(known: &Known<'_>, dataset: &Dataset, select: Select) -> Option<Query> {
    let (mut query, predicates) = predicates(known, dataset)?;
    let layout = Layout::of(dataset, select);
    let mut columns: Vec<String> = Vec::new();
    if layout.flags > 0 {
        // NULL is neither: a comparison with an empty column.
        columns.extend(predicates.iter().map(|predicate| format!("({predicate}) IS TRUE")));
    }
    if layout.place {
        // Only partitions need to be told apart: a table of its own needs no right on `tableoid`.
        let table = if dataset.table.partitioned {
            "t.tableoid::int8"
        } else {
            "NULL::int8"
        };
        columns.push(format!("t.ctid, {table}"));
    }
    let wanted = dataset.wanted.iter().flat_map(|wanted| &wanted.columns);
    columns.extend(wanted.map(|column| format!("{}::text", qualified("t", column))));
    if select != Select::Keys {
        columns.extend(dataset.columns.iter().map(|column| output(column, select)));
    }
    if columns.is_empty() {
        columns.push("1".to_owned());
    }
    query.sql = format!("SELECT {} {}", columns.join(", "), found(dataset, &predicates));
    if select != Select::Keys {
        query.sql.push_str(" ORDER BY ");
        query.sql.push_str(&order(dataset));
    }
    Some(query)
}

/// How many rows that are, and whether a value of them is long.
#[must_use]
pub fn count(known: &Known<'_>, dataset: &Dataset) -> Option<Query> {
    let (mut query, predicates) = predicates(known, dataset)?;
    let long = dataset.columns.iter().filter(|column| column.can_be_long());
    let long: Vec<String> = long
        .map(|column| format!("octet_length({}) > {LONGEST_INLINE}", text(column)))
        .collect();
    let any = if long.is_empty() {
        NEVER.to_owned()
    } else {
        format!("bool_or({}) IS TRUE", long.join(" OR "))
    };
    query.sql = format!("SELECT count(*), {any} {}", found(dataset, &predicates));
    Some(query)
}

/// For each path, what says that a row is the person's; `None` where no row can be.
fn predicates(known: &Known<'_>, dataset: &Dataset) -> Option<(Query, Vec<String>)> {
    let mut query = Query::default();
    let predicates: Vec<String> = dataset
        .paths
        .iter()
        .map(|path| predicate(known, &mut query, dataset, path, "t"))
        .collect::<Option<Vec<String>>>()?;
    let none = predicates.iter().all(|predicate| predicate == NEVER);
    (!none).then_some((query, predicates))
}

fn found(dataset: &Dataset, predicates: &[String]) -> String {
    format!(
        "FROM {} AS t WHERE {}",
        dataset.table.name.quoted(),
        predicates.join(" OR ")
    )
}

/// No row fits.
const NEVER: &str = "false";

/// One value: itself where it is short, else its length.
fn output(column: &OutputColumn, select: Select) -> String {
    let text = text(column);
    if column.shape == Shape::Bytes {
        let bytes = qualified("t", &column.name);
        // Length and the first bytes, by which the kind of file is told.
        return format!("octet_length({bytes})::text || ':' || encode(substring({bytes} FROM 1 FOR 16), 'hex')");
    }
    if select == Select::ShortData || !column.can_be_long() {
        return text;
    }
    format!(
        "CASE WHEN octet_length({text}) <= {LONGEST_INLINE} THEN {text} END, \
         CASE WHEN octet_length({text}) > {LONGEST_INLINE} THEN octet_length({text})::int8 END"
    )
}

/// A value as it leaves the store.
fn text(column: &OutputColumn) -> String {
    let name = qualified("t", &column.name);
    match column.wire {
        Wire::Rendered => column.shape.rendered(&name),
        _ => name,
    }
}

/// The same data always comes in the same order.
fn order(dataset: &Dataset) -> String {
    if !dataset.order.is_empty() {
        let columns: Vec<String> = dataset.order.iter().map(|column| qualified("t", column)).collect();
        return columns.join(", ");
    }
    let columns = dataset.columns.iter().map(|column| {
        let column_sql = qualified("t", &column.name);
        match column.shape {
            Shape::Bytes => format!("md5({column_sql})"),
            shape => format!("{} COLLATE \"C\"", shape.rendered(&column_sql)),
        }
    });
    columns
        .chain(std::iter::once("t.ctid".to_owned()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Whether a row, which stands under the name `table`, is the person's in this way.
fn predicate(known: &Known<'_>, query: &mut Query, dataset: &Dataset, path: &Path, table: &str) -> Option<String> {
    Some(match &path.by {
        By::Column(column, comparison) => {
            let Some(value) = known.subject.value(&path.identity) else {
                return Some(NEVER.to_owned());
            };
            let value = comparison.normalised(value);
            if !comparison.fits(&value) {
                return Some(NEVER.to_owned());
            }
            let value = query.bind(Parameter::Text(value));
            format!("({})", comparison.equals(&qualified(table, column), &value))
        }
        By::Relation(relation) => match collected(known, relation) {
            Some(keys) => by_keys(query, relation, &keys, table),
            None => by_join(known, query, dataset, path, relation, table)?,
        },
    })
}

/// The keys that were collected, unless there are too many or they hold a secret.
fn collected(known: &Known<'_>, relation: &Relation) -> Option<Arc<KeySet>> {
    let keys = known.keys.get(relation.target)?.get(relation.wanted?)?;
    (!keys.is_overflown()).then(|| Arc::clone(keys))
}

fn by_keys(query: &mut Query, relation: &Relation, keys: &Arc<KeySet>, table: &str) -> String {
    let selection = keys.select(|column, text| relation.comparisons[column].fits(text));
    if selection.is_empty() {
        return NEVER.to_owned();
    }
    let mut parts = Vec::new();
    let mut values = Vec::new();
    for (place, (own, _)) in relation.columns.iter().enumerate() {
        let value = query.bind(Parameter::Keys(selection.column(place)));
        // With several columns this is what an index serves; which values belong together, the next part says.
        parts.push(relation.comparisons[place].is_one_of(&qualified(table, own), &value));
        values.push(value);
    }
    if relation.columns.len() > 1 {
        let names: Vec<String> = (0..values.len()).map(|place| format!("k{place}")).collect();
        let together: Vec<String> = relation
            .columns
            .iter()
            .enumerate()
            .map(|(place, (own, _))| relation.comparisons[place].equals(&qualified(table, own), &format!("k.k{place}")))
            .collect();
        parts.push(format!(
            "EXISTS (SELECT FROM unnest({}) AS k({}) WHERE {})",
            values.join(", "),
            names.join(", "),
            together.join(" AND ")
        ));
    }
    format!("({})", parts.join(" AND "))
}

/// The same by a join in the store: nothing is read out.
fn by_join(
    known: &Known<'_>,
    query: &mut Query,
    dataset: &Dataset,
    path: &Path,
    relation: &Relation,
    table: &str,
) -> Option<String> {
    let target = known.datasets.get(relation.target)?.as_ref()?;
    let alias = format!("{table}_{}", relation.target);
    let mut same = Vec::new();
    for (own, theirs) in &relation.columns {
        let (ours, other) = (dataset.table.columns.get(own)?, target.table.columns.get(theirs)?);
        let (own, theirs) = (qualified(table, own), qualified(&alias, theirs));
        if ours.cast == other.cast && matches!(Comparison::of(ours), Comparison::Text | Comparison::Native(..)) {
            same.push(format!("{own} = {theirs}"));
        }
        same.push(format!("{own}::text COLLATE \"C\" = {theirs}::text COLLATE \"C\""));
    }
    let mut whose = Vec::new();
    for other in target.paths.iter().filter(|other| other.identity == path.identity) {
        whose.push(predicate(known, query, target, other, &alias)?);
    }
    if whose.is_empty() || whose.iter().all(|part| part == NEVER) {
        return Some(NEVER.to_owned());
    }
    Some(format!(
        "EXISTS (SELECT FROM {} AS {alias} WHERE {} AND ({}))",
        target.table.name.quoted(),
        same.join(" AND "),
        whose.join(" OR ")
    ))
}

/// A piece of a long text: `$1` and `$2` say which row, `$3` from which character, `$4` how many.
#[must_use]
pub fn piece_of_text(dataset: &Dataset, column: usize) -> String {
    let column = &dataset.columns[column];
    let text = column.shape.rendered(&qualified("t", &column.name));
    format!("SELECT substr({text}, $3, $4) {}", one_row(dataset))
}

/// A piece of a file: `$1` and `$2` say which row, `$3` from which byte, `$4` how many.
#[must_use]
pub fn piece_of_file(dataset: &Dataset, column: usize) -> String {
    let column = qualified("t", &dataset.columns[column].name);
    format!("SELECT substring({column} FROM $3 FOR $4) {}", one_row(dataset))
}

/// Within one snapshot a row stays where it is.
fn one_row(dataset: &Dataset) -> String {
    let table = if dataset.table.partitioned {
        "t.tableoid = $2::int8::oid"
    } else {
        "$2::int8 = 0"
    };
    format!(
        "FROM {} AS t WHERE t.ctid = $1::text::tid AND {table}",
        dataset.table.name.quoted()
    )
}
