//! Masks that pseudonymise. The key never reaches the store, whose log may keep every statement: values are read, hashed
//! here, and the hashes are written in the same transaction, while the rows are locked. No value goes back to the store: in
//! its log it would stand beside its pseudonym.

use std::path::PathBuf;

use futures::TryStreamExt as _;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};

use super::catalogue::{Column, Kind};
use super::disposal::{self, writable};
use super::export::secret;
use super::hash_key::HashKey;
use super::judge::{Judge, row};
use super::sql::{Parameter, Sql};
use super::survey;
use super::sweep::Fault;
use super::two_step::{Keys, place};
use crate::contract::{Level, Mask, Problem, Reason, SecretKeyReference};
use crate::domain::pseudonym::{self, KEY_ID_BYTES, LENGTH, PATTERN};

/// So many rows are read and written at a time, so that values and places never take much memory.
pub const CHUNK: usize = 1000;

/// Where the keys of masks are: a directory for each Secret, in it a file for each key.
#[derive(Debug, Clone)]
pub struct MaskKeys {
    /// None: by hand, and nobody named one.
    pub directory: Option<PathBuf>,
}

impl MaskKeys {
    fn of_secret(&self, key: &SecretKeyReference) -> Option<PathBuf> {
        let is_name = !key.name.contains('/') && !key.name.starts_with('.');
        self.directory
            .as_deref()
            .filter(|_| is_name)
            .map(|all| all.join(&key.name))
    }

    /// Reads the key of each mask of the rule that pseudonymises. Without all of them the rule writes nothing.
    pub fn of_rule(&self, judge: &Judge<'_>) -> Result<Vec<HashKey>, Problem> {
        let read = |(mask, key): (&Mask, &SecretKeyReference)| {
            let field = judge.field(&format!("then.mask[{}].keySecretRef", mask.column));
            let Some(directory) = self.of_secret(key) else {
                let detail = format!(
                    "key {} of Secret {} is not here: name --keys DIRECTORY",
                    key.key, key.name
                );
                return Err(Problem::new(Reason::MissingSecret, field, detail));
            };
            HashKey::read(&directory, &key.name, &key.key, &field).map_err(|problem| match problem.reason {
                Reason::MissingSecret => Problem {
                    detail: format!(
                        "{}: if the key was destroyed, put a new one there (old and new pseudonyms of one value then differ), or mask with Nullify",
                        problem.detail
                    ),
                    ..problem
                },
                _ => problem,
            })
        };
        judge.rule.action.pseudonyms().map(read).collect()
    }

    /// Some key of the rule is where it was. None: nobody knows where that is.
    fn are_there(&self, judge: &Judge<'_>) -> Option<bool> {
        let is_there =
            |(_, key): (&Mask, &SecretKeyReference)| Some(secret::optional(&self.of_secret(key)?, &key.key).is_some());
        let all: Option<Vec<bool>> = judge.rule.action.pseudonyms().map(is_there).collect();
        Some(all?.contains(&true))
    }

    /// How far the rows are that a rule disposed of which has nothing left to do.
    pub async fn level(&self, client: &Client, judge: &Judge<'_>) -> Result<Option<Level>, Fault> {
        let level = judge.rule.action.level();
        if level != Some(Level::Pseudonymised) {
            return Ok(level);
        }
        match self.are_there(judge) {
            None => return Ok(None),
            Some(true) => return Ok(level),
            Some(false) => {}
        }
        // A key that nothing was ever pseudonymised with was not destroyed: nobody has made it yet.
        match has_pseudonyms(client, judge).await {
            Ok(some) => Ok(some.then_some(Level::KeyDestroyed)),
            Err(Fault::Lost(problem)) => Err(Fault::Lost(problem)),
            // What cannot be told is no reason to fail a run that did its work.
            Err(_) => Ok(None),
        }
    }
}

