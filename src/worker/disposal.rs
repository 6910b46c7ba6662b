//! What happens to a due row: the statements that delete, mask and set.

use super::catalogue::{Column, Kind};
use super::judge::{Horizon, Judge, is_not_null, quoted, row};
use super::pseudonymise;
use super::sql::Sql;
use crate::contract::{Action, Mask, MaskStrategy, Problem, Reason, Set};

const DEFAULT_IPV4_PREFIX: i32 = 24;
const DEFAULT_IPV6_PREFIX: i32 = 48;

/// Bits before the IPv4 address in an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2).
const MAPPED_BITS: i32 = 96;

/// The statement that disposes of every due row, to be completed with a window. The whole predicate stands in it, so
/// that a row which is protected meanwhile stays.
pub fn statement(judge: &Judge<'_>) -> Result<Sql, Problem> {
    let mut sql = head(judge)?;
    judge.due(&mut sql, Horizon::Due)?;
    Ok(sql)
}

/// As [`statement`], for windows along the index of a start event.
pub fn statement_by_index(judge: &Judge<'_>) -> Result<Sql, Problem> {
    let mut sql = head(judge)?;
    sql.by_index = true;
    judge.due(&mut sql, Horizon::Due)?;
    Ok(sql)
}

/// The statement up to its predicate.
pub fn head(judge: &Judge<'_>) -> Result<Sql, Problem> {
    let table = judge.table.name.quoted();
    let mut sql = Sql::default();
    match &judge.rule.action {
        Action::Delete => sql.push(&format!("DELETE FROM {table} AS t WHERE ")),
        Action::Mask(masks) => {
            sql.push(&format!("UPDATE {table} AS t SET "));
            for (index, mask) in masks.iter().enumerate() {
                sql.push(if index > 0 { ", " } else { "" });
                sql.push(&format!("{} = ", quoted(&mask.column)));
                masked(&mut sql, judge, mask)?;
            }
            pseudonymise::from_computed(&mut sql, judge);
            sql.push(" WHERE ");
            pseudonymise::tie_to_computed(&mut sql, judge);
        }
        Action::Set(sets) => {
            sql.push(&format!("UPDATE {table} AS t SET "));
            for (index, set) in sets.iter().enumerate() {
                sql.push(if index > 0 { ", " } else { "" });
                sql.push(&format!("{} = ", quoted(&set.column)));
                set_value(&mut sql, judge, set)?;
            }
            sql.push(" WHERE ");
        }
        Action::Protect => {
            let detail = "a rule that only protects has nothing to do";
            return Err(Problem::new(Reason::InvalidPlan, judge.field("then"), detail));
        }
    }
    Ok(sql)
}

/// A condition that holds, to mention the parameters of [`head`] in a statement that has the predicate alone: one that is
/// not mentioned has no type.
#[must_use]
pub fn mentioned(head: &Sql) -> String {
    let parameters = 1..=head.parameters.len();
    let all: Vec<String> = parameters
        .map(|unused| format!(" AND (${unused}::text IS NULL) IS NOT NULL"))
        .collect();
    all.concat()
}

/// The mask has not been applied to this row yet.
pub fn mask_undone(sql: &mut Sql, judge: &Judge<'_>, mask: &Mask) -> Result<(), Problem> {
    let column = row(&mask.column);
    match mask.strategy {
        MaskStrategy::Nullify => {
            masked(&mut Sql::default(), judge, mask)?;
            sql.push(&is_not_null(&column));
        }
        MaskStrategy::TruncateIp => {
            sql.push(&format!("{column} IS DISTINCT FROM "));
            masked(sql, judge, mask)?;
        }
        MaskStrategy::Pseudonymise => pseudonymise::undone(sql, judge, mask)?,
    }
    Ok(())
}

/// The value has not been set in this row yet.
pub fn set_undone(sql: &mut Sql, judge: &Judge<'_>, set: &Set) -> Result<(), Problem> {
    let column = row(&set.column);
    if is_now(judge, set)? {
        sql.push(&format!("{column} IS NULL"));
        return Ok(());
    }
    sql.push(&format!("{column} IS DISTINCT FROM "));
    set_value(sql, judge, set)
}

/// A column that may be written, or why not.
pub fn writable<'a>(judge: &'a Judge<'_>, name: &str, field: &str) -> Result<&'a Column, Problem> {
    let column = judge.column(name, field)?;
    if column.computed || column.referenced {
        return Err(Problem::new(Reason::ColumnNotWritable, field, format!("column {name}")));
    }
    if !column.may_update {
        let detail = format!("GRANT UPDATE ({}) ON {}", quoted(name), judge.table.name.quoted());
        return Err(Problem::new(Reason::MissingGrant, field, detail));
    }
    Ok(column)
}

