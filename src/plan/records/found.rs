//! Every finding, in one place: its word, how bad it is, and what to do about it.

use crate::api::findings::{Finding, Severity};

/// A kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct FindingReason {
    /// The word in status, metrics and the register.
    pub word: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What to do.
    pub remedy: &'static str,
}

impl FindingReason {
    /// The finding at a field.
    pub fn at(&self, field: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding {
            reason: self.word.to_owned(),
            severity: self.severity,
            field: field.into(),
            message: message.into(),
            remedy: self.remedy.to_owned(),
        }
    }
}

macro_rules! findings {
    ($($(#[$doc:meta])* $constant:ident = $word:literal, $severity:ident, $remedy:literal;)*) => {
        $($(#[$doc])* pub const $constant: FindingReason = FindingReason {
            word: $word, severity: Severity::$severity, remedy: $remedy,
        };)*
        /// Every finding, for tests and documentation.
        pub const ALL: &[FindingReason] = &[$($constant),*];
    };
}

findings! {
    /// The notice does not exist.
    UNKNOWN_NOTICE = "UnknownNotice", Error, "create the PrivacyNotice, or correct spec.noticeRef.name (kubectl get privacynotices lists them)";
    /// A field of Art. 30 is empty.
    ART30_FIELD_MISSING = "Art30FieldMissing", Error, "fill it in: Art. 30 GDPR asks for it";
    /// A date that is none.
    INVALID_DATE = "InvalidDate", Error, "write a day that exists as YYYY-MM-DD";
    /// A period that is none.
    INVALID_PERIOD = "InvalidPeriod", Error, "write an ISO 8601 period such as P7D, P6M or P1Y";
    /// No legal basis.
    LEGAL_BASIS_MISSING = "LegalBasisMissing", Warning, "name the basis of Art. 6(1) GDPR, and say so in the notice (Art. 13(1)(c))";
    /// A basis that the notice does not name.
    LEGAL_BASIS_NOT_IN_NOTICE = "LegalBasisNotInNotice", Error, "use a basis that the notice names, or publish a notice that names this one and add it to allowedLegalBases";
    /// Legitimate interests without the interest.
    INTEREST_MISSING = "InterestMissing", Warning, "say which interest it is in legalBases[].interest: people must be told (Art. 13(1)(d))";
    /// A special category without a condition.
    ART9_CONDITION_MISSING = "Art9ConditionMissing", Error, "name the condition of Art. 9(2) in dataCategories[].art9, or stop processing the category";
    /// The notice promises not to do this.
    PROHIBITION_VIOLATED = "ProhibitionViolated", Error, "stop it, or publish a notice without this promise";
    /// Decisions by machines, and the logic is not told.
    LOGIC_MISSING = "LogicMissing", Warning, "describe the logic and what it means for people in automatedDecisions.logic (Art. 13(2)(f))";
    /// A transfer to somebody who is no recipient.
    RECIPIENT_NOT_LISTED = "RecipientNotListed", Error, "add the recipient to recipients, or correct its name";
    /// A recipient that the notice does not name.
    RECIPIENT_NOT_IN_NOTICE = "RecipientNotInNotice", Error, "publish a notice that names the recipient and add it to the notice's recipients, or stop passing data on to it";
    /// Data of a closed activity goes to others through another activity.
    RECIPIENTS_CLOSED = "RecipientsClosed", Error, "keep the data of the two activities apart, or add the recipient here and to the notice";
    /// What a recipient is in law is not known.
    RECIPIENT_ROLE_MISSING = "RecipientRoleMissing", Warning, "set recipients[].role: the law asks different things of processors, joint controllers and others";
    /// Where a recipient is, is not known.
    COUNTRY_MISSING = "CountryMissing", Warning, "find out in which countries the recipient handles the data, and list them in recipients[].countries";
    /// A recipient may use data for what the activity is not for.
    RECIPIENT_PURPOSE = "RecipientPurpose", Error, "allow the recipient purposes of the activity only";
    /// A processor without agreement.
    PROCESSOR_WITHOUT_AGREEMENT = "ProcessorWithoutAgreement", Error, "conclude an agreement (Art. 28(3) GDPR) and write it down as recipients[].agreement with type Art28";
    /// Joint controllers without arrangement.
    JOINT_ARRANGEMENT_MISSING = "JointArrangementMissing", Error, "conclude an arrangement (Art. 26 GDPR) and write it down as recipients[].agreement with type Art26";
    /// An agreement without a day.
    AGREEMENT_UNDATED = "AgreementUndated", Info, "set recipients[].agreement.signedOn";
    /// A third country, and nothing that makes the transfer lawful.
    TRANSFER_WITHOUT_MECHANISM = "TransferWithoutMechanism", Error, "find out what makes the transfer lawful (chapter V GDPR) and write it down in transfers[].mechanism, or stop it";
    /// Adequacy claimed for a country without a decision known here.
    ADEQUACY_NOT_KNOWN = "AdequacyNotKnown", Error, "use another mechanism; if a decision was taken since, name it in transfers[].reference";
    /// Adequacy that holds for some only.
    ADEQUACY_CONDITIONAL = "AdequacyConditional", Warning, "check that the recipient is one of those, and name the proof in transfers[].reference";
    /// Clauses that came after the transfer.
    CLAUSES_AFTER_TRANSFER = "ClausesAfterTransfer", Error, "execute clauses before the first transfer; data that went before had no safeguard: tell the data protection officer";
    /// When clauses were executed is not known.
    MECHANISM_UNDATED = "MechanismUndated", Warning, "set transfers[].executedOn, so that it can be seen that the clauses came first";
    /// A derogation for a routine.
    DEROGATION_FOR_ROUTINE = "DerogationForRoutine", Error, "derogations of Art. 49 GDPR carry single transfers only: use clauses or adequacy, or set transfers[].occasional if it is one";
    /// Compelling interests without documented safeguards.
    SAFEGUARDS_UNDOCUMENTED = "SafeguardsUndocumented", Error, "document assessment and safeguards (Art. 49(6) GDPR) and name the document in transfers[].reference";
    /// A category for which no period is declared.
    CATEGORY_WITHOUT_RETENTION = "CategoryWithoutRetention", Warning, "add a retention line for the category: a rule, or what is stated";
    /// A line about what the activity does not have.
    RETENTION_OF_UNKNOWN_CATEGORY = "RetentionOfUnknownCategory", Warning, "add the category to dataCategories, or take it off the line";
    /// The notice gives no number.
    RETENTION_INDETERMINATE = "RetentionIndeterminate", Warning, "settle on a period and publish it; until then nothing says when the data goes";
    /// The rule does not exist.
    UNKNOWN_RULE = "UnknownRule", Error, "correct retention[].ruleRef, or create the policy and rule in this namespace";
    /// The rule's dataset does not hold the category.
    CATEGORY_NOT_IN_RULE = "CategoryNotInRule", Warning, "name the rule of the dataset that holds the category, or declare the column's category in the DataSource";
    /// Backups outlive the promise.
    SHORTER_THAN_BACKUPS = "ShorterThanBackups", Warning, "keep backups for a shorter time, or say in the notice how long data lives on in them";
    /// A store holds a category that the activity does not have.
    UNDECLARED_CATEGORY = "UndeclaredCategory", Warning, "add the category to dataCategories, or take the activity off the dataset";
    /// A dataset that serves no activity.
    DATASET_WITHOUT_ACTIVITY = "DatasetWithoutActivity", Warning, "name the activity in datasets[].activities of the DataSource, or delete the data";
    /// A dataset serves an activity that is not there.
    UNKNOWN_ACTIVITY = "UnknownActivity", Error, "create the ProcessingActivity in this namespace, or correct datasets[].activities";
    /// A measure about a store, dataset or column that is not declared.
    UNKNOWN_DATASET = "UnknownDataset", Error, "correct the name, or declare it in the DataSource";
    /// Data of an exclusive purpose serves another one.
    EXCLUSIVE_PURPOSE_VIOLATED = "ExclusivePurposeViolated", Error, "keep the data of the two purposes apart, or publish a notice that names both";
    /// The notice tells of an older state.
    NOTICE_BEHIND = "NoticeBehind", Warning, "publish a new version of the notice and set spec.version and spec.effectiveFrom of the PrivacyNotice";
    /// The review is late.
    REVIEW_OVERDUE = "ReviewOverdue", Warning, "look the record over and set spec.review.lastOn";
    /// A controller outside the Union without representative.
    REPRESENTATIVE_MISSING = "RepresentativeMissing", Error, "designate a representative in the Union (Art. 27 GDPR)";
    /// No data protection officer.
    OFFICER_MISSING = "DataProtectionOfficerMissing", Info, "name the data protection officer, if Art. 37 GDPR asks for one";
    /// No supervisory authority.
    AUTHORITY_MISSING = "SupervisoryAuthorityMissing", Info, "name the authority to which people can complain (Art. 13(2)(d))";
    /// The notice has no day.
    NOTICE_UNDATED = "NoticeUndated", Warning, "set spec.effectiveFrom, and print the day on the notice";
}
