use super::*;

const SOURCE: &str = "
apiVersion: privacy-operator.dev/v1alpha1
kind: DataSource
metadata: {name: db}
spec:
  postgres: {host: db.shop.svc, database: shop, tls: {mode: Disable}, credentialsSecretRef: {name: db}}
  datasets:
  - {name: logs, table: public.access_log}
";

const POLICY: &str = "
apiVersion: privacy-operator.dev/v1alpha1
kind: DataRetentionPolicy
metadata: {name: logs}
spec:
  dataSourceRef: {name: db}
  schedule: '23 * * * *'
  rules:
  - name: logs
    promise: {clause: '4', quote: Logs are deleted after seven days.}
    dataset: logs
    keepWhile: [{name: age, from: ts, for: P7D}]
    then: {delete: {}}
";

fn now() -> Timestamp {
    "2026-03-01T09:00:00Z".parse().unwrap()
}

fn checked(texts: &[&str]) -> Outcome {
    let files: Vec<File> = texts
        .iter()
        .map(|text| ("file.yaml".to_owned(), (*text).to_owned()))
        .collect();
    check(&files, now())
}

/// Reason and field of every complaint.
fn found(outcome: &Outcome) -> Vec<(&str, &str)> {
    let complaints = outcome.complaints.iter();
    complaints
        .map(|complaint| (complaint.finding.reason.as_str(), complaint.finding.field.as_str()))
        .collect()
}

#[test]
fn what_is_right_is_told_in_words_and_nothing_is_said_against_it() {
    let outcome = checked(&[SOURCE, POLICY]);
    assert_eq!(found(&outcome), [], "{outcome:?}");
    assert_eq!((outcome.objects, outcome.rules.len()), (2, 1));
    let rule = &outcome.rules[0];
    assert!(rule.sentence.en.contains("public.access_log"), "{rule:?}");
    assert_eq!(rule.promise.as_ref().unwrap().1, "Logs are deleted after seven days.");
}

#[test]
fn what_is_wrong_is_named_with_its_field() {
    for (from, to, reason, field) in [
        ("schedule:", "shedule:", "UnknownField", "spec.shedule"),
        ("  schedule: '23 * * * *'\n", "", "FieldRequired", "spec.schedule"),
        ("rules:", "rules: 7\n  x:", "InvalidType", "spec.rules"),
        (
            "clause: '4'",
            "clause: 4",
            "InvalidType",
            "spec.rules[logs].promise.clause",
        ),
        (
            "name: logs\n    promise",
            "name: Logs!\n    promise",
            "InvalidValue",
            "spec.rules[Logs!].name",
        ),
        (
            "metadata: {name: logs}",
            "metadata: {name: Logs}",
            "InvalidName",
            "metadata.name",
        ),
        (
            "{name: age, from: ts, for: P7D}",
            "{name: age, from: ts}",
            "RuleBroken",
            "spec.rules[logs].keepWhile[age]",
        ),
        (
            "{name: age, from: ts, for: P7D}",
            "{name: age, from: ts, for: P7D}, {name: age, from: ts, for: P8D}",
            "Duplicate",
            "spec.rules[logs].keepWhile[age]",
        ),
        (
            "then: {delete: {}}",
            "then: {delete: {}, set: [{column: a, value: b}]}",
            "RuleBroken",
            "spec.rules[logs].then",
        ),
        (
            "then: {delete: {}}",
            "then: {mask: [{column: a, strategy: Shred}]}",
            "InvalidValue",
            "spec.rules[logs].then.mask[a].strategy",
        ),
        (
            "then: {delete: {}}",
            "then: {mask: [{column: a, strategy: Pseudonymise}]}",
            "RuleBroken",
            "spec.rules[logs].then.mask[a]",
        ),
        (
            "then: {delete: {}}",
            "then: {mask: [{column: a, strategy: Nullify, keySecretRef: {name: keys, key: key}}]}",
            "RuleBroken",
            "spec.rules[logs].then.mask[a]",
        ),
        (
            "then: {delete: {}}",
            "then: {mask: [{column: a, strategy: Pseudonymise, keySecretRef: {name: keys, key: key}}, {column: b, strategy: Pseudonymise, keySecretRef: {name: others, key: key}}]}",
            "SeveralKeySecrets",
            "spec.rules[logs].then.mask[b].keySecretRef.name",
        ),
        (
            "for: P7D",
            "for: P0D",
            "InvalidDuration",
            "spec.rules[logs].keepWhile[age].for",
        ),
        (
            "dataset: logs",
            "dataset: orders",
            "UnknownDataset",
            "spec.rules[logs].dataset",
        ),
        (
            "dataSourceRef: {name: db}",
            "dataSourceRef: {name: other}",
            "UnknownDataSource",
            "spec.dataSourceRef.name",
        ),
    ] {
        let policy = POLICY.replacen(from, to, 1);
        assert_ne!(policy, POLICY, "{from}");
        let outcome = checked(&[SOURCE, &policy]);
        assert!(
            found(&outcome).contains(&(reason, field)),
            "{to}: {:#?}",
            outcome.complaints
        );
        assert!(outcome.has_errors());
    }
}

