//! What the writer remembers of each object: what it wrote last, and what became of it. Keeps it from writing the same
//! again, whatever a foreign schema drops of it, and bridges the time until its own write comes back as a watch event.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::ObjectKey;
use serde_json::Value;

use super::api::Stored;
use crate::source::kube::Revision;

/// Versions that a write has put out of date and that may still be told.
const SUPERSEDED: usize = 8;

#[derive(Debug)]
struct Memo {
    uid: String,
    /// What was wanted, and what was kept of it.
    desired: u64,
    stored: u64,
    written: Instant,
    /// How often the same was written again, because somebody else had changed it.
    contests: u32,
    /// Until the object is told as written.
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    superseded: Vec<String>,
    version: String,
    status: Option<Arc<Value>>,
}

/// The present state of an object's status, as far as is known.
#[derive(Clone, Debug)]
pub(super) struct Present {
    pub(super) version: String,
    pub(super) status: Option<Arc<Value>>,
}

#[derive(Debug, Default)]
pub(super) struct Memory {
    memos: HashMap<ObjectKey, Memo>,
}

impl Memory {
    /// What stands in the object now, of which that revision was told last.
    pub(super) fn present(&mut self, key: &ObjectKey, revision: &Revision) -> Present {
        if self.memos.get(key).is_some_and(|memo| memo.uid != revision.uid) {
            // Deleted and created anew between two looks: nothing was ever written to this one.
            self.memos.remove(key);
        }
        if let Some(memo) = self.memos.get_mut(key) {
            match &memo.pending {
                Some(pending) if pending.superseded.contains(&revision.resource_version) => {
                    return Present { version: pending.version.clone(), status: pending.status.clone() };
                }
                Some(_) => memo.pending = None,
                None => {}
            }
        }
        let status = revision.status.as_ref().map(|text| Arc::new(text.value()));
        Present { version: revision.resource_version.clone(), status }
    }

    /// Whether exactly this was written last, and what stands there is what was kept of it.
    pub(super) fn is_settled(&self, key: &ObjectKey, desired: u64, present: &Present) -> bool {
        let memo = self.memos.get(key);
        memo.is_some_and(|memo| memo.desired == desired && memo.stored == digest(present.status.as_deref()))
    }

    /// For how long somebody else's version of what is wanted must be left standing: two writers that disagree must not
    /// keep each other busy.
    pub(super) fn truce(&self, key: &ObjectKey, desired: u64, first: Duration, most: Duration) -> Option<Duration> {
        let memo = self.memos.get(key).filter(|memo| memo.desired == desired)?;
        Some(first.saturating_mul(1_u32.checked_shl(memo.contests).unwrap_or(u32::MAX)).min(most))
    }

    /// When it was last written.
    pub(super) fn written(&self, key: &ObjectKey) -> Option<Instant> {
        self.memos.get(key).map(|memo| memo.written)
    }

    /// A write went well; it was made to this version of the object.
    pub(super) fn wrote(
        &mut self,
        key: &ObjectKey,
        uid: &str,
        desired: u64,
        replaced: &str,
        stored: Stored,
        now: Instant,
    ) {
        let before = self.memos.remove(key).filter(|memo| memo.uid == uid);
        let again = before.as_ref().filter(|memo| memo.desired == desired);
        let contests = again.map_or(0, |memo| (memo.contests + 1).min(16));
        let pending = before.and_then(|memo| memo.pending);
        let mut superseded = pending.map(|pending| pending.superseded).unwrap_or_default();
        superseded.push(replaced.to_owned());
        if superseded.len() > SUPERSEDED {
            superseded.remove(0);
        }
        let Stored { resource_version, status } = stored;
        let memo = Memo {
            uid: uid.to_owned(),
            desired,
            stored: digest(status.as_ref()),
            written: now,
            contests,
            pending: Some(Pending { superseded, version: resource_version, status: status.map(Arc::new) }),
        };
        self.memos.insert(key.clone(), memo);
    }

    /// What was thought to stand there does not.
    pub(super) fn doubt(&mut self, key: &ObjectKey) {
        if let Some(memo) = self.memos.get_mut(key) {
            memo.pending = None;
        }
    }

    pub(super) fn forget(&mut self, key: &ObjectKey) {
        self.memos.remove(key);
    }

    pub(super) fn clear(&mut self) {
        self.memos.clear();
    }
}

fn digest(status: Option<&Value>) -> u64 {
    let mut hasher = DefaultHasher::new();
    status.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use crds::ObjectKind;
    use serde_json::json;

    use super::*;

    fn revision(version: &str, status: Option<Value>) -> Revision {
        Revision {
            uid: "u".to_owned(),
            generation: 1,
            resource_version: version.to_owned(),
            api_version: "networking.istio.io/v1".to_owned(),
            noticed: Instant::now(),
            status: status.map(crate::source::kube::StatusText::from),
        }
    }

    fn wrote(memory: &mut Memory, key: &ObjectKey, replaced: &str, version: &str, status: Value) {
        let stored = Stored { resource_version: version.to_owned(), status: Some(status) };
        memory.wrote(key, "u", 7, replaced, stored, Instant::now());
    }

    #[test]
    fn own_writes_count_before_they_come_back() {
        let key = ObjectKey::new(ObjectKind::Gateway, "a", "b");
        let mut memory = Memory::default();
        wrote(&mut memory, &key, "1", "2", json!({"a": 1}));
        wrote(&mut memory, &key, "2", "3", json!({"a": 2}));
        for told in ["1", "2"] {
            let present = memory.present(&key, &revision(told, None));
            assert_eq!((present.version.as_str(), present.status.as_deref()), ("3", Some(&json!({"a": 2}))));
            assert!(memory.is_settled(&key, 7, &present) && !memory.is_settled(&key, 8, &present));
        }
        let present = memory.present(&key, &revision("3", Some(json!({"a": 2}))));
        assert!(memory.is_settled(&key, 7, &present));
        let foreign = memory.present(&key, &revision("4", Some(json!({"a": 9}))));
        assert_eq!(foreign.version, "4");
        assert!(!memory.is_settled(&key, 7, &foreign));
        let truce = |memory: &Memory| memory.truce(&key, 7, Duration::from_secs(10), Duration::from_secs(15));
        assert_eq!(truce(&memory), Some(Duration::from_secs(15)), "the same twice");
        assert_eq!(memory.truce(&key, 8, Duration::ZERO, Duration::ZERO), None, "something new to say");
        let other = Revision { uid: "other".to_owned(), ..revision("1", None) };
        assert_eq!(memory.present(&key, &other).status, None);
        assert_eq!(truce(&memory), None, "nobody undid what was written: the object is another one");
    }
}
