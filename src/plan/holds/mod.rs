//! Legal holds: what they must be, which plans carry them, and when they are in force. Pure.
//!
//! A hold is part of the plan of every policy on its store. So placing one is a change of plans: nothing new starts, what
//! runs is ended, and only then runs go on, by plans that know it. It is in force when no other plan can run any more.

pub mod judge;
pub mod status;
pub mod waiting;

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use kube::ResourceExt as _;

use super::columns::dataset as dataset_of;
use super::reasons;
use super::relations;
use super::sharing::is_same_store;
use super::validated::Invalid;
use crate::api::data_source::Dataset;
use crate::api::legal_hold::HoldBasis;
use crate::api::{DataSource, LegalHold};
use crate::contract::holds::{HeldBy, HeldPath, HeldPerson, PlannedHold};
use crate::domain::identifier::TableName;

/// Finalizer of a hold that is not released: it goes on binding when it is deleted.
pub const FINALIZER: &str = "privacy-operator.dev/hold";

/// A hold of any namespace, with the `DataSource` that it names there.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The hold. `None`: it cannot be read.
    pub hold: Option<&'a LegalHold>,
    /// The `DataSource`, if it is there and readable.
    pub source: Option<&'a DataSource>,
}

/// The holds that a policy has to know.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Binding {
    /// Their uids: they are in force when no plan runs that lacks one.
    pub uids: Vec<String>,
    /// What they bind.
    pub holds: Vec<PlannedHold>,
}

impl Binding {
    /// Secrets of the policy's own namespace that name people.
    #[must_use]
    pub fn secrets(&self) -> BTreeSet<&str> {
        let people = self.holds.iter().filter_map(|hold| hold.person.as_ref());
        people.map(|person| person.secret.as_str()).collect()
    }
}

/// Whether a hold binds. A released `Restriction` does until the person has been told.
#[must_use]
pub fn binds(hold: &LegalHold, now: Timestamp) -> bool {
    if !hold.spec.released {
        return true;
    }
    let informed = hold.spec.subject_informed_on.as_deref().and_then(begin_of);
    hold.spec.basis == HoldBasis::Restriction && informed.is_none_or(|informed| now < informed)
}

/// The first instant of a day, in UTC.
fn begin_of(day: &str) -> Option<Timestamp> {
    let day: Date = day.parse().ok()?;
    Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// The holds that bind the policies of a namespace on a store. What cannot be told is a mistake of the policy's: it does
/// not run, since what is unknown counts as held.
pub fn binding(
    namespace: &str,
    source: &DataSource,
    listed: &[Listed<'_>],
    now: Timestamp,
) -> Result<Binding, Vec<Invalid>> {
    let mut all: Vec<&Listed<'_>> = listed
        .iter()
        .filter(|listed| listed.hold.is_none_or(|hold| binds(hold, now)))
        .collect();
    // The plan is text whose hash is its identity: the order of a list must not be in it.
    all.sort_by_key(|listed| (listed.namespace, listed.name));
    let mut binding = Binding::default();
    let mut unclear = Vec::new();
    for listed in all {
        let at_home = listed.namespace == namespace;
        let (hold, of_hold) = match (listed.hold, listed.source) {
            (Some(hold), Some(of_hold)) => (hold, of_hold),
            // Another namespace's store cannot be told from here.
            _ if !at_home => continue,
            (hold, _) => {
                let what = hold.map_or_else(
                    || "it cannot be read; are the CRDs of this release installed?".to_owned(),
                    |hold| judge::unknown_source(hold).text(),
                );
                unclear.push(unclear_hold(listed, &what));
                continue;
            }
        };
        if !is_same_store(source, of_hold) {
            continue;
        }
        if let Some(mistake) = judge::judge(hold, of_hold).first() {
            unclear.push(unclear_hold(listed, &mistake.text()));
            continue;
        }
        binding.uids.extend(hold.uid());
        binding.holds.extend(planned(listed, hold, of_hold, at_home));
    }
    if unclear.is_empty() { Ok(binding) } else { Err(unclear) }
}

fn unclear_hold(listed: &Listed<'_>, what: &str) -> Invalid {
    let message = format!(
        "the LegalHold `{}/{}` may bind rows here, and which cannot be told: {what}",
        listed.namespace, listed.name
    );
    Invalid::new(reasons::HOLD_UNCLEAR, "spec.dataSourceRef", message)
}

/// Datasets that a hold binds: those that it names, and where it is about a person those that say whose their rows are.
/// Without the second a deletion there would make the first forget whose they are.
#[must_use]
pub fn datasets<'a>(hold: &LegalHold, source: &'a DataSource) -> Vec<&'a Dataset> {
    let mut names: BTreeSet<&str> = hold.spec.datasets.iter().map(String::as_str).collect();
    let known = &source.spec.datasets;
    if hold.spec.subject_secret_ref.is_some() {
        let mut waiting: Vec<&str> = names.iter().copied().collect();
        while let Some(dataset) = waiting.pop().and_then(|name| dataset_of(source, name)) {
            for through in dataset.subjects.iter().filter_map(|subject| subject.through.as_ref()) {
                let relation = dataset.relations.iter().find(|relation| relation.name == *through);
                let next = relation.and_then(|relation| dataset_of(source, &relation.dataset));
                if let Some(next) = next.filter(|next| names.insert(&next.name)) {
                    waiting.push(&next.name);
                }
            }
        }
    }
    known
        .iter()
        .filter(|dataset| names.contains(dataset.name.as_str()))
        .collect()
}

/// A Secret of another namespace cannot be mounted, so a hold from there that names a person binds every row.
fn planned(listed: &Listed<'_>, hold: &LegalHold, source: &DataSource, at_home: bool) -> Vec<PlannedHold> {
    let one = |dataset: &Dataset| {
        let table = TableName::parse(&dataset.table).ok()?;
        let secret = hold.spec.subject_secret_ref.as_ref().filter(|_| at_home);
        Some(PlannedHold {
            name: if at_home {
                listed.name.to_owned()
            } else {
                format!("{}/{}", listed.namespace, listed.name)
            },
            schema: table.schema.to_string(),
            table: table.name.to_string(),
            column_time_zones: relations::column_time_zones(dataset),
            when: hold.spec.when.clone(),
            person: secret.map(|secret| HeldPerson {
                secret: secret.name.clone(),
                paths: paths(dataset, source, None),
            }),
        })
    };
    datasets(hold, source).into_iter().filter_map(one).collect()
}

/// How the rows of a dataset are told to be somebody's, by one identity or by any. The `DataSource` was judged before:
/// relations lead somewhere, and none leads back.
#[must_use]
pub fn paths(dataset: &Dataset, source: &DataSource, identity: Option<&str>) -> Vec<HeldPath> {
    let one = |subject: &crate::api::data_source::Subject| {
        let by = match (&subject.column, &subject.through) {
            (Some(column), _) => HeldBy::Column(column.clone()),
            (None, Some(through)) => {
                let relation = dataset.relations.iter().find(|relation| relation.name == *through)?;
                let next = paths(dataset_of(source, &relation.dataset)?, source, Some(&subject.identity));
                HeldBy::Through(relations::pointed_at(relation, source).ok()?, next)
            }
            (None, None) => return None,
        };
        Some(HeldPath {
            identity: subject.identity.clone(),
            by,
        })
    };
    let fits = |subject: &&crate::api::data_source::Subject| identity.is_none_or(|wanted| subject.identity == wanted);
    dataset.subjects.iter().filter(fits).filter_map(one).collect()
}

#[cfg(test)]
mod tests;
