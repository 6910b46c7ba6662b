//! The tables of a store and their columns: those of all datasets in one round trip, since an export is mostly waiting.

use std::collections::BTreeMap;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::dataset;
use super::fault::Fault;
use crate::contract::export::ExportStore;
use crate::contract::{Problem, Reason};
use crate::domain::identifier::TableName;
use crate::worker::catalogue::{self, Kind, TABLE_FACTS, known_column};
use crate::worker::connection::StoreError;

/// A table, as far as an export must know it.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// Columns by name.
    pub columns: BTreeMap<String, Column>,
    /// It has partitions, each with places of its own for rows.
    pub partitioned: bool,
    /// Columns of the primary key.
    pub primary_key: Vec<String>,
}

/// A column.
#[derive(Debug)]
pub struct Column {
    /// Its type as it stands in a cast, schema and all.
    pub cast: String,
    /// Its type modifier, in which a length or a precision is; -1 where it has none, or where a domain has it.
    pub modifier: i32,
    /// What can be done with the type.
    pub kind: Kind,
    /// The role may read it.
    pub may_select: bool,
}

impl Table {
    /// A column, by its name in the spec.
    pub fn column(&self, name: &str, field: &str) -> Result<&Column, Problem> {
        known_column(&self.name, &self.columns, |column| column.may_select, name, field)
    }
}

/// `$1` and `$2` are the schemas and names that are asked for.
const WANTED: &str = "
  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (schema, name, place)
  JOIN pg_namespace n ON n.nspname = w.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name";

const MORE_FACTS: &str = "w.place, c.relkind = 'p',
       (SELECT array_agg(a.attname::text ORDER BY k.position)
          FROM pg_index x CROSS JOIN LATERAL unnest(x.indkey::int2[]) WITH ORDINALITY AS k (attnum, position)
          JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.attnum
         WHERE x.indrelid = c.oid AND x.indisprimary)";

/// The type of a domain is that which it is made of.
const COLUMNS: &str = "
  base AS (
    SELECT t.oid AS type, t.oid AS base, t.typtype, t.typbasetype FROM pg_type t
     WHERE t.oid IN (SELECT atttypid FROM pg_attribute WHERE attrelid IN (SELECT oid FROM wanted))
    UNION ALL
    SELECT base.type, t.oid, t.typtype, t.typbasetype FROM base JOIN pg_type t ON t.oid = base.typbasetype WHERE base.typtype = 'd')
SELECT a.attrelid::int8, a.attname::text, n.nspname::text, b.typname::text, b.typtype::text,
       has_column_privilege(a.attrelid, a.attnum, 'SELECT'), a.atttypmod
  FROM pg_attribute a
  JOIN base ON base.type = a.atttypid AND base.typtype <> 'd'
  JOIN pg_type b ON b.oid = base.base
  JOIN pg_namespace n ON n.oid = b.typnamespace
 WHERE a.attrelid IN (SELECT oid FROM wanted) AND a.attnum > 0 AND NOT a.attisdropped";

/// The table of each dataset, in their order; none for those that do not say whose their rows are.
pub async fn tables(client: &Client, planned: &ExportStore) -> Result<Vec<Option<Table>>, Fault> {
    let wanted: Vec<_> = planned
        .datasets
        .iter()
        .filter(|dataset| !dataset.subjects.is_empty())
        .collect();
    let schemas: Vec<&str> = wanted.iter().map(|dataset| dataset.schema.as_str()).collect();
    let names: Vec<&str> = wanted.iter().map(|dataset| dataset.table.as_str()).collect();
    let of_tables = format!("SELECT {TABLE_FACTS}, {MORE_FACTS} {WANTED}");
    let of_columns = format!("WITH RECURSIVE wanted AS (SELECT c.oid {WANTED}), {COLUMNS}");
    let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&schemas, Type::TEXT_ARRAY), (&names, Type::TEXT_ARRAY)];
    let (tables, columns) = tokio::join!(
        client.query_typed(&of_tables, &values),
        client.query_typed(&of_columns, &values)
    );
    let stripped = |error: tokio_postgres::Error| Fault::store(&planned.name, &StoreError::of(&error));
    let (tables, columns) = (tables.map_err(stripped)?, columns.map_err(stripped)?);
    let mut place = 0;
    let mut found = Vec::with_capacity(planned.datasets.len());
    for dataset in &planned.datasets {
        if dataset.subjects.is_empty() {
            found.push(None);
            continue;
        }
        place += 1;
        let field = format!("{}.table", dataset::field(planned, dataset));
        let name = TableName::new(&dataset.schema, &dataset.table)
            .map_err(|error| Problem::new(Reason::InvalidPlan, &field, error.to_string()))?;
        let row = tables.iter().find(|row| row.get::<_, i64>(catalogue::FACTS) == place);
        found.push(Some(table(name, row, &columns, &field)?));
    }
    Ok(found)
}

fn table(name: TableName, row: Option<&Row>, columns: &[Row], field: &str) -> Result<Table, Problem> {
    let row = catalogue::refuse(row, &name, field)?;
    let oid: i64 = row.get(0);
    let own = columns.iter().filter(|column| column.get::<_, i64>(0) == oid);
    let columns = own.map(|column| {
        let (schema, type_name, type_type): (&str, &str, &str) = (column.get(2), column.get(3), column.get(4));
        let found = Column {
            cast: catalogue::cast(schema, type_name),
            kind: catalogue::kind(schema, type_name, type_type),
            may_select: column.get(5),
            modifier: column.get(6),
        };
        (column.get(1), found)
    });
    Ok(Table {
        columns: columns.collect(),
        partitioned: row.get(catalogue::FACTS + 1),
        primary_key: row
            .get::<_, Option<Vec<String>>>(catalogue::FACTS + 2)
            .unwrap_or_default(),
        name,
    })
}
