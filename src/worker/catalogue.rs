//! What the live catalogue says of a table, and whether a rule may run on it. Everything is looked up before the first
//! write, so that a schema which changed since the policy was written stops the rule instead of surprising it.

use std::collections::BTreeMap;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::connection::StoreError;
use super::judge::quoted;
use crate::contract::{Problem, Reason};
use crate::domain::identifier::TableName;

/// What the catalogue says of a table.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "facts of the catalogue, each on its own")]
pub struct Table {
    /// Object identifier.
    pub oid: i64,
    /// Its name.
    pub name: TableName,
    /// Rows, as the planner estimates them; negative where never analysed.
    pub estimated_rows: f64,
    /// Columns by name.
    pub columns: BTreeMap<String, Column>,
    /// Whether the role may delete.
    pub may_delete: bool,
    /// What a delete would set off, in words for the person who wrote the policy.
    pub on_delete: Vec<String>,
    /// What an update would set off.
    pub on_update: Vec<String>,
    /// Foreign keys that point at this table.
    pub references: Vec<Reference>,
    /// Columns of the primary key, in its order.
    pub key: Vec<String>,
    /// Lists of columns of which no two rows hold the same values.
    pub unique: Vec<Vec<String>>,
    /// It has partitions, each with tuple identifiers of its own.
    pub partitioned: bool,
    /// Rows of several partitions can be told apart: the role may read `tableoid`.
    pub may_tell_partitions: bool,
    /// The role may lock rows.
    pub may_lock: bool,
    /// The role may read where its rows lie.
    pub may_place: bool,
}

/// What the catalogue says of a column.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "facts of the catalogue, each on its own")]
pub struct Column {
    /// Its type as it stands in a cast, schema and all.
    pub cast: String,
    /// What can be done with the type.
    pub kind: Kind,
    /// Most characters that it takes, where its type has a length.
    pub length: Option<i32>,
    /// NOT NULL.
    pub not_null: bool,
    /// Computed by the server: cannot be written.
    pub computed: bool,
    /// A foreign key of some table refers to it.
    pub referenced: bool,
    /// The role may read it.
    pub may_select: bool,
    /// The role may write it.
    pub may_update: bool,
    /// A btree index that covers all rows leads with it.
    pub indexed: bool,
    /// How well the order of the heap follows it, from -1 to 1.
    pub correlation: Option<f64>,
}

/// What can be done with values of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `timestamptz`.
    Instant,
    /// `timestamp`.
    LocalTime,
    /// `date`.
    Date,
    /// `inet`.
    Inet,
    /// `cidr`.
    Cidr,
    /// Text of any length.
    Text,
    /// Compared by equality: boolean, integers, numeric, uuid, enums.
    Plain,
    /// Anything else.
    Other,
}

/// A foreign key of another table, or of this one, that points here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The table that points here.
    pub table: TableName,
    /// Pairs of its column and ours.
    pub columns: Vec<(String, String)>,
    /// The role may read its columns.
    pub may_select: bool,
    /// The role may see what is in its schema.
    pub may_use_schema: bool,
    /// Row-level security would hide rows that point here.
    pub hidden: bool,
    /// What it would do with the rows that point at a deleted row, in words; none: it refuses the delete.
    pub effect: Option<String>,
}

/// What is to be known of a table `c` of schema `n` before anything is read of it, for [`refuse`].
pub const TABLE_FACTS: &str = "c.oid::int8, c.relkind::text,
       c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid),
       row_security_active(c.oid),
       has_schema_privilege(n.oid, 'USAGE'),
       c.relkind IN ('r', 'p') AND has_column_privilege(c.oid, 'ctid', 'SELECT'),
       (SELECT min(format('%I.%I', fn.nspname, f.relname)) FROM pg_partition_tree(c.oid) l
          JOIN pg_class f ON f.oid = l.relid JOIN pg_namespace fn ON fn.oid = f.relnamespace WHERE f.relkind = 'f')";

/// How many columns that are.
pub const FACTS: usize = 7;

/// The one that says whether the role may read where a row lies.
const PLACE: usize = 5;

/// What is to be known of a table that a rule goes through besides.
const MORE_FACTS: &str = "c.reltuples::float8, has_table_privilege(c.oid, 'DELETE'),
       c.relkind IN ('r', 'p') AND has_column_privilege(c.oid, 'tableoid', 'SELECT'),
       has_any_column_privilege(c.oid, 'UPDATE')";

const TABLE_FROM: &str = "
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1 AND c.relname = $2";

