//! What a gateway's admin interface says, whole or only its `/config_dump`. Read leniently: the gateway may be another
//! version than this tool.

use serde_json::Value;

#[derive(Debug)]
pub(super) struct Dump {
    pub(super) whole: Value,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum DumpError {
    #[error("it is not JSON")]
    NotJson(#[from] serde_json::Error),
    #[error("it has neither config_dump nor listeners")]
    NotADump,
}

impl Dump {
    pub(super) fn read(text: &str) -> Result<Self, DumpError> {
        let value: Value = serde_json::from_str(text)?;
        Self::new(value)
    }

    pub(super) fn new(value: Value) -> Result<Self, DumpError> {
        let whole = if value.get("config_dump").is_some() {
            value
        } else {
            let mut whole = serde_json::Map::new();
            whole.insert("config_dump".to_owned(), value);
            Value::Object(whole)
        };
        let is_dump = whole["config_dump"].get("listeners").is_some_and(Value::is_array);
        if is_dump { Ok(Self { whole }) } else { Err(DumpError::NotADump) }
    }

    /// The items of a list of the configuration; none where there is no such list.
    pub(super) fn list(&self, name: &str) -> impl Iterator<Item = &Value> {
        items(&self.whole["config_dump"][name])
    }

    pub(super) fn certificates(&self) -> &Value {
        &self.whole["certs"]
    }
}

pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
