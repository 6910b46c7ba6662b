//! Values of the spec, tried against the types of their columns before anything runs, so that a bad one is named.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::judge::Judge;
use super::sweep::Fault;
use crate::contract::{Action, Condition, Operator, Problem, Reason};

/// Asks the server whether it can read each value as the type of its column.
pub async fn check(client: &Client, judge: &Judge<'_>) -> Result<(), Fault> {
    let rule = judge.rule;
    for (part, conditions) in std::iter::once(("rows".to_owned(), &rule.rows)).chain(
        rule.grounds
            .iter()
            .map(|ground| (format!("keepWhile[{}].when", ground.name), &ground.when)),
    ) {
        for (index, condition) in conditions.iter().enumerate() {
            check_condition(
                client,
                judge,
                condition,
                &judge.field(&format!("{part}[{index}].values")),
            )
            .await?;
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

async fn check_condition(client: &Client, judge: &Judge<'_>, condition: &Condition, field: &str) -> Result<(), Fault> {
    if !matches!(condition.operator, Operator::In | Operator::NotIn) {
        return Ok(());
    }
    let column = judge.column(&condition.column, field)?;
    let values: Vec<&str> = condition.values.iter().map(String::as_str).collect();
    readable(client, judge, &values, &column.cast, field).await
}

async fn readable(client: &Client, judge: &Judge<'_>, values: &[&str], cast: &str, field: &str) -> Result<(), Fault> {
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
