//! Objects become a register.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kube::ResourceExt as _;

use super::lines::{Material, finding_lines, party, section};
use super::words;
use super::{Entry, Language, Line, Part, Register, Section};
use crate::api::common::Party;
use crate::api::{DataRetentionPolicy, DataSource, PrivacyNotice, ProcessingActivity};
use crate::plan::records::neighbours::Neighbours;
use crate::plan::records::notice::of_notice;
use crate::plan::records::stores::of_source;
use crate::plan::records::{Inputs, countries, findings, measures, retention};

/// Version of the register's form.
const VERSION: u32 = 1;

/// Everything that a register is made of.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// The notices.
    pub notices: Vec<PrivacyNotice>,
    /// The activities.
    pub activities: Vec<ProcessingActivity>,
    /// The stores.
    pub sources: Vec<DataSource>,
    /// The policies.
    pub policies: Vec<DataRetentionPolicy>,
}

/// Builds the register. What the operator has observed is taken from the status of the objects; where it has said nothing
/// about the present spec (in files, for example), findings are computed here, and what cannot be seen says so.
#[must_use]
pub fn build(objects: &Objects, language: Language, now: Timestamp) -> Register {
    let mut by_notice: BTreeMap<&str, Vec<&ProcessingActivity>> = BTreeMap::new();
    for notice in &objects.notices {
        by_notice
            .entry(notice.metadata.name.as_deref().unwrap_or_default())
            .or_default();
    }
    for activity in &objects.activities {
        by_notice
            .entry(&activity.spec.notice_ref.name)
            .or_default()
            .push(activity);
    }
    let mut number = 0;
    let mut parts = Vec::new();
    // Notices that exist first, in the order of their names.
    let (known, unknown): (Vec<_>, Vec<_>) = by_notice
        .into_iter()
        .partition(|(name, _)| objects.notices.iter().any(|notice| notice.name_any() == *name));
    for (name, mut activities) in known.into_iter().chain(unknown) {
        activities.sort_by_key(|activity| (activity.namespace(), activity.spec.title.clone(), activity.name_any()));
        let notice = objects.notices.iter().find(|notice| notice.name_any() == name);
        parts.push(Part {
            notice: name.to_owned(),
            head: notice.map(|notice| head(notice, language)).unwrap_or_default(),
            entries: activities
                .into_iter()
                .map(|activity| {
                    number += 1;
                    entry(objects, activity, notice, number, language, now)
                })
                .collect(),
        });
    }
    Register {
        version: VERSION,
        title: words::title(language).to_owned(),
        language: language.pick("en", "de"),
        printed_on: now.to_zoned(TimeZone::UTC).date().to_string(),
        adequacy_as_of: countries::AS_OF,
        parts,
        stores: stores(objects, language),
    }
}

/// The front sheet.
fn head(notice: &PrivacyNotice, language: Language) -> Vec<Section> {
    let spec = &notice.spec;
    let one = |party: &Option<Party>| party.iter().map(self::party).map(Line::plain).collect();
    let mut about = vec![format!("{} {}", language.pick("Version", "Version"), spec.version)];
    if let Some(day) = &spec.effective_from {
        about.push(format!("{} {day}", language.pick("in force from", "gültig ab")));
    }
    for list in [&spec.domains, &spec.languages] {
        if !list.is_empty() {
            about.push(list.join(", "));
        }
    }
    let prohibitions = spec.prohibitions.iter().map(|prohibition| {
        let clause = prohibition
            .clause
            .as_ref()
            .map_or_else(String::new, |clause| format!(" ({clause})"));
        let kind = words::prohibition(prohibition.kind, language);
        Line::plain(format!("{kind}{clause}"))
    });
    let sections = [
        (
            words::CONTROLLERS,
            spec.controllers.iter().map(party).map(Line::plain).collect(),
        ),
        (words::REPRESENTATIVE, one(&spec.representative)),
        (words::OFFICER, one(&spec.data_protection_officer)),
        (words::AUTHORITY, one(&spec.supervisory_authority)),
        (words::NOTICE, about.into_iter().map(Line::plain).collect()),
        (words::PROHIBITIONS, prohibitions.collect()),
        (words::FINDINGS, finding_lines(&of_notice(notice), language)),
    ];
    sections
        .into_iter()
        .filter(|(heading, lines): &(words::Heading, Vec<Line>)| !(lines.is_empty() && heading.article.is_empty()))
        .map(|(heading, lines)| section(&heading, false, language, lines))
        .collect()
}

fn entry(
    objects: &Objects,
    activity: &ProcessingActivity,
    notice: Option<&PrivacyNotice>,
    number: usize,
    language: Language,
    now: Timestamp,
) -> Entry {
    let beside = neighbours(objects, activity);
    let inputs = Inputs {
        activity,
        notice,
        activities: &beside.activities,
        sources: &beside.sources,
        policies: &beside.policies,
        encryption: None,
        readers: &[],
        now,
    };
    // Encryption of Secrets and who may read them only the operator has looked at.
    let current = activity
        .status
        .as_ref()
        .filter(|status| status.observed_generation == activity.metadata.generation);
    let (retention, measures) = current.map_or_else(
        || (retention::observed(&inputs), measures::observed(&inputs)),
        |status| (status.retention.clone(), status.measures.clone()),
    );
    let material = Material {
        spec: &activity.spec,
        name: activity.name_any(),
        sources: &beside.sources,
        policies: &beside.policies,
        retention: &retention,
        measures: &measures,
        findings: &findings(&inputs),
        language,
    };
    Entry {
        number,
        namespace: activity.namespace().unwrap_or_default(),
        name: activity.name_any(),
        title: activity.spec.title.clone(),
        sections: material.sections(),
    }
}

fn neighbours<'a>(objects: &'a Objects, object: &impl kube::ResourceExt) -> Neighbours<'a> {
    Neighbours::of(object, &objects.activities, &objects.sources, &objects.policies)
}

/// What is found about stores: datasets that serve no activity.
fn stores(objects: &Objects, language: Language) -> Vec<Line> {
    objects
        .sources
        .iter()
        .flat_map(|source| {
            let mut found = of_source(source, &neighbours(objects, source).activities);
            for finding in &mut found {
                finding.field = format!("DataSource {}: {}", source.name_any(), finding.field);
            }
            finding_lines(&found, language)
        })
        .collect()
}
