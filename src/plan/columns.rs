//! Which columns a rule reads and writes.

use crate::api::data_retention_policy::{Condition, RetentionRule};

/// A column that a rule reads, and the field where it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Column.
    pub column: String,
    /// Field within the rule.
    pub field: String,
    /// It stands in the rule's own `rows`.
    pub in_rows: bool,
}

/// Every column by which a rule judges rows, in the order of the spec.
#[must_use]
pub fn read_by(rule: &RetentionRule) -> Vec<Use> {
    let mut uses = Vec::new();
    conditions(&rule.rows, "rows", true, &mut uses);
    for ground in &rule.keep_while {
        let path = format!("keepWhile[{}]", ground.name);
        conditions(&ground.when, &format!("{path}.when"), false, &mut uses);
        let mut column = |column: &String, field: String| {
            uses.push(Use {
                column: column.clone(),
                field,
                in_rows: false,
            });
        };
        if let Some(from) = &ground.from {
            column(from, format!("{path}.from"));
        }
        for (index, fallback) in ground.from_fallback.iter().enumerate() {
            column(fallback, format!("{path}.fromFallback[{index}]"));
        }
        for (index, until) in ground.until.iter().enumerate() {
            column(until, format!("{path}.until[{index}]"));
        }
    }
    uses
}

fn conditions(conditions: &[Condition], path: &str, in_rows: bool, uses: &mut Vec<Use>) {
    for (index, condition) in conditions.iter().enumerate() {
        uses.push(Use {
            column: condition.column.clone(),
            field: format!("{path}[{index}].column"),
            in_rows,
        });
        if let Some(other) = &condition.other_column {
            uses.push(Use {
                column: other.clone(),
                field: format!("{path}[{index}].otherColumn"),
                in_rows,
            });
        }
    }
}

/// A column that a rule writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Column.
    pub column: String,
    /// Field within the rule.
    pub field: String,
    /// By `set`, not by `mask`.
    pub by_set: bool,
}

/// Every column that a rule masks or sets.
#[must_use]
pub fn written_by(rule: &RetentionRule) -> Vec<Write> {
    let Some(then) = &rule.then else { return Vec::new() };
    let masks = then.mask.iter().map(|mask| Write {
        column: mask.column.clone(),
        field: format!("then.mask[{}].column", mask.column),
        by_set: false,
    });
    let sets = then.set.iter().map(|set| Write {
        column: set.column.clone(),
        field: format!("then.set[{}].column", set.column),
        by_set: true,
    });
    masks.chain(sets).collect()
}

/// Whether a rule deletes rows.
#[must_use]
pub fn deletes(rule: &RetentionRule) -> bool {
    rule.then.as_ref().is_some_and(|then| then.delete.is_some())
}
