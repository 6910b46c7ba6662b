//! The records of five real notices: they are of the real types, complete as an inventory, and what is found about them
//! is what a reader of the notices found.
//!
//! The expectation was written by hand from a reading of the notices: bases, periods, countries, mechanisms, roles and
//! addresses that they leave open, and promises that they contradict. What a program cannot see is not in it: that a
//! consent is implied, that an interest is a poor basis, that a text calls encrypted what should be hashed.

use std::collections::{BTreeMap, BTreeSet};

use privacy_operator::api::{DataRetentionPolicy, DataSource, PrivacyNotice, ProcessingActivity};
use privacy_operator::plan::records::notice::of_notice;
use privacy_operator::plan::records::stores::of_source;
use privacy_operator::plan::records::{Inputs, findings, retention};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{files, read};

fn objects<T: DeserializeOwned>(company: &str, kind: &str) -> Vec<T> {
    files(&format!("examples/{company}"), ".yaml")
        .into_iter()
        .filter(|file| super::examples::is_manifest(file))
        .flat_map(|file| serde_saphyr::from_multiple::<Value>(&read(file)).unwrap())
        .filter(|document| document["kind"] == kind)
        .map(|document| serde_json::from_value(document).unwrap())
        .collect()
}

/// No number is named for how long.
const PERIOD: &str = "RetentionIndeterminate";
/// No legal basis is named.
const BASIS: &str = "LegalBasisMissing";
/// What the recipient is in law, is not said.
const ROLE: &str = "RecipientRoleMissing";
/// Where the recipient is, is not said.
const COUNTRY: &str = "CountryMissing";
/// A third country, and no mechanism is named.
const MECHANISM: &str = "TransferWithoutMechanism";
/// There is an agreement, and nobody says of when.
const UNDATED: &str = "AgreementUndated";

/// Activity, and what is found about it.
type Expected = &'static [(&'static str, &'static [&'static str])];

const KUBERMATIC: Expected = &[
    ("web-logs", &[BASIS, PERIOD, UNDATED, COUNTRY]),
    ("contact-form", &[PERIOD, UNDATED, COUNTRY]),
    ("newsletter", &[PERIOD]),
    ("site-cookies", &[ROLE, COUNTRY, PERIOD]),
    ("cdn-cloudfront", &[MECHANISM, UNDATED, PERIOD]),
    ("bing-ads", &[ROLE, MECHANISM, PERIOD]),
    ("doubleclick", &[ROLE, MECHANISM, PERIOD]),
    ("google-analytics", &[BASIS, MECHANISM, UNDATED, PERIOD]),
    ("google-fonts", &[ROLE, MECHANISM, PERIOD]),
    ("google-tag-manager", &[BASIS, ROLE, PERIOD]),
    ("hotjar", &[UNDATED, PERIOD]),
    ("hubspot", &[UNDATED, "MechanismUndated", PERIOD]),
    // One of two activities of this notice with a number for everything.
    ("linkedin-insight", &[ROLE, MECHANISM]),
    ("youtube", &[ROLE, MECHANISM, PERIOD]),
    ("webinars", &[UNDATED, COUNTRY, PERIOD]),
    ("social-media", &[BASIS, ROLE, MECHANISM, PERIOD]),
    // The other one: its rules have a number for everything but the time of the process, which ends with a decision.
    ("recruiting", &[UNDATED, COUNTRY]),
    ("customer-relations", &[PERIOD, UNDATED, COUNTRY]),
    ("advertising", &[PERIOD, UNDATED, COUNTRY]),
    ("legal-compliance", &[PERIOD]),
    ("enrichment", &[BASIS, PERIOD, UNDATED, COUNTRY]),
];

