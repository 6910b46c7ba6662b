//! Writes needs down as SQL that psql runs with `ON_ERROR_STOP`, as often as one likes.

use std::fmt::Write as _;

use super::exports::Exported;
use super::needs::{SourceNeeds, TableNeeds};
use crate::domain::comment::single_line;
use crate::domain::identifier::{Identifier, TableName};

/// The column of the system by which rows are told apart. Its right is asked for as well.
const SYSTEM_COLUMN: &str = "ctid";

/// The column of the system that tells partitions apart.
const PARTITION_COLUMN: &str = "tableoid";

/// The schema and table in which the worker keeps its evidence. It can add lines, not change them.
const LEDGER: &str = "\
CREATE SCHEMA IF NOT EXISTS privacy_operator;
CREATE TABLE IF NOT EXISTS privacy_operator.ledger (
  policy_uid text NOT NULL,
  sequence bigint NOT NULL,
  written_at timestamptz NOT NULL DEFAULT now(),
  policy text NOT NULL,
  run text NOT NULL,
  plan_hash text NOT NULL,
  deleted bigint NOT NULL,
  masked bigint NOT NULL,
  set_rows bigint NOT NULL,
  report text NOT NULL,
  previous text NOT NULL,
  head text NOT NULL,
  PRIMARY KEY (policy_uid, sequence)
);
";

/// `IF NOT EXISTS` takes a table of any shape.
const LEDGER_CHECK: &str = "\
BEGIN
  PERFORM policy_uid, sequence, written_at, policy, run, plan_hash, deleted, masked, set_rows, report, previous, head
     FROM privacy_operator.ledger LIMIT 0;
END";

/// The rights that `role` needs in one store.
#[must_use]
pub fn block(needs: &SourceNeeds<'_>, role: &Identifier) -> String {
    let mut text = String::new();
    heading(&mut text, needs, role);
    text.push_str(
        "BEGIN;\nSET LOCAL search_path = pg_catalog, pg_temp;\nSET LOCAL standard_conforming_strings = on;\n",
    );
    text.push_str("SET LOCAL client_min_messages = warning;\n\n");
    guard(&mut text, needs);
    create_role(&mut text, role);
    let role_name = role.quoted();
    let _ = writeln!(
        text,
        "GRANT CONNECT ON DATABASE {} TO {role_name};\n",
        needs.database.quoted()
    );
    for (table, table_needs) in &needs.tables {
        grant_table(&mut text, table, table_needs, &role_name);
    }
    foreign_keys(&mut text, needs, role);
    exported_keys(&mut text, needs, role);
    ranked_keys(&mut text, needs, role);
    if needs.policies.is_empty() {
        text.push_str("COMMIT;\n");
        return text;
    }
    comment(
        &mut text,
        "The ledger: one line for each run that changed something. The role adds lines and reads them.",
    );
    text.push_str(LEDGER);
    comment(&mut text, "Fails where another table of that name is there already.");
    execute(&mut text, LEDGER_CHECK);
    let _ = writeln!(text, "GRANT USAGE ON SCHEMA privacy_operator TO {role_name};");
    let _ = writeln!(
        text,
        "GRANT SELECT, INSERT ON TABLE privacy_operator.ledger TO {role_name};\n"
    );
    text.push_str("COMMIT;\n");
    text
}

fn heading(text: &mut String, needs: &SourceNeeds<'_>, role: &Identifier) {
    let store = &needs.source.object.spec.postgres;
    let mut names: Vec<&str> = needs.policies.iter().map(|policy| policy.name.as_str()).collect();
    if needs.source.object.spec.survey.is_some() {
        names.push("the survey (the catalogue anybody may read)");
    }
    if !needs.rights.is_empty() {
        names.push("exports (reading only)");
    }
    comment(
        text,
        &format!(
            "DataSource {}: database {} at {}:{}",
            needs.source.name, needs.database, store.host, store.port
        ),
    );
    comment(
        text,
        &format!("Exactly what role {role} needs for: {}", names.join(", ")),
    );
    comment(text, "");
    comment(
        text,
        "Run it in that database as a superuser, or as the owner of the tables who may create roles:",
    );
    comment(text, "  psql --set=ON_ERROR_STOP=1 --dbname=... --file=...");
    comment(
        text,
        "It can be run again. It revokes nothing: rights that the role got otherwise, it keeps.",
    );
    comment(text, "");
    comment(
        text,
        "The role has no password yet. In psql (it asks for one, and keeps it out of history and log):",
    );
    comment(text, &format!("  \\password {}", role.quoted()));
    let secret = &store.credentials_secret_ref.name;
    comment(
        text,
        &format!(
            "and then put both into the Secret {secret} as username and password, in the namespace of the DataSource."
        ),
    );
    if needs.observes() {
        comment(text, "");
        comment(
            text,
            "A policy here has mode Observe: it deletes and writes nothing until it is set to Enforce. To give those",
        );
        comment(
            text,
            "rights only then, leave the lines with DELETE and UPDATE out for now.",
        );
    }
    text.push('\n');
}

