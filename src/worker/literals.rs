//! Values of the spec, tried against the types of their columns before anything runs, so that a bad one is named.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::holds;
use super::judge::Judge;
use super::related::{Scope, exists_of};
use super::sweep::Fault;
use crate::contract::{Action, Condition, Operator, PlannedRule, Problem, Reason};

/// Asks the server whether it can read each value as the type of its column: values of the rule, and those of holds and
/// other policies that protect rows from it.
pub async fn check(client: &Client, judge: &Judge<'_>) -> Result<(), Fault> {
    holds::check(client, judge).await?;
    let cascade = judge.cascade().map_err(Fault::Problem)?;
    for node in cascade.dependents.iter().chain(&cascade.parents) {
        holds::check(client, &node.judge).await?;
    }
    let rule = judge.rule;
    let foreign = judge
        .others
        .iter()
        .copied()
        .filter(|other| other.is_of_another_policy());
    for rule in std::iter::once(rule).chain(foreign) {
        check_conditions(client, judge, rule, Scope::Row, "rows", &rule.rows).await?;
        for ground in &rule.grounds {
            let path = format!("keepWhile[{}]", ground.name);
            check_conditions(client, judge, rule, Scope::Row, &format!("{path}.when"), &ground.when).await?;
            for (part, exists) in exists_of(ground) {
                let part = format!("{path}.{part}.when");
                check_conditions(client, judge, rule, Scope::Other(exists), &part, &exists.when).await?;
            }
        }
    }
    if let Action::Set(sets) = &rule.action {
        for set in sets {
            let field = judge.field(&format!("then.set[{}].value", set.column));
            let column = judge.column(&set.column, &field)?;
            let is_now = set.value == "now";
            if !is_now {
                readable(client, judge, &[&set.value], &column.cast, &field).await?;
            }
        }
    }
    Ok(())
}

async fn check_conditions(
    client: &Client,
    judge: &Judge<'_>,
    rule: &PlannedRule,
    scope: Scope<'_>,
    part: &str,
    conditions: &[Condition],
) -> Result<(), Fault> {
    for (index, condition) in conditions.iter().enumerate() {
        if matches!(condition.operator, Operator::In | Operator::NotIn) {
            let field = format!("rules[{}].{part}[{index}].values", rule.name);
            let column = judge.refer(rule, scope, &condition.column, &field)?.column;
            let values: Vec<&str> = condition.values.iter().map(String::as_str).collect();
            readable(client, judge, &values, &column.cast, &field).await?;
        }
    }
    Ok(())
}

pub async fn readable(
    client: &Client,
    judge: &Judge<'_>,
    values: &[&str],
    cast: &str,
    field: &str,
) -> Result<(), Fault> {
    let sql = format!("SELECT ($1::text[])::{cast}[] IS NULL");
    match client.query_typed_one(&sql, &[(&values, Type::TEXT_ARRAY)]).await {
        Ok(_) => Ok(()),
        // Class 22: data exception. The value itself stays out of the report: it could be anything.
        Err(error) if error.code().is_some_and(|code| code.code().starts_with("22")) => {
            let detail = format!("a value cannot be read as {cast}");
            Err(Fault::Problem(Problem::new(Reason::InvalidValue, field, detail)))
        }
        Err(error) => Err(Fault::of(&error, judge)),
    }
}
