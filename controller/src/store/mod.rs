//! From what files say to the objects that are in force. A mistake costs the object it is in its latest version and
//! nothing else: the last good one stays (docs/semantics.md §1.8).

mod claim;
mod file;
mod mesh_config;
mod placed;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crds::{Object, ObjectKey};
use translate::Change;

use crate::diagnostic::{Diagnostic, Severity, may_show};
use crate::source::FileChange;

use claim::Slot;
use file::FileState;
pub(crate) use placed::PlacedReports;

/// Changes an object after it was read and before it is judged: for objects of which a part is known at run time only.
pub type Adjust = Arc<dyn Fn(&mut Object) + Send + Sync>;

/// What files say, and what of it is in force.
#[derive(Default)]
pub struct Store {
    files: BTreeMap<PathBuf, FileState>,
    slots: HashMap<ObjectKey, Slot>,
    /// Objects that more than one document claims to be.
    contested: BTreeSet<ObjectKey>,
    adjust: Option<Adjust>,
}

const DUPLICATE: &str = "DuplicateObject";
const SKIPPED: &str = "SkippedKind";

/// Whether a problem is one of [`Store::problems_across`].
pub(crate) fn is_across(problem: &Diagnostic) -> bool {
    [DUPLICATE, SKIPPED].contains(&problem.reason)
}

/// What a step did to the objects in force.
#[derive(Debug, Default)]
pub struct StoreChange {
    pub changes: Vec<Change>,
    pub added: Vec<ObjectKey>,
    pub changed: Vec<ObjectKey>,
    pub removed: Vec<ObjectKey>,
    /// Objects touched by the step whose text is wrong and whose last good version stays.
    pub held: Vec<ObjectKey>,
    /// Every object that one of the files claims or claimed.
    pub touched: BTreeSet<ObjectKey>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("files", &self.files.len()).field("objects", &self.slots.len()).finish()
    }
}

impl Store {
    #[must_use]
    pub fn new(adjust: Option<Adjust>) -> Self {
        Self { adjust, ..Self::default() }
    }

    /// Takes in what changed, all of it before anything is decided: an object may move from one file to another.
    pub fn apply(&mut self, changes: Vec<FileChange>) -> StoreChange {
        let mut touched = BTreeSet::new();
        for FileChange { path, content } in changes {
            let before = self.files.remove(&path);
            let old = before.as_ref().map(FileState::keys).unwrap_or_default();
            for key in &old {
                if let Some(slot) = self.slots.get_mut(key) {
                    slot.disclaim(&path);
                }
            }
            let state = FileState::new(&path, content, &old, self.adjust.as_ref());
            touched.extend(old);
            if let Some((state, claims)) = state {
                for (key, claim) in claims {
                    self.slots.entry(key.clone()).or_default().claim(&path, claim);
                    touched.insert(key);
                }
                self.files.insert(path, state);
            }
        }
        let mut step = StoreChange::default();
        for key in touched.iter().cloned() {
            self.decide(key, &mut step);
        }
        StoreChange { touched, ..step }
    }

    /// Everything that is wrong with the files and with each object by itself, in the order of the files.
    #[must_use]
    pub fn problems(&self) -> Vec<Diagnostic> {
        let mut problems: Vec<Diagnostic> = self.problems_in(self.files.keys()).cloned().collect();
        problems.extend(self.problems_across());
        problems.sort_by(Diagnostic::in_order);
        problems
    }

    /// What is wrong with these files, looked at one by one.
    pub(crate) fn problems_in<'a>(
        &'a self,
        files: impl Iterator<Item = &'a PathBuf>,
    ) -> impl Iterator<Item = &'a Diagnostic> {
        files.filter_map(|path| self.files.get(path)).flat_map(|file| &file.problems)
    }

    /// What only several files together show ([`is_across`]).
    pub(crate) fn problems_across(&self) -> impl Iterator<Item = Diagnostic> {
        self.duplicates().chain(self.skipped())
    }

    /// The text an object stands in, and which of its documents it is.
    fn place(&self, key: &ObjectKey) -> Option<(&Path, usize, &Arc<str>)> {
        let (path, index) = self.slots.get(key)?.place()?;
        Some((path, index, self.files.get(path)?.text()?))
    }

    /// How many objects are in force.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.values().filter(|slot| slot.current().is_some()).count()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An object that is in force.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<&Arc<Object>> {
        self.slots.get(key)?.current()
    }

    fn decide(&mut self, key: ObjectKey, step: &mut StoreChange) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        if slot.is_contested() {
            self.contested.insert(key.clone());
        } else {
            self.contested.remove(&key);
        }
        match slot.decide() {
            claim::Decision::Same => {}
            claim::Decision::Held => step.held.push(key),
            claim::Decision::New(object) => {
                step.changes.push(Change::Upsert(object));
                step.added.push(key);
            }
            claim::Decision::Changed(object) => {
                step.changes.push(Change::Upsert(object));
                step.changed.push(key);
            }
            claim::Decision::Gone { was_in_force } => {
                self.slots.remove(&key);
                if was_in_force {
                    step.changes.push(Change::Remove(key.clone()));
                    step.removed.push(key);
                }
            }
        }
    }

    fn duplicates(&self) -> impl Iterator<Item = Diagnostic> {
        self.contested.iter().flat_map(move |key| {
            let slot = self.slots.get(key);
            slot.into_iter().flat_map(Slot::losers).map(move |(winner, path, position)| {
                let place =
                    if winner.0 == path { format!("line {}", winner.1.line) } else { winner.0.display().to_string() };
                let message = format!("the same object is already in {place}, which comes first; this one is not used");
                let text = self.files.get(path).and_then(FileState::text).map_or("", |text| &**text);
                let diagnostic = Diagnostic::new(Severity::Error, DUPLICATE, message).about(key, "metadata.name");
                diagnostic.at(path, text, position, may_show(Some(key), text))
            })
        })
    }

    /// Each kind that is not used is named once, however many objects of it there are.
    fn skipped(&self) -> Vec<Diagnostic> {
        let mut counts: BTreeMap<(&str, &str), (usize, &Path, &file::Skipped)> = BTreeMap::new();
        for (path, file) in &self.files {
            for skipped in &file.skipped {
                let kind = (skipped.api_version.as_str(), skipped.kind.as_str());
                counts.entry(kind).and_modify(|(count, ..)| *count += 1).or_insert((1, path, skipped));
            }
        }
        let note = |((api_version, kind), (count, path, skipped)): ((&str, &str), (usize, &Path, &file::Skipped))| {
            let more = if count > 1 { format!("; there are {count} of it") } else { String::new() };
            let message = match skipped.effect {
                Some(effect) => format!("kind {kind} ({api_version}) is not supported yet: {effect}{more}"),
                None => format!("kind {kind} ({api_version}) is not used here and is skipped{more}"),
            };
            let text = self.files.get(path).and_then(FileState::text).map_or("", |text| &**text);
            let mut diagnostic =
                Diagnostic::new(Severity::Note, SKIPPED, message).at(path, text, skipped.position, true);
            diagnostic.object = Some(format!("{kind} {}", skipped.name)).filter(|_| !skipped.name.is_empty());
            diagnostic
        };
        counts.into_iter().map(note).collect()
    }
}

#[cfg(test)]
mod tests;
