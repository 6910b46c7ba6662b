//! Findings and observations in German. What they say in detail, as the status has it, is in English and stands behind.

use crate::api::findings::{Finding, ObservedLine};

/// When data is gone from backups too, from the English words of the status.
pub(super) fn gone_from_backups(words: &str) -> String {
    words
        .replace("at the latest ", "spätestens ")
        .replace(" after it is gone from the store", " nach der Löschung im Speicher")
}

/// What was observed of a line.
pub(super) fn observation(line: &ObservedLine) -> String {
    seen(&line.reason).map_or_else(|| line.message.clone(), |what| format!("{what} [{}]", line.message))
}

/// What was observed, by the word of the reason. Of an engineer's reasons (a key that does not fit) the details say it all.
fn seen(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "Recorded" => "Nur verzeichnet: von hier aus nicht zu sehen und von nichts durchgesetzt",
        "OnTime" => "Die Zusage wird eingehalten, nach der Uhr",
        "KeptWhileObserving" => "Nichts ist zu spät, aber die Richtlinie beobachtet nur und löscht nichts",
        "Overdue" => "Die Zusage wird nicht eingehalten: Daten sind länger da als versprochen",
        "OnlyObserving" => "Daten sind länger da als versprochen, und die Richtlinie beobachtet nur",
        "NoRunYet" | "NeverRan" => "Noch kein Lauf hat das beurteilt",
        "NoRecentRun" => "Der letzte Lauf ist zu lange her",
        "NoReport" => "Der letzte Lauf hat keinen Bericht hinterlassen",
        "BacklogRemaining" => "Fällige Daten sind noch da; dass etwas davon zu spät wäre, ist nicht bekannt",
        "UnknownRule" => "Die genannte Regel gibt es nicht",
        "SecretsNotListed" => "Secrets gehören nicht zu dem, was verschlüsselt werden soll",
        "NoClusterEncryption" => "Nichts sagt, wie der Cluster Secrets speichert",
        "NotVerified" => "Ob jedes Secret verschlüsselt ist, wurde noch nicht festgestellt",
        "Verified" => "Jedes Secret ist nachweislich verschlüsselt gespeichert",
        "InPlainText" => "Secrets werden im Klartext gespeichert",
        "NoDataSource" => "Kein bekannter Speicher dient dieser Tätigkeit",
        "NotSurveyed" => "Der Speicher wurde noch nicht untersucht",
        "SurveyOutdated" => "Die letzte Untersuchung des Speichers ist zu alt",
        "TlsDisabled" => "Die Verbindung ist unverschlüsselt: Passwörter und Daten gehen im Klartext",
        "TlsInUse" => "Die Verbindung zum Speicher ist verschlüsselt, das Zertifikat geprüft",
        "TlsNotInUse" => "Die Verbindung zum Speicher war nicht verschlüsselt",
        "NotReachable" => "Der Speicher war nicht erreichbar",
        "NoValues" => "Es gibt keine Werte, an denen etwas zu sehen wäre",
        "FormMatches" => "Alle Werte haben die Form des genannten Verfahrens",
        "NotHashed" => "Es gibt Werte, die keine Hashes sind",
        "NotEvaluated" => "Wer das Secret lesen darf, wurde noch nicht ausgewertet",
        "RightsNotReadable" => "Wer das Secret lesen darf, ist nicht zu sehen: Rollen dürfen nicht gelesen werden",
        "OthersMayRead" => "Auch andere dürfen das Secret lesen",
        "OthersMayMount" => "Auch andere können Pods starten, die das Secret lesen",
        "OnlyThoseAllowed" => "Nur die Genannten dürfen das Secret lesen",
        _ => return None,
    })
}

/// A finding.
pub(super) fn finding(finding: &Finding) -> String {
    let (reason, field, message) = (&finding.reason, &finding.field, &finding.message);
    match words(reason) {
        Some((what, remedy)) => format!("{what} ({reason}, {field}). {remedy} [{message}]"),
        None => format!("{reason} ({field}): {message}; {}", finding.remedy),
    }
}

/// What is wrong, and what to do, by the word of the finding.
fn words(reason: &str) -> Option<(&'static str, &'static str)> {
    of_the_record(reason)
        .or_else(|| of_recipients(reason))
        .or_else(|| of_retention(reason))
        .or_else(|| of_the_notice(reason))
}

