//! Between messages and the types of the fleet. What a replica of another version says that is not known here is left
//! out: its kinds are none that this one writes a status of.

use std::collections::BTreeSet;
use std::time::Duration;

use crds::{ObjectKey, ObjectKind};
use translate::ProxyScope;
use wire::replica as message;

use crate::fleet::{Home, ObjectStatus};

/// Waits that are told of one object.
const MAX_WAITS: usize = 256;

pub(super) fn key(key: &ObjectKey) -> message::ObjectKey {
    let ObjectKey { kind, namespace, name } = key;
    message::ObjectKey { kind: kind.as_str().to_owned(), namespace: namespace.clone(), name: name.clone() }
}

pub(super) fn keys(keys: &BTreeSet<ObjectKey>) -> Vec<message::ObjectKey> {
    keys.iter().map(key).collect()
}

pub(super) fn read_key(key: message::ObjectKey) -> Option<ObjectKey> {
    let message::ObjectKey { kind, namespace, name } = key;
    let kind = ObjectKind::ALL.into_iter().find(|known| known.as_str() == kind)?;
    Some(ObjectKey { kind, namespace, name })
}

pub(super) fn scope(proxy: &ProxyScope) -> message::Scope {
    message::Scope {
        namespace: proxy.namespace.clone(),
        name: proxy.name.clone(),
        labels: proxy.labels.clone().into_iter().collect(),
    }
}

pub(super) fn read_scope(scope: message::Scope, home: &Home) -> ProxyScope {
    let message::Scope { namespace, name, labels } = scope;
    ProxyScope {
        name,
        namespace,
        labels: labels.into_iter().collect(),
        control_namespace: home.control_namespace.clone(),
        cluster: home.cluster.clone(),
    }
}

pub(super) fn progress(status: ObjectStatus) -> message::Progress {
    let step = status.waits.len().div_ceil(MAX_WAITS).max(1);
    let mut waits = status.waits;
    // Every so many of the sorted ones keep the shape of the whole.
    waits.sort_unstable();
    let micros = waits.into_iter().step_by(step).map(|wait| u64::try_from(wait.as_micros()).unwrap_or(u64::MAX));
    message::Progress {
        key: Some(key(&status.key)),
        uid: status.revision.uid.clone(),
        generation: status.revision.generation,
        total: status.proxies.total as u64,
        current: status.proxies.current as u64,
        rejected: status
            .proxies
            .rejected
            .into_iter()
            .map(|(proxy, reason)| message::Rejection { proxy, reason })
            .collect(),
        waits_micros: micros.collect(),
    }
}

/// Adds what another replica says of its proxies.
pub(super) fn add(status: &mut ObjectStatus, progress: message::Progress) {
    let message::Progress { key: _, uid, generation, total, current, rejected, waits_micros } = progress;
    let total = usize::try_from(total).unwrap_or(usize::MAX);
    status.proxies.total = status.proxies.total.saturating_add(total);
    // A replica that is behind speaks of another version: its proxies count, but they do not have this one.
    if uid == status.revision.uid && generation == status.revision.generation {
        let current = usize::try_from(current).unwrap_or(usize::MAX).min(total);
        status.proxies.current = status.proxies.current.saturating_add(current);
        status.proxies.rejected.extend(rejected.into_iter().map(|one| (one.proxy, one.reason)));
        status.waits.extend(waits_micros.into_iter().map(Duration::from_micros));
    }
}
