//! The lines of one activity.

use std::fmt::Write as _;

use kube::ResourceExt as _;

use super::words::{self, Heading};
use super::{Language, Line, Section, Seen, german};
use crate::api::common::Party;
use crate::api::findings::{Finding, ObservedLine};
use crate::api::measures::Measure;
use crate::api::processing_activity::{
    DataCategory, LegalBasis, ProcessingActivitySpec, Recipient, RetentionLine, Role, Transfer,
};
use crate::api::{DataRetentionPolicy, DataSource};
use crate::plan::records::{countries, measures};
use crate::plan::sentences::sentence;

/// What the lines of one activity are made of.
pub(super) struct Material<'a> {
    pub spec: &'a ProcessingActivitySpec,
    pub name: String,
    pub sources: &'a [&'a DataSource],
    pub policies: &'a [&'a DataRetentionPolicy],
    pub retention: &'a [ObservedLine],
    pub measures: &'a [ObservedLine],
    pub findings: &'a [Finding],
    pub language: Language,
}

impl Material<'_> {
    /// Every section, in the order of the law. Those that only some activities have are left out where they are empty.
    pub(super) fn sections(&self) -> Vec<Section> {
        let spec = self.spec;
        let processor = spec.role == Role::Processor;
        let plain = |texts: Vec<String>| texts.into_iter().map(Line::plain).collect::<Vec<_>>();
        let all = [
            (words::GENERAL, plain(self.general()), false),
            (words::ROLE, plain(self.role()), false),
            (words::PURPOSES, plain(self.purposes()), false),
            (
                words::BASES,
                plain(spec.legal_bases.iter().map(|basis| self.basis(basis)).collect()),
                processor,
            ),
            (words::SUBJECTS, plain(spec.data_subjects.clone()), processor),
            (
                words::CATEGORIES,
                plain(
                    spec.data_categories
                        .iter()
                        .map(|category| self.category(category))
                        .collect(),
                ),
                processor,
            ),
            (words::SOURCES, plain(self.origins()), true),
            (words::DECISIONS, plain(self.decisions()), true),
            (words::RECIPIENTS, plain(self.recipients()), processor),
            (words::TRANSFERS, plain(self.transfers()), false),
            (words::RETENTION, self.retention_lines(), processor),
            (words::MEASURES, self.measure_lines(), false),
            (words::STORES, plain(self.stores()), true),
            (words::CLAUSES, plain(self.clauses()), true),
            (words::FINDINGS, finding_lines(self.findings, self.language), true),
        ];
        all.into_iter()
            .filter(|(_, lines, optional)| !(*optional && lines.is_empty()))
            .map(|(heading, lines, _)| section(&heading, processor, self.language, lines))
            .collect()
    }

    fn pick<'a>(&self, english: &'a str, german: &'a str) -> &'a str {
        self.language.pick(english, german)
    }

    fn general(&self) -> Vec<String> {
        let spec = self.spec;
        let mut lines: Vec<String> = spec.description.iter().cloned().collect();
        let mut labelled = |label: &str, value: &Option<String>| {
            if let Some(value) = value {
                lines.push(format!("{label}: {value}"));
            }
        };
        labelled(
            self.pick("Responsible unit", "Verantwortliche Stelle"),
            &spec.responsible_unit,
        );
        labelled(self.pick("Introduced on", "Eingeführt am"), &spec.introduced_on);
        labelled(self.pick("Last changed on", "Zuletzt geändert am"), &spec.changed_on);
        if let Some(review) = &spec.review {
            let last = review.last_on.as_deref().unwrap_or(self.pick("never", "nie"));
            lines.push(format!(
                "{}: {last}; {} {}",
                self.pick("Last reviewed on", "Zuletzt geprüft am"),
                self.pick("every", "alle"),
                review.every
            ));
        }
        lines
    }

    fn role(&self) -> Vec<String> {
        let mut lines = vec![words::role(self.spec.role, self.language).to_owned()];
        lines.extend(self.spec.joint_controllers.iter().map(party));
        for principal in &self.spec.on_behalf_of {
            let parts = [
                Some(&principal.name),
                principal.contact.as_ref(),
                principal.representative.as_ref(),
                principal.data_protection_officer.as_ref(),
            ];
            let words: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
            lines.push(format!(
                "{} {}",
                self.pick("on behalf of", "im Auftrag von"),
                words.join(", ")
            ));
        }
        lines
    }

    fn purposes(&self) -> Vec<String> {
        let exclusive = self.pick(" (for nothing else)", " (für nichts anderes)");
        self.spec
            .purposes
            .iter()
            .map(|purpose| {
                let what = described(&purpose.key, purpose.description.as_ref());
                format!("{what}{}", if purpose.exclusive { exclusive } else { "" })
            })
            .collect()
    }

    fn basis(&self, basis: &LegalBasis) -> String {
        let mut text = words::basis(basis.basis, self.language).to_owned();
        for (before, part) in [
            (", ", &basis.reference),
            (self.pick("; interest: ", "; Interesse: "), &basis.interest),
            (self.pick("; for ", "; für "), &basis.applies_to),
        ] {
            if let Some(part) = part {
                text.push_str(before);
                text.push_str(part);
            }
        }
        text
    }

    fn category(&self, category: &DataCategory) -> String {
        let mut text = described(&category.key, category.description.as_ref());
        if let Some(condition) = category.art9 {
            // The name of the API is the letter: A9-2-b.
            let letter = serde_json::to_value(condition).unwrap_or_default();
            let letter = letter
                .as_str()
                .and_then(|id| id.rsplit('-').next())
                .unwrap_or_default()
                .to_owned();
            let _ = write!(
                text,
                "; {} ({letter})",
                self.pick("special category, Art. 9(2)", "besondere Kategorie, Art. 9 Abs. 2")
            );
        }
        match category.required {
            Some(true) => text.push_str(self.pick("; must be given", "; muss angegeben werden")),
            Some(false) => text.push_str(self.pick("; voluntary", "; freiwillig")),
            None => {}
        }
        if let Some(consequence) = &category.consequence {
            let _ = write!(text, " ({consequence})");
        }
        text
    }

    fn origins(&self) -> Vec<String> {
        let public = self.pick(" (public)", " (öffentlich)");
        let sources = self.spec.sources.iter();
        sources
            .map(|source| format!("{}{}", source.name, if source.public { public } else { "" }))
            .collect()
    }

    fn decisions(&self) -> Vec<String> {
        let Some(decisions) = &self.spec.automated_decisions else {
            return Vec::new();
        };
        let mut lines = vec![
            if decisions.used {
                self.pick(
                    "Decisions are made by machines alone",
                    "Es wird automatisiert entschieden",
                )
            } else {
                self.pick("No decisions by machines alone", "Keine automatisierten Entscheidungen")
            }
            .to_owned(),
        ];
        if decisions.profiling {
            lines.push(self.pick("Profiling", "Profiling").to_owned());
        }
        lines.extend(decisions.logic.clone());
        lines
    }

    fn recipients(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .spec
            .recipients
            .iter()
            .map(|recipient| self.recipient(recipient))
            .collect();
        if self.spec.recipients_closed {
            let text = if lines.is_empty() {
                self.pick("Nobody receives the data", "Niemand erhält die Daten")
            } else {
                self.pick("Nobody else receives the data", "Niemand sonst erhält die Daten")
            };
            lines.push(text.to_owned());
        }
        lines
    }

    fn recipient(&self, recipient: &Recipient) -> String {
        let mut parts = vec![match &recipient.name {
            Some(name) => format!("{name} ({})", recipient.category),
            None => recipient.category.clone(),
        }];
        parts.extend(
            recipient
                .role
                .map(|role| words::recipient_role(role, self.language).to_owned()),
        );
        if !recipient.countries.is_empty() {
            parts.push(recipient.countries.join(", "));
        }
        if let Some(agreement) = &recipient.agreement {
            let mut text = words::agreement(agreement.type_, self.language).to_owned();
            for part in [&agreement.signed_on, &agreement.reference].into_iter().flatten() {
                text.push(' ');
                text.push_str(part);
            }
            parts.push(text);
        }
        if recipient.sold {
            parts.push(
                self.pick("in return for something of value", "gegen Entgelt")
                    .to_owned(),
            );
        }
        parts.join("; ")
    }

    fn transfers(&self) -> Vec<String> {
        if self.spec.transfers.is_empty() {
            let third = |recipient: &Recipient| recipient.countries.iter().any(|country| countries::is_third(country));
            return if self.spec.recipients.iter().any(third) {
                Vec::new()
            } else {
                vec![self.pick("None", "Keine").to_owned()]
            };
        }
        self.spec
            .transfers
            .iter()
            .map(|transfer| self.transfer(transfer))
            .collect()
    }

    fn transfer(&self, transfer: &Transfer) -> String {
        let mechanism = transfer.mechanism.map_or_else(
            || self.pick("no mechanism recorded", "keine Garantie verzeichnet"),
            |mechanism| words::mechanism(mechanism, self.language),
        );
        let mut text = format!(
            "{} ({}): {mechanism}",
            transfer.recipient,
            transfer.countries.join(", ")
        );
        for (label, part) in [
            ("", &transfer.reference),
            (self.pick("executed on ", "geschlossen am "), &transfer.executed_on),
            (self.pick("since ", "seit "), &transfer.active_from),
        ] {
            if let Some(part) = part {
                let _ = write!(text, "; {label}{part}");
            }
        }
        if transfer.occasional {
            text.push_str(self.pick("; single transfers", "; im Einzelfall"));
        }
        text
    }

    fn retention_lines(&self) -> Vec<Line> {
        self.spec
            .retention
            .iter()
            .enumerate()
            .map(|(index, line)| self.seen(self.limit(line), self.retention, index))
            .collect()
    }

    fn limit(&self, line: &RetentionLine) -> String {
        let categories = line.categories.join(", ");
        match (&line.rule_ref, &line.stated) {
            (Some(reference), _) => {
                let rule = self
                    .policies
                    .iter()
                    .filter(|policy| policy.name_any() == reference.policy)
                    .find_map(|policy| {
                        let rule = policy.spec.rules.iter().find(|rule| rule.name == reference.rule)?;
                        let source = policy.spec.data_source_ref.name.as_str();
                        let table = self
                            .sources
                            .iter()
                            .filter(|known| known.name_any() == source)
                            .flat_map(|known| &known.spec.datasets)
                            .find(|dataset| dataset.name == rule.dataset)
                            .map_or(rule.dataset.as_str(), |dataset| dataset.table.as_str());
                        let sentence = sentence(rule, table);
                        Some(self.pick(&sentence.en, &sentence.de).to_owned())
                    });
                let rule = rule.unwrap_or_else(|| format!("{}/{}", reference.policy, reference.rule));
                format!("{categories}: {rule}")
            }
            (None, Some(stated)) => {
                let period = stated
                    .period
                    .as_ref()
                    .map_or_else(String::new, |period| format!(" [{period}]"));
                format!(
                    "{categories}: {}{period}, {}",
                    stated.text,
                    words::stored_by(stated.stored_by, self.language)
                )
            }
            (None, None) => categories,
        }
    }

    fn measure_lines(&self) -> Vec<Line> {
        self.spec
            .measures
            .iter()
            .enumerate()
            .map(|(index, measure)| self.seen(measure_words(measure, self.language), self.measures, index))
            .collect()
    }

    fn seen(&self, text: String, observed: &[ObservedLine], index: usize) -> Line {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        Line {
            text,
            observed: observed.iter().find(|line| line.line == index).map(|line| Seen {
                observed: line.observed.clone(),
                words: words::observed(&line.observed, self.language),
                reason: line.reason.clone(),
                message: match self.language {
                    Language::English => line.message.clone(),
                    Language::German => german::observation(line),
                },
                gone_from_backups: line.gone_from_backups.as_ref().map(|when| match self.language {
                    Language::English => when.clone(),
                    Language::German => german::gone_from_backups(when),
                }),
            }),
            severity: None,
        }
    }

    fn stores(&self) -> Vec<String> {
        self.sources
            .iter()
            .flat_map(|source| {
                let serves = source
                    .spec
                    .datasets
                    .iter()
                    .filter(|dataset| dataset.activities.contains(&self.name));
                serves.map(|dataset| format!("{}: {} ({})", source.name_any(), dataset.name, dataset.table))
            })
            .collect()
    }

    fn clauses(&self) -> Vec<String> {
        let clauses = self.spec.clauses.iter();
        clauses
            .map(|clause| format!("{}: {}", clause.clause, clause.says))
            .collect()
    }
}

