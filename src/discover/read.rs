//! Reads the catalogue, in one read-only transaction.

use std::collections::BTreeMap;

use tokio_postgres::{Client, IsolationLevel, Row, Transaction};

use super::catalogue::{Catalogue, Column, ForeignKey, Kind, OnDelete, Table, Trigger, Unsupported};

/// A statement failed. Its text stays here: only the SQLSTATE is told.
#[derive(Debug, thiserror::Error)]
#[error("{}", match .0.as_deref() {
    Some("57014") => "the server ended a statement that took too long (SQLSTATE 57014). Try again when it is less busy".to_owned(),
    Some("42501") => "the user lacks a right on the catalogue (SQLSTATE 42501). Ask for another user".to_owned(),
    Some(code) => format!("SQLSTATE {code}. Look it up in the manual of the server; its log has the full message"),
    None => "the connection was lost. Try again".to_owned(),
})]
pub struct ReadError(Option<String>);

impl From<tokio_postgres::Error> for ReadError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(error.code().map(|code| code.code().to_owned()))
    }
}

/// Relations outside the schemas of the system and of this program. Partitions are not listed: they belong to their root.
const RELATIONS: &str = "
SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text, c.relrowsecurity,
       c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid),
       EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'),
       CASE c.relkind WHEN 'p' THEN
         (SELECT CASE WHEN bool_or(l.reltuples >= 0) THEN sum(greatest(l.reltuples, 0)) ELSE -1 END
            FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid WHERE t.isleaf)
       ELSE c.reltuples END::float8
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
   AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', 'privacy_operator')
 ORDER BY 2, 3";

const COLUMNS: &str = "
WITH RECURSIVE base AS (
  SELECT oid AS declared, oid, typtype, typbasetype FROM pg_type
  UNION ALL
  SELECT base.declared, t.oid, t.typtype, t.typbasetype FROM base JOIN pg_type t ON t.oid = base.typbasetype
   WHERE base.typtype = 'd'
)
SELECT a.attrelid::int8, a.attname::text, format_type(a.atttypid, a.atttypmod), n.nspname::text, t.typname::text, t.typtype::text,
       EXISTS (SELECT FROM pg_index x JOIN pg_class xc ON xc.oid = x.indexrelid JOIN pg_am m ON m.oid = xc.relam
                WHERE x.indrelid = a.attrelid AND x.indisvalid AND x.indpred IS NULL
                  AND m.amname = 'btree' AND x.indkey[0] = a.attnum)
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  JOIN base ON base.declared = a.atttypid AND base.typtype <> 'd'
  JOIN pg_type t ON t.oid = base.oid
  JOIN pg_namespace n ON n.oid = t.typnamespace
 WHERE a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attrelid, a.attnum";

const PRIMARY_KEYS: &str = "
SELECT k.conrelid::int8, array_agg(a.attname::text ORDER BY c.position)
  FROM pg_constraint k
  CROSS JOIN LATERAL unnest(k.conkey) WITH ORDINALITY AS c (attribute, position)
  JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.attribute
 WHERE k.contype = 'p'
 GROUP BY k.oid, k.conrelid";

/// Both ends by the table that a policy would name: a partition's key counts as its root's.
const FOREIGN_KEYS: &str = "
SELECT f.conname::text, child.oid::int8, cn.nspname::text, child.relname::text, parent.oid::int8, pn.nspname::text, parent.relname::text,
       array_agg(ca.attname::text ORDER BY k.position), array_agg(pa.attname::text ORDER BY k.position), f.confdeltype::text
  FROM pg_constraint f
  JOIN pg_class child ON child.oid = coalesce(pg_partition_root(f.conrelid), f.conrelid)
  JOIN pg_namespace cn ON cn.oid = child.relnamespace
  JOIN pg_class parent ON parent.oid = coalesce(pg_partition_root(f.confrelid), f.confrelid)
  JOIN pg_namespace pn ON pn.oid = parent.relnamespace
  CROSS JOIN LATERAL unnest(f.conkey, f.confkey) WITH ORDINALITY AS k (child_key, parent_key, position)
  JOIN pg_attribute ca ON ca.attrelid = f.conrelid AND ca.attnum = k.child_key
  JOIN pg_attribute pa ON pa.attrelid = f.confrelid AND pa.attnum = k.parent_key
 WHERE f.contype = 'f' AND f.conparentid = 0
 GROUP BY f.oid, child.oid, cn.nspname, child.relname, parent.oid, pn.nspname, parent.relname
 ORDER BY cn.nspname, child.relname, f.conname";

const TRIGGERS: &str = "
SELECT coalesce(pg_partition_root(tgrelid), tgrelid)::oid::int8, 'trigger', tgname::text,
       bool_or(tgtype::int4 & 8 > 0), bool_or(tgtype::int4 & 16 > 0)
  FROM pg_trigger WHERE NOT tgisinternal AND tgenabled IN ('O', 'A') GROUP BY 1, 3