/// Rights given in the wrong database are worse than none: they look done.
fn guard(text: &mut String, needs: &SourceNeeds<'_>) {
    let database = literal(needs.database.as_str());
    let body = format!(
        "BEGIN\n  IF current_database() <> {database} THEN\n    \
         RAISE EXCEPTION 'this is database %, and these rights are for %', quote_ident(current_database()), quote_ident({database})\n      \
         USING HINT = 'Connect to the other one. Print the rights of one DataSource alone with --data-source.';\n  END IF;\nEND"
    );
    execute(text, &body);
}

fn create_role(text: &mut String, role: &Identifier) {
    let name = literal(role.as_str());
    let body = format!(
        "BEGIN\n  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) THEN\n    \
         CREATE ROLE {} LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;\n  END IF;\nEND",
        role.quoted()
    );
    execute(text, &body);
}

fn grant_table(text: &mut String, table: &TableName, needs: &TableNeeds, role: &str) {
    comment(text, &format!("{table}: {}", needs.rules.join(", ")));
    let _ = writeln!(text, "GRANT USAGE ON SCHEMA {} TO {role};", table.schema.quoted());
    let name = table.quoted();
    let columns = |columns: &std::collections::BTreeSet<Identifier>| {
        columns.iter().map(Identifier::quoted).collect::<Vec<_>>().join(", ")
    };
    let place = if needs.lock.is_some() || needs.by_partition {
        format!("{SYSTEM_COLUMN}, {PARTITION_COLUMN}")
    } else {
        SYSTEM_COLUMN.to_owned()
    };
    let read = match (needs.by_place, needs.select.is_empty()) {
        (true, true) => place,
        (true, false) => format!("{place}, {}", columns(&needs.select)),
        (false, _) => columns(&needs.select),
    };
    let _ = writeln!(text, "GRANT SELECT ({read}) ON TABLE {name} TO {role};");
    if needs.delete && needs.lock.as_ref().is_some_and(|lock| needs.update.iter().eq([lock])) {
        comment(
            text,
            "Other rows decide about these: each row is locked before it is judged, and PostgreSQL asks for a right",
        );
        comment(text, "to update some column for that. Nothing is written into it.");
    }
    if !needs.update.is_empty() {
        let _ = writeln!(
            text,
            "GRANT UPDATE ({}) ON TABLE {name} TO {role};",
            columns(&needs.update)
        );
    }
    if needs.delete {
        let _ = writeln!(text, "GRANT DELETE ON TABLE {name} TO {role};");
    }
    text.push('\n');
}

/// A row to which another row points is not deleted. Which tables could point is in the catalogue, not in the files,
/// so the catalogue is asked when the SQL runs.
fn foreign_keys(text: &mut String, needs: &SourceNeeds<'_>, role: &Identifier) {
    let deleting = needs.tables.iter().filter(|(_, needs)| needs.delete);
    let tables: Vec<String> = deleting.map(|(table, _)| literal(&table.quoted())).collect();
    if tables.is_empty() {
        return;
    }
    comment(
        text,
        "A row stays while a row of another table points at it. To see that, the role reads the columns of the foreign",
    );
    comment(
        text,
        "keys to the tables above, nothing else of those tables. Run this again when such a key is added.",
    );
    let tables = tables.join(", ");
    let grantee = literal(role.as_str());
    let declare =
        format!("DECLARE\n  swept CONSTANT text[] := ARRAY[{tables}];\n  grantee CONSTANT text := {grantee};");
    execute(text, &format!("{declare}\n{FOREIGN_KEYS}"));
}

/// Grants what it takes to see which rows point at a row of the `swept` tables. Foreign keys that cascade are left out:
/// with them the sweep refuses the table.
const FOREIGN_KEYS: &str = "  \
  pair record;