const COLUMNS_SQL: &str = "
WITH RECURSIVE base AS (
  SELECT t.oid AS type, t.oid AS base, t.typtype, t.typbasetype, t.typtypmod FROM pg_type t
   WHERE t.oid IN (SELECT atttypid FROM pg_attribute WHERE attrelid = $1::int8::oid)
  UNION ALL
  SELECT base.type, t.oid, t.typtype, t.typbasetype, greatest(base.typtypmod, t.typtypmod) FROM base JOIN pg_type t ON t.oid = base.typbasetype WHERE base.typtype = 'd')
SELECT a.attname::text, n.nspname::text, b.typname::text, b.typtype::text,
       a.attnotnull,
       a.attgenerated <> '' OR a.attidentity <> ''
         OR EXISTS (SELECT FROM pg_partition_tree(a.attrelid) l JOIN pg_partitioned_table p ON p.partrelid = l.relid
                      JOIN pg_attribute k ON k.attrelid = l.relid AND k.attname = a.attname AND k.attnum = ANY (p.partattrs)),
       EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.confrelid = a.attrelid AND a.attnum = ANY (f.confkey)),
       has_column_privilege(a.attrelid, a.attnum, 'SELECT'),
       has_column_privilege(a.attrelid, a.attnum, 'UPDATE'),
       EXISTS (SELECT FROM pg_index x JOIN pg_class xc ON xc.oid = x.indexrelid JOIN pg_am m ON m.oid = xc.relam
                WHERE x.indrelid = a.attrelid AND x.indisvalid AND x.indpred IS NULL
                  AND m.amname = 'btree' AND x.indkey[0] = a.attnum),
       (SELECT s.correlation::float8 FROM pg_stats s JOIN pg_class c ON c.relname = s.tablename
          JOIN pg_namespace cn ON cn.oid = c.relnamespace AND cn.nspname = s.schemaname
         WHERE c.oid = a.attrelid AND s.attname = a.attname ORDER BY s.inherited DESC LIMIT 1),
       CASE WHEN b.typname IN ('varchar', 'bpchar') AND greatest(a.atttypmod, base.typtypmod) > 4
            THEN greatest(a.atttypmod, base.typtypmod) - 4 END
  FROM pg_attribute a
  JOIN base ON base.type = a.atttypid AND base.typtype <> 'd'
  JOIN pg_type b ON b.oid = base.base
  JOIN pg_namespace n ON n.oid = b.typnamespace
 WHERE a.attrelid = $1::int8::oid AND a.attnum > 0 AND NOT a.attisdropped";

/// Triggers and rules of a table and its partitions: what, its name, on delete, on update.
const EFFECTS_SQL: &str = "
WITH family AS (SELECT relid::oid AS oid FROM pg_partition_tree($1::int8::oid::regclass) UNION SELECT $1::int8::oid)
SELECT 'trigger ' || tgname, tgtype::int4 & 8 > 0, tgtype::int4 & 16 > 0
  FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM family) AND NOT tgisinternal AND tgenabled IN ('O', 'A')
UNION
SELECT 'rule ' || rulename, ev_type = '4', ev_type = '2'
  FROM pg_rewrite WHERE ev_class IN (SELECT oid FROM family) AND ev_type IN ('2', '4') AND ev_enabled IN ('O', 'A')
";

const REFERENCES_SQL: &str = "
WITH family AS (SELECT relid::oid AS oid FROM pg_partition_tree($1::int8::oid::regclass) UNION SELECT $1::int8::oid)
SELECT n.nspname::text, c.relname::text,
       array_agg(child.attname::text ORDER BY k.position),
       array_agg(parent.attname::text ORDER BY k.position),
       bool_and(has_column_privilege(f.conrelid, child.attnum, 'SELECT')),
       has_schema_privilege(c.relnamespace, 'USAGE'), row_security_active(c.oid),
       'foreign key ' || f.conname || ' of ' || n.nspname || '.' || c.relname ||
         CASE f.confdeltype WHEN 'c' THEN ' (ON DELETE CASCADE)' WHEN 'n' THEN ' (ON DELETE SET NULL)' WHEN 'd' THEN ' (ON DELETE SET DEFAULT)' END
  FROM pg_constraint f
  JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL unnest(f.conkey, f.confkey) WITH ORDINALITY AS k (child_key, parent_key, position)
  JOIN pg_attribute child ON child.attrelid = f.conrelid AND child.attnum = k.child_key
  JOIN pg_attribute parent ON parent.attrelid = f.confrelid AND parent.attnum = k.parent_key
 WHERE f.contype = 'f' AND f.confrelid IN (SELECT oid FROM family) AND f.conparentid = 0
 GROUP BY f.oid, f.conname, f.confdeltype, n.nspname, c.relname, c.relnamespace, c.oid";

