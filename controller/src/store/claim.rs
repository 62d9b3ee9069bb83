//! Who claims to be an object, and which version of it is in force.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crds::Object;
use crds::yaml::Position;
use translate::{Report, Severity as ReportSeverity};

use crate::diagnostic::{Diagnostic, Severity};

/// A document that says it is the object.
#[derive(Debug)]
pub(super) struct Claim {
    /// Which document of its file.
    index: usize,
    /// Where the name is written.
    position: Position,
    /// `None` when something is wrong with it.
    object: Option<Arc<Object>>,
}

/// Behind all documents of a file.
const RETAINED: usize = usize::MAX;

impl Claim {
    pub(super) fn good(index: usize, position: Position, object: Arc<Object>) -> Self {
        Self { index, position, object: Some(object) }
    }

    pub(super) fn bad(index: usize, position: Position) -> Self {
        Self { index, position, object: None }
    }

    /// The file held the object and is now too broken to tell whether it still does.
    pub(super) fn retained() -> Self {
        Self { index: RETAINED, position: Position::default(), object: None }
    }
}

/// One object: the claims to it, in the order in which they win, and the version in force.
#[derive(Debug, Default)]
pub(super) struct Slot {
    claims: BTreeMap<(PathBuf, usize), Claim>,
    current: Option<Arc<Object>>,
}

/// What a change of the claims means for the object.
#[derive(Debug)]
pub(super) enum Decision {
    Same,
    /// Wrong, and the version before stays, if there is one.
    Held,
    New(Arc<Object>),
    Changed(Arc<Object>),
    Gone {
        was_in_force: bool,
    },
}

impl Slot {
    pub(super) fn claim(&mut self, path: &Path, claim: Claim) {
        self.claims.insert((path.to_owned(), claim.index), claim);
    }

    pub(super) fn disclaim(&mut self, path: &Path) {
        self.claims.retain(|(holder, _), _| holder != path);
    }

    /// Makes the first claim's version the one in force, if it is good.
    pub(super) fn decide(&mut self) -> Decision {
        let Some(first) = self.claims.values().next() else {
            return Decision::Gone { was_in_force: self.current.take().is_some() };
        };
        let Some(object) = &first.object else { return Decision::Held };
        match self.current.replace(Arc::clone(object)) {
            None => Decision::New(Arc::clone(object)),
            Some(before) if before == *object => {
                self.current = Some(before);
                Decision::Same
            }
            Some(_) => Decision::Changed(Arc::clone(object)),
        }
    }

    pub(super) fn current(&self) -> Option<&Arc<Object>> {
        self.current.as_ref()
    }

    /// File and document of the claim that wins.
    pub(super) fn place(&self) -> Option<(&Path, usize)> {
        self.claims.keys().next().map(|(path, index)| (path.as_path(), *index))
    }

    pub(super) fn is_contested(&self) -> bool {
        self.claims.len() > 1
    }

    /// The claims that do not win, each with the one that does.
    pub(super) fn losers(&self) -> impl Iterator<Item = ((&Path, Position), &Path, Position)> {
        let mut claims = self.claims.iter().map(|((path, _), claim)| (path.as_path(), claim));
        let winner = claims.next().map(|(path, claim)| (path, claim.position));
        claims
            .filter(|(_, claim)| claim.index != RETAINED)
            .filter_map(move |(path, claim)| Some((winner?, path, claim.position)))
    }
}

/// A report without its place.
pub(super) fn diagnostic(report: &Report) -> Diagnostic {
    let severity = match report.problem.severity() {
        ReportSeverity::Error => Severity::Error,
        ReportSeverity::Warning => Severity::Warning,
    };
    Diagnostic::new(severity, report.problem.reason(), report.problem.to_string()).about(&report.object, &report.field)
}
