//! What of a person's data an archive covers, and what it does not: told from the plan and the live catalogue, and never
//! left out in silence.

use super::context::Context;
use super::dataset::{LeftOut, Withheld};
use crate::contract::export::{Activity, Coverage, ExportDataset, ExportPlan};

/// What an archive does not hold, each with its reason.
#[derive(Debug, Default)]
pub struct Missing<'a> {
    /// Categories of activities that no dataset of the activity holds.
    pub uncovered: Vec<(&'a Activity, &'a str)>,
    /// Columns that are withheld: store, dataset, column.
    pub withheld: Vec<(&'a str, &'a str, &'a str, Withheld)>,
    /// Columns that are not declared and therefore not read: store, dataset, columns.
    pub undeclared: Vec<(&'a str, &'a str, &'a [String])>,
    /// Datasets that are no part of the archive: store, dataset.
    pub left_out: Vec<(&'a str, &'a str, LeftOut)>,
}

/// What the archive does not hold.
#[must_use]
pub fn missing<'a>(context: &Context<'a>) -> Missing<'a> {
    let mut missing = Missing {
        uncovered: uncovered(context.plan),
        ..Missing::default()
    };
    let stores: &'a [_] = context.stores;
    for store in stores {
        let name = store.planned.name.as_str();
        for (planned, dataset) in store.planned.datasets.iter().zip(&store.datasets) {
            let Some(dataset) = dataset else {
                missing.left_out.push((name, &planned.name, LeftOut::NoSubjects));
                continue;
            };
            if let Some(reason) = dataset.left_out {
                missing.left_out.push((name, &dataset.name, reason));
                if reason == LeftOut::NotPortable {
                    continue;
                }
            }
            let withheld = dataset.withheld.iter();
            missing
                .withheld
                .extend(withheld.map(|(column, reason)| (name, dataset.name.as_str(), column.as_str(), *reason)));
            if !dataset.undeclared.is_empty() {
                missing.undeclared.push((name, &dataset.name, &dataset.undeclared));
            }
        }
    }
    missing
}

/// The categories that an activity names and none of its datasets holds.
#[must_use]
pub fn uncovered(plan: &ExportPlan) -> Vec<(&Activity, &str)> {
    let datasets: Vec<&ExportDataset> = plan.stores.iter().flat_map(|store| &store.datasets).collect();
    let pairs = plan.activities.iter().flat_map(|activity| {
        activity
            .categories
            .iter()
            .map(move |category| (activity, category.key.as_str()))
    });
    pairs
        .filter(|(activity, key)| {
            let of_activity = datasets
                .iter()
                .filter(|dataset| !dataset.subjects.is_empty() && dataset.activities.contains(&activity.name));
            !of_activity
                .flat_map(|dataset| &dataset.fields)
                .filter_map(|field| field.category.as_deref())
                .any(|category| is_within(category, key))
        })
        .collect()
}

/// `user.contact.email` is within `user.contact`.
fn is_within(category: &str, key: &str) -> bool {
    category
        .strip_prefix(key)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The counts of the report.
#[must_use]
pub fn counts(context: &Context<'_>) -> Coverage {
    let missing = missing(context);
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    Coverage {
        stores: count(context.stores.len()),
        stores_not_included: count(context.plan.not_included.len()),
        datasets: count(context.parts().count()),
        datasets_left_out: count(missing.left_out.len()),
        categories: count(
            context
                .plan
                .activities
                .iter()
                .map(|activity| activity.categories.len())
                .sum(),
        ),
        categories_missing: count(missing.uncovered.len()),
        columns_withheld: count(missing.withheld.len()),
        columns_undeclared: count(missing.undeclared.iter().map(|(.., columns)| columns.len()).sum()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_covers_those_below_it_and_no_namesake() {
        assert!(is_within("user.contact.email", "user.contact"));
        assert!(is_within("user.contact", "user.contact"));
        assert!(!is_within("user.contact", "user.contact.email"));
        assert!(!is_within("user.contacts", "user.contact"));
    }
}
