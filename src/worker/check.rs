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
        self.held(&mut sql)?;
        match self.rule.action {
            Action::Protect => return Ok(()),
            Action::Delete => self.check_cascade()?,
            Action::Mask(_) | Action::Set(_) => self.sets_off(&self.table.on_update, "dataset")?,
        }
        if self.locks_first() || self.rule.keep_newest.is_some() {
            self.check_locks()?;
        }
        super::disposal::statement(self).map(|_| ())
    }

    /// Nothing happens but what the policy says.
    fn sets_off(&self, effects: &[String], part: &str) -> Result<(), Problem> {
        if effects.is_empty() {
            return Ok(());
        }
        let detail = format!("{} has {}", self.table.name, effects.join(", "));
        Err(Problem::new(Reason::UndeclaredCascade, self.field(part), detail))
    }

    /// Every table of which rows are deleted.
    fn check_cascade(&self) -> Result<(), Problem> {
        let cascade = self.cascade()?;
        for (index, (judge, named, part)) in cascade.members().into_iter().enumerate() {
            let keys = judge.table.references.iter().filter(|key| !named.contains(key));
            let effects = judge.table.on_delete.iter().cloned();
            let mut effects: Vec<String> = effects.chain(keys.filter_map(|key| key.effect.clone())).collect();
            effects.sort();
            judge.sets_off(&effects, &part)?;
            let part = if index == 0 { "then.delete" } else { &part };
            judge.check_delete(part)?;
            let field = self.field(part);
            if index > 0 && !judge.table.may_lock {
                let lock = self.rule.cascade.relations().find(|relation| {
                    (relation.schema.as_str(), relation.table.as_str())
                        == (judge.table.name.schema.as_str(), judge.table.name.name.as_str())
                });
                let column = lock.and_then(|relation| relation.columns.first());
                let column = column.map_or_else(String::new, |(_, theirs)| quoted(theirs));
                let detail = format!(
                    "rows are locked before they go with others; GRANT UPDATE ({column}) ON {}",
                    judge.table.name.quoted()
                );
                return Err(Problem::new(Reason::MissingGrant, field, detail));
            }
        }
        for (index, node) in cascade.parents.iter().enumerate() {
            let field = self.field(&format!("then.delete.emptyParents[{index}]"));
            let table = node.judge.table;
            catalogue::needs_place(table.may_place, &table.name, &field)?;
            if table.partitioned && !table.may_tell_partitions {
                let what = catalogue::select(&table.name, &["tableoid"]);
                return Err(Problem::new(Reason::MissingGrant, field, what));
            }
        }
        cascade.check_ties()
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

    fn check_delete(&self, part: &str) -> Result<(), Problem> {
        let grant = |what: String| Err(Problem::new(Reason::MissingGrant, self.field(part), what));
        if !self.table.may_delete {
            return grant(format!("GRANT DELETE ON {}", self.table.name.quoted()));
        }
        for reference in &self.table.references {
            for (_, ours) in &reference.columns {
                self.column(ours, &self.field(part))?;
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
