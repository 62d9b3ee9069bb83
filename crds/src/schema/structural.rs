//! From the schema that a type describes itself with to one that an API server takes: every reference replaced by what it
//! refers to, only words that Kubernetes knows, the rules put in.

use serde_json::{Map, Value};

use super::SchemaError;
use super::rules::{self, Used};

/// The schema of a kind's spec. `root` is what its type says, with the types it refers to under `$defs`.
pub(super) fn structural(root: &Value, type_name: &str, used: &mut Used) -> Result<Value, SchemaError> {
    let empty = Map::new();
    let types = root.get("$defs").and_then(Value::as_object).unwrap_or(&empty);
    let mut maker = Maker { types, used };
    let mut made = maker.named(root, type_name)?;
    maker.constrain(&mut made, &rules::of_kind(type_name))?;
    Ok(made)
}

struct Maker<'a> {
    types: &'a Map<String, Value>,
    used: &'a mut Used,
}

impl Maker<'_> {
    /// The schema of a type with a name, rules included.
    fn named(&mut self, written: &Value, name: &str) -> Result<Value, SchemaError> {
        let mut made = self.plain(written, name)?;
        self.constrain(&mut made, name)?;
        Ok(made)
    }

    fn constrain(&mut self, made: &mut Value, name: &str) -> Result<(), SchemaError> {
        for rule in rules::of(name) {
            self.used.mark(name);
            let Some(target) = walk(made, rule.at) else {
                return Err(SchemaError::NoSuchField { of: name.to_owned(), at: rule.at.to_owned() });
            };
            merge(target, rule.add);
        }
        Ok(())
    }

    fn plain(&mut self, written: &Value, by: &str) -> Result<Value, SchemaError> {
        let Some(fields) = written.as_object() else { return Ok(written.clone()) };
        if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
            let name = reference.rsplit('/').next().unwrap_or(reference);
            let Some(target) = self.types.get(name) else {
                return Err(SchemaError::UnknownType { name: name.to_owned(), by: by.to_owned() });
            };
            let mut made = self.named(target, name)?;
            if let Some(own) = fields.get("description").and_then(Value::as_str) {
                describe(&mut made, own);
            }
            return Ok(made);
        }
        if let Some(alternative) = optional(fields) {
            let mut made = self.plain(alternative, by)?;
            if let Some(own) = fields.get("description").and_then(Value::as_str) {
                describe(&mut made, own);
            }
            return Ok(made);
        }
        let mut made = Map::new();
        for (word, value) in fields {
            match word.as_str() {
                "description" => {
                    made.insert(word.clone(), Value::String(readable(value.as_str().unwrap_or_default())));
                }
                "type" => {
                    made.insert(word.clone(), single(value));
                }
                "enum" | "minimum" | "maximum" => {
                    made.insert(word.clone(), value.clone());
                }
                "format" if value == "double" => {
                    made.insert(word.clone(), value.clone());
                }
                "properties" => {
                    let mut properties = Map::new();
                    for (name, value) in value.as_object().into_iter().flatten() {
                        properties.insert(name.clone(), self.plain(value, by)?);
                    }
                    made.insert(word.clone(), Value::Object(properties));
                }
                // Unknown fields are the API server's business; what is left are maps.
                "additionalProperties" if value.is_object() => {
                    made.insert(word.clone(), self.plain(value, by)?);
                }
                "items" => {
                    made.insert(word.clone(), self.plain(value, by)?);
                }
                // Defaults here are protobuf's zero values; an API server would write them into the objects. Formats of
                // numbers say how Rust holds them.
                "title" | "default" | "$schema" | "$defs" | "format" | "additionalProperties" => {}
                other => {
                    let what = format!("{other} in {by}");
                    return Err(SchemaError::NotRepresentable { kind: by.to_owned(), what });
                }
            }
        }
        Ok(Value::Object(made))
    }
}

/// The one schema besides `null`.
fn optional(fields: &Map<String, Value>) -> Option<&Value> {
    let alternatives = fields.get("anyOf")?.as_array()?;
    let is_null = |schema: &&Value| schema.get("type").and_then(Value::as_str) == Some("null");
    let mut others = alternatives.iter().filter(|schema| !is_null(schema));
    others.next().filter(|_| others.next().is_none())
}

/// `["string", "null"]` is a text that may be left out, which every field may.
fn single(types: &Value) -> Value {
    let named = types.as_array().and_then(|types| types.iter().find(|name| *name != "null"));
    named.unwrap_or(types).clone()
}

/// A field's own words come first; what its values mean is kept.
fn describe(made: &mut Value, own: &str) {
    let Some(fields) = made.as_object_mut() else { return };
    let mut text = readable(own);
    if fields.contains_key("enum")
        && let Some((_, values)) =
            fields.get("description").and_then(Value::as_str).and_then(|all| all.split_once('\n'))
    {
        text.push('\n');
        text.push_str(values);
    }
    fields.insert("description".to_owned(), Value::String(text));
}

/// Doc comments for people who read them on a terminal: one line per paragraph, no links into the code.
fn readable(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim) {
        match lines.last_mut() {
            Some(last) if !line.starts_with("- ") && !line.is_empty() && !last.is_empty() => {
                last.push(' ');
                last.push_str(line);
            }
            Some(_) | None => lines.push(line.to_owned()),
        }
    }
    let mut text = lines.join("\n").replace("[`", "`").replace("`]", "`");
    while let Some(start) = text.find(" (docs/semantics.md") {
        let Some(length) = text[start..].find(')') else { break };
        text.replace_range(start..=start + length, "");
    }
    text
}

/// The place in a schema: `field`, `list[]`, `map{}`, and these joined by dots; empty for the schema itself.
fn walk<'a>(schema: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let mut place = schema;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let (name, inner) = match step.strip_suffix("[]") {
            Some(name) => (name, Some("items")),
            None => match step.strip_suffix("{}") {
                Some(name) => (name, Some("additionalProperties")),
                None => (step, None),
            },
        };
        place = place.get_mut("properties")?.get_mut(name)?;
        if let Some(inner) = inner {
            place = place.get_mut(inner)?;
        }
    }
    Some(place)
}

fn merge(schema: &mut Value, add: Value) {
    let (Some(fields), Value::Object(add)) = (schema.as_object_mut(), add) else { return };
    for (word, value) in add {
        match (fields.get_mut(&word), value) {
            (Some(Value::Array(there)), Value::Array(more)) if word != "enum" => there.extend(more),
            (Some(Value::Object(there)), Value::Object(more)) => there.extend(more),
            (_, value) => {
                fields.insert(word, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doc_comments_are_made_readable() {
        let text = "Where [`Server`] ends\n(docs/semantics.md §2.7) it.\n\n- `A`: one\n- `B`: two";
        assert_eq!(
            readable(text),
            "Where `Server` ends (docs/semantics.md §2.7) it.\n\n- `A`: one\n- `B`: two"
                .replace(" (docs/semantics.md §2.7)", "")
        );
    }
}