fn of_the_record(reason: &str) -> Option<(&'static str, &'static str)> {
    Some(match reason {
        "Art30FieldMissing" => ("Eine Angabe fehlt, die Art. 30 DSGVO verlangt", "Die Angabe ergänzen."),
        "InvalidDate" => ("Diesen Tag gibt es nicht", "Einen Tag als JJJJ-MM-TT angeben."),
        "InvalidPeriod" => (
            "Das ist kein Zeitraum",
            "Einen Zeitraum nach ISO 8601 angeben, etwa P7D, P6M oder P1Y.",
        ),
        "LegalBasisMissing" => (
            "Es ist keine Rechtsgrundlage genannt",
            "Die Grundlage nach Art. 6 Abs. 1 DSGVO nennen, auch in der Datenschutzerklärung (Art. 13 Abs. 1 lit. c).",
        ),
        "LegalBasisNotInNotice" => (
            "Die Datenschutzerklärung nennt diese Rechtsgrundlage nicht",
            "Eine Grundlage verwenden, die sie nennt, oder eine Erklärung veröffentlichen, die diese nennt.",
        ),
        "InterestMissing" => (
            "Das berechtigte Interesse ist nicht benannt",
            "Das Interesse nennen: Es ist den Betroffenen mitzuteilen (Art. 13 Abs. 1 lit. d).",
        ),
        "Art9ConditionMissing" => (
            "Für eine besondere Kategorie personenbezogener Daten fehlt die Ausnahme nach Art. 9 Abs. 2 DSGVO",
            "Die Ausnahme nennen, oder die Kategorie nicht mehr verarbeiten.",
        ),
        "LogicMissing" => (
            "Über Menschen wird allein automatisiert entschieden, und die Logik ist nicht beschrieben",
            "Logik und Tragweite beschreiben (Art. 13 Abs. 2 lit. f).",
        ),
        "ExclusivePurposeViolated" => (
            "Daten eines ausschließlichen Zwecks dienen auch einem anderen",
            "Die Daten der beiden Zwecke trennen, oder beide in der Erklärung nennen.",
        ),
        "ReviewOverdue" => (
            "Die Überprüfung des Verzeichnisses ist überfällig",
            "Den Eintrag durchsehen und den Tag der Überprüfung eintragen.",
        ),
        "UndeclaredCategory" => (
            "Ein Speicher enthält eine Kategorie, die der Eintrag nicht nennt",
            "Die Kategorie aufnehmen, oder den Datenbestand einer anderen Tätigkeit zuordnen.",
        ),
        "DatasetWithoutActivity" => (
            "Ein Datenbestand dient keiner Tätigkeit",
            "Die Tätigkeit nennen, oder die Daten löschen.",
        ),
        "UnknownActivity" => (
            "Die genannte Tätigkeit gibt es nicht",
            "Die Tätigkeit anlegen, oder ihren Namen berichtigen.",
        ),
        "UnknownDataset" => (
            "Der genannte Speicher, Datenbestand oder die Spalte ist nicht bekannt",
            "Den Namen berichtigen, oder sie in der DataSource angeben.",
        ),
        _ => return None,
    })
}

fn of_recipients(reason: &str) -> Option<(&'static str, &'static str)> {
    Some(match reason {
        "RecipientNotListed" => (
            "Daten gehen an jemanden, der nicht unter den Empfängern steht",
            "Den Empfänger aufnehmen, oder seinen Namen berichtigen.",
        ),
        "RecipientNotInNotice" => (
            "Die Datenschutzerklärung nennt diesen Empfänger nicht",
            "Eine Erklärung veröffentlichen, die ihn nennt, oder ihm nichts mehr weitergeben.",
        ),
        "RecipientsClosed" => (
            "Daten einer Tätigkeit mit abgeschlossenem Empfängerkreis gehen über eine andere Tätigkeit weiter",
            "Die Daten der beiden Tätigkeiten trennen, oder den Empfänger hier und in der Erklärung nennen.",
        ),
        "RecipientRoleMissing" => (
            "Was ein Empfänger rechtlich ist, ist nicht bekannt",
            "Angeben, ob er Auftragsverarbeiter, gemeinsam Verantwortlicher oder anderes ist.",
        ),
        "CountryMissing" => (
            "Wo ein Empfänger die Daten verarbeitet, ist nicht bekannt",
            "Die Länder ermitteln und eintragen.",
        ),
        "RecipientPurpose" => (
            "Ein Empfänger darf die Daten für etwas verwenden, wozu diese Tätigkeit nicht dient",
            "Nur Zwecke dieser Tätigkeit zulassen.",
        ),
        "ProcessorWithoutAgreement" => (
            "Mit einem Auftragsverarbeiter ist kein Vertrag verzeichnet",
            "Einen Vertrag nach Art. 28 Abs. 3 DSGVO schließen und eintragen.",
        ),
        "JointArrangementMissing" => (
            "Mit einem gemeinsam Verantwortlichen ist keine Vereinbarung verzeichnet",
            "Eine Vereinbarung nach Art. 26 DSGVO schließen und eintragen.",
        ),
        "AgreementUndated" => ("Der Vertrag hat keinen Tag", "Den Tag der Unterzeichnung eintragen."),
        "TransferWithoutMechanism" => (
            "Daten gehen in ein Drittland, und nichts ist verzeichnet, was das zulässig macht",
            "Die Grundlage nach Kapitel V DSGVO ermitteln und eintragen, oder die Übermittlung beenden.",
        ),
        "AdequacyNotKnown" => (
            "Für dieses Land ist kein Angemessenheitsbeschluss bekannt",
            "Eine andere Grundlage verwenden; einen neueren Beschluss als Nachweis angeben.",
        ),
        "AdequacyConditional" => (
            "Der Angemessenheitsbeschluss gilt nur für manche Empfänger",
            "Prüfen, ob der Empfänger dazugehört, und den Nachweis angeben.",
        ),
        "ClausesAfterTransfer" => (
            "Die Klauseln wurden erst nach Beginn der Übermittlung vereinbart",
            "Früher übermittelte Daten waren ohne Schutz: dem Datenschutzbeauftragten mitteilen.",
        ),
        "MechanismUndated" => (
            "Wann die Klauseln vereinbart wurden, ist nicht bekannt",
            "Den Tag eintragen, damit zu sehen ist, dass sie vor der Übermittlung galten.",
        ),
        "DerogationForRoutine" => (
            "Eine Ausnahme nach Art. 49 DSGVO trägt keine regelmäßige Übermittlung",
            "Klauseln oder einen Angemessenheitsbeschluss verwenden; eine gelegentliche Übermittlung so kennzeichnen.",
        ),
        "SafeguardsUndocumented" => (
            "Beurteilung und Garantien sind nicht dokumentiert",
            "Beides dokumentieren (Art. 49 Abs. 6 DSGVO) und auf das Dokument verweisen.",
        ),
        _ => return None,
    })
}

