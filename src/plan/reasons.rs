//! Types and reasons of conditions, in one place. Reasons that come from a work report are words of
//! [`crate::contract::Reason`].

/// The policy or source is understood and acted upon.
pub const READY: &str = "Ready";
/// Every rule keeps its promise, by the clock.
pub const PROMISE_KEPT: &str = "PromiseKept";
/// Disposal stopped on purpose: by a limit, by hand, or because more would go than was said.
pub const HALTED: &str = "Halted";
/// A `Maximum` cannot be promised with so rare a schedule.
pub const SCHEDULE_TOO_COARSE: &str = "ScheduleTooCoarse";
/// A ground has no end: by it nothing is ever due.
pub const INDETERMINATE: &str = "Indeterminate";
/// A number is the deployer's, the published policy has none.
pub const PARAMETERISED: &str = "Parameterised";
/// No `NetworkPolicy` holds the worker.
pub const EGRESS_OPEN: &str = "EgressOpen";
/// Another policy of the namespace has rules for the same table.
pub const SHARED_DATASET: &str = "SharedDataset";
/// A policy of another namespace has rules for the same table.
pub const SHARED_STORE: &str = "SharedStore";
/// A rule looks at rows that no foreign key ties to its own.
pub const RACE_WINDOW: &str = "RaceWindow";
/// A record of processing has no finding that is worse than worth a look.
pub const COMPLETE: &str = "Complete";
/// Every line of a record that can be seen from here was seen to be so.
pub const OBSERVED: &str = "Observed";
/// The last survey of a `DataSource` did its work.
pub const SURVEYED: &str = "Surveyed";
/// A store differs from its declaration.
pub const SCHEMA_DRIFT: &str = "SchemaDrift";
/// Every dataset of a store serves a declared activity.
pub const RECORDED: &str = "Recorded";
/// A `DataSource` was reached by the last run.
pub const REACHABLE: &str = "Reachable";

/// A hold is known to everything that could touch what it binds.
pub const IN_FORCE: &str = "InForce";
/// A hold is to be looked at.
pub const REVIEW_OVERDUE: &str = "ReviewOverdue";

/// Accepted and running on its schedule.
pub const ACCEPTED: &str = "Accepted";
/// Accepted, and suspended by `spec.suspend`.
pub const SUSPENDED: &str = "Suspended";
/// Something still runs that does not know the hold.
pub const PLACING: &str = "Placing";
/// Nothing runs that does not know the hold.
pub const PLACED: &str = "Placed";
/// A hold was released.
pub const RELEASED: &str = "Released";
/// A hold was deleted without being released.
pub const DELETION_REFUSED: &str = "DeletionRefused";
/// A restriction was released, and the day on which the person is told has not come.
pub const NOT_INFORMED: &str = "NotInformed";
/// A day has not come.
pub const NOT_YET: &str = "NotYet";
/// What a hold binds cannot be told.
pub const HOLD_UNCLEAR: &str = "HoldUnclear";
/// The holds cannot be listed.
pub const HOLDS_UNKNOWN: &str = "HoldsUnknown";
/// A condition compares a column that says who somebody is.
pub const NAMES_A_PERSON: &str = "NamesAPerson";
/// A change waits until the runs of the old plan have ended.
pub const CHANGING: &str = "Changing";
/// The `DataSource` does not exist.
pub const UNKNOWN_DATA_SOURCE: &str = "UnknownDataSource";
/// The `DataSource` itself is invalid.
pub const INVALID_DATA_SOURCE: &str = "InvalidDataSource";
/// The dataset is not in the `DataSource`.
pub const UNKNOWN_DATASET: &str = "UnknownDataset";
/// A relation that the dataset does not declare, or that leads elsewhere.
pub const UNKNOWN_RELATION: &str = "UnknownRelation";
/// A subject goes through relations that lead back to where they began.
pub const CIRCULAR_RELATION: &str = "CircularRelation";
/// A subject goes through a relation at whose end nobody is named by that identity.
pub const UNKNOWN_IDENTITY: &str = "UnknownIdentity";
/// A duration cannot be read or is out of range.
pub const INVALID_DURATION: &str = "InvalidDuration";
/// A zone is not known.
pub const INVALID_TIME_ZONE: &str = "InvalidTimeZone";
/// A schedule cannot be read.
pub const INVALID_SCHEDULE: &str = "InvalidSchedule";
/// A name of a table or column cannot be one.
pub const INVALID_IDENTIFIER: &str = "InvalidIdentifier";
/// A value of a condition, mask or approval cannot be read.
pub const INVALID_VALUE: &str = "InvalidValue";
/// Two things have one name.
pub const DUPLICATE_NAME: &str = "DuplicateName";
/// An address range cannot be read.
pub const INVALID_ADDRESS_RANGE: &str = "InvalidAddressRange";
/// Two datasets name one table.
pub const DUPLICATE_TABLE: &str = "DuplicateTable";
/// A mask or set writes a column by which rows are judged.
pub const COLUMN_IN_USE: &str = "ColumnInUse";
/// Masks of one policy name keys of several Secrets.
pub const SEVERAL_KEY_SECRETS: &str = "SeveralKeySecrets";
/// The work plan does not fit into a `ConfigMap`.
pub const PLAN_TOO_LARGE: &str = "PlanTooLarge";
/// An object of the needed name belongs to somebody else.
pub const FOREIGN_OBJECT: &str = "ForeignObject";
/// A worker's pod does not start.
pub const WORKER_STUCK: &str = "WorkerStuck";
/// The API server refused an object.
pub const OBJECT_REFUSED: &str = "ObjectRefused";

