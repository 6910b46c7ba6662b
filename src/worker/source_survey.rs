//! The survey of a store: whether the declaration is still true, and what can be told of it by looking. It reads the
//! catalogue, and of columns with hashes two counts. It writes nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connection::{StoreError, connect};
use super::judge::quoted;
use super::session::{self, Access};
use super::{Settings, read_access, silence_panics};
use crate::contract::survey::{
    FoundDataset, FoundHash, Names, PlannedDataset, PlannedHash, SurveyPlan, SurveyReport, VERSION,
};
use crate::contract::{EXIT_CONFIGURATION, EXIT_OK, EXIT_TRANSIENT, Problem, Reason};
use crate::domain::hash;

/// A count of one column's hashes reads its whole table.
const SESSION: &[(&str, &str)] = &[
    ("default_transaction_read_only", "on"),
    ("statement_timeout", "5min"),
    ("enable_seqscan", "on"),
];

const OLDEST_SERVER: i32 = 140_000;

const FACTS_SQL: &str = "
SELECT current_setting('server_version_num')::int4, current_setting('server_version'),
       (SELECT s.version FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid() AND s.ssl)";

/// The planner's estimate; of a partitioned table the sum of its leaves, where each was analysed once.
const TABLE_SQL: &str = "
SELECT c.oid::int8,
       (SELECT CASE WHEN bool_and(leaf.reltuples >= 0) THEN sum(leaf.reltuples)::float8 END
          FROM (SELECT relid::oid AS oid FROM pg_partition_tree(c.oid) WHERE isleaf
                 UNION SELECT c.oid WHERE c.relkind <> 'p') f
          JOIN pg_class leaf ON leaf.oid = f.oid)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";

const COLUMNS_SQL: &str = "
SELECT a.attname::text FROM pg_attribute a
 WHERE a.attrelid = $1::int8::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

const TABLES_SQL: &str = "
SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition ORDER BY 1, 2";

/// Executes the plan and reports.
pub async fn main(settings: Settings, now: fn() -> Timestamp) -> ExitCode {
    silence_panics();
    let report = execute(&settings, now).await;
    super::publish_text(&settings, &report.to_termination_message(), &report);
    ExitCode::from(match &report.problem {
        None => EXIT_OK,
        Some(problem) if problem.reason.is_permanent() => EXIT_CONFIGURATION,
        Some(_) => EXIT_TRANSIENT,
    })
}

/// Executes the plan.
pub async fn execute(settings: &Settings, now: fn() -> Timestamp) -> SurveyReport {
    let mut report = SurveyReport {
        version: VERSION,
        plan_hash: String::new(),
        finished_at: now(),
        server_version: None,
        tls: None,
        datasets: Vec::new(),
        undeclared_tables: Names::default(),
        hashed: Vec::new(),
        problem: None,
    };
    report.problem = match read_plan(&settings.plan) {
        Ok((plan, plan_hash)) => {
            report.plan_hash = plan_hash;
            let access = read_access(settings, &plan.store, &plan.credentials_secret);
            match access {
                Ok(access) => survey(&plan, &access, &mut report).await.err(),
                Err(problem) => Some(problem),
            }
        }
        Err(problem) => Some(problem),
    };
    report.finished_at = now();
    report
}

fn read_plan(path: &Path) -> Result<(SurveyPlan, String), Problem> {
    let invalid = |detail: &str| Problem::new(Reason::InvalidPlan, "", detail);
    let bytes = std::fs::read(path).map_err(|_| invalid("the survey plan cannot be read"))?;
    let plan: SurveyPlan =
        serde_json::from_slice(&bytes).map_err(|_| invalid("the survey plan cannot be understood"))?;
    if plan.version != VERSION {
        return Err(invalid("the survey plan is of another version"));
    }
    Ok((plan, hash::short(&bytes)))
}

async fn survey(plan: &SurveyPlan, access: &Access, report: &mut SurveyReport) -> Result<(), Problem> {
    let client = connect(&plan.store, &access.credentials, access.ca.as_deref(), &access.run).await?;
    let stripped = |error: tokio_postgres::Error| StoreError::of(&error).problem("postgres");
    for (name, value) in SESSION {
        session::set(&client, name, value).await.map_err(stripped)?;
    }
    let facts = client.query_typed_one(FACTS_SQL, &[]).await.map_err(stripped)?;
    let (number, version): (i32, String) = (facts.get(0), facts.get(1));
    // `15.13 (Debian 15.13-0+deb12u1)`: the packager is of no interest.
    let version = version.split(char::is_whitespace).next().unwrap_or_default().to_owned();
    report.tls = facts.get(2);
    report.server_version = Some(version.clone());
    if number < OLDEST_SERVER {
        let detail = format!("the server is version {version}");
        return Err(Problem::new(Reason::UnsupportedServer, "postgres.host", detail));
    }
    for dataset in &plan.datasets {
        report.datasets.push(look_at(&client, dataset).await.map_err(stripped)?);
    }
    report.undeclared_tables = undeclared_tables(&client, plan).await.map_err(stripped)?;
    for hashed in &plan.hashed {
        report.hashed.push(count_hashes(&client, plan, hashed).await);
    }
    Ok(())
}

