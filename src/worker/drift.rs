//! Whether a table still is what its dataset says. Somebody who took a column away had a reason that the policy does not
//! know, so nothing is disposed of until the declaration is true again. A column that came is told by the survey, and by
//! the export, which leaves it out: it takes nothing from what a rule was written by.

use super::catalogue::Table;
use crate::contract::{Problem, Reason, WorkPlan};

/// As many columns as a problem names.
const NAMED: usize = 8;

/// Compares a table of a rule with its declaration.
pub fn check(plan: &WorkPlan, table: &Table, field: &str) -> Result<(), Problem> {
    let name = (table.name.schema.to_string(), table.name.name.to_string());
    let declared = plan
        .declared
        .iter()
        .filter(|one| (&one.schema, &one.table) == (&name.0, &name.1));
    let gone: Vec<&str> = declared
        .flat_map(|declared| &declared.columns)
        .filter(|column| !table.columns.contains_key(*column))
        .map(String::as_str)
        .collect();
    if gone.is_empty() {
        return Ok(());
    }
    let more = gone.len().saturating_sub(NAMED);
    let names = gone[..gone.len().min(NAMED)].join(", ");
    let rest = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let detail = format!("{} has no column {names}{rest}, which its dataset names", table.name);
    Err(Problem::new(Reason::SchemaDrift, field, detail))
}
