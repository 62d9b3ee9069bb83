//! Reports about objects among the others, at their places. Finding a place means reading the file again, so places are
//! kept for as long as the file stays as it is.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crds::ObjectKey;
use crds::yaml::{self, Document, Position};
use translate::Report;

use super::{Store, claim};
use crate::diagnostic::{Diagnostic, may_show};

/// Reports with their places.
#[derive(Debug, Default)]
pub(crate) struct PlacedReports {
    placed: HashMap<ObjectKey, Vec<Placed>>,
}

#[derive(Debug)]
struct Placed {
    report: Report,
    diagnostic: Diagnostic,
    /// The text the place is in, and which of its documents.
    text: Option<(Arc<str>, usize)>,
}

impl PlacedReports {
    pub(crate) fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        self.placed.values().flatten().map(|placed| &placed.diagnostic)
    }

    /// Whether some text changed under a report.
    pub(crate) fn is_outdated(&self, store: &Store) -> bool {
        self.placed.iter().any(|(key, placed)| placed.iter().any(|placed| !placed.is_valid(key, store)))
    }

    pub(crate) fn update<'a>(&mut self, store: &'a Store, reports: impl Iterator<Item = &'a Report>) {
        let before = std::mem::take(&mut self.placed);
        let mut read: HashMap<&Path, Vec<Document>> = HashMap::new();
        for report in reports {
            let known = before.get(&report.object).into_iter().flatten().find(|placed| placed.report == *report);
            let known = known.filter(|placed| placed.is_valid(&report.object, store));
            let placed = match known {
                Some(placed) => {
                    Placed { report: report.clone(), diagnostic: placed.diagnostic.clone(), text: placed.text.clone() }
                }
                None => place(report, store, &mut read),
            };
            self.placed.entry(report.object.clone()).or_default().push(placed);
        }
    }
}

impl Placed {
    fn is_valid(&self, key: &ObjectKey, store: &Store) -> bool {
        match (&self.text, store.place(key)) {
            (Some((text, index)), Some((_, now, current))) => *index == now && Arc::ptr_eq(text, current),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

fn place<'a>(report: &Report, store: &'a Store, read: &mut HashMap<&'a Path, Vec<Document>>) -> Placed {
    let diagnostic = claim::diagnostic(report);
    let Some((path, index, text)) = store.place(&report.object) else {
        return Placed { report: report.clone(), diagnostic, text: None };
    };
    let documents = read.entry(path).or_insert_with(|| yaml::read(text));
    let position = documents.get(index).map_or_else(Position::default, |document| document.spans.locate(&report.field));
    let diagnostic = diagnostic.at(path, text, position, may_show(Some(&report.object), text));
    Placed { report: report.clone(), diagnostic, text: Some((Arc::clone(text), index)) }
}