async fn look_at(client: &Client, dataset: &PlannedDataset) -> Result<FoundDataset, tokio_postgres::Error> {
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&dataset.schema, Type::TEXT), (&dataset.table, Type::TEXT)];
    let Some(row) = client.query_typed_opt(TABLE_SQL, &parameters).await? else {
        return Ok(FoundDataset {
            missing: true,
            ..FoundDataset::default()
        });
    };
    let (oid, rows): (i64, Option<f64>) = (row.get(0), row.get(1));
    let live: Vec<String> = client
        .query_typed(COLUMNS_SQL, &[(&oid, Type::INT8)])
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect();
    let undeclared = live.iter().filter(|column| !dataset.columns.contains(column));
    let vanished = dataset.columns.iter().filter(|column| !live.contains(column));
    Ok(FoundDataset {
        missing: false,
        #[allow(
            clippy::cast_possible_truncation,
            reason = "an estimate; far below the limits of i64"
        )]
        rows: rows.map(|rows| rows.max(0.0).round() as i64),
        undeclared: Names::of(undeclared.cloned().collect()),
        vanished: Names::of(vanished.cloned().collect()),
    })
}

async fn undeclared_tables(client: &Client, plan: &SurveyPlan) -> Result<Names, tokio_postgres::Error> {
    let schemas: BTreeSet<&str> = plan.datasets.iter().map(|dataset| dataset.schema.as_str()).collect();
    let schemas: Vec<&str> = schemas.into_iter().collect();
    let rows = client.query_typed(TABLES_SQL, &[(&schemas, Type::TEXT_ARRAY)]).await?;
    let is_known = |schema: &str, table: &str| {
        let declared = |dataset: &PlannedDataset| dataset.schema == schema && dataset.table == table;
        let looked_at = |(known, name): &(String, String)| known == schema && name == table;
        plan.datasets.iter().any(declared) || plan.without_personal_data.iter().any(looked_at)
    };
    let all = rows.iter().filter_map(|row| {
        let (schema, table): (&str, &str) = (row.get(0), row.get(1));
        (!is_known(schema, table)).then(|| format!("{schema}.{table}"))
    });
    Ok(Names::of(all.collect()))
}

/// Counts the values that are there, and those among them that do not have the form. The values stay in the store.
async fn count_hashes(client: &Client, plan: &SurveyPlan, hashed: &PlannedHash) -> FoundHash {
    let field = format!("fields[{}]", hashed.column);
    let problem = |problem: Problem| FoundHash {
        problem: Some(problem),
        ..FoundHash::default()
    };
    let (Some(dataset), Some(pattern)) = (plan.datasets.get(hashed.dataset), pattern(&hashed.scheme)) else {
        return problem(Problem::new(
            Reason::InvalidPlan,
            field,
            "the column cannot be looked up",
        ));
    };
    let column = quoted(&hashed.column);
    let sql = format!(
        "SELECT count(v)::int8, count(*) FILTER (WHERE v OPERATOR(pg_catalog.!~) $1)::int8 \
           FROM (SELECT {column}::text AS v FROM {}.{}) t",
        quoted(&dataset.schema),
        quoted(&dataset.table)
    );
    match client.query_typed_one(&sql, &[(&pattern, Type::TEXT)]).await {
        Ok(row) => FoundHash {
            checked: Some(row.get(0)),
            others: Some(row.get(1)),
            problem: None,
        },
        Err(error) => problem(StoreError::of(&error).problem(&field)),
    }
}

/// The form of a hash, as a regular expression of PostgreSQL.
fn pattern(scheme: &str) -> Option<&'static str> {
    Some(match scheme {
        "bcrypt" => r"^\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{53}$",
        "argon2" => {
            r"^\$argon2(id|i|d)\$(v=[0-9]+\$)?m=[0-9]+,t=[0-9]+,p=[0-9]+\$[A-Za-z0-9+/]{8,}\$[A-Za-z0-9+/]{16,}$"
        }
        "scrypt" => {
            r"^(\$scrypt\$ln=[0-9]+,r=[0-9]+,p=[0-9]+\$[A-Za-z0-9+/]{8,}\$[A-Za-z0-9+/]{16,}|\$7\$[./A-Za-z0-9]{11,}\$[./A-Za-z0-9]{43})$"
        }
        "pbkdf2" => {
            r"^(\$pbkdf2(-sha[0-9]+)?\$[^$]+\$[./A-Za-z0-9+]+\$[./A-Za-z0-9+]{16,}|pbkdf2_sha[0-9]+\$[0-9]+\$[^$]+\$[A-Za-z0-9+/]{16,}=*)$"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::survey::HashScheme;

    #[test]
    fn every_scheme_of_the_api_has_a_form() {
        for scheme in [
            HashScheme::Bcrypt,
            HashScheme::Argon2,
            HashScheme::Scrypt,
            HashScheme::Pbkdf2,
        ] {
            let name = serde_json::to_value(scheme).unwrap();
            assert!(pattern(name.as_str().unwrap()).is_some(), "{name}");
        }
        assert!(pattern("md5").is_none());
    }
}