fn of_retention(reason: &str) -> Option<(&'static str, &'static str)> {
    Some(match reason {
        "CategoryWithoutRetention" => (
            "Für eine Kategorie ist keine Löschfrist verzeichnet",
            "Eine Zeile ergänzen: eine Regel, oder was zugesagt ist.",
        ),
        "RetentionOfUnknownCategory" => (
            "Eine Löschfrist nennt eine Kategorie, die der Eintrag nicht hat",
            "Die Kategorie aufnehmen, oder aus der Zeile nehmen.",
        ),
        "RetentionIndeterminate" => (
            "Die Zusage nennt keine Zahl, also weiß niemand, wann die Daten gelöscht sind",
            "Eine Frist festlegen und veröffentlichen.",
        ),
        "UnknownRule" => (
            "Die genannte Regel gibt es nicht",
            "Den Verweis berichtigen, oder Richtlinie und Regel anlegen.",
        ),
        "CategoryNotInRule" => (
            "Der Datenbestand der Regel enthält diese Kategorie nicht",
            "Die richtige Regel nennen, oder die Kategorie der Spalte angeben.",
        ),
        "ShorterThanBackups" => (
            "Sicherungskopien überdauern die zugesagte Frist",
            "Sie kürzer aufbewahren, oder in der Erklärung sagen, wie lange Daten dort fortbestehen.",
        ),
        _ => return None,
    })
}

fn of_the_notice(reason: &str) -> Option<(&'static str, &'static str)> {
    Some(match reason {
        "UnknownNotice" => (
            "Die genannte Datenschutzerklärung gibt es nicht",
            "Sie als PrivacyNotice anlegen, oder den Namen berichtigen.",
        ),
        "ProhibitionViolated" => (
            "Die Datenschutzerklärung verspricht, das nicht zu tun",
            "Es beenden, oder eine Erklärung ohne dieses Versprechen veröffentlichen.",
        ),
        "NoticeBehind" => (
            "Die Datenschutzerklärung gibt einen älteren Stand wieder",
            "Eine neue Fassung veröffentlichen und Fassung und Tag eintragen.",
        ),
        "RepresentativeMissing" => (
            "Kein Verantwortlicher sitzt in der Union, und es gibt keinen Vertreter",
            "Einen Vertreter in der Union benennen (Art. 27 DSGVO).",
        ),
        "DataProtectionOfficerMissing" => (
            "Es ist kein Datenschutzbeauftragter genannt",
            "Ihn nennen, wenn Art. 37 DSGVO einen verlangt.",
        ),
        "SupervisoryAuthorityMissing" => (
            "Es ist keine Aufsichtsbehörde genannt",
            "Die Behörde nennen, bei der man sich beschweren kann (Art. 13 Abs. 2 lit. d).",
        ),
        "NoticeUndated" => (
            "Die Datenschutzerklärung hat keinen Tag",
            "Den Tag eintragen, ab dem sie gilt, und ihn darin abdrucken.",
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::words;
    use crate::plan::records::found;

    #[test]
    fn every_finding_has_german_words_and_keeps_its_details() {
        for reason in found::ALL {
            assert!(words(reason.word).is_some(), "{} has no German words", reason.word);
        }
        let finding = found::UNKNOWN_RULE.at("spec.retention[0].ruleRef", "there is no policy shop/logs");
        assert_eq!(
            super::finding(&finding),
            "Die genannte Regel gibt es nicht (UnknownRule, spec.retention[0].ruleRef). \
             Den Verweis berichtigen, oder Richtlinie und Regel anlegen. [there is no policy shop/logs]"
        );
    }
}
