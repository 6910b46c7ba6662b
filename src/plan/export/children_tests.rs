use k8s_openapi::api::core::v1::PodSpec;

use super::*;
use crate::api::{DataSource, SubjectRightsPolicy};
use crate::contract::PLAN_PATH;
use crate::contract::export::archive_name;
use crate::plan::export::activities::Record;
use crate::plan::export::fixtures;
use crate::plan::export::network::{network_policy, unknown_places};
use crate::plan::export::plans::{self, Material};
use crate::plan::export::policy::parse;
use crate::plan::export::request::{Inputs, accept};
use crate::plan::fixtures::{now, settings};

const IDENTITY: Identity<'static> = Identity {
    namespace: "shop",
    namespace_uid: "namespace-uid",
    name: "dsr-7f3a",
    uid: "request-uid",
};

fn planned(policy: &SubjectRightsPolicy, source: &DataSource) -> Plan<ExportPlan> {
    let request = fixtures::request();
    let inputs = Inputs {
        request: &request,
        policy: Some(policy),
        sources: &[source],
        now: now(),
    };
    let accepted = accept(&inputs, policy).unwrap();
    let material = Material {
        policy,
        parsed: &parse(policy).unwrap(),
        accepted: &accepted,
        subject: &fixtures::subject(),
        record: Record::default(),
        others: true,
        received_at: now(),
    };
    plans::export(IDENTITY, &request, material).unwrap()
}

fn object_store() -> SubjectRightsPolicy {
    let mut policy = fixtures::policy();
    policy.spec.delivery = serde_saphyr::from_str(
        r"
objectStore:
  endpoint: https://s3.example.com:9000
  bucket: exports
  prefix: people/
  credentialsSecretRef: {name: s3}
  caSecretRef: {name: s3-ca, key: ca.pem}
  network: {cidrs: [10.9.0.0/16]}
",
    )
    .unwrap();
    policy
}

fn pod(job: &Job) -> PodSpec {
    job.spec.as_ref().unwrap().template.spec.clone().unwrap()
}

