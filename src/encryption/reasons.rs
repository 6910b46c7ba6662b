//! Types and reasons of the conditions of a `ClusterEncryption`, in one place.

/// Every stored object was proven to be under the active key.
pub const ENCRYPTED: &str = "Encrypted";
/// Every API server has the file that it should have.
pub const AGREED: &str = "Agreed";
/// The machine stands still until a person has looked.
pub const STOPPED: &str = "Stopped";

/// The key Secret lacks a key that is known elsewhere.
pub const KEY_MATERIAL_MISSING: &str = "KeyMaterialMissing";
/// The key Secret was changed by hand, or does not fit together.
pub const KEY_MATERIAL_DAMAGED: &str = "KeyMaterialDamaged";
/// The key Secret is older than the files on the nodes.
pub const CUSTODY_ROLLED_BACK: &str = "CustodyRolledBack";
/// An API server has loaded a file that is none of ours.
pub const UNKNOWN_FILE: &str = "UnknownFile";
/// An API server reads no configuration file.
pub const NOT_CONFIGURED: &str = "NotConfigured";
/// The file that was there before is not understood.
pub const FILE_NOT_UNDERSTOOD: &str = "FileNotUnderstood";
/// The file that was there before is not known yet.
pub const BASELINE_MISSING: &str = "BaselineMissing";
/// The nodes had different files.
pub const BASELINE_DIFFERS: &str = "BaselineDiffers";
/// An API server that must be there was not found.
pub const SERVER_MISSING: &str = "ServerMissing";
/// An API server cannot be asked.
pub const SERVER_UNREACHABLE: &str = "ServerUnreachable";
/// The operator lacks a right.
pub const METRICS_FORBIDDEN: &str = "MetricsForbidden";
/// There is no agent on a control-plane node.
pub const AGENT_MISSING: &str = "AgentMissing";
/// An agent does not write the file.
pub const AGENT_REFUSES: &str = "AgentRefuses";
/// Not every API server has loaded the file yet.
pub const NOT_AGREED: &str = "NotAgreed";
/// Writes that began before the last reload may still commit.
pub const SETTLING: &str = "Settling";
/// The migrator works.
pub const PASS_RUNNING: &str = "PassRunning";
/// The migrator cannot go on.
pub const PASS_BLOCKED: &str = "PassBlocked";
/// Objects refuse to be written.
pub const OBJECTS_REFUSED: &str = "ObjectsRefused";
/// Objects cannot be read.
pub const OBJECTS_UNREADABLE: &str = "ObjectsUnreadable";
/// The sealed copy cannot be made.
pub const ESCROW_FAILED: &str = "EscrowFailed";
/// The chart's value for this is not set.
pub const NOT_ENABLED: &str = "NotEnabled";
/// The mode writes nothing.
pub const OBSERVING: &str = "Observing";
/// A rotation goes on.
pub const ROTATING: &str = "Rotating";
/// No rotation is under way.
pub const SETTLED: &str = "Settled";
/// Every object was proven to be under the active key.
pub const VERIFIED: &str = "Verified";
/// API servers write what should be encrypted in plain text still.
pub const IN_PLAIN_TEXT: &str = "InPlainText";
/// No proof yet.
pub const NOT_VERIFIED: &str = "NotVerified";
/// It cannot be told from here.
pub const UNVERIFIABLE: &str = "Unverifiable";
