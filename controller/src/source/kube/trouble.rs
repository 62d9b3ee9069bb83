//! Why a watch fails, and what follows from it.

use crds::ObjectKind;
use kube::core::Status;
use kube::runtime::watcher;
use tracing::{debug, error, info, warn};

use super::kinds::full_name;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// We may not.
    Forbidden,
    /// Our token is not good.
    Unauthorized,
    /// The API server does not know the kind.
    Missing,
    /// What we last saw is too old to go on from.
    Gone,
    /// The API server answers that it cannot right now.
    Busy,
    /// The API server answers something else.
    Refused,
    /// There is no answer.
    Unreachable,
    /// The answer makes no sense.
    Malformed,
}

impl Trouble {
    pub(super) fn of(error: &watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => Self::of_client(error),
            watcher::Error::WatchError(status) => Self::of_status(status),
            watcher::Error::NoResourceVersion => Self::Malformed,
        }
    }

    pub(super) fn of_client(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status),
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => Self::Malformed,
            _ => Self::Unreachable,
        }
    }

    fn of_status(status: &Status) -> Self {
        match status.code {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::Missing,
            410 => Self::Gone,
            429 | 500 | 502..=504 => Self::Busy,
            _ => Self::Refused,
        }
    }

    /// For the label of a metric.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Unauthorized => "unauthorized",
            Self::Missing => "missing",
            Self::Gone => "gone",
            Self::Busy => "busy",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Malformed => "malformed",
        }
    }

    /// Whether everything has to be listed again. Otherwise the watch is taken up where it ended.
    pub(super) fn needs_new_list(self) -> bool {
        matches!(self, Self::Gone | Self::Refused | Self::Malformed)
    }
}

/// What was last said about a watch. The same is not said again with every attempt.
#[derive(Debug, Default)]
pub(super) struct Standing {
    trouble: Option<Trouble>,
}

impl Standing {
    /// Something does not work; `what` names one object where it is not about the whole kind.
    pub(super) fn fails(
        &mut self,
        trouble: Trouble,
        kind: ObjectKind,
        what: Option<&str>,
        error: &dyn std::fmt::Display,
    ) {
        if self.trouble.replace(trouble) == Some(trouble) {
            debug!(%kind, reason = trouble.reason(), "watch still fails: {error}");
            return;
        }
        let resource = full_name(kind);
        match (trouble, what) {
            (Trouble::Forbidden, None) => error!(
                %kind,
                "not allowed to list and watch {resource}: nothing is served before a role permits it, and what is \
                 served already stays as it is: {error}"
            ),
            (Trouble::Forbidden, Some(object)) => warn!(
                %kind,
                "not allowed to list and watch {resource} {object}: it counts as missing until a role in its \
                 namespace permits verbs list and watch for it: {error}"
            ),
            (Trouble::Unauthorized, _) => error!(%kind, "the API server does not accept our token: {error}"),
            (Trouble::Gone, _) => debug!(%kind, "watch expired, {resource} are listed again"),
            (Trouble::Missing, _) => {
                info!(%kind, "the API server does not have {resource}; there are none until it does")
            }
            (Trouble::Busy | Trouble::Refused | Trouble::Unreachable | Trouble::Malformed, _) => {
                warn!(%kind, reason = trouble.reason(), "cannot watch {resource}, what is known stays in force: {error}");
            }
        }
    }

    /// It works (again).
    pub(super) fn works(&mut self, kind: ObjectKind) {
        if let Some(trouble) = self.trouble.take()
            && trouble != Trouble::Gone
        {
            info!(%kind, "watching {} again", full_name(kind));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let expected = [
            (401, "unauthorized", false),
            (403, "forbidden", false),
            (404, "missing", false),
            (410, "gone", true),
            (422, "refused", true),
            (429, "busy", false),
            (500, "busy", false),
            (504, "busy", false),
        ];
        for (code, reason, relists) in expected {
            let status = Status { code, ..Status::default() };
            let trouble = Trouble::of(&watcher::Error::WatchStartFailed(kube::Error::Api(Box::new(status))));
            assert_eq!((trouble.reason(), trouble.needs_new_list()), (reason, relists), "{code}");
        }
        let trouble = Trouble::of(&watcher::Error::WatchFailed(kube::Error::ReadEvents(std::io::Error::other("cut"))));
        assert_eq!((trouble, trouble.needs_new_list()), (Trouble::Unreachable, false));
    }
}
