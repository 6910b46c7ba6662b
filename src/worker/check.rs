//! Whether a rule may run on its table, asked before anything runs: every part of it against the catalogue.

use super::catalogue;
use super::judge::{Horizon, Judge, quoted};
use super::sql::Sql;
use crate::contract::{Action, Problem, Reason};

impl Judge<'_> {
    /// Checks every part of the rule against the catalogue, before anything runs.
    pub fn check(&self) -> Result<(), Problem> {
        let mut sql = Sql::default();
        self.due(&mut sql, Horizon::Due)?;
        self.due(&mut sql, Horizon::Overdue)?;
        self.without_start_event(&mut sql)?;
        self.undetermined(&mut sql)?;
        self.no_ground_applies(&mut sql)?;
        self.missing_related(&mut sql)?;
        let effects = match &self.rule.action {
            Action::Protect => return Ok(()),
            Action::Delete => &self.table.on_delete,
            Action::Mask(_) | Action::Set(_) => &self.table.on_update,
        };
        if !effects.is_empty() {
            let detail = format!("{} has {}", self.table.name, effects.join(", "));
            return Err(Problem::new(Reason::UndeclaredCascade, self.field("dataset"), detail));
        }
        if self.rule.action == Action::Delete {
            self.check_delete()?;
        }
        if self.looks_elsewhere() || self.rule.keep_newest.is_some() {
            self.check_locks()?;
        }
        super::disposal::statement(self).map(|_| ())
    }

    /// Rows that are judged by rows of other tables are locked before they are judged.
    fn check_locks(&self) -> Result<(), Problem> {
        let what = if !self.table.may_lock {
            let newest = self.rule.keep_newest.as_ref().map(|newest| &newest.order_by);
            let tied = self.elsewhere().find_map(|relation| relation.columns.first());
            let column = newest
                .or(tied.map(|(ours, _)| ours))
                .map_or_else(String::new, |column| quoted(column));
            format!(
                "rows are locked before they are judged by other rows; GRANT UPDATE ({column}) ON {}",
                self.table.name.quoted()
            )
        } else if self.table.partitioned && !self.table.may_tell_partitions {
            catalogue::select(&self.table.name, &["tableoid"])
        } else {
            return Ok(());
        };
        Err(Problem::new(Reason::MissingGrant, self.field("dataset"), what))
    }

    fn check_delete(&self) -> Result<(), Problem> {
        let grant = |what: String| Err(Problem::new(Reason::MissingGrant, self.field("then.delete"), what));
        if !self.table.may_delete {
            return grant(format!("GRANT DELETE ON {}", self.table.name.quoted()));
        }
        for reference in &self.table.references {
            for (_, ours) in &reference.columns {
                self.column(ours, &self.field("then.delete"))?;
            }
            let seen = "point here and keep their parent, which can only be seen with";
            if !reference.may_use_schema {
                return grant(format!(
                    "rows of {} {seen} {}",
                    reference.table,
                    catalogue::usage(&reference.table)
                ));
            }
            if !reference.may_select {
                let columns: Vec<&str> = reference.columns.iter().map(|(theirs, _)| theirs.as_str()).collect();
                let select = catalogue::select(&reference.table, &columns);
                return grant(format!("rows of {} {seen} {select}", reference.table));
            }
            if reference.hidden {
                let detail = format!("rows of {} point here", reference.table);
                return Err(Problem::new(Reason::RowLevelSecurity, self.field("dataset"), detail));
            }
        }
        Ok(())
    }
}
