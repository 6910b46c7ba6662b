//! The index along which a rule's due rows can be found, where there is one.

use super::judge::{Horizon, Judge, ground_field, start_date_as};
use super::related;
use crate::contract::{Action, Problem};

/// A column on an index, and the last value that can be due: the sweep runs forward along it.
#[derive(Debug, Clone, PartialEq)]
pub struct Anchor {
    /// Column name.
    pub column: String,
    /// No due row is beyond this value.
    pub last: String,
    /// Order of the heap along the index, from -1 to 1.
    pub correlation: Option<f64>,
    /// The ground is the rule's only one: NULLs and oddities can be counted along the index as well.
    pub alone: bool,
    /// Values so many rows apart, found while the due rows were counted: see [`super::marks`].
    pub marks: Vec<String>,
}

impl Judge<'_> {
    /// The column along which due rows can be found, where there is one on an index: the start of a ground that applies
    /// to every row and can end in no other way.
    pub fn anchor(&self) -> Result<Option<Anchor>, Problem> {
        if self.rule.keep_newest.is_some() {
            return Ok(None);
        }
        for ground in &self.rule.grounds {
            let ([column], true, true) = (&ground.from[..], ground.when.is_empty(), ground.until.is_empty()) else {
                continue;
            };
            let time = self.time(self.rule, column, &ground_field(self.rule, ground, "from"))?;
            let depends = time.missing().is_some() || related::exists_of(ground).next().is_some();
            if depends || !time.column().indexed {
                continue;
            }
            let intervals = self.due_intervals(self.rule, ground, Horizon::Due)?;
            let time = time.starting(ground.starts_at, &self.zone(self.rule, ground)?);
            let Some(last) = time.last(&intervals, start_date_as(ground)) else {
                continue;
            };
            return Ok(Some(Anchor {
                column: column.clone(),
                last,
                correlation: time.column().correlation,
                alone: self.rule.grounds.len() == 1
                    && self.rule.relations.is_empty()
                    && self.legal_holds().next().is_none(),
                marks: Vec::new(),
            }));
        }
        Ok(None)
    }

    /// Where exactly the rows up to some value of the anchor are due, and others are not: the last overdue value, where
    /// there is any, and the last due one.
    pub fn range(&self, anchor: &Anchor) -> Result<Option<(Option<String>, String)>, Problem> {
        let ([ground], Action::Delete) = (&self.rule.grounds[..], &self.rule.action) else {
            return Ok(None);
        };
        if !(anchor.alone && self.rule.rows.is_empty() && self.goes_alone()) || self.protectors().next().is_some() {
            return Ok(None);
        }
        let time = self.time(self.rule, &anchor.column, &ground_field(self.rule, ground, "from"))?;
        let time = time.starting(ground.starts_at, &self.zone(self.rule, ground)?);
        let ranges = |horizon| {
            let intervals = self.due_intervals(self.rule, ground, horizon)?;
            Ok(time.ranges(&intervals, start_date_as(ground)))
        };
        let (overdue, due) = (ranges(Horizon::Overdue)?, ranges(Horizon::Due)?);
        Ok(match (&overdue[..], &due[..]) {
            ([], [(None, last)]) => Some((None, last.clone())),
            ([(None, late)], [(None, last)]) => Some((Some(late.clone()), last.clone())),
            _ => None,
        })
    }
}
