//! A message as it is printed: Istio's line for people, Istio's names of fields for scripts.

use serde::Serialize;
use translate::Level;
use translate::analyze::{CODES, Message};

use crate::args::cluster::Threshold;
use crate::inventory::{Broken, Inventory};
use crate::terminal::{Paint, printable};

/// What text that is no object is called.
const SCHEMA_ERROR: &str = "IST0106";

/// Scripts read this: fields are added, never renamed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Finding {
    code: &'static str,
    name: &'static str,
    level: &'static str,
    /// Kind, namespace and name.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    /// `file:line:column`
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    field: String,
    message: String,
    documentation_url: String,
    #[serde(skip)]
    rank: Level,
}

pub(super) fn level(level: Level) -> &'static str {
    match level {
        Level::Info => "Info",
        Level::Warning => "Warning",
        Level::Error => "Error",
    }
}

impl Finding {
    pub(super) fn new(message: Message, inventory: &Inventory) -> Self {
        let Message { code, object, field, text } = message;
        let reference = inventory.place(&object).map(|place| {
            let position = place.locate(&field);
            format!("{}:{}:{}", place.file.display(), position.line, position.column)
        });
        Self {
            code: code.code,
            name: code.name,
            level: level(code.level),
            origin: Some(object.to_string()),
            reference,
            field,
            message: text,
            documentation_url: code.documentation_url(),
            rank: code.level,
        }
    }

    pub(super) fn broken(broken: &Broken) -> Self {
        let Broken { file, position, text } = broken;
        let known = CODES.iter().find(|code| code.code == SCHEMA_ERROR);
        Self {
            code: SCHEMA_ERROR,
            name: known.map_or("", |code| code.name),
            level: level(Level::Error),
            origin: None,
            reference: Some(format!("{}:{}:{}", file.display(), position.line, position.column)),
            field: String::new(),
            message: text.clone(),
            documentation_url: known.map(translate::analyze::Code::documentation_url).unwrap_or_default(),
            rank: Level::Error,
        }
    }

    pub(super) fn threshold(&self) -> Threshold {
        self.rank.into()
    }

    /// `Error [IST0101] (VirtualService shop/web web.yaml:12:5) text`
    pub(super) fn render(&self, paint: Paint) -> String {
        let level = match self.rank {
            Level::Info => paint.cyan(self.level),
            Level::Warning => paint.yellow(self.level),
            Level::Error => paint.red(self.level),
        };
        let place: Vec<&str> = self.origin.iter().chain(&self.reference).map(String::as_str).collect();
        format!("{level} [{}] ({}) {}", self.code, printable(&place.join(" ")), printable(&self.message))
    }
}
