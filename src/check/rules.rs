//! The rules of a CRD (`x-kubernetes-validations`), evaluated as the API server does at creation.

use std::collections::HashMap;

use cel::{Context, Env, Value as CelValue};
use serde_json::Value;
use std::sync::Arc;

/// Words of CEL that a rule escapes where a field is called so.
const RESERVED: &[&str] = &[
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Whether a rule holds for a value. Rules about a change hold: nothing was there before.
pub fn holds(rule: &str, value: &Value) -> Result<bool, String> {
    if rule.contains("oldSelf") {
        return Ok(true);
    }
    let environment = Arc::new(Env::stdlib());
    let program = environment.compile(rule).map_err(|error| error.to_string())?;
    let mut context = Context::with_env(environment);
    context.add_variable_from_value("self", converted(value));
    match program.execute(&context) {
        Ok(CelValue::Bool(holds)) => Ok(holds),
        Ok(_) => Err("the rule gives neither true nor false".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn converted(value: &Value) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(is) => CelValue::Bool(*is),
        Value::Number(number) => number
            .as_i64()
            .map_or_else(|| CelValue::Float(number.as_f64().unwrap_or_default()), CelValue::Int),
        Value::String(text) => CelValue::String(Arc::new(text.clone())),
        Value::Array(items) => items.iter().map(converted).collect::<Vec<_>>().into(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, field)| {
                let name = if RESERVED.contains(&name.as_str()) {
                    format!("__{name}__")
                } else {
                    name.clone()
                };
                (name, converted(field))
            });
            fields.collect::<HashMap<_, _>>().into()
        }
    }
}