const RANCHING_FARM: Expected = &[
    // The notice gives API tokens 30 days, and our backups of that store live for 35.
    ("accounts", &[BASIS, ROLE, COUNTRY, PERIOD, "ShorterThanBackups"]),
    ("clusters", &[BASIS, ROLE, COUNTRY, PERIOD]),
    ("teams", &[BASIS, ROLE, COUNTRY, PERIOD]),
    ("ai-assistant", &[BASIS, ROLE, COUNTRY, MECHANISM, PERIOD]),
    ("activity-log", &[BASIS, ROLE, COUNTRY, PERIOD]),
    ("content", &[BASIS, ROLE, COUNTRY, PERIOD]),
    ("billing", &[BASIS, ROLE, COUNTRY, PERIOD]),
    ("plausible", &[BASIS, ROLE, COUNTRY, PERIOD]),
    ("marketing", &[ROLE, COUNTRY, PERIOD]),
    ("support", &[BASIS, ROLE, COUNTRY, PERIOD]),
];

const BANZAI_CLOUD: Expected = &[
    ("contacts", &[UNDATED, COUNTRY, PERIOD]),
    ("contact-form", &[UNDATED, COUNTRY, PERIOD]),
    ("profiles", &[UNDATED, COUNTRY, PERIOD]),
    ("usage-data", &[UNDATED, COUNTRY, PERIOD]),
    ("newsletter-marketing", &[UNDATED, COUNTRY, PERIOD]),
    ("service-circular", &[UNDATED, COUNTRY, PERIOD]),
    ("third-party-cookies", &[BASIS, ROLE, COUNTRY, PERIOD]),
    ("complaints", &[UNDATED, COUNTRY, PERIOD]),
];

/// Service providers are bound to purposes, and no agreement is named.
const NO_AGREEMENT: &str = "ProcessorWithoutAgreement";

const CLOUDWERK: Expected = &[
    ("maps-cookie", &[ROLE, MECHANISM]),
    // "Only for statistics", and later reviewed on suspicion.
    (
        "web-logs",
        &[BASIS, PERIOD, NO_AGREEMENT, COUNTRY, "ExclusivePurposeViolated"],
    ),
    ("log-linking", &[PERIOD, NO_AGREEMENT, COUNTRY]),
    ("telemetry", &[ROLE, COUNTRY, PERIOD]),
    ("product-usage", &[PERIOD, NO_AGREEMENT, COUNTRY]),
    ("customer-accounts", &[PERIOD, NO_AGREEMENT, COUNTRY]),
    ("newsletter", &[PERIOD, NO_AGREEMENT, COUNTRY]),
    ("recruiting", &[PERIOD, NO_AGREEMENT, COUNTRY]),
    ("testimonials", &[PERIOD]),
    ("aggregates", &[BASIS, ROLE, COUNTRY, PERIOD]),
];

/// There is profiling, and the notice says that there is none.
const PROFILING: &str = "ProhibitionViolated";

const KIRIM_EMAIL: Expected = &[
    // The three whose period a rule keeps.
    ("web-logs", &[UNDATED, COUNTRY]),
    ("accounts", &[UNDATED, COUNTRY]),
    ("contact-support", &[UNDATED, COUNTRY]),
    ("orders", &[UNDATED, COUNTRY, PERIOD]),
    ("payments", &[COUNTRY, PERIOD]),
    // Tax authorities of two countries receive data: a duty, and yet a third country without a mechanism.
    ("commercial", &[COUNTRY, MECHANISM, PERIOD]),
    ("technical-services", &[UNDATED, COUNTRY, PERIOD]),
    ("cookies", &[ROLE, COUNTRY, PERIOD]),
    ("direct-marketing", &[UNDATED, COUNTRY, PERIOD]),
    ("interest-marketing", &[PROFILING, UNDATED, COUNTRY, PERIOD]),
    // Clauses and consent for one routine transfer.
    (
        "google-analytics",
        &[PROFILING, UNDATED, "MechanismUndated", "DerogationForRoutine", PERIOD],
    ),
    ("facebook", &[MECHANISM, PERIOD]),
    ("google-marketing", &[BASIS, PROFILING, ROLE, MECHANISM, PERIOD]),
    ("hotjar", &[BASIS, UNDATED, PERIOD]),
    ("bing-ads", &[ROLE, MECHANISM, PERIOD]),
    ("clarity", &[BASIS, ROLE, MECHANISM, PERIOD]),
    ("live-chat", &[ROLE, PERIOD]),
    ("hosting", &[UNDATED, COUNTRY, PERIOD]),
    // Beyond the inventory: for what customers upload the platform is a processor.
    ("uploads", &[UNDATED, COUNTRY]),
];