/// Mount path of each Secret, by the name of the Secret.
fn secrets(pod: &PodSpec) -> Vec<(String, String)> {
    let mounts = pod.containers[0].volume_mounts.as_ref().unwrap();
    let volumes = pod.volumes.as_ref().unwrap().iter();
    volumes
        .filter_map(|volume| {
            let name = volume.secret.as_ref()?.secret_name.clone()?;
            let mount = mounts.iter().find(|mount| mount.name == volume.name)?;
            Some((name, mount.mount_path.clone()))
        })
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |pair: &(&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
    expected.iter().map(own).collect()
}

#[test]
fn an_export_mounts_what_the_contract_says_and_nothing_else() {
    let job = export(
        IDENTITY,
        &planned(&object_store(), &fixtures::source()),
        3600,
        &settings(),
    );
    assert_eq!(job.metadata.name.as_deref(), Some("export-request-uid"));
    let pod = pod(&job);
    assert_eq!(pod.automount_service_account_token, Some(false));
    assert_eq!(pod.containers[0].args.as_deref().unwrap(), ["worker", "export"]);
    assert_eq!(
        secrets(&pod),
        pairs(&[
            ("dsr-7f3a", "/etc/privacy-operator/subject"),
            ("hash-key", "/etc/privacy-operator/hash-key"),
            ("platform-db-retention", "/etc/privacy-operator/stores/0/credentials"),
            ("platform-db-ca", "/etc/privacy-operator/stores/0/ca"),
            ("s3", "/etc/privacy-operator/delivery/credentials"),
            ("s3-ca", "/etc/privacy-operator/delivery/ca"),
        ])
    );
    let all_optional = |volume: &PodVolume| {
        volume
            .secret
            .as_ref()
            .is_none_or(|secret| secret.optional == Some(true))
    };
    assert!(pod.volumes.unwrap().iter().all(all_optional));
    assert!(PLAN_PATH.ends_with(&format!("/{PLAN_KEY}")));
}

#[test]
fn a_volume_is_the_only_thing_that_can_be_written_to() {
    let job = export(
        IDENTITY,
        &planned(&fixtures::policy(), &fixtures::source()),
        3600,
        &settings(),
    );
    let pod = pod(&job);
    let writable: Vec<&str> = pod.containers[0]
        .volume_mounts
        .as_ref()
        .unwrap()
        .iter()
        .filter(|mount| mount.read_only != Some(true))
        .map(|mount| mount.mount_path.as_str())
        .collect();
    assert_eq!(writable, ["/var/lib/privacy-operator/archives"]);
    let claims = pod
        .volumes
        .unwrap()
        .into_iter()
        .filter_map(|volume| volume.persistent_volume_claim);
    assert_eq!(claims.map(|claim| claim.claim_name).collect::<Vec<_>>(), ["archives"]);
}

#[test]
fn who_identifies_reads_no_store_and_who_deletes_knows_nobody() {
    let (request, policy, source) = (fixtures::request(), fixtures::policy(), fixtures::source());
    let inputs = Inputs {
        request: &request,
        policy: Some(&policy),
        sources: &[&source],
        now: now(),
    };
    let plan = plans::identify(IDENTITY, &request, &policy, &accept(&inputs, &policy).unwrap());
    let job = identify(IDENTITY, &plan, &settings());
    assert_eq!(
        secrets(&pod(&job)),
        pairs(&[
            ("dsr-7f3a", "/etc/privacy-operator/subject"),
            ("hash-key", "/etc/privacy-operator/hash-key"),
        ])
    );
    let export = planned(&object_store(), &source);
    let plan = plans::expire("request-uid", &export.plan.delivery);
    let job = expire(IDENTITY, &plan, &settings());
    assert_eq!(
        secrets(&pod(&job)),
        pairs(&[
            ("s3", "/etc/privacy-operator/delivery/credentials"),
            ("s3-ca", "/etc/privacy-operator/delivery/ca"),
        ])
    );
    assert_eq!(plans::read_expire(&plan.json), Some(plan));
    assert_eq!(plans::read_expire("{}"), None);
}

#[test]
fn the_plan_is_the_same_text_for_the_same_input_and_another_for_another() {
    let (policy, source) = (fixtures::policy(), fixtures::source());
    let plan = planned(&policy, &source);
    assert_eq!(plan, planned(&policy, &source));
    assert_ne!(plan.hash, planned(&object_store(), &source).hash);
    let read: ExportPlan = serde_json::from_str(&plan.json).unwrap();
    assert_eq!(read.delivery, plan.plan.delivery);
    assert_eq!(read.stores[0].datasets[0].fields.len(), 2);
    assert!(read.stores[0].datasets[0].fields[1].secret);
    assert_eq!(read.not_included.len(), 1, "there are stores in other namespaces");
    // The activity that a dataset names does not exist: it is printed by its name alone.
    assert_eq!(read.activities[0].title, "accounts");
    assert!(plan.json.contains(&archive_name("request-uid", &read.sealing)));
}

#[test]
fn workers_reach_stores_object_store_and_dns_and_nothing_else() {
    let (policy, source) = (object_store(), fixtures::source());
    let built = network_policy(IDENTITY, &[&source], &policy, &settings())
        .unwrap()
        .spec
        .unwrap();
    let ports: Vec<String> = built
        .egress
        .unwrap()
        .iter()
        .map(|rule| {
            format!(
                "{} {:?}",
                rule.to.is_some(),
                rule.ports.as_ref().unwrap()[0].port.clone().unwrap()
            )
        })
        .collect();
    assert_eq!(ports, ["true Int(5432)", "true Int(9000)", "false Int(53)"]);
    let ingress = built.ingress.unwrap();
    assert_eq!(ingress.len(), 1, "the operator asks for progress, and nobody else");
    let mut open = source.clone();
    open.spec.network = None;
    assert!(network_policy(IDENTITY, &[&source, &open], &policy, &settings()).is_none());
    assert_eq!(unknown_places(&[&source, &open], &policy), ["DataSource platform-db"]);
    let mut anywhere = policy.clone();
    anywhere.spec.delivery.object_store.as_mut().unwrap().network = None;
    assert_eq!(unknown_places(&[&source], &anywhere).len(), 1);
}
