//! An object against the schema of its CRD, as the API server would judge it at creation: unknown fields are errors here,
//! since nobody means them.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::{Map, Value};

use super::{rules, wrong};
use crate::api::all_crds;
use crate::api::findings::Finding;

/// Longest name of an object (RFC 1123 subdomain).
const LONGEST_NAME: usize = 253;

/// The schema of a kind.
pub fn of_kind(kind: &str) -> Option<Value> {
    let crd = all_crds().into_iter().find(|crd| crd.spec.names.kind == kind)?;
    let schema = crd.spec.versions.into_iter().next()?.schema?.open_api_v3_schema?;
    serde_json::to_value(schema).ok()
}

/// All kinds.
pub fn kinds() -> Vec<String> {
    all_crds().into_iter().map(|crd| crd.spec.names.kind).collect()
}

/// Judges a whole object.
pub fn judge(schema: &Value, object: &Value) -> Vec<Finding> {
    let mut judge = Judge::default();
    judge.name(object);
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    for field in object.as_object().into_iter().flat_map(Map::keys) {
        if !known.contains(&field.as_str()) {
            judge.unknown(field, &known.map(str::to_owned));
        }
    }
    let mut object = object.clone();
    let spec = &schema["properties"]["spec"];
    if object.get("spec").is_none_or(Value::is_null) {
        judge.add(
            "FieldRequired",
            "spec",
            "spec is missing",
            "write it: kubectl explain shows its fields",
        );
        return judge.found;
    }
    complete(spec, &mut object["spec"]);
    judge.node(spec, &object["spec"], "spec");
    // Rules say more than a schema, but only of objects that fit it.
    if judge.found.is_empty() {
        judge.rules(schema, &object, "");
        judge.rules_below(spec, &object["spec"], "spec");
    }
    judge.found
}

/// Writes the defaults, as the API server does before it judges.
fn complete(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                if let (false, Some(default)) = (fields.contains_key(name), field.get("default")) {
                    fields.insert(name.clone(), default.clone());
                }
                if let Some(child) = fields.get_mut(name) {
                    complete(field, child);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| complete(&schema["items"], item)),
        _ => {}
    }
}

#[derive(Default)]
struct Judge {
    found: Vec<Finding>,
}

impl Judge {
    fn add(&mut self, reason: &str, field: &str, message: impl Into<String>, remedy: impl Into<String>) {
        self.found.push(wrong(reason, field, message.into(), remedy.into()));
    }

    fn unknown(&mut self, field: &str, known: &[String]) {
        let remedy = format!("correct the spelling or remove it; known here: {}", known.join(", "));
        self.add("UnknownField", field, "there is no such field", remedy);
    }

    fn name(&mut self, object: &Value) {
        let name = object
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let is_part = |part: &str| {
            let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            let (first, last) = (part.bytes().next(), part.bytes().last());
            first.is_some_and(inner) && last.is_some_and(inner) && part.bytes().all(|byte| inner(byte) || byte == b'-')
        };
        if name.is_empty() || name.len() > LONGEST_NAME || !name.split('.').all(is_part) {
            let remedy = "at most 253 small letters, digits, - and ., beginning and ending with a letter or digit";
            self.add("InvalidName", "metadata.name", "this is no name of an object", remedy);
        }
    }

