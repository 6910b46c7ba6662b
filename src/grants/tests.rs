//! What the files need is what is granted, and what is wrong with them is named.

use super::*;

const SOURCE: &str = "
apiVersion: privacy-operator.dev/v1alpha1
kind: DataSource
metadata: {name: shop, namespace: shop}
spec:
  postgres: {host: db.shop.svc, database: shop, tls: {mode: Disable}, credentialsSecretRef: {name: shop-role}}
  datasets:
  - {name: logs, table: public.logs}
  - {name: users, table: crm.users}
";

const POLICY: &str = "
apiVersion: privacy-operator.dev/v1alpha1
kind: DataRetentionPolicy
metadata: {name: logs, namespace: shop}
spec:
  dataSourceRef: {name: shop}
  schedule: '23 * * * *'
  mode: Enforce
  rules:
  - name: old
    dataset: logs
    rows: [{column: level, operator: NotIn, values: [audit]}]
    keepWhile:
    - name: age
      when: [{column: seen_at, operator: Before, otherColumn: closed_at}]
      from: at
      fromFallback: [created_at]
      for: P7D
      until: [ended_at]
    then: {delete: {}}
  - {name: addresses, dataset: logs, always: {}, then: {mask: [{column: ip, strategy: TruncateIp}]}}
  - {name: duty, dataset: users, keepWhile: [{name: law, from: paid_at, for: P10Y, bound: Minimum}]}
";

fn read(texts: &[&str]) -> Result<Manifests, ReadError> {
    let mut manifests = Manifests::default();
    for (index, text) in texts.iter().enumerate() {
        manifests.add(&format!("{}.yaml", index + 1), text)?;
    }
    Ok(manifests)
}

/// The message of the error that the files lead to.
fn complaint(texts: &[&str]) -> String {
    match read(texts) {
        Err(error) => error.to_string(),
        Ok(manifests) => grants(&manifests, "role", None).unwrap_err().to_string(),
    }
}

#[test]
fn each_column_that_a_rule_uses_is_granted_and_no_other() {
    let manifests = read(&[POLICY, SOURCE]).unwrap();
    let all = needs::needs(&manifests).unwrap();
    let found: Vec<_> = all[0].tables.iter().collect();
    let names = |columns: &std::collections::BTreeSet<Identifier>| {
        columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let (table, users) = found[0];
    assert_eq!(
        (table.to_string(), names(&users.select)),
        ("crm.users".to_owned(), "paid_at".to_owned())
    );
    assert!(
        users.update.is_empty() && !users.delete,
        "a rule that only protects writes nothing"
    );
    let (table, logs) = found[1];
    assert_eq!(table.to_string(), "public.logs");
    assert_eq!(names(&logs.select), "at closed_at created_at ended_at ip level seen_at");
    assert_eq!(names(&logs.update), "ip");
    assert!(logs.delete);
}

#[test]
fn a_mask_that_pseudonymises_reads_writes_and_finds_its_rows_again() {
    let masks = "strategy: Pseudonymise, keySecretRef: {name: keys, key: key}";
    let policy = POLICY.replace("strategy: TruncateIp", masks);
    let sql = grants(&read(&[SOURCE, &policy]).unwrap(), "role", None).unwrap().sql;
    assert!(
        sql.contains("GRANT SELECT (ctid, tableoid, \"at\", \"closed_at\","),
        "{sql}"
    );
    assert!(
        sql.contains("GRANT UPDATE (\"ip\") ON TABLE \"public\".\"logs\""),
        "{sql}"
    );
    assert!(!sql.contains("Nothing is written into it"), "{sql}");
}

#[test]
fn the_order_of_files_and_documents_does_not_matter() {
    let one = grants(&read(&[SOURCE, POLICY]).unwrap(), "role", None).unwrap().sql;
    let other = grants(
        &read(&[&format!("{POLICY}\n---\n---\n# nothing\n---{SOURCE}")]).unwrap(),
        "role",
        None,
    );
    assert_eq!(other.unwrap().sql, one);
}

#[test]
fn the_sql_is_as_written_down() {
    let manifests = read(&[SOURCE, POLICY]).unwrap();
    insta::assert_snapshot!(grants(&manifests, "privacy_operator", None).unwrap().sql);
}

#[test]
fn other_kinds_and_unused_stores_are_left_out_with_a_remark() {
    let unused = SOURCE.replace("name: shop,", "name: spare,");
    let deployment = "{apiVersion: apps/v1, kind: Deployment}";
    let manifests = read(&[SOURCE, POLICY, deployment, &unused]).unwrap();
    let result = grants(&manifests, "role", None).unwrap();
    assert_eq!(
        result.remarks,
        [
            "3.yaml: Deployment (apps/v1) is ignored",
            "4.yaml: DataSource shop/spare: no policy in the files refers to it, so there is nothing to grant",
        ]
    );
    assert!(!result.sql.contains("spare"));
    let error = grants(&manifests, "role", Some("spare")).unwrap_err().to_string();
    assert!(error.starts_with("--data-source spare: no policy"), "{error}");
}

#[test]
fn a_list_is_read_object_by_object() {
    let json = |text: &str| serde_saphyr::from_str::<serde_json::Value>(text).unwrap();
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [json(SOURCE), json(POLICY)]});
    let manifests = read(&[&list.to_string()]).unwrap();
    assert_eq!((manifests.sources.len(), manifests.policies.len()), (1, 1));
    let broken = list.to_string().replace("dataSourceRef", "dataSource");
    assert!(complaint(&[&broken]).contains("DataRetentionPolicy: unknown field `dataSource`"));
}