/// Some row that the rule is about holds a pseudonym, of whatever key.
async fn has_pseudonyms(client: &Client, judge: &Judge<'_>) -> Result<bool, Fault> {
    let fault = |error: Error| Fault::of(&error, judge);
    let mut sql = Sql::new(&format!(
        "SELECT EXISTS (SELECT FROM {} AS t WHERE ",
        judge.table.name.quoted()
    ));
    judge.covered(&mut sql)?;
    let masks: Vec<&Mask> = judge.rule.action.pseudonyms().map(|(mask, _)| mask).collect();
    sql.push(" AND ");
    sql.join(" OR ", "false", &masks, |sql, _, mask| {
        sql.push(&format!("{} ~ '{PATTERN}'", text(&mask.column)));
        Ok::<_, Problem>(())
    })?;
    sql.push(")");
    survey::timeout(client, survey::COUNT_TIMEOUT).await.map_err(fault)?;
    let found = client.query_typed_one(&sql.text, &sql.values()).await;
    survey::timeout(client, survey::USUAL_TIMEOUT).await.map_err(fault)?;
    Ok(found.map_err(fault)?.get(0))
}

/// The column as bytes, whatever its collation takes for equal.
fn text(column: &str) -> String {
    format!("{}::text COLLATE \"C\"", row(column))
}

/// The column can hold a pseudonym.
fn check<'a>(judge: &'a Judge<'_>, mask: &Mask) -> Result<&'a Column, Problem> {
    let field = judge.field(&format!("then.mask[{}]", mask.column));
    let column = writable(judge, &mask.column, &field)?;
    let detail = match column.length {
        _ if column.kind != Kind::Text => format!("column {} is of type {}", mask.column, column.cast),
        Some(length) if length < LENGTH => {
            format!(
                "column {} takes {length} characters, and a pseudonym has {LENGTH}",
                mask.column
            )
        }
        _ => return Ok(column),
    };
    Err(Problem::new(Reason::NoRoomForPseudonym, field, detail))
}

/// The column holds a value that is no pseudonym.
pub fn undone(sql: &mut Sql, judge: &Judge<'_>, mask: &Mask) -> Result<(), Problem> {
    check(judge, mask)?;
    let column = text(&mask.column);
    sql.push(&format!("({column} IS NOT NULL AND {column} !~ '{PATTERN}')"));
    Ok(())
}

/// What a statement assigns to the column: the pseudonym that was computed for the row, if one was.
pub fn assigned(sql: &mut Sql, judge: &Judge<'_>, mask: &Mask) -> Result<(), Problem> {
    check(judge, mask)?;
    let mut masks = judge.rule.action.pseudonyms();
    let number = masks.position(|(other, _)| other.column == mask.column);
    let number = number.ok_or_else(|| {
        let field = judge.field(&format!("then.mask[{}].keySecretRef", mask.column));
        Problem::new(Reason::InvalidPlan, field, "a mask that pseudonymises names no key")
    })?;
    sql.push(&format!("coalesce(v.m{number}, {}::text)", row(&mask.column)));
    Ok(())
}

/// The places of rows and the pseudonyms that were computed for them, as a table `v`. These lists are the first parameters
/// of the statement.
pub fn from_computed(sql: &mut Sql, judge: &Judge<'_>) {
    let masks = judge.rule.action.pseudonyms().count();
    if masks == 0 {
        return;
    }
    let part = if judge.table.partitioned { "::int8[]" } else { "" };
    let mut columns = vec![("place".to_owned(), "::tid[]"), ("part".to_owned(), part)];
    columns.extend((0..masks).map(|number| (format!("m{number}"), "")));
    for (index, (_, cast)) in columns.iter().enumerate() {
        sql.push(if index == 0 { " FROM unnest(" } else { ", " });
        sql.bind(Parameter::Texts(Vec::new()));
        sql.push(&format!("::text[]{cast}"));
    }
    let names: Vec<String> = columns.into_iter().map(|(name, _)| name).collect();
    sql.push(&format!(") AS v ({})", names.join(", ")));
}

/// The row lies where one lies for which pseudonyms were computed.
pub fn tie_to_computed(sql: &mut Sql, judge: &Judge<'_>) {
    if judge.rule.action.pseudonyms().next().is_some() {
        sql.push("t.ctid = v.place AND ");
    }
}

