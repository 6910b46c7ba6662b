//! Who may read a Secret, told from the role bindings of the cluster.
//!
//! What this says is what RBAC says. Other authorizers, `system:masters`, the node that runs a pod with the Secret, and
//! whoever can read etcd are not seen. Rights of Kubernetes' own components (bindings that the API server made itself)
//! are left out. Whoever may start or enter pods in the namespace can mount the Secret: that is a right to read it too.

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kube::ResourceExt as _;

use super::Observed;
use crate::api::measures::{AccessSubject, SubjectKind};

/// Label of the bindings that the API server makes for Kubernetes' own components.
const BOOTSTRAPPING: &str = "kubernetes.io/bootstrapping";

/// Resources by which a pod is started or entered.
const PODS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "pods",
            "pods/exec",
            "pods/attach",
            "pods/ephemeralcontainers",
            "replicationcontrollers",
        ],
    ),
    ("apps", &["deployments", "statefulsets", "daemonsets", "replicasets"]),
    ("batch", &["jobs", "cronjobs"]),
];

/// Who may read a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readers {
    /// Roles and bindings were read.
    Known(Vec<Reader>),
    /// They could not be, for this reason.
    Unreadable(String),
}

/// Somebody who may read a Secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reader {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: String,
    /// Name. That of a user never leaves this module.
    pub name: String,
    /// Namespace of a service account.
    pub namespace: String,
    /// By a right on the Secret itself; else by pods that can mount it.
    pub directly: bool,
}

/// The roles and bindings of a namespace and of the cluster.
#[derive(Debug, Clone, Default)]
pub struct Rbac {
    /// Roles of the namespace.
    pub roles: Vec<Role>,
    /// Bindings of the namespace.
    pub role_bindings: Vec<RoleBinding>,
    /// Roles of the cluster.
    pub cluster_roles: Vec<ClusterRole>,
    /// Bindings of the cluster.
    pub cluster_role_bindings: Vec<ClusterRoleBinding>,
}

impl Rbac {
    /// Who may read a Secret of the namespace.
    #[must_use]
    pub fn readers(&self, secret: &str) -> Vec<Reader> {
        let mut readers = Vec::new();
        for binding in &self.role_bindings {
            let rules = self.rules(&binding.role_ref);
            add(
                &mut readers,
                binding.subjects.as_deref(),
                rules,
                secret,
                binding.namespace().as_deref(),
            );
        }
        for binding in &self.cluster_role_bindings {
            if !binding.labels().contains_key(BOOTSTRAPPING) {
                let rules = self.rules(&binding.role_ref);
                add(&mut readers, binding.subjects.as_deref(), rules, secret, None);
            }
        }
        readers.sort();
        // Who may do both is told once, by the stronger right.
        readers.dedup_by(|later, earlier| {
            (&later.kind, &later.name, &later.namespace) == (&earlier.kind, &earlier.name, &earlier.namespace) && {
                earlier.directly |= later.directly;
                true
            }
        });
        readers
    }

    fn rules(&self, reference: &RoleRef) -> &[PolicyRule] {
        let rules = if reference.kind == "Role" {
            let role = self.roles.iter().find(|role| role.name_any() == reference.name);
            role.and_then(|role| role.rules.as_deref())
        } else {
            let role = self.cluster_roles.iter().find(|role| role.name_any() == reference.name);
            role.and_then(|role| role.rules.as_deref())
        };
        rules.unwrap_or_default()
    }
}

fn add(
    readers: &mut Vec<Reader>,
    subjects: Option<&[Subject]>,
    rules: &[PolicyRule],
    secret: &str,
    namespace: Option<&str>,
) {
    let directly = rules.iter().any(|rule| reads(rule, secret));
    if !directly && !rules.iter().any(mounts) {
        return;
    }
    for subject in subjects.unwrap_or_default() {
        readers.push(Reader {
            kind: subject.kind.clone(),
            name: subject.name.clone(),
            namespace: subject
                .namespace
                .clone()
                .or_else(|| namespace.map(str::to_owned))
                .unwrap_or_default(),
            directly,
        });
    }
}

fn has(list: Option<&Vec<String>>, wanted: &[&str]) -> bool {
    list.into_iter()
        .flatten()
        .any(|entry| entry == "*" || wanted.contains(&entry.as_str()))
}

fn reads(rule: &PolicyRule, secret: &str) -> bool {
    let names = rule.resource_names.as_deref().unwrap_or_default();
    has(rule.api_groups.as_ref(), &[""])
        && has(rule.resources.as_ref(), &["secrets"])
        && has(Some(&rule.verbs), &["get", "list", "watch"])
        && (names.is_empty() || names.iter().any(|name| name == secret))
}

fn mounts(rule: &PolicyRule) -> bool {
    PODS.iter().any(|(group, resources)| {
        has(rule.api_groups.as_ref(), &[group])
            && has(rule.resources.as_ref(), resources)
            && has(Some(&rule.verbs), &["create", "update", "patch"])
    })
}

