//! `ClusterEncryption`: encryption at rest of what the API servers store, and the rotation of its keys.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::data_retention_policy::Empty;

/// How the resource of Secrets is written in the lists of resources.
pub const SECRETS: &str = "secrets";

/// The only name that an object of this kind can have.
pub const CLUSTER_ENCRYPTION_NAME: &str = "cluster";

/// Encryption at rest of what the API servers store, and the rotation of its keys. There is one, named `cluster`.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "privacy-operator.dev",
    version = "v1alpha1",
    kind = "ClusterEncryption",
    plural = "clusterencryptions",
    shortname = "ce",
    category = "privacy",
    status = "ClusterEncryptionStatus",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name == 'cluster'").message("there is one ClusterEncryption, and its name is cluster"),
    doc = "Encryption at rest of what the API servers store, and the rotation of its keys. There is one, named `cluster`. Deleting it changes nothing: keys, files and stored objects stay as they are.",
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(
        name = "Encrypted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Encrypted')].status",
        description = "Whether every stored object was proven to be under the active key."
    ),
    printcolumn(
        name = "Readable",
        type_ = "string",
        json_path = ".status.readable",
        description = "Whether every API server can read every object that was written."
    ),
    printcolumn(
        name = "Safe-Restart",
        type_ = "string",
        json_path = ".status.safeToRestartApiServer",
        description = "Whether an API server that restarts now reads everything."
    ),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.step"),
    printcolumn(
        name = "Left",
        type_ = "integer",
        json_path = ".status.objectsLeft",
        description = "Objects that the running pass has not looked at yet."
    ),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.nextRotationAt"),
    printcolumn(name = "Key", type_ = "string", json_path = ".status.activeKey", priority = 1),
    printcolumn(name = "Action", type_ = "string", json_path = ".status.nextAction", priority = 1),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        priority = 1
    )
)]
#[x_kube(
    validation = Rule::new("self.mode != 'Apply' || has(self.escrow)").message("mode Apply needs escrow: name ageRecipients (age-keygen prints one), or say escrow: {none: {}} out loud")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterEncryptionSpec {
    /// `Observe` (default) reports what the API servers do and writes nothing. `Render` keeps the keys and the
    /// configuration file in a Secret of the namespace `privacy-operator-encryption`, for you to put onto the control
    /// plane. `Apply` has agents do that.
    #[serde(default)]
    pub mode: EncryptionMode,

    /// What is encrypted: `secrets`, `configmaps`, or `RESOURCE.GROUP`.
    #[serde(default = "default_resources")]
    #[schemars(
        length(min = 1, max = 16),
        inner(
            length(min = 1, max = 253),
            regex(pattern = r"^[a-z][-a-z0-9]*(\.[a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$")
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub resources: Vec<String>,

    /// What is encrypted in addition as soon as a `ProcessingActivity` asks for it. What is in neither list is not
    /// encrypted, whoever asks: a tenant cannot change the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(
            length(min = 1, max = 253),
            regex(pattern = r"^[a-z][-a-z0-9]*(\.[a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$")
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_resources: Vec<String>,

    /// How values are encrypted. `secretbox` is XSalsa20 and Poly1305 with a key in the configuration file.
    #[serde(default)]
    pub provider: EncryptionProvider,

    /// When the key changes.
    #[serde(default)]
    pub rotation: Rotation,

    /// A copy of the keys that outlives the cluster, sealed to people who keep their own keys. Required with `Apply`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escrow: Option<Escrow>,

    /// Which API servers must agree before a step is taken.
    #[serde(default)]
    pub control_plane: ControlPlane,
}

fn default_resources() -> Vec<String> {
    vec!["secrets".to_owned()]
}

/// What the operator does about encryption.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum EncryptionMode {
    /// Report what the API servers do.
    #[default]
    Observe,
    /// Keep keys and file in a Secret; somebody else puts the file onto the control plane.
    Render,
    /// Agents put the file onto the control plane.
    Apply,
}

/// How values are encrypted.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum EncryptionProvider {
    /// XSalsa20 and Poly1305, with a key of 32 bytes in the configuration file.
    #[default]
    #[serde(rename = "secretbox")]
    Secretbox,
}

/// When the key changes, and how long old ones can still be read.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rotation {
    /// Time from the end of one rotation to the begin of the next, an ISO 8601 duration of at least `PT1H`.
    #[serde(default = "default_every")]
    #[schemars(length(min = 3, max = 32))]
    pub every: String,

    /// How many former keys stay readable, so that a backup of etcd that is this many rotations old can be restored.
    #[serde(default = "default_keep_old_keys")]
    #[schemars(range(min = 1, max = 30))]
    pub keep_old_keys: i32,

    /// Any text, for example a date or the number of an incident: a new one asks for a rotation, which begins as soon as
    /// the last one has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub request: Option<String>,
}

