//! One change to the record in which nothing is found, and what is found then.

use serde_json::{Value, json};

use crate::plan::records::found::{self, FindingReason};

/// Which object a change is made to.
pub(super) type Change = (&'static str, &'static str, Value);

/// Reason, changes, and the field that must be named.
#[allow(clippy::too_many_lines, clippy::many_single_char_names, reason = "a table")]
pub(super) fn cases() -> Vec<(&'static FindingReason, Vec<Change>, &'static str)> {
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
