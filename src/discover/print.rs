//! Writes a catalogue down as YAML: what a person should check stands in comments.

use std::fmt::Write as _;

use super::catalogue::{Catalogue, Column, ForeignKey, OnDelete, Origin, Table, Transport};
use super::category::guess;
use super::choose::{Choice, Dataset, MOST_DATASETS};
use super::subjects;
use super::yaml::{label, scalar};
use crate::domain::comment::single_line;
use crate::domain::identifier::Identifier;

/// Most fields that a dataset takes.
const MOST_FIELDS: usize = 256;

/// Most lines of one kind in the comment on a table.
const MOST_LINES: usize = 20;

/// Zone that is written where a column has none, to be checked by a person.
const ZONE: &str = "Etc/UTC";

/// The whole text.
#[must_use]
pub fn document(catalogue: &Catalogue, choice: &Choice<'_>, origin: &Origin) -> String {
    let name = label(&catalogue.database, 50);
    let mut text = String::new();
    comment(
        &mut text,
        0,
        &format!(
            "Database {}, PostgreSQL {}, as its catalogue describes it.",
            catalogue.database, catalogue.server_version
        ),
    );
    comment(
        &mut text,
        0,
        "A draft: every category is guessed from names and types. Check it, and add what no name gives away. Tables",
    );
    comment(
        &mut text,
        0,
        "without personal data go from datasets to survey.withoutPersonalData: [schema.table].",
    );
    text.push_str("apiVersion: privacy-operator.dev/v1alpha1\nkind: DataSource\n");
    let _ = writeln!(text, "metadata:\n  name: {}", scalar(&name));
    text.push_str("spec:\n");
    postgres(&mut text, &name, catalogue, origin);
    text.push_str("  datasets:\n");
    for dataset in &choice.datasets {
        print_dataset(&mut text, dataset, &choice.datasets);
    }
    remainder(&mut text, choice);
    policy(&mut text, &name, choice);
    text
}

fn postgres(text: &mut String, name: &str, catalogue: &Catalogue, origin: &Origin) {
    text.push_str("  postgres:\n");
    match &origin.host {
        None => {
            comment(
                text,
                4,
                "check: read over a socket; write the name by which pods reach the server",
            );
            let _ = writeln!(text, "    host: {name}.example.svc");
        }
        Some(host) if host == "localhost" || host.starts_with("127.") || host == "::1" => {
            comment(
                text,
                4,
                "check: this is the machine where discover ran; write the name by which pods reach the server",
            );
            let _ = writeln!(text, "    host: {}", scalar(host));
        }
        Some(host) => {
            let _ = writeln!(text, "    host: {}", scalar(host));
        }
    }
    let _ = writeln!(
        text,
        "    port: {}\n    database: {}",
        origin.port,
        scalar(&catalogue.database)
    );
    if origin.transport == Transport::Clear {
        text.push_str("    tls:\n");
        comment(
            text,
            6,
            "check: read without TLS; passwords and personal data cross the network in clear. Better: mode: VerifyFull",
        );
        text.push_str("      mode: Disable\n");
    } else {
        let _ = writeln!(text, "    tls:\n      mode: VerifyFull\n      caSecretRef:");
        comment(
            text,
            8,
            &format!("kubectl create secret generic {name}-ca --from-file=ca.crt=FILE"),
        );
        let _ = writeln!(text, "        name: {name}-ca\n        key: ca.crt");
    }
    text.push_str("    credentialsSecretRef:\n");
    comment(
        text,
        6,
        "keys username and password; privacy-operator grants FILES prints the SQL of the role",
    );
    let _ = writeln!(text, "      name: {name}-retention");
    text.push_str(
        "  survey:  # looks whether this declaration is still true; writes nothing\n    schedule: \"7 * * * *\"\n",
    );
}

fn print_dataset(text: &mut String, dataset: &Dataset<'_>, all: &[Dataset<'_>]) {
    let table = dataset.table;
    let _ = writeln!(text, "  - name: {}", scalar(&dataset.name));
    let _ = writeln!(text, "    table: {}", scalar(&qualified(&table.schema, &table.name)));
    facts(text, table);
    obstacles(text, table);
    start_events(text, table);
    subjects::print(text, dataset, all);
    fields(text, table);
}

fn facts(text: &mut String, table: &Table) {
    let rows = table.rows.map_or_else(
        || "rows unknown (run ANALYZE)".to_owned(),
        |rows| format!("about {rows:.0} rows"),
    );
    let partitions = if table.partitioned { ", partitioned" } else { "" };
    let key = match table.primary_key.as_slice() {
        [] => "no primary key".to_owned(),
        columns => format!("primary key {}", columns.join(", ")),
    };
    comment(text, 4, &format!("{rows}{partitions}, {key}"));
    let keys = table
        .foreign_keys
        .iter()
        .map(|key| format!("foreign key {} -> {}", key.from.join(", "), place(key, &key.to)));
    lines(text, keys);
    let kept = table
        .referenced_by
        .iter()
        .filter(|key| key.on_delete == OnDelete::Refuse);
    lines(
        text,
        kept.map(|key| format!("a row stays while one of {} points at it", place(key, &key.from))),
    );
}

fn place(key: &ForeignKey, columns: &[String]) -> String {
    format!("{}.{} ({})", key.other.0, key.other.1, columns.join(", "))
}

fn obstacles(text: &mut String, table: &Table) {
    if table.row_security {
        comment(
            text,
            4,
            "STOPS every rule: row-level security; the role of the worker needs BYPASSRLS",
        );
    }
    lines(
        text,
        table
            .delete_obstacles()
            .into_iter()
            .map(|what| format!("STOPS a delete rule: {what}")),
    );
    lines(
        text,
        table
            .update_obstacles()
            .into_iter()
            .map(|what| format!("STOPS a mask or set rule: {what}")),
    );
}

