use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::status::{Inputs, mistakes, status, transitions};
use super::*;
use crate::plan::fixtures::{self, now};
use crate::plan::validate::{self, validate};
use crate::plan::work_plan::{Planned, plan};

/// Users; orders point at them; items point at orders; a log that names nobody.
fn source() -> DataSource {
    serde_json::from_value(json!({
        "apiVersion": "privacy-operator.dev/v1alpha1", "kind": "DataSource",
        "metadata": {"name": "platform-db", "namespace": "shop"},
        "spec": {
            "postgres": {"host": "platform-db", "database": "platform", "tls": {"mode": "Disable"}, "credentialsSecretRef": {"name": "c"}},
            "datasets": [
                {"name": "access-log", "table": "public.access_log", "fields": [{"column": "seen_on", "timeZone": "Europe/Berlin"}]},
                {"name": "items", "table": "public.items",
                 "relations": [{"name": "order", "dataset": "orders", "columns": {"order_id": "id"}}], "subjects": [{"identity": "user_id", "through": "order"}]},
                {"name": "orders", "table": "public.orders",
                 "relations": [{"name": "buyer", "dataset": "users", "columns": {"buyer_id": "id"}}],
                 "subjects": [{"identity": "user_id", "through": "buyer"}, {"identity": "email", "column": "gift_to"}],
                 "fields": [{"column": "gift_to", "category": "user.contact.email"}, {"column": "invoice_name", "category": "user.name"}]},
                {"name": "users", "table": "public.users", "subjects": [{"identity": "user_id", "column": "id"}, {"identity": "email", "column": "email"}]},
            ],
        },
    }))
    .unwrap()
}

fn hold(spec: Value) -> LegalHold {
    let mut whole = json!({"dataSourceRef": {"name": "platform-db"}, "matter": "M-1", "basis": "LegalClaims", "reviewAt": "2027-06-30"});
    let (Value::Object(map), Value::Object(given)) = (&mut whole, spec) else {
        panic!("a spec is an object")
    };
    map.extend(given);
    serde_json::from_value(json!({
        "apiVersion": "privacy-operator.dev/v1alpha1", "kind": "LegalHold",
        "metadata": {"name": "claim", "namespace": "shop", "uid": "hold-uid", "generation": 1}, "spec": whole,
    }))
    .unwrap()
}

fn by_status(values: &[&str]) -> Value {
    json!({"datasets": ["access-log"], "when": [{"column": "status", "operator": "In", "values": values}]})
}

fn listed<'a>(hold: &'a LegalHold, namespace: &'a str, source: Option<&'a DataSource>) -> Listed<'a> {
    Listed {
        namespace,
        name: "claim",
        hold: Some(hold),
        source,
    }
}

fn bound(hold: &LegalHold) -> Result<Binding, Vec<Invalid>> {
    let source = source();
    binding("shop", &source, &[listed(hold, "shop", Some(&source))], now())
}