pub(super) fn section(heading: &Heading, processor: bool, language: Language, lines: Vec<Line>) -> Section {
    Section {
        key: heading.key,
        article: if processor { heading.processor } else { heading.article },
        label: language.pick(heading.english, heading.german),
        lines,
    }
}

/// Findings as lines, the worst first.
pub(super) fn finding_lines(findings: &[Finding], language: Language) -> Vec<Line> {
    findings
        .iter()
        .map(|finding| Line {
            text: match language {
                Language::English => format!(
                    "{} ({}): {}; {}",
                    finding.reason, finding.field, finding.message, finding.remedy
                ),
                Language::German => german::finding(finding),
            },
            observed: None,
            severity: Some(finding.severity.as_str()),
        })
        .collect()
}

fn described(key: &str, description: Option<&String>) -> String {
    description.map_or_else(|| key.to_owned(), |description| format!("{description} [{key}]"))
}

/// Name, address, contact and country, as far as they are there.
pub(super) fn party(party: &Party) -> String {
    [
        Some(&party.name),
        party.address.as_ref(),
        party.contact.as_ref(),
        party.country.as_ref(),
    ]
    .into_iter()
    .flatten()
    .map(String::as_str)
    .collect::<Vec<_>>()
    .join(", ")
}

/// What is claimed, and of what: an encryption claim always says what it is of.
fn measure_words(measure: &Measure, language: Language) -> String {
    let english = measures::subject(measure);
    let subject = match (language, words::measure(measure)) {
        (Language::German, Some(german)) => german,
        _ => english,
    };
    match &measure.description {
        Some(description) if *description != subject => format!("{subject}: {description}"),
        _ => subject,
    }
}
