//! What makes a `DataSource` usable, judged without the store.

use core::net::IpAddr;
use std::collections::{HashMap, HashSet};

use super::{Invalid, reasons, subjects};
use crate::api::DataSource;
use crate::api::data_source::Dataset;
use crate::domain::identifier::{Identifier, TableName};
use crate::domain::period::Period;
use crate::domain::schedule::Schedule;
use crate::domain::zone;

/// Every mistake in a `DataSource`.
#[must_use]
pub fn check(source: &DataSource) -> Vec<Invalid> {
    let mut invalid = Vec::new();
    if let Some(cidrs) = source.spec.network.as_ref().and_then(|network| network.cidrs.as_ref()) {
        invalid.extend(
            cidrs
                .iter()
                .enumerate()
                .filter(|(_, cidr)| !is_cidr(cidr))
                .map(|(index, cidr)| {
                    Invalid::new(
                        reasons::INVALID_ADDRESS_RANGE,
                        format!("spec.network.cidrs[{index}]"),
                        format!("`{cidr}` is not an address range; write one such as 10.20.0.0/16 or 10.20.0.5/32"),
                    )
                }),
        );
    }
    invalid.extend(survey(source));
    invalid.extend(backups(source));
    let mut tables: HashMap<TableName, &str> = HashMap::new();
    let mut names: HashSet<&str> = HashSet::new();
    for dataset in &source.spec.datasets {
        let field = format!("spec.datasets[{}]", dataset.name);
        if !names.insert(&dataset.name) {
            invalid.push(Invalid::new(
                reasons::DUPLICATE_NAME,
                field.clone(),
                "two datasets have this name; rename one",
            ));
        }
        match TableName::parse(&dataset.table) {
            Err(error) => invalid.push(Invalid::new(
                reasons::INVALID_IDENTIFIER,
                format!("{field}.table"),
                error.to_string(),
            )),
            Ok(table) => {
                if let Some(other) = tables.insert(table, &dataset.name) {
                    invalid.push(Invalid::new(
                        reasons::DUPLICATE_TABLE,
                        format!("{field}.table"),
                        format!("the dataset `{other}` names the same table; keep one of the two"),
                    ));
                }
            }
        }
        invalid.extend(fields(dataset, &field));
    }
    invalid.extend(subjects::check(source));
    invalid
}

fn survey(source: &DataSource) -> Vec<Invalid> {
    let Some(survey) = &source.spec.survey else {
        return Vec::new();
    };
    let mut invalid = Vec::new();
    if let Err(error) = survey.schedule.parse::<Schedule>() {
        let field = "spec.survey.schedule";
        invalid.push(Invalid::new(reasons::INVALID_SCHEDULE, field, error.to_string()));
    }
    if let Err(error) = zone::parse(&survey.time_zone) {
        let field = "spec.survey.timeZone";
        invalid.push(Invalid::new(reasons::INVALID_TIME_ZONE, field, error.to_string()));
    }
    for (index, table) in survey.without_personal_data.iter().enumerate() {
        if let Err(error) = TableName::parse(table) {
            let field = format!("spec.survey.withoutPersonalData[{index}]");
            invalid.push(Invalid::new(reasons::INVALID_IDENTIFIER, field, error.to_string()));
        }
    }
    invalid
}

fn backups(source: &DataSource) -> Vec<Invalid> {
    let Some(backups) = &source.spec.backups else {
        return Vec::new();
    };
    [
        ("spec.backups.keptFor", Some(&backups.kept_for)),
        ("spec.backups.walKeptFor", backups.wal_kept_for.as_ref()),
    ]
    .into_iter()
    .filter_map(|(field, text)| {
        let error = text?.parse::<Period>().err()?;
        Some(Invalid::new(reasons::INVALID_DURATION, field, error.to_string()))
    })
    .collect()
}

fn fields(dataset: &Dataset, path: &str) -> Vec<Invalid> {
    let mut invalid = Vec::new();
    for field in &dataset.fields {
        let path = format!("{path}.fields[{}]", field.column);
        if let Err(error) = Identifier::parse(&field.column) {
            invalid.push(Invalid::new(
                reasons::INVALID_IDENTIFIER,
                format!("{path}.column"),
                error.to_string(),
            ));
        }
        if let Some(Err(error)) = field.time_zone.as_deref().map(zone::parse) {
            invalid.push(Invalid::new(
                reasons::INVALID_TIME_ZONE,
                format!("{path}.timeZone"),
                error.to_string(),
            ));
        }
    }
    invalid
}

fn is_cidr(text: &str) -> bool {
    let Some((address, prefix)) = text.split_once('/') else {
        return false;
    };
    let longest = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    prefix.bytes().all(|byte| byte.is_ascii_digit()) && prefix.parse::<u8>().is_ok_and(|prefix| prefix <= longest)
}