/// Columns of unique indexes over all rows, each list in a row. One that is checked only at commit does not count.
const UNIQUE_SQL: &str = "
SELECT array_agg(a.attname::text)
  FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey[0:i.indnkeyatts - 1]) AS k (attnum)
  LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND a.attnum > 0
 WHERE i.indrelid = $1::int8::oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
 GROUP BY i.indexrelid HAVING bool_and(a.attname IS NOT NULL)";

const PRIMARY_KEY_SQL: &str = "SELECT a.attname::text FROM pg_index i
  CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, position)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
 WHERE i.indrelid = $1::int8::oid AND i.indisprimary AND k.position <= i.indnkeyatts ORDER BY k.position";

/// Looks a table up and refuses what cannot be swept exactly. `field` names the rule's dataset in the spec.
pub async fn table(client: &Client, name: &TableName, field: &str) -> Result<Table, Problem> {
    let table = readable(client, name, field).await?;
    needs_place(table.may_place, name, field)?;
    Ok(table)
}

/// Looks up a table at whose rows a rule looks and which it does not sweep.
pub async fn readable(client: &Client, name: &TableName, field: &str) -> Result<Table, Problem> {
    let stripped = |error: tokio_postgres::Error| StoreError::of(&error).problem(field);
    let sql = format!("SELECT {TABLE_FACTS}, {MORE_FACTS} {TABLE_FROM}");
    let row = client
        .query_typed_opt(
            &sql,
            &[(&name.schema.as_str(), Type::TEXT), (&name.name.as_str(), Type::TEXT)],
        )
        .await
        .map_err(stripped)?;
    let row = facts(row.as_ref(), name, field)?;
    let oid: i64 = row.get(0);
    let mut table = Table {
        oid,
        name: name.clone(),
        estimated_rows: row.get(FACTS),
        columns: columns(client, oid).await.map_err(stripped)?,
        may_delete: row.get(FACTS + 1),
        on_delete: Vec::new(),
        on_update: Vec::new(),
        references: references(client, oid).await.map_err(stripped)?,
        key: primary_key(client, oid).await.map_err(stripped)?,
        unique: unique(client, oid).await.map_err(stripped)?,
        partitioned: row.get::<_, &str>(1) == "p",
        may_tell_partitions: row.get(FACTS + 2),
        may_lock: row.get(FACTS + 3),
        may_place: row.get(PLACE),
    };
    for effect in client
        .query_typed(EFFECTS_SQL, &[(&oid, Type::INT8)])
        .await
        .map_err(stripped)?
    {
        let what: String = effect.get(0);
        if effect.get(1) {
            table.on_delete.push(what.clone());
        }
        if effect.get(2) {
            table.on_update.push(what);
        }
    }
    Ok(table)
}

async fn primary_key(client: &Client, oid: i64) -> Result<Vec<String>, tokio_postgres::Error> {
    let rows = client.query_typed(PRIMARY_KEY_SQL, &[(&oid, Type::INT8)]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn unique(client: &Client, oid: i64) -> Result<Vec<Vec<String>>, tokio_postgres::Error> {
    let rows = client.query_typed(UNIQUE_SQL, &[(&oid, Type::INT8)]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The row of a table's facts, unless it is none whose rows can be told apart exactly.
pub fn refuse<'a>(row: Option<&'a Row>, name: &TableName, field: &str) -> Result<&'a Row, Problem> {
    let row = facts(row, name, field)?;
    needs_place(row.get(PLACE), name, field)?;
    Ok(row)
}

/// The rows of a table are told apart by `ctid`, and a right on the other columns does not include it.
pub fn needs_place(may_place: bool, name: &TableName, field: &str) -> Result<(), Problem> {
    if may_place {
        Ok(())
    } else {
        Err(Problem::new(Reason::MissingGrant, field, select(name, &["ctid"])))
    }
}

/// The row of a table's facts, unless it is none that can be read exactly.
fn facts<'a>(row: Option<&'a Row>, name: &TableName, field: &str) -> Result<&'a Row, Problem> {
    let problem = |reason: Reason, detail: String| Err(Problem::new(reason, field, detail));
    let Some(row) = row else {
        return problem(Reason::UnknownTable, format!("no table {name}"));
    };
    let unsupported = |what: &str| problem(Reason::UnsupportedTable, format!("{name} is {what}"));
    match row.get(1) {
        "r" if row.get::<_, bool>(2) => return unsupported("an inheritance parent"),
        "r" | "p" => {}
        "v" | "m" => return unsupported("a view"),
        "f" => return unsupported("a foreign table"),
        _ => return unsupported("not a table"),
    }
    if let Some(part) = row.get::<_, Option<String>>(6) {
        return unsupported(&format!("in part elsewhere: its partition {part} is a foreign table"));
    }
    if row.get(3) {
        return problem(Reason::RowLevelSecurity, name.to_string());
    }
    if !row.get::<_, bool>(4) {
        return problem(Reason::MissingGrant, usage(name));
    }
    Ok(row)
}