fn default_every() -> String {
    "P90D".to_owned()
}

const fn default_keep_old_keys() -> i32 {
    10
}

impl Default for Rotation {
    fn default() -> Self {
        Self {
            every: default_every(),
            keep_old_keys: default_keep_old_keys(),
            request: None,
        }
    }
}

/// Where the keys are kept besides the cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("has(self.ageRecipients) != has(self.none)").message("set exactly one of escrow.ageRecipients and escrow.none"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Escrow {
    /// Recipients of the sealed copy, as `age-keygen` prints them (`age1...`). Any one of their keys opens it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 16),
        inner(length(min = 62, max = 62), regex(pattern = r"^age1[02-9ac-hj-np-z]{58}$"))
    )]
    pub age_recipients: Vec<String>,

    /// No copy: with etcd and the control plane's disks, the keys are lost too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none: Option<Empty>,
}

/// Which API servers there are.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ControlPlane {
    /// Labels of the nodes on which API servers run. Absent: nodes with the label
    /// `node-role.kubernetes.io/control-plane`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,

    /// Every API server by its own address, for example `https://10.0.0.11:6443`; the certificate must name it. Absent:
    /// the endpoints of the Service `kubernetes`, which must have one for each control-plane node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 9, max = 253), regex(pattern = r"^https://[-a-zA-Z0-9.:\[\]]+$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub endpoints: Vec<String>,
}

/// What is known of the encryption of this cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClusterEncryptionStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Observing`, `Settled` (no rotation is under way), `Rotating`, or `Stopped` (a person has to look).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,

    /// Where a rotation stands: `Import`, `Mint`, `Distribute`, `Promote`, `Migrate`, `Verify`, `Prune` or `Settled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,

    /// Whether every API server can read every object that was written: `True`, `False` or `Unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readable: Option<String>,

    /// Whether an API server that restarts now reads everything: `True`, `False` or `Unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safe_to_restart_api_server: Option<String>,

    /// What comes next: what is waited for, or what somebody has to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_action: Option<String>,

    /// Name of the key under which new objects are written, once every API server does so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_key: Option<String>,

    /// Every key that is readable, the newest first. A key that is named here and that the key Secret lacks stops the
    /// machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyStatus>,

    /// What is encrypted: the resources of the spec and what activities ask for and the spec allows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,

    /// Number of the key Secret's content; it only grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_generation: Option<i64>,

    /// `sha256:` and the hash of the configuration file that every API server should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_hash: Option<String>,

    /// Each API server that must agree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub servers: Vec<ServerStatus>,

    /// Each agent, in mode `Apply`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["node".into()]))]
    pub agents: Vec<AgentStatus>,

    /// Objects that the running pass has looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects_done: Option<i64>,

    /// Objects that the running pass has not looked at yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects_left: Option<i64>,

    /// The last proof that every object is under the active key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<VerifiedStatus>,

    /// When the next rotation begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_rotation_at: Option<Time>,

    /// What plain text remains in spite of encryption, and how it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plaintext: Option<String>,

    /// The sealed copy of the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escrow: Option<EscrowStatus>,

    /// `Ready`: the operator can do what the mode says. `Encrypted`: every object was proven to be under the active key.
    /// `Agreed`: every API server has the file that it should have. `Stopped`: a person has to look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// A key.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyStatus {
    /// Its name in the configuration file and in etcd. A name is never used again.
    pub name: String,
    /// `New` (readable, not used yet), `Active` or `Old`.
    pub state: String,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
}

/// An API server.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatus {
    /// Its address, or the node or Lease by which it is known.
    pub name: String,
    /// Whether it has loaded the file that it should have: `True`, `False` or `Unknown`.
    pub agrees: String,
    /// Hash of the file that it has loaded, as it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_hash: Option<String>,
    /// With what it has written each resource since it started: `identity` is plain text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<String>,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// An agent on a control-plane node.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentStatus {
    /// Its node.
    pub node: String,
    /// Generation of the file that it has written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_generation: Option<i64>,
    /// Hash of the file as it is on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_hash: Option<String>,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A proof that every object is under the active key.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedStatus {
    /// The key.
    pub key: String,
    /// When the proof was complete.
    pub at: Time,
    /// How many objects were looked at, each through every API server.
    pub objects: i64,
    /// How many API servers.
    pub servers: i64,
}

/// The sealed copy of the keys.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EscrowStatus {
    /// ConfigMap that holds it, in the namespace `privacy-operator-encryption`.
    pub config_map: String,
    /// Names of the keys in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Number of recipients, each of whom can open it.
    pub recipients: i64,
}
