//! What one file says: which objects it claims, good or not, and what is wrong with it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crds::ObjectKey;
use crds::yaml::{Document, Failure, Outcome, Position};
use translate::{Problem, Severity as ReportSeverity, validate};

use super::Adjust;
use super::claim::Claim;
use super::mesh_config;
use crate::diagnostic::{Diagnostic, Severity, may_show};
use crate::source::Content;

/// A file, as it was read last.
#[derive(Debug)]
pub(super) struct FileState {
    text: Option<Arc<str>>,
    keys: BTreeSet<ObjectKey>,
    pub(super) problems: Vec<Diagnostic>,
    pub(super) skipped: Vec<Skipped>,
}

/// An object of a kind that is not used.
#[derive(Debug)]
pub(super) struct Skipped {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
    /// What that means, for kinds that will be used one day.
    pub(super) effect: Option<&'static str>,
    pub(super) position: Position,
}

impl Skipped {
    /// An object of a kind that is understood but not acted on.
    fn unused(key: &ObjectKey, effect: &'static str, position: Position) -> Self {
        let kind = key.kind;
        let version = kind.versions().first().copied().unwrap_or_default();
        let name = format!("{}/{}", key.namespace, key.name);
        let api_version = format!("{}/{version}", kind.group());
        Self { api_version, kind: kind.to_string(), name, effect: Some(effect), position }
    }
}

pub(super) type Claims = Vec<(ObjectKey, Claim)>;

impl FileState {
    /// Reads what a file says. `old` are the objects it claimed before; a text that cannot be understood may still mean
    /// all of them.
    pub(super) fn new(
        path: &Path,
        content: Content,
        old: &BTreeSet<ObjectKey>,
        adjust: Option<&Adjust>,
    ) -> Option<(Self, Claims)> {
        let mut state = Self { text: None, keys: BTreeSet::new(), problems: Vec::new(), skipped: Vec::new() };
        let mut claims = Claims::new();
        match content {
            Content::Gone => return None,
            Content::Unreadable { why } => {
                let problem = Diagnostic::new(Severity::Error, "Unreadable", format!("the file cannot be read: {why}"));
                state.problems.push(problem.in_file(path));
                state.retain(old, &mut claims);
            }
            Content::Text { text, documents } => {
                let mut obscure = false;
                for (index, document) in documents.into_iter().enumerate() {
                    obscure |= state.document(path, &text, index, document, &mut claims, adjust);
                }
                state.text = Some(text);
                if obscure {
                    state.retain(old, &mut claims);
                }
            }
        }
        Some((state, claims))
    }

    pub(super) fn keys(&self) -> BTreeSet<ObjectKey> {
        self.keys.clone()
    }

    pub(super) fn text(&self) -> Option<&Arc<str>> {
        self.text.as_ref()
    }

    /// Takes a document in; true when it could be any object.
    fn document(
        &mut self,
        path: &Path,
        text: &str,
        index: usize,
        document: Document,
        claims: &mut Claims,
        adjust: Option<&Adjust>,
    ) -> bool {
        let Document { spans, outcome } = document;
        let name = spans.locate("metadata.name");
        match outcome {
            Outcome::Empty => false,
            Outcome::Skipped { api_version, kind, name } => {
                let position = spans.locate("kind");
                self.skipped.push(Skipped { api_version, kind, name, effect: None, position });
                false
            }
            Outcome::Failed(failure) => {
                self.failure(path, text, &failure);
                match failure.object {
                    Some(key) if !failure.guessed => {
                        self.keys.insert(key.clone());
                        claims.push((key, Claim::bad(index, name)));
                        false
                    }
                    Some(_) | None => true,
                }
            }
            Outcome::Object(mut object) => {
                if let Some(adjust) = adjust {
                    adjust(&mut object);
                }
                let key = object.key();
                let mut good = true;
                for report in validate(&object) {
                    if let (Problem::NotSupportedYet { effect, .. }, true) = (&report.problem, report.field.is_empty())
                    {
                        self.skipped.push(Skipped::unused(&key, effect, spans.locate("kind")));
                        continue;
                    }
                    good &= report.problem.severity() != ReportSeverity::Error;
                    for problem in mesh_config::diagnostics(&report, &object) {
                        let position = spans.locate(&problem.field);
                        self.problems.push(problem.at(path, text, position, may_show(Some(&key), text)));
                    }
                }
                let claim = if good { Claim::good(index, name, Arc::new(object)) } else { Claim::bad(index, name) };
                self.keys.insert(key.clone());
                claims.push((key, claim));
                false
            }
        }
    }

    fn failure(&mut self, path: &Path, text: &str, failure: &Failure) {
        let show = may_show(failure.object.as_ref(), text);
        for error in &failure.errors {
            let reason = if error.syntax { "Syntax" } else { "Schema" };
            let mut problem = Diagnostic::new(Severity::Error, reason, error.message.clone());
            problem = match &failure.object {
                Some(key) => problem.about(key, &error.path),
                None => Diagnostic { field: error.path.clone(), ..problem },
            };
            self.problems.push(problem.at(path, text, error.position, show));
        }
    }

    /// Keeps what the file held before and does not show now.
    fn retain(&mut self, old: &BTreeSet<ObjectKey>, claims: &mut Claims) {
        for key in old.iter().filter(|key| !self.keys.contains(*key)).cloned().collect::<Vec<_>>() {
            claims.push((key.clone(), Claim::retained()));
            self.keys.insert(key);
        }
    }
}