async fn columns(client: &Client, oid: i64) -> Result<BTreeMap<String, Column>, tokio_postgres::Error> {
    let rows = client.query_typed(COLUMNS_SQL, &[(&oid, Type::INT8)]).await?;
    Ok(rows
        .iter()
        .map(|row| {
            let (schema, type_name, type_type): (String, String, String) = (row.get(1), row.get(2), row.get(3));
            let column = Column {
                cast: cast(&schema, &type_name),
                kind: kind(&schema, &type_name, &type_type),
                not_null: row.get(4),
                computed: row.get(5),
                referenced: row.get(6),
                may_select: row.get(7),
                may_update: row.get(8),
                indexed: row.get(9),
                correlation: row.get(10),
                length: row.get(11),
            };
            (row.get(0), column)
        })
        .collect())
}

/// A type as it stands in a cast.
#[must_use]
pub fn cast(schema: &str, type_name: &str) -> String {
    format!("{}.{}", quoted(schema), quoted(type_name))
}

/// What can be done with values of a type.
#[must_use]
pub fn kind(schema: &str, type_name: &str, type_type: &str) -> Kind {
    if type_type == "e" {
        return Kind::Plain;
    }
    if schema != "pg_catalog" {
        return Kind::Other;
    }
    match type_name {
        "timestamptz" => Kind::Instant,
        "timestamp" => Kind::LocalTime,
        "date" => Kind::Date,
        "inet" => Kind::Inet,
        "cidr" => Kind::Cidr,
        "text" | "varchar" | "bpchar" => Kind::Text,
        "bool" | "int2" | "int4" | "int8" | "numeric" | "uuid" => Kind::Plain,
        _ => Kind::Other,
    }
}

async fn references(client: &Client, oid: i64) -> Result<Vec<Reference>, tokio_postgres::Error> {
    let rows = client.query_typed(REFERENCES_SQL, &[(&oid, Type::INT8)]).await?;
    Ok(rows
        .iter()
        .filter_map(|row| {
            let (schema, name): (String, String) = (row.get(0), row.get(1));
            let (theirs, ours): (Vec<String>, Vec<String>) = (row.get(2), row.get(3));
            Some(Reference {
                // A system schema holds no foreign keys.
                table: TableName::new(&schema, &name).ok()?,
                columns: theirs.into_iter().zip(ours).collect(),
                may_select: row.get(4),
                may_use_schema: row.get(5),
                hidden: row.get(6),
                effect: row.get(7),
            })
        })
        .collect())
}

/// The statement that lets the role see what is in the table's schema.
#[must_use]
pub fn usage(table: &TableName) -> String {
    format!("GRANT USAGE ON SCHEMA {}", table.schema.quoted())
}

/// The statement that lets the role read columns of the table.
#[must_use]
pub fn select(table: &TableName, columns: &[&str]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
    format!("GRANT SELECT ({}) ON {}", columns.join(", "), table.quoted())
}

impl Table {
    /// A column of the table, by its name in the spec.
    pub fn column(&self, name: &str, field: &str) -> Result<&Column, Problem> {
        known_column(&self.name, &self.columns, |column| column.may_select, name, field)
    }
}

/// A column that is there and may be read.
pub fn known_column<'a, C>(
    table: &TableName,
    columns: &'a BTreeMap<String, C>,
    may_select: impl Fn(&C) -> bool,
    name: &str,
    field: &str,
) -> Result<&'a C, Problem> {
    let column = columns.get(name).ok_or_else(|| {
        let known: Vec<&str> = columns.keys().take(12).map(String::as_str).collect();
        let detail = format!("no column {name} in {table}; it has {}", known.join(", "));
        Problem::new(Reason::UnknownColumn, field, detail)
    })?;
    if !may_select(column) {
        return Err(Problem::new(Reason::MissingGrant, field, select(table, &[name])));
    }
    Ok(column)
}
