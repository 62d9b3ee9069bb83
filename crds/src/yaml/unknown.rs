//! Fields that a reader passed over, for types that are read without being strict about them.

use serde_json::Value;

/// Paths of fields in `written` that are missing from `understood`, which is what a reader made of it.
pub(super) fn fields(written: &Value, understood: &Value) -> Vec<String> {
    let mut unknown = Vec::new();
    collect("", written, understood, &mut unknown);
    unknown
}

fn collect(path: &str, written: &Value, understood: &Value, unknown: &mut Vec<String>) {
    match (written, understood) {
        (Value::Object(written), Value::Object(understood)) => {
            for (key, value) in written {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match understood.get(key) {
                    Some(known) => collect(&path, value, known, unknown),
                    None if value.is_null() => {}
                    None => unknown.push(path),
                }
            }
        }
        (Value::Array(written), Value::Array(understood)) => {
            for (index, (value, known)) in written.iter().zip(understood).enumerate() {
                collect(&format!("{path}[{index}]"), value, known, unknown);
            }
        }
        _ => {}
    }
}