#[test]
fn a_request_names_its_policy_among_the_files() {
    let request = "
apiVersion: privacy-operator.dev/v1alpha1
kind: ExportRequest
metadata: {name: dsr-1}
spec:
  right: Access
  rightsPolicyRef: {name: default}
  subjectSecretRef: {name: dsr-1}
  dataSourceRefs: [{name: db}]
  receivedAt: '2026-03-01T09:00:00Z'
";
    let outcome = checked(&[SOURCE, request]);
    assert_eq!(
        found(&outcome),
        [("UnknownSubjectRightsPolicy", "spec.rightsPolicyRef.name")]
    );
}

const ACTIVITY: &str = "
apiVersion: privacy-operator.dev/v1alpha1
kind: ProcessingActivity
metadata: {name: NAME, namespace: SPACE}
spec:
  noticeRef: {name: notice}
  title: Logs
  role: Controller
  purposes: [{key: essential.service.security, description: Security}]
  dataSubjects: [visitor]
  dataCategories: [{key: user.device.ip_address}]
";

#[test]
fn an_activity_of_another_namespace_is_none_that_a_dataset_can_serve() {
    let source = SOURCE
        .replace("metadata: {name: db}", "metadata: {name: db, namespace: shop}")
        .replace(
            "table: public.access_log",
            "table: public.access_log, activities: [logs]",
        );
    let activity = |name: &str, namespace: &str| ACTIVITY.replace("NAME", name).replace("SPACE", namespace);
    for (namespace, expected) in [("shop", 0), ("elsewhere", 1)] {
        let outcome = checked(&[&source, &activity("orders", "shop"), &activity("logs", namespace)]);
        let unknown = found(&outcome).into_iter().filter(|found| found.0 == "UnknownActivity");
        assert_eq!(unknown.count(), expected, "{namespace}: {outcome:#?}");
    }
}

#[test]
fn text_that_is_no_yaml_and_kinds_that_nobody_knows_are_named() {
    assert_eq!(found(&checked(&["{"]))[0].0, "Unreadable");
    let unknown = POLICY.replace("kind: DataRetentionPolicy", "kind: DataRetention");
    assert_eq!(found(&checked(&[&unknown])), [("UnknownKind", "kind")]);
    let foreign = checked(&["{apiVersion: v1, kind: Secret, metadata: {name: a}}"]);
    assert_eq!((foreign.objects, foreign.remarks.len()), (0, 1), "{foreign:?}");
}

#[test]
fn every_rule_of_every_kind_can_be_judged() {
    fn rules_of(schema: &Value, all: &mut Vec<String>) {
        match schema {
            Value::Object(fields) => {
                let own = fields.get("x-kubernetes-validations").and_then(Value::as_array);
                all.extend(
                    own.into_iter()
                        .flatten()
                        .filter_map(|rule| rule["rule"].as_str().map(str::to_owned)),
                );
                fields.values().for_each(|field| rules_of(field, all));
            }
            Value::Array(items) => items.iter().for_each(|item| rules_of(item, all)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    for kind in schema::kinds() {
        rules_of(&schema::of_kind(&kind).unwrap(), &mut all);
    }
    assert!(all.len() > 30, "{}", all.len());
    for rule in all.iter().filter(|rule| !rule.contains("oldSelf")) {
        let compiled = cel::Env::stdlib().compile(rule);
        assert!(compiled.is_ok(), "{rule}: {:?}", compiled.err());
    }
}