/// Every rule is on time.
pub const ON_TIME: &str = "OnTime";
/// Rows stayed longer than promised.
pub const OVERDUE: &str = "Overdue";
/// Rows stayed longer than promised, and the mode is Observe.
pub const ONLY_OBSERVING: &str = "OnlyObserving";
/// No run has reported since the rules were accepted.
pub const NEVER_RAN: &str = "NeverRan";
/// The last time that nothing was due is too long ago.
pub const NO_RECENT_RUN: &str = "NoRecentRun";
/// Rows are due, none of them overdue, and no run has finished with them.
pub const BACKLOG_REMAINING: &str = "BacklogRemaining";
/// The last run ended without a report.
pub const NO_REPORT: &str = "NoReport";
/// The condition does not apply.
pub const NOT_APPLICABLE: &str = "NotApplicable";
/// A run halted by a limit.
pub const LIMIT_EXCEEDED: &str = "LimitExceeded";
/// The stop `ConfigMap` exists.
pub const STOPPED_BY_HAND: &str = "StoppedByHand";
/// No policy's run has reported on the store yet.
pub const NO_RUN_YET: &str = "NoRunYet";
/// The last run reached the store.
pub const REACHED: &str = "Reached";

/// A request is due within seven days.
pub const DUE_SOON: &str = "DueSoon";
/// The person has not been told that the request has come.
pub const ACKNOWLEDGEMENT_OVERDUE: &str = "AcknowledgementOverdue";
/// An extension does not count, or not as far as it goes.
pub const EXTENSION_INVALID: &str = "ExtensionInvalid";
/// An archive does not cover everything.
pub const PARTIAL_COVERAGE: &str = "PartialCoverage";
/// More time is promised than the law gives.
pub const DEADLINES_BEYOND_LAW: &str = "DeadlinesBeyondLaw";
/// A request came to its end after its due date.
pub const ANSWERED_LATE: &str = "AnsweredLate";
/// Something does not say where it is on the network.
pub const NO_NETWORK: &str = "NoNetwork";
/// No store has a row of the person.
pub const SUBJECT_NOT_FOUND: &str = "SubjectNotFound";
/// The hash key was exchanged: limits begin anew.
pub const SUBJECT_KEY_CHANGED: &str = "SubjectKeyChanged";
/// The subject's Secret lacks the identity by which limits count.
pub const MISSING_IDENTITY: &str = "MissingIdentity";
/// The stores name other identities than when the person was identified.
pub const IDENTITIES_CHANGED: &str = "IdentitiesChanged";
/// The `SubjectRightsPolicy` does not exist.
pub const UNKNOWN_RIGHTS_POLICY: &str = "UnknownRightsPolicy";
/// The `SubjectRightsPolicy` itself is invalid.
pub const INVALID_RIGHTS_POLICY: &str = "InvalidRightsPolicy";
/// The law of the policy does not know the right.
pub const RIGHT_NOT_IN_REGIME: &str = "RightNotInRegime";
/// A refusal that the law does not allow.
pub const REFUSAL_NOT_LAWFUL: &str = "RefusalNotLawful";
/// No dataset says whose its rows are.
pub const NO_SUBJECTS: &str = "NoSubjects";
/// There is no key to seal for.
pub const NO_RECIPIENT: &str = "NoRecipient";
/// The keys to seal for were changed after the request was accepted.
pub const RECIPIENT_CHANGED: &str = "RecipientChanged";
/// The holidays cannot be read.
pub const INVALID_HOLIDAYS: &str = "InvalidHolidays";
/// The ledger of requests cannot be used.
pub const LEDGER_UNUSABLE: &str = "LedgerUnusable";
/// A request went and its archive stayed.
pub const ARCHIVE_ABANDONED: &str = "ArchiveAbandoned";
/// Nothing was found.
pub const NOTHING_FOUND: &str = "NothingFound";
/// Every line that can be seen was seen to be so.
pub const ALL_SEEN: &str = "AllSeen";
/// The store is as declared.
pub const AS_DECLARED: &str = "AsDeclared";
/// The store has columns or tables that are not declared.
pub const UNDECLARED: &str = "Undeclared";
/// The store lacks columns or tables that are declared.
pub const VANISHED: &str = "Vanished";
/// A survey did its work.
pub const SURVEY_DONE: &str = "SurveyDone";
/// No survey is scheduled.
pub const NO_SURVEY: &str = "NoSurvey";
/// The last survey is longer ago than the schedule allows.
pub const SURVEY_OVERDUE: &str = "SurveyOverdue";
/// The namespace has no activity.
pub const NO_ACTIVITY: &str = "NoActivity";