fn masked(sql: &mut Sql, judge: &Judge<'_>, mask: &Mask) -> Result<(), Problem> {
    let field = judge.field(&format!("then.mask[{}]", mask.column));
    let column = writable(judge, &mask.column, &field)?;
    match mask.strategy {
        MaskStrategy::Pseudonymise => pseudonymise::assigned(sql, judge, mask),
        MaskStrategy::Nullify if column.not_null => Err(Problem::new(
            Reason::NotNullable,
            field,
            format!("column {}", mask.column),
        )),
        MaskStrategy::Nullify => {
            sql.push("NULL");
            Ok(())
        }
        MaskStrategy::TruncateIp => {
            let ipv4 = mask.ipv4_prefix.unwrap_or(DEFAULT_IPV4_PREFIX).clamp(0, 32);
            let ipv6 = mask.ipv6_prefix.unwrap_or(DEFAULT_IPV6_PREFIX).clamp(0, 128);
            let text = truncated(&row(&mask.column), column, ipv4, ipv6).ok_or_else(|| {
                Problem::new(
                    Reason::NotAnAddress,
                    field,
                    format!("column {} is of type {}", mask.column, column.cast),
                )
            })?;
            sql.push(&text);
            Ok(())
        }
    }
}

/// The address with its host part zeroed. The prefixes are numbers of ours, not values of the spec's author.
fn truncated(column: &str, facts: &Column, ipv4: i32, ipv6: i32) -> Option<String> {
    match facts.kind {
        Kind::Inet => Some(truncated_inet(column, ipv4, ipv6)),
        Kind::Cidr => {
            let cut = |bits: i32| {
                format!("CASE WHEN masklen({column}) > {bits} THEN set_masklen({column}, {bits}) ELSE {column} END")
            };
            Some(by_family(column, &cut(ipv4), &cut(MAPPED_BITS + ipv4), &cut(ipv6)))
        }
        Kind::Text => {
            let address = truncated_inet(&format!("({column}::text)::inet"), ipv4, ipv6);
            // A CASE decides before it casts: text that is not an address never reaches the cast.
            Some(format!(
                "CASE WHEN {column}::text ~ '{}' THEN host({address}) ELSE {column}::text END",
                address_pattern()
            ))
        }
        _ => None,
    }
}

/// Zeroes the bits of the address beyond the prefix and keeps the stored mask length.
fn truncated_inet(column: &str, ipv4: i32, ipv6: i32) -> String {
    let cut = |bits: i32| format!("set_masklen(network(set_masklen({column}, {bits}))::inet, masklen({column}))");
    by_family(column, &cut(ipv4), &cut(MAPPED_BITS + ipv4), &cut(ipv6))
}

fn by_family(column: &str, ipv4: &str, mapped: &str, ipv6: &str) -> String {
    format!(
        "(CASE WHEN family({column}) = 4 THEN {ipv4} \
         WHEN set_masklen({column}::inet, 128) <<= '::ffff:0:0/96'::inet THEN {mapped} ELSE {ipv6} END)"
    )
}

/// Exactly the IPv4 and IPv6 addresses in text form (RFC 3986, 3.2.2; dotted decimal without leading zeros).
fn address_pattern() -> String {
    let octet = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
    let v4 = format!("{octet}\\.{octet}\\.{octet}\\.{octet}");
    let h = "[0-9a-fA-F]{1,4}";
    let low = format!("({h}:{h}|{v4})");
    let v6 = [
        format!("({h}:){{6}}{low}"),
        format!("::({h}:){{5}}{low}"),
        format!("({h})?::({h}:){{4}}{low}"),
        format!("(({h}:){{0,1}}{h})?::({h}:){{3}}{low}"),
        format!("(({h}:){{0,2}}{h})?::({h}:){{2}}{low}"),
        format!("(({h}:){{0,3}}{h})?::{h}:{low}"),
        format!("(({h}:){{0,4}}{h})?::{low}"),
        format!("(({h}:){{0,5}}{h})?::{h}"),
        format!("(({h}:){{0,6}}{h})?::"),
    ]
    .join("|");
    format!("^({v4}|{v6})$")
}

/// `now` in a time column is the time of the run, written where nothing is written yet.
fn is_now(judge: &Judge<'_>, set: &Set) -> Result<bool, Problem> {
    let field = judge.field(&format!("then.set[{}]", set.column));
    let column = judge.column(&set.column, &field)?;
    Ok(set.value == "now" && matches!(column.kind, Kind::Instant | Kind::LocalTime | Kind::Date))
}

fn set_value(sql: &mut Sql, judge: &Judge<'_>, set: &Set) -> Result<(), Problem> {
    let field = judge.field(&format!("then.set[{}]", set.column));
    let column = writable(judge, &set.column, &field)?;
    if is_now(judge, set)? {
        let time = judge.time(judge.rule, &set.column, &field)?;
        sql.push(&format!("coalesce({}, ", row(&set.column)));
        sql.bind_as(time.literal(judge.clock.now), &column.cast);
        sql.push(")");
        return Ok(());
    }
    if column.kind == Kind::Other {
        let detail = format!("column {} is of type {}", set.column, column.cast);
        return Err(Problem::new(Reason::NotComparable, field, detail));
    }
    sql.bind_as(&set.value, &column.cast);
    Ok(())
}
