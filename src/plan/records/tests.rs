//! Each finding, by one change to a record in which nothing is found.

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
            r#"
apiVersion: privacy-operator.dev/v1alpha1
kind: ProcessingActivity
metadata: {name: interviews, namespace: shop}
spec:
  noticeRef: {name: shop}
  title: Interviews
  role: Controller
  purposes: [{key: employment.recruitment}]
  recipients: [{category: hosting}]
"#,
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
    let (parent, last) = path.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("{path}"));
    match parent {
        Value::Array(list) if last == "-" => list.push(value),
        Value::Array(list) => list[last.parse::<usize>().unwrap()] = value,
        Value::Object(map) if value.is_null() => {
            map.remove(last).unwrap_or_else(|| panic!("{path} is not there"));
        }
        Value::Object(map) => {
            map.insert(last.to_owned(), value);
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

/// Which object a change is made to.
type Change = (&'static str, &'static str, Value);

/// Reason, changes, and the field that must be named.
fn cases() -> Vec<(&'static found::FindingReason, Vec<Change>, &'static str)> {
    let a = |path: &'static str, value: Value| ("activity", path, value);
    let n = |path: &'static str, value: Value| ("notice", path, value);
    let s = |path: &'static str, value: Value| ("source", path, value);
    let o = |path: &'static str, value: Value| ("other", path, value);
    let p = |path: &'static str, value: Value| ("policy", path, value);
    vec![
        (&found::UNKNOWN_NOTICE, vec![n("", Value::Null)], "spec.noticeRef.name"),
        (
            &found::ART30_FIELD_MISSING,
            vec![a("/spec/purposes", Value::Null)],
            "spec.purposes",
        ),
        (
            &found::ART30_FIELD_MISSING,
            vec![a("/spec/dataSubjects", Value::Null)],
            "spec.dataSubjects",
        ),
        (
            &found::ART30_FIELD_MISSING,
            vec![a("/spec/dataCategories", Value::Null)],
            "spec.dataCategories",
        ),
        (
            &found::ART30_FIELD_MISSING,
            vec![a("/spec/retention", Value::Null)],
            "spec.retention",
        ),
        (
            &found::ART30_FIELD_MISSING,
            vec![a("/spec/measures", Value::Null)],
            "spec.measures",
        ),
        (
            &found::ART30_FIELD_MISSING,
            vec![
                a("/spec/recipients", Value::Null),
                a("/spec/recipientsClosed", Value::Null),
                a("/spec/transfers", Value::Null),
            ],
            "spec.recipients",
        ),
        (
            &found::ART30_FIELD_MISSING,
            vec![a("/spec/role", json!("JointController"))],
            "spec.jointControllers",
        ),
        (
            &found::ART30_FIELD_MISSING,
            vec![
                a("/spec/role", json!("JointController")),
                a("/spec/jointControllers", json!([{"name": "Sister"}])),
            ],
            "spec.jointControllers[Sister].contact",
        ),
        (
            &found::ART30_FIELD_MISSING,
            vec![a("/spec/role", json!("Processor"))],
            "spec.onBehalfOf",
        ),
        (
            &found::ART30_FIELD_MISSING,
            vec![
                a("/spec/role", json!("Processor")),
                a("/spec/onBehalfOf", json!([{"name": "Client"}])),
            ],
            "spec.onBehalfOf[Client].contact",
        ),
        (
            &found::ART30_FIELD_MISSING,
            vec![n("/spec/controllers/0/contact", Value::Null)],
            "spec.controllers[Shop].contact",
        ),
        (
            &found::INVALID_DATE,
            vec![a("/spec/introducedOn", json!("2026-02-30"))],
            "spec.introducedOn",
        ),
        (
            &found::INVALID_PERIOD,
            vec![a("/spec/review/every", json!("PT1H"))],
            "spec.review.every",
        ),
        (
            &found::INVALID_PERIOD,
            vec![a(
                "/spec/retention/-",
                json!({"categories": ["user.name"], "stated": {"text": "x", "period": "soon", "storedBy": "Other"}}),
            )],
            "spec.retention[1].stated.period",
        ),
        (
            &found::LEGAL_BASIS_MISSING,
            vec![a("/spec/legalBases", Value::Null)],
            "spec.legalBases",
        ),
        (
            &found::LEGAL_BASIS_NOT_IN_NOTICE,
            vec![a("/spec/legalBases/0/basis", json!("PublicTask"))],
            "spec.legalBases[0].basis",
        ),
        (
            &found::INTEREST_MISSING,
            vec![
                a("/spec/legalBases/0/basis", json!("LegitimateInterests")),
                n("/spec/allowedLegalBases", Value::Null),
            ],
            "spec.legalBases[0].interest",
        ),
        (
            &found::ART9_CONDITION_MISSING,
            vec![
                a(
                    "/spec/dataCategories/-",
                    json!({"key": "user.health_and_medical.record"}),
                ),
                n("/spec/prohibitions", Value::Null),
            ],
            "spec.dataCategories[user.health_and_medical.record].art9",
        ),
        (
            &found::PROHIBITION_VIOLATED,
            vec![a("/spec/dataCategories/-", json!({"key": "own.key", "art9": "A9-2-b"}))],
            "spec.dataCategories[own.key]",
        ),
        (
            &found::PROHIBITION_VIOLATED,
            vec![a("/spec/recipients/0/sold", json!(true))],
            "spec.recipients[0].sold",
        ),
        (
            &found::PROHIBITION_VIOLATED,
            vec![a("/spec/automatedDecisions", json!({"used": false, "profiling": true}))],
            "spec.automatedDecisions.profiling",
        ),
        (
            &found::PROHIBITION_VIOLATED,
            vec![a("/spec/automatedDecisions", json!({"used": true, "logic": "points"}))],
            "spec.automatedDecisions.used",
        ),
        (
            &found::PROHIBITION_VIOLATED,
            vec![a("/spec/dataSubjects/-", json!("child"))],
            "spec.dataSubjects",
        ),
        (
            &found::PROHIBITION_VIOLATED,
            vec![a("/spec/dataCategories/-", json!({"key": "user.payment.card"}))],
            "spec.dataCategories[user.payment.card]",
        ),
        (
            &found::PROHIBITION_VIOLATED,
            vec![
                a("/spec/purposes", json!([{"key": "marketing.advertising.third_party"}])),
                a("/spec/recipients/0/allowedPurposes", Value::Null),
                a(
                    "/spec/retention/-",
                    json!({"categories": ["user.name"], "stated": {"text": "x", "period": "P1M", "storedBy": "Device"}}),
                ),
            ],
            "spec.retention[1].stated.storedBy",
        ),
        (
            &found::LOGIC_MISSING,
            vec![
                a("/spec/automatedDecisions", json!({"used": true})),
                n("/spec/prohibitions", Value::Null),
            ],
            "spec.automatedDecisions.logic",
        ),
        (
            &found::RECIPIENT_NOT_LISTED,
            vec![a(
                "/spec/transfers/-",
                json!({"recipient": "Nobody", "countries": ["CH"]}),
            )],
            "spec.transfers[1].recipient",
        ),
        (
            &found::RECIPIENT_NOT_IN_NOTICE,
            vec![n("/spec/recipients", json!(["hosting"]))],
            "spec.recipients[1]",
        ),
        (
            &found::RECIPIENTS_CLOSED,
            vec![o("/spec/recipients/0/category", json!("advertising"))],
            "spec.recipientsClosed",
        ),
        (
            &found::RECIPIENT_ROLE_MISSING,
            vec![a("/spec/recipients/0/role", Value::Null)],
            "spec.recipients[0].role",
        ),
        (
            &found::COUNTRY_MISSING,
            vec![a("/spec/recipients/0/countries", Value::Null)],
            "spec.recipients[0].countries",
        ),
        (
            &found::RECIPIENT_PURPOSE,
            vec![a("/spec/recipients/0/allowedPurposes/-", json!("marketing"))],
            "spec.recipients[0].allowedPurposes",
        ),
        (
            &found::PROCESSOR_WITHOUT_AGREEMENT,
            vec![a("/spec/recipients/0/agreement", Value::Null)],
            "spec.recipients[0].agreement",
        ),
        (
            &found::JOINT_ARRANGEMENT_MISSING,
            vec![a("/spec/recipients/0/role", json!("JointController"))],
            "spec.recipients[0].agreement",
        ),
        (
            &found::AGREEMENT_UNDATED,
            vec![a("/spec/recipients/0/agreement/signedOn", Value::Null)],
            "spec.recipients[0].agreement.signedOn",
        ),
        (
            &found::TRANSFER_WITHOUT_MECHANISM,
            vec![a("/spec/recipients/0/countries", json!(["IN"]))],
            "spec.recipients[0].countries",
        ),
        (
            &found::TRANSFER_WITHOUT_MECHANISM,
            vec![
                a("/spec/transfers/0/mechanism", Value::Null),
                a("/spec/transfers/0/executedOn", Value::Null),
            ],
            "spec.transfers[0].mechanism",
        ),
        (
            &found::ADEQUACY_NOT_KNOWN,
            vec![
                a("/spec/transfers/0/mechanism", json!("AdequacyDecision")),
                a("/spec/transfers/0/countries", json!(["US", "IN"])),
                a("/spec/transfers/0/countries", json!(["IN"])),
                a("/spec/recipients/1/countries", json!(["IN"])),
            ],
            "spec.transfers[0].mechanism",
        ),
        (
            &found::ADEQUACY_CONDITIONAL,
            vec![a("/spec/transfers/0/mechanism", json!("AdequacyDecision"))],
            "spec.transfers[0].reference",
        ),
        (
            &found::CLAUSES_AFTER_TRANSFER,
            vec![a("/spec/transfers/0/executedOn", json!("2025-02-02"))],
            "spec.transfers[0].executedOn",
        ),
        (
            // Without a day of its own the transfer began with the activity.
            &found::CLAUSES_AFTER_TRANSFER,
            vec![
                a("/spec/transfers/0/activeFrom", Value::Null),
                a("/spec/transfers/0/executedOn", json!("2025-05-02")),
            ],
            "spec.transfers[0].executedOn",
        ),
        (
            &found::MECHANISM_UNDATED,
            vec![a("/spec/transfers/0/executedOn", Value::Null)],
            "spec.transfers[0].executedOn",
        ),
        (
            &found::DEROGATION_FOR_ROUTINE,
            vec![a("/spec/transfers/0/mechanism", json!("ExplicitConsent"))],
            "spec.transfers[0].mechanism",
        ),
        (
            &found::SAFEGUARDS_UNDOCUMENTED,
            vec![
                a("/spec/transfers/0/mechanism", json!("CompellingInterests")),
                a("/spec/transfers/0/occasional", json!(true)),
            ],
            "spec.transfers[0].reference",
        ),
        (
            &found::CATEGORY_WITHOUT_RETENTION,
            vec![a("/spec/dataCategories/-", json!({"key": "user.nickname"}))],
            "spec.dataCategories[user.nickname]",
        ),
        (
            &found::RETENTION_OF_UNKNOWN_CATEGORY,
            vec![a(
                "/spec/retention/-",
                json!({"categories": ["cookies"], "stated": {"text": "a year", "period": "P1Y", "storedBy": "Device"}}),
            )],
            "spec.retention[1].categories",
        ),
        (
            &found::RETENTION_INDETERMINATE,
            vec![a(
                "/spec/retention/-",
                json!({"categories": ["user.name"], "stated": {"text": "a certain time", "storedBy": "Other"}}),
            )],
            "spec.retention[1].stated.period",
        ),
        (
            &found::RETENTION_INDETERMINATE,
            vec![p(
                "/spec/rules/0/keepWhile/-",
                json!({"name": "open", "statedAs": "a certain time"}),
            )],
            "spec.retention[0].ruleRef",
        ),
        (
            &found::UNKNOWN_RULE,
            vec![a("/spec/retention/0/ruleRef/rule", json!("others"))],
            "spec.retention[0].ruleRef",
        ),
        (
            &found::CATEGORY_NOT_IN_RULE,
            vec![
                a("/spec/dataCategories/-", json!({"key": "user.nickname"})),
                a("/spec/retention/0/categories/-", json!("user.nickname")),
            ],
            "spec.retention[0].ruleRef",
        ),
        (
            &found::SHORTER_THAN_BACKUPS,
            vec![p("/spec/rules/0/keepWhile/1/for", json!("P34D"))],
            "spec.retention[0].ruleRef",
        ),
        (
            &found::UNDECLARED_CATEGORY,
            vec![s(
                "/spec/datasets/0/fields/-",
                json!({"column": "photo", "category": "user.photo"}),
            )],
            "spec.dataCategories",
        ),
        (
            &found::DATASET_WITHOUT_ACTIVITY,
            vec![s("/spec/datasets/-", json!({"name": "notes", "table": "public.notes"}))],
            "spec.datasets[notes].activities",
        ),
        (
            &found::UNKNOWN_ACTIVITY,
            vec![s("/spec/datasets/0/activities/-", json!("ghost"))],
            "spec.datasets[applications].activities",
        ),
        (
            &found::UNKNOWN_DATASET,
            vec![a("/spec/measures/1/fields/0/column", json!("missing"))],
            "spec.measures[1].fields[applications.missing]",
        ),
        (
            &found::UNKNOWN_DATASET,
            vec![a("/spec/measures/0/dataSources", json!(["elsewhere"]))],
            "spec.measures[0].dataSources",
        ),
        (
            &found::EXCLUSIVE_PURPOSE_VIOLATED,
            vec![o("/spec/purposes/0/key", json!("marketing"))],
            "spec.purposes[employment.recruitment].exclusive",
        ),
        (
            &found::EXCLUSIVE_PURPOSE_VIOLATED,
            vec![a("/spec/purposes/-", json!({"key": "marketing"}))],
            "spec.purposes[employment.recruitment].exclusive",
        ),
        (
            &found::NOTICE_BEHIND,
            vec![a("/spec/changedOn", json!("2026-01-02"))],
            "spec.changedOn",
        ),
        (
            &found::NOTICE_BEHIND,
            vec![a(
                "/status",
                json!({"disclosed": {"noticeVersion": "3", "hash": "of another text"}}),
            )],
            "spec",
        ),
        (
            &found::REVIEW_OVERDUE,
            vec![a("/spec/review/lastOn", json!("2025-11-21"))],
            "spec.review.lastOn",
        ),
        (
            &found::REVIEW_OVERDUE,
            vec![
                a("/spec/review/lastOn", Value::Null),
                a("/spec/introducedOn", json!("2025-11-21")),
            ],
            "spec.review.lastOn",
        ),
        (
            &found::REPRESENTATIVE_MISSING,
            vec![n("/spec/controllers/0/country", json!("US"))],
            "spec.representative",
        ),
        (
            &found::OFFICER_MISSING,
            vec![n("/spec/dataProtectionOfficer", Value::Null)],
            "spec.dataProtectionOfficer",
        ),
        (
            &found::AUTHORITY_MISSING,
            vec![n("/spec/supervisoryAuthority", Value::Null)],
            "spec.supervisoryAuthority",
        ),
        (
            &found::NOTICE_UNDATED,
            vec![n("/spec/effectiveFrom", Value::Null)],
            "spec.effectiveFrom",
        ),
    ]
}

#[test]
fn one_change_makes_one_finding_with_its_field() {
    let mut seen = BTreeSet::new();
    for (reason, changes, field) in cases() {
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
    let quiet = |changes: &[Change]| {
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

fn retention_of(world: &World) -> (String, String, Option<String>) {
    let line = world.with(retention::observed).remove(0);
    (line.observed, line.reason, line.gone_from_backups)
}

#[test]
fn a_retention_line_says_what_its_rule_does() {
    let status = |on_time: &str, kept: &str, reason: &str, generation: i64| {
        json!({
            "observedGeneration": generation,
            "rules": [{"name": "applications", "onTime": on_time}],
            "conditions": [{"type": "PromiseKept", "status": kept, "reason": reason, "message": "", "lastTransitionTime": "2026-11-22T05:00:00Z"}],
        })
    };
    let mut world = world();
    let gone = Some("at the latest P35D after it is gone from the store".to_owned());
    assert_eq!(
        retention_of(&world),
        ("Unknown".into(), "NoRunYet".into(), gone.clone())
    );
    for (status, mode, observed, reason) in [
        (status("True", "True", "OnTime", 2), "Enforce", "True", "OnTime"),
        (
            status("True", "True", "OnTime", 2),
            "Observe",
            "True",
            "KeptWhileObserving",
        ),
        (
            status("False", "False", "NoRecentRun", 2),
            "Enforce",
            "False",
            "NoRecentRun",
        ),
        // Another rule of the policy is unknown: the reason of the whole is none for this one.
        (status("False", "Unknown", "NeverRan", 2), "Enforce", "False", "Overdue"),
        (
            status("Unknown", "Unknown", "NeverRan", 2),
            "Enforce",
            "Unknown",
            "NeverRan",
        ),
        // A status about an older spec says nothing about this one.
        (status("True", "True", "OnTime", 1), "Enforce", "Unknown", "NoRunYet"),
    ] {
        set(&mut world.policy, "/status", status);
        set(&mut world.policy, "/spec/mode", json!(mode));
        assert_eq!(retention_of(&world), (observed.into(), reason.into(), gone.clone()));
    }
    set(
        &mut world.activity,
        "/spec/retention/0",
        json!({"categories": ["user"], "stated": {"text": "1 Jahr", "period": "P1Y", "storedBy": "Device"}}),
    );
    assert_eq!(retention_of(&world), ("Unknown".into(), "Recorded".into(), None));
}

fn measure_of(world: &World, index: usize) -> (String, String) {
    let line = world.with(measures::observed).remove(index);
    (line.observed, line.reason)
}

#[test]
fn encryption_in_transit_is_what_the_survey_saw() {
    let mut world = world();
    assert_eq!(measure_of(&world, 0), ("Unknown".into(), "NotSurveyed".into()));
    let survey = |at: &str, tls: Option<&str>, problem: Option<&str>| {
        let mut survey = json!({"job": "j", "uid": "u", "finishedAt": at, "tls": tls});
        if let Some(reason) = problem {
            survey["problem"] = json!({"reason": reason, "message": ""});
        }
        json!({"survey": survey})
    };
    for (status, observed, reason) in [
        (
            survey("2026-11-22T04:08:00Z", Some("TLSv1.3"), None),
            "True",
            "TlsInUse",
        ),
        (survey("2026-11-22T04:08:00Z", None, None), "False", "TlsNotInUse"),
        (
            survey("2026-11-22T04:08:00Z", None, Some("Unreachable")),
            "Unknown",
            "NotReachable",
        ),
        // Every hour, and none for three.
        (
            survey("2026-11-22T01:59:00Z", Some("TLSv1.3"), None),
            "Unknown",
            "SurveyOutdated",
        ),
    ] {
        set(&mut world.source, "/status", status);
        assert_eq!(measure_of(&world, 0), (observed.into(), reason.into()));
    }
    set(&mut world.source, "/spec/postgres/tls", json!({"mode": "Disable"}));
    assert_eq!(measure_of(&world, 0), ("False".into(), "TlsDisabled".into()));
}

#[test]
fn hashes_are_told_by_counts_alone() {
    let mut world = world();
    let survey = |column: Value| json!({"survey": {"job": "j", "uid": "u", "finishedAt": "2026-11-22T04:08:00Z", "tls": "TLSv1.3", "hashed": [column]}});
    let column = |scheme: &str, checked: i64, others: i64| json!({"dataset": "applications", "column": "secret_hash", "scheme": scheme, "checked": checked, "others": others});
    let mut refused = column("bcrypt", 0, 0);
    refused["problem"] = json!({"reason": "MissingGrant", "message": "grant it"});
    for (found, observed, reason) in [
        (column("bcrypt", 400, 0), "True", "FormMatches"),
        (column("bcrypt", 400, 1), "False", "NotHashed"),
        (column("bcrypt", 0, 0), "Unknown", "NoValues"),
        // The claim was changed since.
        (column("argon2", 400, 0), "Unknown", "NotSurveyed"),
        (refused, "Unknown", "MissingGrant"),
    ] {
        set(&mut world.source, "/status", survey(found));
        assert_eq!(measure_of(&world, 1), (observed.into(), reason.into()));
    }
}

#[test]
fn what_nobody_here_can_see_is_recorded_and_never_true() {
    let mut world = world();
    let of = |kind: &str, of: &str| json!({"kind": kind, "of": of});
    for (measure, reason) in [
        (of("EncryptionAtRest", "Database"), "Recorded"),
        (of("EncryptionAtRest", "Volume"), "Recorded"),
        (of("EncryptionAtRest", "Backup"), "Recorded"),
        (of("EncryptionInTransit", "Routes"), "Recorded"),
        (of("EncryptionAtRest", "KubernetesSecrets"), "NoClusterEncryption"),
        (json!({"kind": "Described", "description": "a fence"}), "Recorded"),
        (json!({"kind": "AccessControl", "secrets": ["x"]}), "NotEvaluated"),
    ] {
        set(&mut world.activity, "/spec/measures/0", measure);
        assert_eq!(measure_of(&world, 0), ("Unknown".into(), reason.into()));
    }
}

#[test]
fn the_status_keeps_what_people_were_told_until_the_notice_has_a_new_version() {
    let mut world = world();
    let first = world.with(status::of_activity);
    assert_eq!(
        (first.findings_summary.as_deref(), first.purposes.as_deref()),
        (Some("0"), Some("employment.recruitment"))
    );
    assert_eq!(first.observed.as_deref(), Some("0/3"));
    set(&mut world.activity, "/status", serde_json::to_value(&first).unwrap());
    // What people are not told of may change.
    set(&mut world.activity, "/spec/responsibleUnit", json!("HR"));
    assert_eq!(world.with(status::of_activity).findings_summary.as_deref(), Some("0"));
    set(&mut world.activity, "/spec/dataSubjects/-", json!("employee"));
    let changed = world.with(status::of_activity);
    assert_eq!(changed.findings[0].reason, "NoticeBehind");
    assert_eq!(changed.disclosed, first.disclosed);
    let told = world.with(|inputs| status::transitions(inputs.activity, &changed));
    assert_eq!(told, [], "a warning is no event");
    set(&mut world.notice, "/spec/version", json!("4"));
    let published = world.with(status::of_activity);
    assert_eq!(published.findings_summary.as_deref(), Some("0"));
    assert_ne!(published.disclosed, first.disclosed);
}

#[test]
fn a_new_error_and_a_line_that_turned_false_are_told_once() {
    let mut world = world();
    let before = world.with(status::of_activity);
    set(&mut world.activity, "/status", serde_json::to_value(&before).unwrap());
    set(&mut world.activity, "/spec/recipients/0/agreement", Value::Null);
    set(&mut world.source, "/spec/postgres/tls", json!({"mode": "Disable"}));
    let after = world.with(status::of_activity);
    let words = |world: &World| -> Vec<String> {
        world.with(|inputs| {
            status::transitions(inputs.activity, &after)
                .into_iter()
                .map(|told| told.reason)
                .collect()
        })
    };
    assert_eq!(words(&world), ["ProcessorWithoutAgreement", "NotObserved"]);
    set(&mut world.activity, "/status", serde_json::to_value(&after).unwrap());
    assert_eq!(words(&world), [] as [&str; 0]);
    let same = world.with(status::of_activity);
    assert!(status::activity_unchanged(&after, &same));
}
