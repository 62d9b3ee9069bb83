//! SPIFFE identities of workloads, `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. One spelling only: text
//! that would need decoding or folding to be compared is not an identity (docs/security.md, T-6).

use std::fmt;
use std::str::FromStr;

/// Longest text a SPIFFE ID may have.
const MAX_TEXT: usize = 2048;
const MAX_TRUST_DOMAIN: usize = 255;

/// The identity of a workload: its service account in a trust domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    trust_domain: String,
    namespace: String,
    service_account: String,
}

/// Why text is no identity of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeIdError {
    #[error("does not start with spiffe://")]
    Scheme,
    #[error("is longer than 2048 bytes")]
    Length,
    #[error("its path is not /ns/<namespace>/sa/<service account>")]
    Path,
    #[error("its trust domain is not made of lower case letters, digits, dots, dashes and underscores")]
    TrustDomain,
    #[error("its namespace is not a DNS label")]
    Namespace,
    #[error("its service account is not a DNS name")]
    ServiceAccount,
}

impl SpiffeId {
    /// # Errors
    /// When a part is not a name of its kind.
    pub fn new(
        trust_domain: impl Into<String>,
        namespace: impl Into<String>,
        service_account: impl Into<String>,
    ) -> Result<Self, SpiffeIdError> {
        let id = Self {
            trust_domain: trust_domain.into(),
            namespace: namespace.into(),
            service_account: service_account.into(),
        };
        if !is_trust_domain(&id.trust_domain) {
            return Err(SpiffeIdError::TrustDomain);
        }
        if !is_label(&id.namespace) {
            return Err(SpiffeIdError::Namespace);
        }
        if !is_subdomain(&id.service_account) {
            return Err(SpiffeIdError::ServiceAccount);
        }
        Ok(id)
    }

    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    #[must_use]
    pub fn service_account(&self) -> &str {
        &self.service_account
    }
}

impl FromStr for SpiffeId {
    type Err = SpiffeIdError;

    fn from_str(text: &str) -> Result<Self, SpiffeIdError> {
        if text.len() > MAX_TEXT {
            return Err(SpiffeIdError::Length);
        }
        let rest = text.strip_prefix("spiffe://").ok_or(SpiffeIdError::Scheme)?;
        let (trust_domain, path) = rest.split_once('/').ok_or(SpiffeIdError::Path)?;
        let (namespace, service_account) =
            path.strip_prefix("ns/").and_then(|path| path.split_once("/sa/")).ok_or(SpiffeIdError::Path)?;
        Self::new(trust_domain, namespace, service_account)
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/ns/{}/sa/{}", self.trust_domain, self.namespace, self.service_account)
    }
}

/// True for the name of a trust domain.
pub(super) fn is_trust_domain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_TRUST_DOMAIN
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_'))
}

fn is_label(text: &str) -> bool {
    text.len() <= 63
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Labels of names such as a service account's may be longer than 63 bytes, as long as all of it is not.
fn is_subdomain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_is_read_and_written() {
        let text = "spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account";
        let id: SpiffeId = text.parse().unwrap();
        assert_eq!((id.trust_domain(), id.namespace()), ("cluster.local", "istio-system"));
        assert_eq!(id.to_string(), text);
        assert!("spiffe://td_1/ns/a/sa/a.b-c.1".parse::<SpiffeId>().is_ok());
    }

    #[test]
    fn every_other_spelling_is_refused() {
        use SpiffeIdError as E;
        for (text, why) in [
            ("", E::Scheme),
            ("SPIFFE://a/ns/b/sa/c", E::Scheme),
            ("https://a/ns/b/sa/c", E::Scheme),
            ("spiffe:/a/ns/b/sa/c", E::Scheme),
            ("spiffe:///ns/b/sa/c", E::TrustDomain),
            ("spiffe://A/ns/b/sa/c", E::TrustDomain),
            ("spiffe://a:443/ns/b/sa/c", E::TrustDomain),
            ("spiffe://u@a/ns/b/sa/c", E::TrustDomain),
            ("spiffe://a%2e/ns/b/sa/c", E::TrustDomain),
            ("spiffe://a", E::Path),
            ("spiffe://a/", E::Path),
            ("spiffe://a/ns/b", E::Path),
            ("spiffe://a/sa/c/ns/b", E::Path),
            ("spiffe://a//ns/b/sa/c", E::Path),
            ("spiffe://a/ns//sa/c", E::Namespace),
            ("spiffe://a/ns/b.c/sa/c", E::Namespace),
            ("spiffe://a/ns/B/sa/c", E::Namespace),
            ("spiffe://a/ns/b/x/sa/c", E::Namespace),
            ("spiffe://a/ns/-b/sa/c", E::Namespace),
            ("spiffe://a/ns/b%2F/sa/c", E::Namespace),
            ("spiffe://a/ns/b/sa/", E::ServiceAccount),
            ("spiffe://a/ns/b/sa/c/", E::ServiceAccount),
            ("spiffe://a/ns/b/sa/c/sa/d", E::ServiceAccount),
            ("spiffe://a/ns/b/sa/c?x", E::ServiceAccount),
            ("spiffe://a/ns/b/sa/c#x", E::ServiceAccount),
            ("spiffe://a/ns/b/sa/c\0", E::ServiceAccount),
            ("spiffe://a/ns/b/sa/c\n", E::ServiceAccount),
            ("spiffe://a/ns/b/sa/c..d", E::ServiceAccount),
            ("spiffe://a/ns/b/sa/ü", E::ServiceAccount),
        ] {
            assert_eq!(text.parse::<SpiffeId>(), Err(why), "{text:?}");
        }
        assert_eq!(format!("spiffe://a/ns/{}/sa/c", "b".repeat(64)).parse::<SpiffeId>(), Err(E::Namespace));
        assert_eq!(format!("spiffe://a/ns/b/sa/{}", "c".repeat(254)).parse::<SpiffeId>(), Err(E::ServiceAccount));
        assert_eq!(format!("spiffe://a/ns/b/sa/{}", "c".repeat(2048)).parse::<SpiffeId>(), Err(E::Length));
    }

    proptest::proptest! {
        #[test]
        fn what_is_read_is_written_the_same(text in "(spiffe://)?[a-z0-9._%/-]{0,12}(/ns/)?\\PC{0,8}(/sa/)?[a-z.\\PC-]{0,8}") {
            if let Ok(id) = text.parse::<SpiffeId>() {
                proptest::prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