UNION ALL
SELECT coalesce(pg_partition_root(ev_class), ev_class)::oid::int8, 'rule', rulename::text,
       bool_or(ev_type = '4'), bool_or(ev_type = '2')
  FROM pg_rewrite WHERE ev_type IN ('2', '4') AND ev_enabled IN ('O', 'A') GROUP BY 1, 3
 ORDER BY 1, 2, 3";

/// Reads everything that matters for retention.
pub async fn catalogue(client: &mut Client) -> Result<Catalogue, ReadError> {
    // One snapshot for all statements; it ends with the transaction, which is never committed.
    let client = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    let row = client
        .query_typed(
            "SELECT current_database()::text, current_setting('server_version')",
            &[],
        )
        .await?;
    let mut found = Catalogue::default();
    if let Some(row) = row.first() {
        found.database = row.get(0);
        // Debian appends its own version in brackets.
        found.server_version = row
            .get::<_, &str>(1)
            .chars()
            .take_while(|character| *character != ' ')
            .collect();
    }
    let mut tables: BTreeMap<i64, Table> = BTreeMap::new();
    for row in client.query_typed(RELATIONS, &[]).await? {
        match unsupported(&row) {
            Some(relation) => found.unsupported.push(relation),
            None => drop(tables.insert(row.get(0), table(&row))),
        }
    }
    for row in client.query_typed(COLUMNS, &[]).await? {
        if let Some(table) = tables.get_mut(&row.get(0)) {
            table.columns.push(column(&row));
        }
    }
    for row in client.query_typed(PRIMARY_KEYS, &[]).await? {
        if let Some(table) = tables.get_mut(&row.get(0)) {
            table.primary_key = row.get(1);
        }
    }
    foreign_keys(&client, &mut tables).await?;
    for row in client.query_typed(TRIGGERS, &[]).await? {
        if let Some(table) = tables.get_mut(&row.get(0)) {
            table.triggers.push(Trigger {
                what: if row.get::<_, &str>(1) == "rule" {
                    "rule"
                } else {
                    "trigger"
                },
                name: row.get(2),
                on_delete: row.get(3),
                on_update: row.get(4),
            });
        }
    }
    found.tables = tables.into_values().collect();
    found
        .tables
        .sort_by(|one, other| (&one.schema, &one.name).cmp(&(&other.schema, &other.name)));
    Ok(found)
}

fn unsupported(row: &Row) -> Option<Unsupported> {
    let what = match row.get::<_, &str>(3) {
        _ if row.get(6) => "part of an extension",
        "v" => "a view",
        "m" => "a materialised view",
        "f" => "a foreign table",
        "r" if row.get(5) => "an inheritance parent; name the tables that inherit from it",
        _ => return None,
    };
    Some(Unsupported {
        schema: row.get(1),
        name: row.get(2),
        what: what.to_owned(),
    })
}

fn table(row: &Row) -> Table {
    let rows: f64 = row.get::<_, Option<f64>>(7).unwrap_or(-1.0);
    Table {
        schema: row.get(1),
        name: row.get(2),
        partitioned: row.get::<_, &str>(3) == "p",
        row_security: row.get(4),
        rows: (rows >= 0.0).then_some(rows),
        ..Table::default()
    }
}

fn column(row: &Row) -> Column {
    Column {
        name: row.get(1),
        type_name: row.get(2),
        kind: kind(row.get(3), row.get(4), row.get(5)),
        indexed: row.get(6),
    }
}

fn kind(schema: &str, type_name: &str, type_type: &str) -> Kind {
    match type_name {
        // An extension puts it into a schema of its choice.
        "citext" => Kind::Text,
        _ if type_type == "e" => Kind::Text,
        _ if schema != "pg_catalog" => Kind::Other,
        "timestamptz" => Kind::Instant,
        "timestamp" => Kind::LocalTime,
        "date" => Kind::Date,
        "inet" | "cidr" => Kind::Address,
        "macaddr" | "macaddr8" => Kind::Hardware,
        "text" | "varchar" | "bpchar" | "name" => Kind::Text,
        "bool" => Kind::Boolean,
        "int2" | "int4" | "int8" | "numeric" | "float4" | "float8" | "uuid" | "money" | "time" | "timetz"
        | "interval" => Kind::Plain,
        _ => Kind::Other,
    }
}

async fn foreign_keys(client: &Transaction<'_>, tables: &mut BTreeMap<i64, Table>) -> Result<(), ReadError> {
    for row in client.query_typed(FOREIGN_KEYS, &[]).await? {
        let key = |schema: usize| ForeignKey {
            name: row.get(0),
            other: (row.get(schema), row.get(schema + 1)),
            from: row.get(7),
            to: row.get(8),
            on_delete: match row.get::<_, &str>(9) {
                "c" => OnDelete::Cascade,
                "n" => OnDelete::SetNull,
                "d" => OnDelete::SetDefault,
                _ => OnDelete::Refuse,
            },
        };
        if let Some(child) = tables.get_mut(&row.get(1)) {
            child.foreign_keys.push(key(5));
        }
        if let Some(parent) = tables.get_mut(&row.get(4)) {
            parent.referenced_by.push(key(2));
        }
    }
    Ok(())
}