/// The plan of the fixtures' policy beside these holds.
fn planned(holds: &[Listed<'_>]) -> Result<Planned, Vec<Invalid>> {
    let (policy, source) = (fixtures::policy(), fixtures::source());
    let validated = validate(&validate::Inputs {
        policy: &policy,
        source: Some(&source),
        others: &[],
        holds,
        now: now(),
    })?;
    plan(&policy, validated, now()).map_err(|mistake| vec![mistake])
}

#[test]
fn a_hold_is_part_of_every_plan_on_its_store_and_changes_it_but_not_its_rules() {
    let (own, hold) = (fixtures::source(), hold(by_status(&["disputed"])));
    let before = planned(&[]).unwrap();
    let after = planned(&[listed(&hold, "shop", Some(&own))]).unwrap();
    assert_ne!(before.plan_hash, after.plan_hash);
    assert_eq!(
        before.rules.hash, after.rules.hash,
        "an approval stays, and the first look is not repeated"
    );
    assert_eq!(after.validated.holds.uids, ["hold-uid"]);
    assert_eq!(after.work_plan.holds[0].table, "access_log");
    assert_eq!(after.work_plan.holds[0].column_time_zones["seen_on"], "Europe/Berlin");

    let mut elsewhere = own.clone();
    elsewhere.spec.postgres.database = "another".to_owned();
    let beside = planned(&[listed(&hold, "shop", Some(&elsewhere))]).unwrap();
    assert_eq!(beside.plan_hash, before.plan_hash);
}

#[test]
fn a_released_hold_binds_no_more_and_a_restriction_only_when_the_person_was_told() {
    let released = |basis: &str, informed: Option<&str>| {
        let mut spec = json!({"datasets": ["users"], "basis": basis, "released": true});
        if let Some(day) = informed {
            spec["subjectInformedOn"] = json!(day);
        }
        binds(&hold(spec), now())
    };
    assert!(binds(&hold(json!({"datasets": ["users"]})), now()));
    assert!(!released("LegalClaims", None));
    assert!(released("Restriction", None), "nobody was told");
    assert!(released("Restriction", Some("2026-11-23")), "the day has not come");
    assert!(!released("Restriction", Some("2026-11-22")));
    assert!(released("Restriction", Some("2026-13-01")), "no day");
}

#[test]
fn a_person_is_found_by_columns_and_through_relations_whose_datasets_are_held_too() {
    let hold = hold(json!({"datasets": ["items"], "subjectSecretRef": {"name": "person"}}));
    let binding = bound(&hold).unwrap();
    let tables: Vec<&str> = binding.holds.iter().map(|hold| hold.table.as_str()).collect();
    assert_eq!(tables, ["items", "orders", "users"], "not the log");
    assert_eq!(binding.secrets().into_iter().collect::<Vec<_>>(), ["person"]);
    let items = serde_json::to_value(&binding.holds[0].person).unwrap();
    assert_eq!(
        items["paths"],
        json!([{"identity": "user_id", "by": {"through": [
            {"schema": "public", "table": "orders", "columns": [["order_id", "id"]]},
            [{"identity": "user_id", "by": {"through": [
                {"schema": "public", "table": "users", "columns": [["buyer_id", "id"]]},
                [{"identity": "user_id", "by": {"column": "id"}}],
            ]}}],
        ]}}])
    );
    let orders = &binding.holds[1].paths()[1];
    assert_eq!(
        (orders.identity.as_str(), &orders.by),
        ("email", &HeldBy::Column("gift_to".to_owned()))
    );
}

#[test]
fn a_hold_of_another_namespace_binds_and_where_it_names_a_person_every_row() {
    let mut theirs = source();
    theirs.metadata.namespace = Some("crm".to_owned());
    theirs.spec.postgres.host = "platform-db.shop.svc".to_owned();
    let by_when = hold(by_status(&["disputed"]));
    let of_person = hold(json!({"datasets": ["users"], "subjectSecretRef": {"name": "person"}}));
    let found = |hold: &LegalHold| binding("shop", &source(), &[listed(hold, "crm", Some(&theirs))], now()).unwrap();
    let planned = &found(&by_when).holds[0];
    assert_eq!((planned.name.as_str(), planned.when.len()), ("crm/claim", 1));
    let planned = &found(&of_person).holds[0];
    assert_eq!((planned.person.as_ref(), planned.when.len()), (None, 0));
}

#[test]
fn while_a_hold_cannot_be_told_nothing_runs_that_it_may_bind() {
    let (own, fine) = (source(), hold(by_status(&["a"])));
    let unknown = hold(json!({"datasets": ["gone"]}));
    let unreadable = Listed {
        namespace: "shop",
        name: "claim",
        hold: None,
        source: None,
    };
    for listed in [
        listed(&unknown, "shop", Some(&own)),
        listed(&unknown, "crm", Some(&own)),
        listed(&fine, "shop", None),
        unreadable,
    ] {
        let mistakes = binding("shop", &own, &[listed], now()).unwrap_err();
        assert_eq!(mistakes[0].reason, reasons::HOLD_UNCLEAR);
        assert!(mistakes[0].message.contains("claim"), "{}", mistakes[0].message);
    }
    // What another namespace means by a name that is not there says nothing about this store.
    assert_eq!(
        binding("shop", &own, &[listed(&fine, "crm", None)], now()),
        Ok(Binding::default())
    );
    assert_eq!(
        planned(&[listed(&unknown, "shop", Some(&fixtures::source()))]).unwrap_err()[0].reason,
        reasons::HOLD_UNCLEAR
    );
}

#[test]
fn each_mistake_is_named_with_its_field() {
    let when = |condition: Value| json!({"datasets": ["orders"], "when": [condition]});
    for (spec, reason, field) in [
        (
            json!({"datasets": ["orders", "gone"]}),
            reasons::UNKNOWN_DATASET,
            "spec.datasets[1]",
        ),
        (
            json!({"datasets": ["access-log"], "subjectSecretRef": {"name": "p"}}),
            reasons::NO_SUBJECTS,
            "spec.datasets",
        ),
        (
            when(json!({"column": "gift_to", "operator": "In", "values": ["a"]})),
            reasons::NAMES_A_PERSON,
            "spec.when[0].column",
        ),
        (
            when(json!({"column": "invoice_name", "operator": "NotIn", "values": ["a"]})),
            reasons::NAMES_A_PERSON,
            "spec.when[0].column",
        ),
        (
            when(json!({"column": "buyer.id", "operator": "Exists"})),
            reasons::INVALID_VALUE,
            "spec.when[0].column",
        ),
        (
            when(json!({"column": "a", "operator": "Before", "otherColumn": "buyer.at"})),
            reasons::INVALID_VALUE,
            "spec.when[0].otherColumn",
        ),
        (
            when(json!({"column": "at", "operator": "Before", "values": ["now"]})),
            reasons::INVALID_VALUE,
            "spec.when[0].values[0]",
        ),
        (
            when(json!({"column": "at", "operator": "Before", "values": ["soon"]})),
            reasons::INVALID_VALUE,
            "spec.when[0].values[0]",
        ),
        (
            when(json!({"column": "a\tb", "operator": "Exists"})),
            reasons::INVALID_IDENTIFIER,
            "spec.when[0].column",
        ),
    ] {
        let found: Vec<(&str, String)> = mistakes(&hold(spec.clone()), Some(&source()))
            .into_iter()
            .map(|mistake| (mistake.reason, mistake.field))
            .collect();
        assert_eq!(found, [(reason, field.to_owned())], "{spec}");
    }
    assert_eq!(
        mistakes(&hold(by_status(&["a"])), None)[0].reason,
        reasons::UNKNOWN_DATA_SOURCE
    );
    // Whether there is an address says nothing about whose it is.
    assert!(
        mistakes(
            &hold(when(json!({"column": "gift_to", "operator": "Exists"}))),
            Some(&source())
        )
        .is_empty()
    );
}

fn condition(hold: &LegalHold, waiting: Option<&[&str]>, type_: &str) -> (String, String) {
    let waiting: Option<BTreeSet<String>> = waiting.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    let source = source();
    let new = status(&Inputs {
        hold,
        source: Some(&source),
        waiting_for: waiting.as_ref(),
        now: now(),
    });
    let found = new
        .conditions
        .into_iter()
        .find(|condition| condition.type_ == type_)
        .unwrap();
    (found.status, found.reason)
}

#[test]
fn it_is_in_force_only_when_nothing_runs_without_it() {
    let words = |status: &str, reason: &str| (status.to_owned(), reason.to_owned());
    let mut hold = hold(json!({"datasets": ["users"]}));
    assert_eq!(condition(&hold, None, "InForce"), words("False", "Placing"));
    assert_eq!(
        condition(&hold, Some(&["shop/logs"]), "InForce"),
        words("False", "Placing")
    );
    assert_eq!(condition(&hold, Some(&[]), "InForce"), words("True", "Placed"));
    hold.metadata.deletion_timestamp = Some(Time(now()));
    assert_eq!(condition(&hold, Some(&[]), "InForce"), words("True", "DeletionRefused"));
    hold.spec.released = true;
    assert_eq!(condition(&hold, None, "InForce"), words("False", "Released"));
    hold.spec.basis = HoldBasis::Restriction;
    hold.metadata.deletion_timestamp = None;
    assert_eq!(condition(&hold, Some(&[]), "InForce"), words("True", "NotInformed"));
    hold.spec.review_at = "2026-11-22".to_owned();
    assert_eq!(
        condition(&hold, Some(&[]), "ReviewOverdue"),
        words("True", "ReviewOverdue")
    );
}

#[test]
fn since_is_kept_while_it_is_in_force_and_each_change_is_told_once() {
    let (mut hold, source, nobody) = (hold(json!({"datasets": ["users"]})), source(), BTreeSet::new());
    let look = |hold: &LegalHold, now: Timestamp| {
        status(&Inputs {
            hold,
            source: Some(&source),
            waiting_for: Some(&nobody),
            now,
        })
    };
    let first = look(&hold, now());
    let told = transitions(None, &first);
    assert_eq!(
        told.iter()
            .map(|one| (one.warning, one.reason.as_str()))
            .collect::<Vec<_>>(),
        [(false, "Placed")]
    );
    hold.status = Some(first.clone());
    let second = look(&hold, now() + jiff::SignedDuration::from_hours(1));
    assert_eq!(second.since, Some(Time(now())));
    assert_eq!(second, first);
    assert!(transitions(Some(&first), &second).is_empty());
    assert_eq!(second.tables, ["public.users"]);
}