#[test]
fn a_namespace_may_be_left_open_but_not_be_another() {
    let open = POLICY.replace(", namespace: shop", "");
    assert!(grants(&read(&[SOURCE, &open]).unwrap(), "role", None).is_ok());
    let second = SOURCE.replace("namespace: shop", "namespace: other");
    assert_eq!(
        complaint(&[SOURCE, &second, &open]),
        "3.yaml: DataRetentionPolicy logs: spec.dataSourceRef.name: the files hold `shop` in several namespaces; set metadata.namespace of the policy"
    );
    assert_eq!(
        complaint(&[&second, POLICY]),
        "2.yaml: DataRetentionPolicy shop/logs: spec.dataSourceRef.name: there is no DataSource `shop` in the files for namespace `shop`; name its file too"
    );
}

#[test]
fn what_is_wrong_is_named_by_file_object_and_field() {
    let long = "x".repeat(64);
    for (from, to, expected) in [
        (
            "dataset: logs, always",
            "dataset: lgs, always",
            "2.yaml: DataRetentionPolicy shop/logs: spec.rules[1].dataset: 1.yaml: DataSource shop/shop declares no dataset `lgs`; it declares logs, users",
        ),
        (
            "until: [ended_at]",
            "until: [\"a\\nb\"]",
            "2.yaml: DataRetentionPolicy shop/logs: spec.rules[0].keepWhile[age].until[0]: a name contains a control character, such as a line break or NUL",
        ),
        (
            "otherColumn: closed_at",
            "otherColumn: LONG",
            "2.yaml: DataRetentionPolicy shop/logs: spec.rules[0].keepWhile[age].when[0].otherColumn: a name of 64 bytes is too long; PostgreSQL knows at most 63",
        ),
        (
            "column: ip",
            "column: ''",
            "2.yaml: DataRetentionPolicy shop/logs: spec.rules[1].then.mask[].column: a name is empty",
        ),
        (
            "dataset: logs, always",
            "datasets: logs, always",
            "2.yaml: DataRetentionPolicy: unknown field `datasets`",
        ),
        (
            "name: logs, namespace",
            "generateName: logs, namespace",
            "2.yaml: DataRetentionPolicy without metadata.name",
        ),
        (
            "v1alpha1",
            "v1",
            "2.yaml: DataRetentionPolicy has apiVersion privacy-operator.dev/v1; this program knows privacy-operator.dev/v1alpha1",
        ),
        (
            "kind: DataRetentionPolicy",
            "kind: [",
            "2.yaml: it is not a sequence of YAML objects: ",
        ),
        (
            "kind: DataRetentionPolicy",
            "kind: Other",
            "there is no DataRetentionPolicy in the files, no DataSource with a survey, and no SubjectRightsPolicy beside a DataSource with subjects: name the files of the policies and of their DataSource",
        ),
    ] {
        let policy = POLICY.replace(from, &to.replace("LONG", &long));
        let found = complaint(&[SOURCE, &policy]);
        assert!(found.starts_with(expected), "{found}");
    }
    let source = SOURCE.replace("crm.users", "users");
    assert!(
        complaint(&[&source, POLICY])
            .starts_with("1.yaml: DataSource shop/shop: spec.datasets[1].table: write the table as")
    );
    assert_eq!(
        complaint(&[SOURCE, SOURCE]),
        "2.yaml: DataSource shop is in the files twice; it was read from 1.yaml before. Name one of them only"
    );
    assert!(
        grants(&read(&[SOURCE, POLICY]).unwrap(), "", None)
            .unwrap_err()
            .to_string()
            .starts_with("--role: ")
    );
}

const RIGHTS: &str = "
apiVersion: privacy-operator.dev/v1alpha1
kind: SubjectRightsPolicy
metadata: {name: rights, namespace: shop}
spec: {regime: GDPR, delivery: {volume: {claimName: archives}}, hashKeySecretRef: {name: hash, key: key}}
";

/// A store whose rows are somebody's.
const PEOPLE: &str = "
apiVersion: privacy-operator.dev/v1alpha1
kind: DataSource
metadata: {name: shop, namespace: shop}
spec:
  postgres: {host: db.shop.svc, database: shop, tls: {mode: Disable}, credentialsSecretRef: {name: shop-role}}
  datasets:
  - {name: logs, table: public.logs}
  - name: users
    table: crm.users
    subjects: [{identity: email, column: email}]
    fields: [{column: name}, {column: password_hash, secret: true}]
  - name: orders
    table: public.orders
    key: [number]
    relations: [{name: buyer, dataset: users, columns: {buyer_id: nr}}, {name: seller, dataset: users, columns: {seller_id: nr}}]
    subjects: [{identity: email, through: buyer, otherPartyColumns: [seller_name]}]
    fields: [{column: item}]
";

#[test]
fn exports_read_what_leaves_the_store_and_what_says_whose_it_is() {
    let sql = grants(&read(&[PEOPLE, RIGHTS]).unwrap(), "exporter", None).unwrap().sql;
    insta::assert_snapshot!(sql);
    for never in [
        "DELETE",
        "UPDATE",
        "INSERT",
        "CREATE TABLE",
        "seller",
        "(password_hash)",
        "public.logs",
    ] {
        assert!(!sql.contains(never), "{never}");
    }
    let elsewhere = RIGHTS.replace("namespace: shop", "namespace: other");
    assert!(complaint(&[PEOPLE, &elsewhere]).starts_with("there is no DataRetentionPolicy in the files"));
    assert!(complaint(&[SOURCE, RIGHTS]).starts_with("there is no DataRetentionPolicy in the files"));
    let astray = PEOPLE.replace("through: buyer", "through: byer");
    let expected =
        "1.yaml: DataSource shop/shop: spec.datasets[2].subjects[0].through: `byer` is no relation of this dataset";
    assert!(complaint(&[&astray, RIGHTS]).starts_with(expected));
}
