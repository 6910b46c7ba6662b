//! Which policies speak of the same table, or of the same store.

use std::collections::BTreeSet;

use kube::ResourceExt as _;

use super::cascade;
use super::columns;
use crate::api::data_retention_policy::RetentionRule;
use crate::api::{DataRetentionPolicy, DataSource};
use crate::domain::hash;
use crate::domain::identifier::TableName;

/// A table, wherever it is named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableIdentity {
    host: String,
    port: i32,
    database: String,
    /// `schema.table`.
    pub table: String,
}

/// Another policy that has rules for a table of this one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Neighbour {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The table.
    pub table: String,
}

/// Another policy, with the store that it names.
#[derive(Clone, Copy)]
pub struct Other<'a> {
    /// The policy.
    pub policy: &'a DataRetentionPolicy,
    /// Its `DataSource`.
    pub source: &'a DataSource,
}

/// Those of `others` that are of the policy's namespace and on its store.
#[must_use]
pub fn beside<'a>(
    policy: &DataRetentionPolicy,
    source: &DataSource,
    others: impl Iterator<Item = (&'a DataRetentionPolicy, &'a DataSource)>,
) -> Vec<Other<'a>> {
    let mut found: Vec<Other<'a>> = others
        .filter(|(other, _)| {
            let (own, other) = (&policy.metadata, &other.metadata);
            own.namespace == other.namespace && own.name != other.name
        })
        .filter(|(_, other_source)| is_same_store(source, other_source))
        .map(|(policy, source)| Other { policy, source })
        .collect();
    // The plan is text whose hash is its identity: the order of a cache must not be in it.
    found.sort_by_key(|other| other.policy.name_any());
    found
}

/// The tables of a policy, of which its rules dispose of rows. What cannot be read is left out: it makes the policy invalid by itself.
#[must_use]
pub fn tables(policy: &DataRetentionPolicy, source: &DataSource) -> BTreeSet<TableIdentity> {
    let postgres = &source.spec.postgres;
    let host: String = normal_host(source).collect();
    let of_rule = |rule: &RetentionRule| {
        let own = columns::dataset(source, &rule.dataset);
        own.and_then(|dataset| TableName::parse(&dataset.table).ok())
    };
    let rules = policy.spec.rules.iter();
    rules
        .flat_map(|rule| of_rule(rule).into_iter().chain(cascade::tables(rule, source)))
        .map(|table| TableIdentity {
            host: host.clone(),
            port: postgres.port,
            database: postgres.database.clone(),
            table: table.to_string(),
        })
        .collect()
}

/// Whether two sources of these namespaces name one database. It is asked of every pair, so it allocates nothing.
#[must_use]
pub fn is_same_store(left: &DataSource, right: &DataSource) -> bool {
    let (one, other) = (&left.spec.postgres, &right.spec.postgres);
    one.port == other.port && one.database == other.database && normal_host(left).eq(normal_host(right))
}

/// Which database a source names, as the value of a label: the same for all that [`is_same_store`] finds the same.
#[must_use]
pub fn store_key(source: &DataSource) -> String {
    let postgres = &source.spec.postgres;
    let host: String = normal_host(source).collect();
    hash::short(format!("{host}\n{}\n{}", postgres.port, postgres.database).as_bytes())
}

/// The ways to write the name of a Service, brought to one: `db`, `db.shop`, `db.shop.svc` and
/// `db.shop.svc.cluster.local.` are the same in namespace `shop`.
fn normal_host(source: &DataSource) -> impl Iterator<Item = char> {
    let host = source.spec.postgres.host.trim_end_matches('.');
    let host = without_suffix(without_suffix(host, ".cluster.local"), ".svc");
    let (dot, namespace) = if host.contains(['.', ':']) {
        ("", "")
    } else {
        (".", source.metadata.namespace.as_deref().unwrap_or_default())
    };
    let host = host.chars().map(|letter| letter.to_ascii_lowercase());
    host.chain(dot.chars()).chain(namespace.chars())
}

/// `text` without a suffix that is written in letters of any case.
fn without_suffix<'a>(text: &'a str, suffix: &str) -> &'a str {
    let start = text.len().checked_sub(suffix.len());
    match start.and_then(|start| text.split_at_checked(start)) {
        Some((rest, end)) if end.eq_ignore_ascii_case(suffix) => rest,
        _ => text,
    }
}

/// Those of `others` that share a table with `policy`.
#[must_use]
pub fn neighbours<'a>(
    policy: &DataRetentionPolicy,
    source: &DataSource,
    others: impl Iterator<Item = (&'a DataRetentionPolicy, &'a DataSource)>,
) -> Vec<Neighbour> {
    let own = tables(policy, source);
    let mut found: Vec<Neighbour> = others
        .filter(|(_, other_source)| is_same_store(source, other_source))
        .filter(|(other, _)| (other.name_any(), other.namespace()) != (policy.name_any(), policy.namespace()))
        .flat_map(|(other, other_source)| {
            let shared: Vec<Neighbour> = tables(other, other_source)
                .intersection(&own)
                .map(|table| Neighbour {
                    namespace: other.namespace().unwrap_or_default(),
                    name: other.name_any(),
                    table: table.table.clone(),
                })
                .collect();
            shared
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixtures;

    #[test]
    fn one_service_written_in_four_ways_is_one_host() {
        let written = |host: &str, namespace: &str| {
            let mut source = fixtures::source();
            source.spec.postgres.host = host.to_owned();
            source.metadata.namespace = Some(namespace.to_owned());
            normal_host(&source).collect::<String>()
        };
        for host in ["db", "db.shop", "db.shop.svc", "DB.shop.SVC.cluster.local."] {
            assert_eq!(written(host, "shop"), "db.shop", "{host}");
        }
        assert_ne!(written("db", "shop"), written("db", "crm"));
        assert_eq!(written("dé", "shop"), "dé.shop");
    }

    #[test]
    fn policies_that_name_one_table_find_each_other_and_others_do_not() {
        let source = fixtures::source();
        let first = fixtures::policy();
        let mut second = fixtures::policy();
        second.metadata.name = Some("second".to_owned());
        let mut third = second.clone();
        third.metadata.name = Some("third".to_owned());
        third.spec.rules[0].dataset = "accounts".to_owned();
        third.spec.rules.truncate(1);
        let all = [&first, &second, &third];
        let found = neighbours(&first, &source, all.into_iter().map(|policy| (policy, &source)));
        assert_eq!(
            found.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(),
            ["second"]
        );
        assert_eq!(found[0].table, "public.access_log");
    }
}
