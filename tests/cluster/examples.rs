//! The five examples in a cluster, as of now: their own tables, stores and policies, applied with kubectl. What must happen
//! at other instants is in tests/promises.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cluster::{Place, root, together};

/// Folder, its SQL, and its files with one store and its policies.
const EXAMPLES: &[(&str, &[&str], &[&str])] = &[
    ("kubermatic", &["schema.sql"], &["datasource.yaml", "retention.yaml"]),
    ("ranching-farm", &["schema.sql"], &["datasource.yaml", "retention.yaml"]),
    ("banzai-cloud", &["schema.sql"], &["datasource.yaml", "retention.yaml"]),
    ("cloudwerk", &["schema.sql"], &["datasource.yaml", "retention.yaml"]),
    ("kirim-email", &["schema.sql"], &["datasource.yaml", "policy.yaml"]),
];

/// `table key`, of all tables, in psql's words.
const KEYS: &str = "SELECT string_agg(format('SELECT %L || '' '' || id FROM %I', tablename, tablename), ' UNION ALL ') || ' ORDER BY 1'
    FROM pg_tables WHERE schemaname = 'public'";

fn keys(place: &Place) -> BTreeSet<String> {
    let query = place.sql(KEYS);
    place.sql(&query).lines().map(str::to_owned).collect()
}

fn text(folder: &str, file: &str) -> String {
    std::fs::read_to_string(root().join("examples").join(folder).join(file)).unwrap()
}

#[test]
fn the_examples_remove_exactly_the_due_rows_as_of_now() {
    let _guard = together();
    for (folder, schema, files) in EXAMPLES {
        let sql: Vec<String> = schema
            .iter()
            .chain(&["proof/now.sql"])
            .map(|file| text(folder, file))
            .collect();
        let place = Place::new(folder, &sql.join("\n"));
        let documents: Vec<Value> = files
            .iter()
            .flat_map(|file| serde_saphyr::from_multiple::<Value>(&text(folder, file)).unwrap())
            .collect();
        let of_kind = |kind: &str| documents.iter().find(|document| document["kind"] == kind).unwrap();
        let source = place.source(&of_kind("DataSource")["spec"]["datasets"]);
        let policies: Vec<Value> = documents
            .iter()
            .filter(|document| document["kind"] == "DataRetentionPolicy")
            .map(|document| enforced(&place, document))
            .collect();
        let mut manifests = vec![&source];
        manifests.extend(&policies);
        place.grant(&manifests);
        place.apply(&source);
        let before = keys(&place);
        let expected: BTreeSet<String> = before.iter().filter(|key| !key.contains(" -")).cloned().collect();
        assert!(
            expected.len() < before.len() && !expected.is_empty(),
            "{folder}: {before:?}"
        );
        for policy in &policies {
            place.apply(policy);
        }
        for policy in &policies {
            place.wait_first_look(policy["metadata"]["name"].as_str().unwrap());
        }
        // What one rule frees for another may go in the run after.
        for _ in 0..2 {
            if keys(&place) != expected {
                run_all(&place, &policies);
            }
        }
        assert_eq!(keys(&place), expected, "{folder}");
        for kind in ["drp", "datasources", "jobs", "configmaps", "events"] {
            let everything = place.kubectl(&["get", kind, "-o", "json"]);
            assert!(!everything.contains("canary-examples"), "{folder}: {kind}");
        }
    }
}

fn run_all(place: &Place, policies: &[Value]) {
    for policy in policies {
        let done = place.run_now(policy["metadata"]["name"].as_str().unwrap());
        let result = &done["status"]["lastResult"];
        assert!(*result == "Done" || *result == "NothingDue", "{done}");
    }
}

/// The policy of the example, in the place and to be enforced.
fn enforced(place: &Place, document: &Value) -> Value {
    let mut policy = document.clone();
    policy["metadata"] = json!({"name": document["metadata"]["name"], "namespace": place.namespace});
    policy["spec"]["dataSourceRef"] = json!({"name": "db"});
    policy["spec"]["mode"] = json!("Enforce");
    policy
}
