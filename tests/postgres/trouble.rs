//! What tests of refusals share: everything that a database holds as one text, and rules that must not run.

use std::collections::BTreeMap;

use privacy_operator::contract::{Problem, Reason, RunResult, WorkReport};
use serde_json::{Value, json};

use crate::harness::Trial;

/// Rows older than a week go.
pub fn age() -> Value {
    json!({"grounds": [{"name": "age", "from": ["at"], "for": "P7D"}], "action": "delete"})
}

/// Everything that the database holds: catalogue, and the rows of every table.
pub async fn fingerprint(trial: &Trial<'_>) -> BTreeMap<String, String> {
    let admin = trial.database.admin().await;
    let mut found = BTreeMap::new();
    let catalogue = "
        SELECT 'relations', md5(string_agg(concat_ws(' ', c.oid, c.relname, c.relkind, c.relnamespace, c.relacl), ',' ORDER BY c.oid))
          FROM pg_class c WHERE relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname LIKE 'pg\\_%')
        UNION ALL SELECT 'columns', md5(string_agg(concat_ws(' ', attrelid, attname, atttypid, attnotnull), ',' ORDER BY attrelid, attnum)) FROM pg_attribute
        UNION ALL SELECT 'functions', md5(string_agg(concat_ws(' ', oid, proname, prosrc), ',' ORDER BY oid)) FROM pg_proc
        UNION ALL SELECT 'triggers', count(*)::text FROM pg_trigger
        UNION ALL SELECT 'rights', rolsuper::text || rolcreaterole || rolbypassrls FROM pg_roles WHERE rolname = $1";
    for row in admin.query(catalogue, &[&trial.role]).await.unwrap() {
        found.insert(
            row.get::<_, String>(0),
            row.get::<_, Option<String>>(1).unwrap_or_default(),
        );
    }
    let tables =
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')";
    for row in admin.query(tables, &[]).await.unwrap() {
        let table: String = row.get(0);
        let rows =
            format!("SELECT count(*) || md5(coalesce(string_agg(x::text, ',' ORDER BY x::text), '')) FROM {table} x");
        found.insert(table, admin.query_one(&rows, &[]).await.unwrap().get(0));
    }
    found
}

/// A rule's problem: its reason and field, with a message that names the field and ends with the remedy.
pub fn problem_of<'a>(report: &'a WorkReport, index: usize, reason: Reason, field: &str) -> &'a Problem {
    let rule = &report.rules[index];
    let problem = rule
        .problem
        .as_ref()
        .unwrap_or_else(|| panic!("rule {index} has no problem, expected {reason:?} at {field}: {rule:?}"));
    assert_eq!((problem.reason, problem.field.as_str()), (reason, field), "{problem:?}");
    assert!(problem.message().starts_with(field), "{}", problem.message());
    assert!(problem.message().ends_with(reason.remedy()), "{}", problem.message());
    assert_eq!(rule.affected, 0, "{rule:?}");
    problem
}

/// The rules do not run: each has its problem, and the database is as before. `cases`: rule, reason, field after
/// `rules[name].`, and what the detail contains.
pub async fn refused(mut trial: Trial<'_>, cases: &[(Value, Reason, &str, &str)]) {
    let before = fingerprint(&trial).await;
    // Each by itself: a rule of which it cannot be told what it protects stops the others on its table.
    for (index, (rule, reason, field, detail)) in cases.iter().enumerate() {
        let mut rule = rule.clone();
        rule["name"] = json!(format!("rule-{index}"));
        trial = trial.rules(&[rule]);
        let report = trial.run().await;
        assert_eq!(report.result, RunResult::Failed, "{report:?}");
        let problem = problem_of(&report, 0, *reason, &format!("rules[rule-{index}].{field}"));
        assert!(
            problem.detail.contains(detail),
            "{detail:?} is not in {:?}",
            problem.detail
        );
    }
    assert_eq!(before, fingerprint(&trial).await);
}