/// Holds the readers against those who are allowed. Users are counted and never named: a name of a person has no place
/// in a status.
#[must_use]
pub fn judge(secret: &str, namespace: &str, allowed: &[AccessSubject], readers: &[Reader]) -> Observed {
    let is_allowed = |reader: &Reader| {
        allowed.iter().any(|subject| match subject.kind {
            SubjectKind::Group => reader.kind == "Group" && reader.name == subject.name,
            SubjectKind::ServiceAccount => {
                reader.kind == "ServiceAccount"
                    && reader.name == subject.name
                    && reader.namespace == subject.namespace.as_deref().unwrap_or(namespace)
            }
        })
    };
    let (direct, through_pods): (Vec<&Reader>, Vec<&Reader>) = readers
        .iter()
        .filter(|reader| !is_allowed(reader))
        .partition(|reader| reader.directly);
    let command = format!("kubectl auth can-i get secrets/{secret} -n {namespace} --as ... tells for one of them");
    if !direct.is_empty() {
        let text = format!(
            "Secret {secret}: {} may read it beside those allowed; {command}",
            words(&direct)
        );
        return Observed::new(false, "OthersMayRead", text);
    }
    if !through_pods.is_empty() {
        let text = format!(
            "Secret {secret}: {} may start or enter pods in this namespace, and so mount it, beside those allowed",
            words(&through_pods)
        );
        return Observed::new(false, "OthersMayMount", text);
    }
    Observed::new(
        true,
        "OnlyThoseAllowed",
        format!(
            "Secret {secret}: by role bindings nobody but those allowed may read it; other authorizers and nodes are not seen"
        ),
    )
}

fn words(readers: &[&Reader]) -> String {
    let named: Vec<String> = readers
        .iter()
        .filter_map(|reader| match reader.kind.as_str() {
            "ServiceAccount" => Some(format!("service account {}/{}", reader.namespace, reader.name)),
            "Group" => Some(format!("group {}", reader.name)),
            _ => None,
        })
        .take(8)
        .collect();
    let users = readers.iter().filter(|reader| reader.kind == "User").count();
    let more = readers.len() - users - named.len();
    let mut parts = named;
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    if users > 0 {
        parts.push(format!("{users} user(s)"));
    }
    crate::plan::join_words(&parts, "and")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::conditions::Truth;

    fn rbac(yaml: &str) -> Rbac {
        let value: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
        let list = |key: &str| value.get(key).cloned().unwrap_or_else(|| serde_json::json!([]));
        Rbac {
            roles: serde_json::from_value(list("roles")).unwrap(),
            role_bindings: serde_json::from_value(list("roleBindings")).unwrap(),
            cluster_roles: serde_json::from_value(list("clusterRoles")).unwrap(),
            cluster_role_bindings: serde_json::from_value(list("clusterRoleBindings")).unwrap(),
        }
    }

    fn allowed() -> Vec<AccessSubject> {
        serde_json::from_value(serde_json::json!([
            {"kind": "ServiceAccount", "name": "app"}, {"kind": "Group", "name": "platform-admins"}
        ]))
        .unwrap()
    }

    fn verdict(yaml: &str) -> (Truth, String, String) {
        let judged = judge("db", "shop", &allowed(), &rbac(yaml).readers("db"));
        (judged.truth, judged.reason, judged.message)
    }

    const APP: &str = r#"
roles:
- {metadata: {name: read-db, namespace: shop}, rules: [{apiGroups: [""], resources: [secrets], resourceNames: [db], verbs: [get]}]}
- {metadata: {name: read-other, namespace: shop}, rules: [{apiGroups: [""], resources: [secrets], resourceNames: [other], verbs: [get]}]}
roleBindings:
- {metadata: {name: a, namespace: shop}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: read-db}, subjects: [{kind: ServiceAccount, name: app, namespace: shop}]}
- {metadata: {name: b, namespace: shop}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: read-other}, subjects: [{kind: User, name: jane@example.com}]}
clusterRoles:
- {metadata: {name: all}, rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]}
- {metadata: {name: deploy}, rules: [{apiGroups: [apps], resources: [deployments], verbs: [get, patch]}]}
- {metadata: {name: look}, rules: [{apiGroups: [apps], resources: [deployments], verbs: [get, list, watch]}]}
clusterRoleBindings:
- {metadata: {name: cluster-admin, labels: {kubernetes.io/bootstrapping: rbac-defaults}}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: all}, subjects: [{kind: Group, name: "system:masters"}]}
- {metadata: {name: admins}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: all}, subjects: [{kind: Group, name: platform-admins}]}
- {metadata: {name: lookers}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: look}, subjects: [{kind: Group, name: everybody}]}
"#;

    #[test]
    fn those_allowed_and_kubernetes_itself_are_fine_and_a_right_on_another_secret_counts_not() {
        let (truth, reason, _) = verdict(APP);
        assert_eq!((truth, reason.as_str()), (Truth::True, "OnlyThoseAllowed"));
    }

    #[test]
    fn another_reader_is_told_and_a_user_is_counted_but_never_named() {
        let more = format!(
            "{APP}- {{metadata: {{name: x}}, roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: all}}, subjects: [{{kind: User, name: jane@example.com}}, {{kind: ServiceAccount, name: argo, namespace: ci}}]}}\n"
        );
        let (truth, reason, message) = verdict(&more);
        assert_eq!((truth, reason.as_str()), (Truth::False, "OthersMayRead"));
        assert!(message.contains("service account ci/argo and 1 user(s)"), "{message}");
        assert!(!message.contains("jane"), "{message}");
    }

    #[test]
    fn who_may_start_pods_may_mount_the_secret() {
        let more = format!(
            "{APP}- {{metadata: {{name: x}}, roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: deploy}}, subjects: [{{kind: Group, name: developers}}]}}\n"
        );
        let (truth, reason, message) = verdict(&more);
        assert_eq!((truth, reason.as_str()), (Truth::False, "OthersMayMount"));
        assert!(message.contains("group developers"), "{message}");
    }
}