BEGIN
  FOR pair IN
    WITH root AS (SELECT unnest(swept)::regclass::oid AS oid),
    family AS (
      SELECT oid AS root, oid AS member FROM root
      UNION SELECT root.oid, tree.relid::oid FROM root, pg_partition_tree(root.oid::regclass) AS tree
    ),
    foreign_key AS (
      SELECT f.conrelid, f.conkey, f.confrelid, f.confkey, family.root
        FROM pg_constraint f JOIN family ON family.member = f.confrelid
       WHERE f.contype = 'f' AND f.conparentid = 0 AND f.confdeltype IN ('a', 'r')
    ),
    needed AS (
      SELECT conrelid AS relation, conrelid AS described, unnest(conkey) AS attribute FROM foreign_key
      UNION SELECT root, confrelid, unnest(confkey) FROM foreign_key
    )
    SELECT n.nspname AS schema, c.relname AS relation, string_agg(DISTINCT quote_ident(a.attname), ', ') AS columns
      FROM needed
      JOIN pg_class c ON c.oid = needed.relation
      JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = needed.described AND a.attnum = needed.attribute
     GROUP BY n.nspname, c.relname
  LOOP
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', pair.schema, grantee);
    EXECUTE format('GRANT SELECT (%s) ON TABLE %I.%I TO %I', pair.columns, pair.schema, pair.relation, grantee);
  END LOOP;
END";

/// What identifies a row goes into an archive too, and rows of partitions are told apart by the partition. Which columns
/// that is, is in the catalogue.
fn exported_keys(text: &mut String, needs: &SourceNeeds<'_>, role: &Identifier) {
    if needs.exported.is_empty() {
        return;
    }
    comment(
        text,
        "An archive names each row by its primary key where no other key is declared, and tells partitions apart. Run this",
    );
    comment(text, "again when a primary key changes.");
    let rows: Vec<String> = needs.exported.iter().map(exported_row).collect();
    grant_keys(text, &rows, role);
}

/// Rows of equal times are put in order by the primary key, where the dataset declares no key.
fn ranked_keys(text: &mut String, needs: &SourceNeeds<'_>, role: &Identifier) {
    let ranked = needs.tables.iter().filter(|(_, needs)| needs.primary_key);
    let rows: Vec<String> = ranked
        .map(|(table, _)| format!("({}::regclass, true, ARRAY[]::text[])", literal(&table.quoted())))
        .collect();
    if rows.is_empty() {
        return;
    }
    comment(
        text,
        "Where the newest rows stay, the primary key decides between rows of one time. Run this again when it changes.",
    );
    grant_keys(text, &rows, role);
}

fn grant_keys(text: &mut String, rows: &[String], role: &Identifier) {
    let declare = format!("DECLARE\n  grantee CONSTANT text := {};", literal(role.as_str()));
    let body = KEYS.replace("TABLES", &rows.join(",\n        "));
    execute(text, &format!("{declare}\n{body}"));
}

/// A dataset as a row of the block below.
fn exported_row(exported: &Exported) -> String {
    let secrets: Vec<String> = exported.secrets.iter().map(|column| literal(column.as_str())).collect();
    format!(
        "({}::regclass, {}, ARRAY[{}]::text[])",
        literal(&exported.table.quoted()),
        exported.by_primary_key,
        secrets.join(", ")
    )
}

const KEYS: &str = "  \
  part record;
BEGIN
  FOR part IN
    WITH wanted (relation, by_primary_key, secrets) AS (
      VALUES
        TABLES
    ),
    needed AS (
      SELECT relation, a.attname::text AS name
        FROM wanted
        JOIN pg_index x ON x.indrelid = relation AND x.indisprimary
        JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = ANY (x.indkey::int2[])
       WHERE by_primary_key AND a.attname::text <> ALL (secrets)
      UNION SELECT relation, 'tableoid' FROM wanted JOIN pg_class c ON c.oid = relation WHERE c.relkind = 'p'
    )
    SELECT relation, string_agg(quote_ident(name), ', ') AS columns FROM needed GROUP BY relation
  LOOP
    EXECUTE format('GRANT SELECT (%s) ON TABLE %s TO %I', part.columns, part.relation, grantee);
  END LOOP;
END";

/// A string constant, whatever is in it.
fn literal(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// An anonymous block, in quotes that its body does not contain.
fn execute(text: &mut String, body: &str) {
    let mut tag = "$grants$".to_owned();
    while body.contains(&tag) {
        tag.insert(1, '_');
    }
    let _ = writeln!(text, "DO {tag}\n{body}\n{tag};\n");
}

fn comment(text: &mut String, line: &str) {
    let _ = writeln!(text, "{}", format!("-- {}", single_line(line)).trim_end());
}
