//! Reports about objects among the others, at their places. Finding a place means reading the file again, so places are
//! kept for as long as the file stays as it is.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
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

    /// Takes all reports there are. Files in which one came, went or moved are added to `dirty`.
    pub(crate) fn update<'a>(
        &mut self,
        store: &'a Store,
        reports: impl Iterator<Item = &'a Report>,
        dirty: &mut BTreeSet<Option<PathBuf>>,
    ) {
        let mut before = std::mem::take(&mut self.placed);
        let mut read: HashMap<&Path, Vec<Document>> = HashMap::new();
        for report in reports {
            let known = before.get_mut(&report.object).and_then(|known| {
                let same = |placed: &Placed| placed.report == *report && placed.is_valid(store);
                known.iter().position(same).map(|index| known.swap_remove(index))
            });
            let placed = known.unwrap_or_else(|| {
                let placed = place(report.clone(), store, &mut read);
                dirty.insert(placed.diagnostic.file.clone());
                placed
            });
            self.placed.entry(report.object.clone()).or_default().push(placed);
        }
        dirty.extend(before.into_values().flatten().map(|gone| gone.diagnostic.file));
    }

    /// Finds new places in files that changed under the reports about these objects.
    pub(crate) fn refresh(
        &mut self,
        store: &Store,
        objects: &BTreeSet<ObjectKey>,
        dirty: &mut BTreeSet<Option<PathBuf>>,
    ) {
        let mut read: HashMap<&Path, Vec<Document>> = HashMap::new();
        for key in objects {
            for placed in self.placed.get_mut(key).into_iter().flatten().filter(|placed| !placed.is_valid(store)) {
                dirty.insert(placed.diagnostic.file.clone());
                *placed = place(placed.report.clone(), store, &mut read);
                dirty.insert(placed.diagnostic.file.clone());
            }
        }
    }
}

impl Placed {
    fn is_valid(&self, store: &Store) -> bool {
        match (&self.text, store.place(&self.report.object)) {
            (Some((text, index)), Some((_, now, current))) => *index == now && Arc::ptr_eq(text, current),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

fn place<'a>(report: Report, store: &'a Store, read: &mut HashMap<&'a Path, Vec<Document>>) -> Placed {
    let diagnostic = claim::diagnostic(&report);
    let Some((path, index, text)) = store.place(&report.object) else {
        return Placed { report, diagnostic, text: None };
    };
    let documents = read.entry(path).or_insert_with(|| yaml::read(text));
    let position = documents.get(index).map_or_else(Position::default, |document| document.spans.locate(&report.field));
    let diagnostic = diagnostic.at(path, text, position, may_show(Some(&report.object), text));
    Placed { report, diagnostic, text: Some((Arc::clone(text), index)) }
}