/// The predicate of the statement that writes. A CASE hides it from the planner: along an index it would go through many rows
/// for each place, while each place leads to its row. Of partitions only that of the place is asked.
pub fn asked_of_place(judge: &Judge<'_>, predicate: &str) -> String {
    let is_it = if judge.table.partitioned {
        "t.tableoid::int8 = v.part"
    } else {
        "v.place IS NOT NULL"
    };
    format!("CASE WHEN {is_it} THEN {predicate} ELSE false END")
}

/// How the rows of a rule are pseudonymised once they are locked.
pub struct Pseudonymise {
    keys: Vec<(String, HashKey)>,
    /// Places and values of those that are still due.
    read: Statement,
}

impl Pseudonymise {
    /// `predicate` is that of the statement which writes, and that a row is at one of the places that are bound last.
    pub async fn new(
        client: &Client,
        judge: &Judge<'_>,
        keys: &[HashKey],
        predicate: &str,
    ) -> Result<Option<Self>, Fault> {
        let masks: Vec<&Mask> = judge.rule.action.pseudonyms().map(|(mask, _)| mask).collect();
        if masks.is_empty() {
            return Ok(None);
        }
        let table = judge.table.name.quoted();
        let mut sql = Sql::new(&format!("SELECT {}", place(judge.table.partitioned)));
        for mask in masks {
            sql.push(", CASE WHEN ");
            undone(&mut sql, judge, mask)?;
            // As bytes: a server that knows no encoding may hold what is no text, and says so by a code of its own.
            sql.push(&format!(" THEN convert_to({}::text, 'UTF8') END", row(&mask.column)));
        }
        let mentioned = disposal::mentioned(&disposal::head(judge)?);
        sql.push(&format!(" FROM {table} AS t WHERE {predicate}{mentioned}"));
        let read = client.prepare(&sql.text).await;
        Ok(Some(Self {
            keys: keys.iter().map(|key| (key.id(KEY_ID_BYTES), key.clone())).collect(),
            read: read.map_err(|error| Fault::of(&error, judge))?,
        }))
    }

    /// Reads, computes and writes, in the transaction that holds the locks. `parameters` are those of the statement that
    /// writes, without the places.
    pub async fn execute(
        &self,
        client: &Client,
        write: &Statement,
        locked: &Keys,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Error> {
        let mut rows = 0;
        for (places, parts) in locked.0.chunks(CHUNK).zip(locked.1.chunks(CHUNK)) {
            let chunk: Keys = (places.to_vec(), parts.to_vec());
            let computed = self.compute(client, &chunk, parameters).await?;
            if computed.places.0.is_empty() {
                continue;
            }
            let mut values = parameters.to_vec();
            values[0] = &computed.places.0;
            values[1] = &computed.places.1;
            for (number, pseudonyms) in computed.pseudonyms.iter().enumerate() {
                values[2 + number] = pseudonyms;
            }
            values.extend([&chunk.0 as &(dyn ToSql + Sync), &chunk.1]);
            rows += client.execute(write, &values).await?;
        }
        Ok(rows)
    }

    async fn compute(
        &self,
        client: &Client,
        chunk: &Keys,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Computed, Error> {
        let mut values = parameters.to_vec();
        values.extend([&chunk.0 as &(dyn ToSql + Sync), &chunk.1]);
        let mut computed = Computed {
            places: Keys::default(),
            pseudonyms: vec![Vec::new(); self.keys.len()],
        };
        // One row at a time: its values are dropped with it.
        let found = client.query_raw(&self.read, values).await?;
        let mut found = std::pin::pin!(found);
        while let Some(row) = found.try_next().await? {
            computed.places.0.push(row.get(0));
            computed.places.1.push(row.get(1));
            for (number, ((id, key), column)) in self.keys.iter().zip(&mut computed.pseudonyms).enumerate() {
                let value: Option<&[u8]> = row.get(2 + number);
                column.push(value.map(|value| pseudonym::written(id, &key.digest(value))));
            }
        }
        Ok(computed)
    }
}

/// Rows by their places, and what becomes of each column of theirs; none: it stays.
struct Computed {
    places: Keys,
    pseudonyms: Vec<Vec<Option<String>>>,
}
