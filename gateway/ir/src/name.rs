//! Names by which resources point at each other.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Declares a name that is an opaque string on the wire and cheap to copy in memory.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $type {
            fn from(text: &str) -> Self {
                Self(Arc::from(text))
            }
        }

        impl From<String> for $type {
            fn from(text: String) -> Self {
                Self(Arc::from(text))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

name! {
    /// A bound socket: `0.0.0.0_8080`.
    ListenerName
}
name! {
    /// A table of virtual hosts: `http.8080`, or one terminating server's
    /// `https.<port>.<port name>.<gateway>.<namespace>` (docs/semantics.md §2.4).
    TableName
}
name! {
    /// A certificate with its key: `kubernetes://<name>`.
    SecretName
}
name! {
    /// A destination in Envoy's spelling, `outbound|<port>|<subset>|<host>` (docs/semantics.md §16.4).
    ClusterName
}
name! {
    /// A virtual host's domain, lower case and without port: a full name, `*`, or `*` followed by the text a name must
    /// end with (docs/semantics.md §1.2). An empty tail other than in `*` itself does not occur.
    Host
}

impl ClusterName {
    /// The cluster of traffic to `host:port`; `subset` is empty for the whole service.
    #[must_use]
    pub fn outbound(port: u16, subset: &str, host: &str) -> Self {
        Self::from(format!("outbound|{port}|{subset}|{host}"))
    }

    /// Port, subset and host; `None` for a name of another form.
    #[must_use]
    pub fn parts(&self) -> Option<(u16, &str, &str)> {
        let mut parts = self.0.strip_prefix("outbound|")?.splitn(3, '|');
        let port = parts.next()?.parse().ok()?;
        Some((port, parts.next()?, parts.next()?))
    }
}

impl Host {
    /// The text a name must end with, where this is a wildcard (`*` alone ends in anything: empty text).
    #[must_use]
    pub fn wildcard_tail(&self) -> Option<&str> {
        self.0.strip_prefix('*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_names_come_apart_again() {
        let name = ClusterName::outbound(80, "v1", "reviews.shop.svc.cluster.local");
        assert_eq!(name.as_str(), "outbound|80|v1|reviews.shop.svc.cluster.local");
        assert_eq!(name.parts(), Some((80, "v1", "reviews.shop.svc.cluster.local")));
        assert_eq!(ClusterName::from("inbound|80||").parts(), None);
    }
}