    fn node(&mut self, schema: &Value, value: &Value, path: &str) {
        if value.is_null() {
            if schema["nullable"] != true {
                self.add(
                    "InvalidType",
                    path,
                    "there is no value",
                    "write a value or remove the field",
                );
            }
            return;
        }
        let fits = match schema["type"].as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            _ => true,
        };
        if !fits {
            let wanted = schema["type"].as_str().unwrap_or_default();
            let remedy = format!("write {}", with_article(wanted));
            return self.add(
                "InvalidType",
                path,
                format!("this is not {}", with_article(wanted)),
                remedy,
            );
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            let words: Vec<String> = allowed
                .iter()
                .filter_map(|word| word.as_str().map(str::to_owned))
                .collect();
            return self.add(
                "InvalidValue",
                path,
                "this value is not known here",
                format!("write one of {}", words.join(", ")),
            );
        }
        match value {
            Value::Object(fields) => self.object(schema, fields, path),
            Value::Array(items) => self.array(schema, items, path),
            Value::String(text) => self.text(schema, text, path),
            Value::Number(number) => {
                let at = |bound: &str| schema[bound].as_f64();
                let (number, low, high) = (number.as_f64().unwrap_or_default(), at("minimum"), at("maximum"));
                self.bounds(path, "the number", number, low, high);
            }
            _ => {}
        }
    }

    fn object(&mut self, schema: &Value, fields: &Map<String, Value>, path: &str) {
        let properties = schema["properties"].as_object();
        for name in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !fields.contains_key(name) {
                self.add(
                    "FieldRequired",
                    &format!("{path}.{name}"),
                    "the field is missing",
                    "write it: kubectl explain tells what it means",
                );
            }
        }
        #[allow(clippy::cast_precision_loss, reason = "no object has 2^52 fields")]
        self.bounds(
            path,
            "the number of entries",
            fields.len() as f64,
            None,
            schema["maxProperties"].as_f64(),
        );
        for (name, value) in fields {
            let path = format!("{path}.{name}");
            let free = schema.get("additionalProperties").filter(|free| free.is_object());
            match properties.and_then(|known| known.get(name)).or(free) {
                Some(field) => self.node(field, value, &path),
                None if schema["x-kubernetes-preserve-unknown-fields"] == true => {}
                None => {
                    let known: Vec<String> = properties.into_iter().flat_map(Map::keys).cloned().collect();
                    self.unknown(&path, &known);
                }
            }
        }
    }

    fn array(&mut self, schema: &Value, items: &[Value], path: &str) {
        let at = |bound: &str| schema[bound].as_f64();
        #[allow(clippy::cast_precision_loss, reason = "no list has 2^52 items")]
        self.bounds(
            path,
            "the number of items",
            items.len() as f64,
            at("minItems"),
            at("maxItems"),
        );
        let keys: Vec<&str> = schema["x-kubernetes-list-map-keys"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let label = label(keys.first().copied(), item, index);
            let path = format!("{path}[{label}]");
            self.node(&schema["items"], item, &path);
            let key: Vec<String> = match schema["x-kubernetes-list-type"].as_str() {
                Some("map") => keys.iter().map(|key| item[*key].to_string()).collect(),
                Some("set") => vec![item.to_string()],
                _ => continue,
            };
            if !seen.insert(key) {
                self.add(
                    "Duplicate",
                    &path,
                    "this stands in the list twice",
                    "remove one of them or give it a name of its own",
                );
            }
        }
    }

    fn text(&mut self, schema: &Value, text: &str, path: &str) {
        let at = |bound: &str| schema[bound].as_f64();
        #[allow(clippy::cast_precision_loss, reason = "no text has 2^52 characters")]
        self.bounds(
            path,
            "the number of characters",
            text.chars().count() as f64,
            at("minLength"),
            at("maxLength"),
        );
        if let Some(pattern) = schema["pattern"].as_str()
            && Regex::new(pattern).is_ok_and(|known| !known.is_match(text))
        {
            self.add(
                "InvalidValue",
                path,
                "the text does not have the form that is asked for",
                format!("it must match {pattern}"),
            );
        }
    }

    fn bounds(&mut self, path: &str, what: &str, found: f64, low: Option<f64>, high: Option<f64>) {
        let (low, high) = (low.filter(|low| found < *low), high.filter(|high| found > *high));
        if let Some(low) = low {
            self.add(
                "OutOfBounds",
                path,
                format!("{what} is {found}"),
                format!("it must be {low} at least"),
            );
        }
        if let Some(high) = high {
            self.add(
                "OutOfBounds",
                path,
                format!("{what} is {found}"),
                format!("it may be {high} at most"),
            );
        }
    }

    fn rules(&mut self, schema: &Value, value: &Value, path: &str) {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let text = |name: &str| rule[name].as_str().unwrap_or_default();
            let place = if path.is_empty() { "metadata.name" } else { path };
            match rules::holds(text("rule"), value) {
                Ok(true) => {}
                Ok(false) => self.add("RuleBroken", place, text("message"), "correct it as the message says"),
                Err(error) => self.add(
                    "RuleBroken",
                    place,
                    format!("{}: {error}", text("message")),
                    "correct it as the message says",
                ),
            }
        }
    }

    fn rules_below(&mut self, schema: &Value, value: &Value, path: &str) {
        self.rules(schema, value, path);
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    let below = schema["properties"]
                        .get(name)
                        .unwrap_or(&schema["additionalProperties"]);
                    self.rules_below(below, field, &format!("{path}.{name}"));
                }
            }
            Value::Array(items) => {
                let key = schema["x-kubernetes-list-map-keys"][0].as_str();
                for (index, item) in items.iter().enumerate() {
                    let label = label(key, item, index);
                    self.rules_below(&schema["items"], item, &format!("{path}[{label}]"));
                }
            }
            _ => {}
        }
    }
}

/// An item is called by its name where it has one, as in status.
fn label(key: Option<&str>, item: &Value, index: usize) -> String {
    key.and_then(|key| item.get(key)?.as_str())
        .map_or_else(|| index.to_string(), str::to_owned)
}

fn with_article(kind: &str) -> String {
    match kind {
        "object" | "array" | "integer" => format!("an {kind}"),
        "string" => "a text (in quotes, where it looks like a number)".to_owned(),
        "boolean" => "true or false".to_owned(),
        other => format!("a {other}"),
    }
}
