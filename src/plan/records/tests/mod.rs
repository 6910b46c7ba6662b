//! Each finding, by one change to a record in which nothing is found.

mod cases;
mod observed;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::notice::of_notice;
use super::stores::of_source;
use super::*;
use crate::api::findings::Severity;

/// A world in which nothing is found: notice, activity, another activity, store, policy.
struct World {
    notice: Value,
    activity: Value,
    other: Value,
    source: Value,
    policy: Value,
    now: &'static str,
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

#[allow(clippy::too_many_lines, reason = "objects as their users write them")]
fn world() -> World {
    World {
        notice: yaml(
            r#"
apiVersion: privacy-operator.dev/v1alpha1
kind: PrivacyNotice
metadata: {name: shop, generation: 1}
spec:
  version: "3"
  effectiveFrom: "2026-01-01"
  controllers: [{name: Shop, address: "Way 1, Town", contact: privacy@shop.example, country: DE}]
  dataProtectionOfficer: {name: Officer, contact: dpo@shop.example}
  supervisoryAuthority: {name: Authority}
  allowedLegalBases: [Consent, Contract]
  prohibitions:
  - {kind: SpecialCategories, clause: "2"}
  - {kind: Sale}
  - {kind: Profiling}
  - {kind: AutomatedDecisions}
  - {kind: Children}
  - {kind: PaymentCards}
  - {kind: AdvertisingOnDevices}
  recipients: [hosting, Letters]
"#,
        ),
        activity: yaml(
            r#"
apiVersion: privacy-operator.dev/v1alpha1
kind: ProcessingActivity
metadata: {name: recruiting, namespace: shop, generation: 1}
spec:
  noticeRef: {name: shop}
  title: Recruiting
  introducedOn: "2025-05-01"
  review: {every: P1Y, lastOn: "2026-03-01"}
  role: Controller
  purposes: [{key: employment.recruitment, exclusive: true}]
  legalBases: [{basis: Contract, reference: "Art. 88(1) GDPR"}]
  dataSubjects: [job_applicant]
  dataCategories: [{key: user.contact.email}, {key: user.name}]
  recipients:
  - {category: hosting, role: Processor, countries: [DE], allowedPurposes: [employment.recruitment], agreement: {type: Art28, signedOn: "2025-01-01"}}
  - {category: mail, name: Letters, role: Processor, countries: [US], agreement: {type: Art28, signedOn: "2025-01-01"}}
  recipientsClosed: true
  transfers: [{recipient: Letters, countries: [US], mechanism: StandardContractualClauses, executedOn: "2025-01-01", activeFrom: "2025-02-01"}]
  retention: [{categories: [user.contact, user.name], ruleRef: {policy: recruiting, rule: applications}}]
  measures:
  - {kind: EncryptionInTransit, of: Database}
  - {kind: PasswordHashing, fields: [{dataset: applications, column: secret_hash, scheme: bcrypt}]}
"#,
        ),
        other: yaml(
            r"
apiVersion: privacy-operator.dev/v1alpha1
kind: ProcessingActivity
metadata: {name: interviews, namespace: shop}
spec:
  noticeRef: {name: shop}
  title: Interviews
  role: Controller
  purposes: [{key: employment.recruitment}]
  recipients: [{category: hosting}]
",
        ),
        source: yaml(
            r#"
apiVersion: privacy-operator.dev/v1alpha1
kind: DataSource
metadata: {name: careers, namespace: shop, generation: 1}
spec:
  postgres:
    host: db
    database: careers
    tls: {mode: VerifyFull, caSecretRef: {name: ca, key: ca.crt}}
    credentialsSecretRef: {name: credentials}
  survey: {schedule: "7 * * * *"}
  backups: {keptFor: P35D, walKeptFor: P7D}
  datasets:
  - name: applications
    table: public.applications
    activities: [recruiting, interviews]
    fields: [{column: email, category: user.contact.email}, {column: full_name, category: user.name}, {column: secret_hash}]
"#,
        ),
        policy: yaml(
            r#"
apiVersion: privacy-operator.dev/v1alpha1
kind: DataRetentionPolicy
metadata: {name: recruiting, namespace: shop, generation: 2}
spec:
  dataSourceRef: {name: careers}
  schedule: "23 * * * *"
  mode: Enforce
  rules:
  - name: applications
    dataset: applications
    keepWhile: [{name: claims, from: completed_at, for: P6M, bound: Minimum}, {name: process, from: received_at, for: P6M}]
    then: {delete: {}}
"#,
        ),
        now: "2026-11-22T05:00:00Z",
    }
}

/// Sets what a path such as `/spec/title` names. `null` removes it; `-` as the last step appends to a list.
fn set(object: &mut Value, path: &str, value: Value) {
    let (parent, step) = path.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("{path}"));
    match parent {
        Value::Array(list) if step == "-" => list.push(value),
        Value::Array(list) => list[step.parse::<usize>().unwrap()] = value,
        Value::Object(map) if value.is_null() => {
            map.remove(step).unwrap_or_else(|| panic!("{path} is not there"));
        }
        Value::Object(map) => {
            map.insert(step.to_owned(), value);
        }
        _ => panic!("{path}"),
    }
}