fn start_events(text: &mut String, table: &Table) {
    let times: Vec<String> = table
        .columns
        .iter()
        .filter(|column| column.kind.is_time())
        .map(|column| {
            let index = if column.indexed {
                "an index leads with it"
            } else {
                "no index leads with it"
            };
            format!("possible start event: {} ({}; {index})", column.name, column.type_name)
        })
        .collect();
    if times.is_empty() {
        comment(text, 4, "no time column: no period can begin here");
    }
    lines(text, times.into_iter());
}

fn fields(text: &mut String, table: &Table) {
    // Every column is named, also where nothing is known of it: what is not named is told as drift by the survey. Where
    // there are too many, those of which something is known come first.
    let is_known = |column: &&Column| column.kind.needs_zone() || guess(&table.name, column).is_some();
    let (mut declarable, nameless): (Vec<&Column>, Vec<&Column>) = table
        .columns
        .iter()
        .partition(|column| Identifier::parse(&column.name).is_ok());
    if declarable.len() > MOST_FIELDS {
        declarable.sort_by_key(|column| !is_known(column));
    }
    lines(
        text,
        nameless
            .iter()
            .map(|column| format!("not to be named in a policy: column {}", column.name)),
    );
    if declarable.len() > MOST_FIELDS {
        comment(
            text,
            4,
            &format!(
                "only {MOST_FIELDS} of {} fields: a DataSource takes no more",
                declarable.len()
            ),
        );
    }
    if !declarable.is_empty() {
        text.push_str("    fields:\n");
    }
    for column in declarable.into_iter().take(MOST_FIELDS) {
        let _ = writeln!(text, "    - column: {}", scalar(&column.name));
        if let Some(category) = guess(&table.name, column) {
            let _ = writeln!(text, "      category: {category}  # guessed from the name: check");
            if category == "user.authorization.credentials" {
                text.push_str("      secret: true  # no export contains it\n");
            }
        }
        if column.kind.needs_zone() {
            let _ = writeln!(
                text,
                "      timeZone: {ZONE}  # check: {} has no zone of its own; in which one is it written?",
                single_line(&column.type_name)
            );
        }
    }
}

fn remainder(text: &mut String, choice: &Choice<'_>) {
    if !choice.left_out.is_empty() {
        comment(
            text,
            2,
            &format!(
                "A DataSource takes {MOST_DATASETS} datasets. These tables were left out, which seemed to matter least:"
            ),
        );
        for table in &choice.left_out {
            comment(text, 2, &format!("  {}", qualified(&table.schema, &table.name)));
        }
    }
    if !choice.unsupported.is_empty() {
        comment(text, 2, "No policy can be about these:");
        for relation in &choice.unsupported {
            comment(
                text,
                2,
                &format!("  {}: {}", qualified(&relation.schema, &relation.name), relation.what),
            );
        }
    }
}

/// A first policy in comments. From the line `# ---` on it is YAML once the first two characters of each line are gone.
fn policy(text: &mut String, source: &str, choice: &Choice<'_>) {
    let Some((index, column)) = choice.start else {
        comment(
            text,
            0,
            "No table has a time column, so that no period can be counted: there is no policy to suggest.",
        );
        return;
    };
    let dataset = &choice.datasets[index];
    text.push_str(
        "#\n# A first policy, on the table and the start event that seem most plausible. It observes: it counts and writes nothing.\n\
         # To use it, correct the lines marked with check and take the leading \"# \" off, from the next line on.\n",
    );
    let obstacles = dataset.table.delete_obstacles().into_iter();
    for what in obstacles.take(MOST_LINES) {
        comment(text, 0, &format!("But first: {what}. That stops a delete rule."));
    }
    let mut lines = String::from("---\napiVersion: privacy-operator.dev/v1alpha1\nkind: DataRetentionPolicy\n");
    let name = label(&format!("{source}-{}", dataset.name), 52);
    let zone = "# check: calendar periods and the schedule are counted in it";
    let promise = "# check: the period that your privacy policy promises";
    let _ = write!(
        lines,
        "metadata:\n  name: {}\nspec:\n  dataSourceRef:\n    name: {}\n  schedule: \"23 * * * *\"\n  timeZone: {ZONE}  {zone}\n  \
         mode: Observe\n  rules:\n  - name: {rule}\n    dataset: {rule}\n    keepWhile:\n    - name: age\n      from: {}  \
         # check: is this when the period begins?\n      for: P1Y  {promise}\n    then:\n      delete: {{}}\n",
        scalar(&name),
        scalar(source),
        scalar(&column.name),
        rule = scalar(&dataset.name),
    );
    for line in lines.lines() {
        let _ = writeln!(text, "# {line}");
    }
}

/// `schema.table`, each part in double quotes where it needs them.
fn qualified(schema: &str, name: &str) -> String {
    let part = |part: &str| {
        if part.contains(['.', '"']) {
            format!("\"{}\"", part.replace('"', "\"\""))
        } else {
            part.to_owned()
        }
    };
    format!("{}.{}", part(schema), part(name))
}

/// A comment a line, as many as a person would read.
fn lines(text: &mut String, all: impl Iterator<Item = String>) {
    let all: Vec<String> = all.collect();
    for line in all.iter().take(MOST_LINES) {
        comment(text, 4, line);
    }
    if all.len() > MOST_LINES {
        comment(
            text,
            4,
            &format!("... and {} more of this kind", all.len() - MOST_LINES),
        );
    }
}

fn comment(text: &mut String, indent: usize, line: &str) {
    let _ = writeln!(text, "{}# {}", " ".repeat(indent), single_line(line));
}
