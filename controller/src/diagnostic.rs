//! A problem with its place in a file, ready to be shown. What is a problem, and how it is worded, is decided elsewhere.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use crds::yaml::Position;
use crds::{ObjectKey, ObjectKind};
use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The object, or this version of it, is not in force.
    Error,
    /// The object is in force; something in it has no effect, or not the expected one.
    Warning,
    /// Worth knowing.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    pub severity: Severity,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Counted from 1; 0 where there is no place.
    pub line: usize,
    /// In characters, counted from 1; 0 where there is no place.
    pub column: usize,
    /// Kind, namespace and name, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Such as `spec.http[0].match[1].uri`; empty for the object as a whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// A word for programs; it never changes.
    pub reason: &'static str,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<Excerpt>,
}

/// The line it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Excerpt {
    pub text: String,
    /// Characters before the marked ones.
    pub start: usize,
    /// Marked characters, at least 1.
    pub length: usize,
}

impl Diagnostic {
    pub(crate) fn new(severity: Severity, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity,
            file: None,
            line: 0,
            column: 0,
            object: None,
            field: String::new(),
            reason,
            message: message.into(),
            excerpt: None,
        }
    }

    pub(crate) fn about(self, object: &ObjectKey, field: &str) -> Self {
        Self { object: Some(object.to_string()), field: field.to_owned(), ..self }
    }

    pub(crate) fn in_file(self, file: &Path) -> Self {
        Self { file: Some(file.to_owned()), ..self }
    }

    /// Puts it at its place; `show` says whether the line may be shown, which may hold a secret.
    pub(crate) fn at(self, file: &Path, text: &str, position: Position, show: bool) -> Self {
        let excerpt = if show { excerpt(text, position) } else { None };
        Self { line: position.line, column: position.column, excerpt, ..self.in_file(file) }
    }

    /// By place, the worst first where that is the same.
    pub(crate) fn in_order(&self, other: &Self) -> std::cmp::Ordering {
        let rank = |it: &Self| (it.line, it.column, it.severity);
        self.file.cmp(&other.file).then_with(|| rank(self).cmp(&rank(other)))
    }

    /// What it is about and says, whatever line that is in now.
    pub(crate) fn essence(&self) -> Essence<'_> {
        (self.file.as_deref(), self.object.as_deref(), &self.field, &self.message)
    }

    /// Several lines with the place marked, for people.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!("{}[{}]: {}\n", self.severity, self.reason, self.message);
        let width = self.line.to_string().len();
        if let Some(file) = &self.file {
            let _ = write!(text, "{:width$}--> {}", "", file.display());
            if self.line > 0 {
                let _ = write!(text, ":{}:{}", self.line, self.column);
            }
            text.push('\n');
        }
        if let Some(Excerpt { text: line, start, length }) = &self.excerpt {
            let mark = "^".repeat(*length);
            let _ = writeln!(text, "{:width$} |\n{} | {line}\n{:width$} | {:start$}{mark}", "", self.line, "", "");
        }
        if let Some(object) = &self.object {
            let _ = writeln!(text, "{:width$} = {}", "", self.subject(object));
        }
        text
    }

    fn subject(&self, object: &str) -> String {
        if self.field.is_empty() { object.to_owned() } else { format!("{object}: {}", self.field) }
    }
}

pub(crate) type Essence<'a> = (Option<&'a Path>, Option<&'a str>, &'a str, &'a str);

impl fmt::Display for Diagnostic {
    /// One line: `file:line:col: error: VirtualService shop/web: spec.http[0].timeout: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            if self.line > 0 {
                write!(f, "{}:{}:", self.line, self.column)?;
            }
            f.write_str(" ")?;
        }
        write!(f, "{}: ", self.severity)?;
        if let Some(object) = &self.object {
            write!(f, "{}: ", self.subject(object))?;
        }
        f.write_str(&self.message)
    }
}

/// Whether lines of an object's text may be shown.
pub(crate) fn may_show(object: Option<&ObjectKey>, text: &str) -> bool {
    match object {
        Some(key) => key.kind != ObjectKind::Secret,
        // It could be one.
        None => !text.contains("Secret"),
    }
}

fn excerpt(text: &str, position: Position) -> Option<Excerpt> {
    const WIDEST: usize = 160;
    let line = text.lines().nth(position.line.checked_sub(1)?)?;
    let start = position.column.saturating_sub(1);
    let marked =
        text.get(position.offset..position.offset + position.length).map_or(0, |marked| marked.chars().count());
    // Only a window of a very long line, as JSON has them.
    let skip = if line.chars().count() > WIDEST { start.saturating_sub(WIDEST / 2) } else { 0 };
    let shown: String =
        line.chars().skip(skip).take(WIDEST).map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let start = start - skip;
    let length = marked.clamp(1, WIDEST.saturating_sub(start).max(1));
    Some(Excerpt { text: shown, start, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_with_its_place() {
        let text = "a: 1\n\tb: two words\n";
        let position = Position { line: 2, column: 5, offset: 9, length: 3 };
        let key = ObjectKey::new(ObjectKind::VirtualService, "shop", "web");
        let problem = Diagnostic::new(Severity::Error, "Invalid", "no").about(&key, "spec.x");
        let problem = problem.at(Path::new("dir/a.yaml"), text, position, true);
        assert_eq!(problem.to_string(), "dir/a.yaml:2:5: error: VirtualService shop/web: spec.x: no");
        assert_eq!(
            problem.render(),
            "error[Invalid]: no\n --> dir/a.yaml:2:5\n  |\n2 |  b: two words\n  |     ^^^\n  = VirtualService shop/web: spec.x\n"
        );
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(
            (&json["severity"], &json["line"], &json["excerpt"]["start"]),
            (&"error".into(), &2.into(), &4.into())
        );
    }

    #[test]
    fn secrets_are_not_quoted() {
        assert!(!may_show(Some(&ObjectKey::new(ObjectKind::Secret, "a", "b")), ""));
        assert!(!may_show(None, "kind: Secret") && may_show(None, "kind: Gateway"));
    }
}