fn parse<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

impl World {
    /// Calls with the inputs of the activity.
    fn with<T>(&self, look: impl FnOnce(&Inputs<'_>) -> T) -> T {
        let notice: Option<PrivacyNotice> = (!self.notice.is_null()).then(|| parse(&self.notice));
        let (activity, other) = (parse(&self.activity), parse(&self.other));
        let (source, policy) = (parse(&self.source), parse(&self.policy));
        look(&Inputs {
            activity: &activity,
            notice: notice.as_ref(),
            activities: &[&activity, &other],
            sources: &[&source],
            policies: &[&policy],
            encryption: None,
            readers: &[],
            now: self.now.parse().unwrap(),
        })
    }

    /// Every finding about the activity, the notice and the store.
    fn found(&self) -> Vec<Finding> {
        let mut all = self.with(findings);
        if !self.notice.is_null() {
            all.extend(of_notice(&parse(&self.notice)));
        }
        all.extend(self.with(|inputs| of_source(inputs.sources[0], inputs.activities)));
        all
    }
}

#[test]
fn in_a_complete_record_nothing_is_found() {
    assert_eq!(world().found(), []);
}

#[test]
fn one_change_makes_one_finding_with_its_field() {
    let mut seen = BTreeSet::new();
    for (reason, changes, field) in cases::cases() {
        let mut world = world();
        for (object, path, value) in changes {
            let object = match object {
                "activity" => &mut world.activity,
                "notice" => &mut world.notice,
                "other" => &mut world.other,
                "source" => &mut world.source,
                _ => &mut world.policy,
            };
            if path.is_empty() {
                *object = value;
            } else {
                set(object, path, value);
            }
        }
        let found = world.found();
        let words: Vec<(&str, &str)> = found
            .iter()
            .map(|finding| (finding.reason.as_str(), finding.field.as_str()))
            .collect();
        assert!(words.contains(&(reason.word, field)), "{}: {words:?}", reason.word);
        // Some changes have several sides: without categories, lines and columns are about none.
        let kinds: BTreeSet<&str> = words.iter().map(|(word, _)| *word).collect();
        assert!(kinds.len() <= 3, "{}: {words:?}", reason.word);
        seen.insert(reason.word);
    }
    let all: BTreeSet<&str> = found::ALL.iter().map(|reason| reason.word).collect();
    assert_eq!(seen, all, "each finding has its case");
}

#[test]
fn what_is_right_at_the_edge_is_not_found() {
    let quiet = |changes: &[cases::Change]| {
        let mut world = world();
        for (object, path, value) in changes {
            let object = match *object {
                "activity" => &mut world.activity,
                "notice" => &mut world.notice,
                _ => &mut world.policy,
            };
            set(object, path, value.clone());
        }
        let found = world.found();
        assert_eq!(found, [], "{changes:?}");
    };
    // Clauses of the very day, a period as long as the backups, a review that is due today, a notice of the same day.
    quiet(&[("activity", "/spec/transfers/0/executedOn", json!("2025-02-01"))]);
    quiet(&[("policy", "/spec/rules/0/keepWhile/1/for", json!("P35D"))]);
    quiet(&[("activity", "/spec/review/lastOn", json!("2025-11-22"))]);
    quiet(&[("activity", "/spec/changedOn", json!("2026-01-01"))]);
    // A Minimum is no promise to delete: however short, backups do not break it.
    quiet(&[("policy", "/spec/rules/0/keepWhile/0/for", json!("P1D"))]);
    // A derogation carries a single transfer; an adequate country needs nothing.
    quiet(&[
        ("activity", "/spec/transfers/0/mechanism", json!("ExplicitConsent")),
        ("activity", "/spec/transfers/0/occasional", json!(true)),
    ]);
    quiet(&[("activity", "/spec/recipients/0/countries", json!(["CH", "NO"]))]);
    // One controller in the Union is enough; a country that nobody named is no country outside.
    quiet(&[(
        "notice",
        "/spec/controllers/-",
        json!({"name": "Sister", "address": "x", "contact": "y", "country": "US"}),
    )]);
}

#[test]
fn a_rule_holds_what_goes_with_its_rows() {
    let mut world = world();
    set(
        &mut world.source,
        "/spec/datasets/-",
        json!({
            "name": "pages", "table": "public.pages", "activities": ["recruiting"],
            "relations": [{"name": "application", "dataset": "applications", "columns": {"application_id": "id"}}],
            "fields": [{"column": "text", "category": "user.content"}],
        }),
    );
    set(
        &mut world.activity,
        "/spec/dataCategories/-",
        json!({"key": "user.content"}),
    );
    set(
        &mut world.activity,
        "/spec/retention/0/categories/-",
        json!("user.content"),
    );
    let of_another_table: Vec<String> = world.found().into_iter().map(|finding| finding.reason).collect();
    assert_eq!(of_another_table, ["CategoryNotInRule"]);
    let pages = json!({"dependents": [{"dataset": "pages", "relation": "application"}]});
    set(&mut world.policy, "/spec/rules/0/then/delete", pages);
    assert_eq!(world.found(), []);
}

#[test]
fn a_processor_keeps_the_shorter_record() {
    let mut world = world();
    set(&mut world.activity, "/spec/role", json!("Processor"));
    set(
        &mut world.activity,
        "/spec/onBehalfOf",
        json!([{"name": "Client", "contact": "client@example.com"}]),
    );
    for gone in ["legalBases", "dataSubjects", "dataCategories", "retention"] {
        set(&mut world.activity, &format!("/spec/{gone}"), Value::Null);
    }
    let left: Vec<String> = world.found().into_iter().map(|finding| finding.reason).collect();
    // What its datasets hold is still told.
    assert_eq!(left, ["UndeclaredCategory", "UndeclaredCategory"]);
}

#[test]
fn an_adequacy_decision_that_somebody_looked_up_is_only_worth_a_look() {
    let mut world = world();
    set(
        &mut world.activity,
        "/spec/transfers/0/mechanism",
        json!("AdequacyDecision"),
    );
    set(&mut world.activity, "/spec/transfers/0/countries", json!(["BR"]));
    set(&mut world.activity, "/spec/recipients/1/countries", json!(["BR"]));
    set(
        &mut world.activity,
        "/spec/transfers/0/reference",
        json!("Official Journal"),
    );
    let found = world.found();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].reason.as_str(), found[0].severity),
        ("AdequacyNotKnown", Severity::Info)
    );
}