const NO_ADDRESS: &str = "Art30FieldMissing";

/// Company, its activities, and what is found about its notice.
const COMPANIES: &[(&str, usize, Expected, &[&str])] = &[
    (
        "kubermatic",
        21,
        KUBERMATIC,
        &[NO_ADDRESS, "SupervisoryAuthorityMissing"],
    ),
    (
        "ranching-farm",
        10,
        RANCHING_FARM,
        &[
            NO_ADDRESS,
            "DataProtectionOfficerMissing",
            "SupervisoryAuthorityMissing",
        ],
    ),
    (
        "banzai-cloud",
        8,
        BANZAI_CLOUD,
        &[NO_ADDRESS, "DataProtectionOfficerMissing"],
    ),
    (
        "cloudwerk",
        10,
        CLOUDWERK,
        &["DataProtectionOfficerMissing", "SupervisoryAuthorityMissing"],
    ),
    (
        "kirim-email",
        19,
        KIRIM_EMAIL,
        &[
            NO_ADDRESS,
            "RepresentativeMissing",
            "DataProtectionOfficerMissing",
            "SupervisoryAuthorityMissing",
            "NoticeUndated",
        ],
    ),
];

#[test]
fn what_is_found_about_five_real_notices_is_what_a_reader_found() {
    let mut differences = Vec::new();
    for (company, count, expected, notice_expected) in COMPANIES {
        let notices: Vec<PrivacyNotice> = objects(company, "PrivacyNotice");
        let activities: Vec<ProcessingActivity> = objects(company, "ProcessingActivity");
        let sources: Vec<DataSource> = objects(company, "DataSource");
        let policies: Vec<DataRetentionPolicy> = objects(company, "DataRetentionPolicy");
        assert_eq!((notices.len(), activities.len()), (1, *count), "{company}");
        let all: Vec<&ProcessingActivity> = activities.iter().collect();
        let expected: BTreeMap<&str, BTreeSet<String>> = expected
            .iter()
            .map(|(name, reasons)| (*name, reasons.iter().map(|reason| (*reason).to_owned()).collect()))
            .collect();
        assert_eq!(expected.len(), *count, "{company}");
        for activity in &activities {
            let inputs = Inputs {
                activity,
                notice: Some(&notices[0]),
                activities: &all,
                sources: &sources.iter().collect::<Vec<_>>(),
                policies: &policies.iter().collect::<Vec<_>>(),
                encryption: None,
                readers: &[],
                now: "2026-11-22T05:00:00Z".parse().unwrap(),
            };
            let name = activity.metadata.name.as_deref().unwrap();
            let found: BTreeSet<String> = findings(&inputs).into_iter().map(|finding| finding.reason).collect();
            let expected = &expected[name];
            if found != *expected {
                let more: Vec<_> = found.difference(expected).collect();
                let less: Vec<_> = expected.difference(&found).collect();
                differences.push(format!("{company}/{name}: found too: {more:?}, not found: {less:?}"));
            }
            // What no rule keeps is recorded, and never said to be so.
            for (line, observed) in activity.spec.retention.iter().zip(retention::observed(&inputs)) {
                assert_eq!(observed.observed, "Unknown", "{company}/{name}: nothing has run");
                assert_eq!(observed.reason == "Recorded", line.stated.is_some(), "{company}/{name}");
            }
        }
        let found: BTreeSet<String> = of_notice(&notices[0])
            .into_iter()
            .map(|finding| finding.reason)
            .collect();
        let expected: BTreeSet<String> = notice_expected.iter().map(|reason| (*reason).to_owned()).collect();
        if found != expected {
            differences.push(format!("{company}: the notice: {found:?}, expected {expected:?}"));
        }
        for source in &sources {
            assert_eq!(of_source(source, &all), [], "{company}");
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
