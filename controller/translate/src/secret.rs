//! Server certificates: from Secrets of the proxy's namespace (docs/semantics.md §2.8).

use crds::object::SecretData;
use ir::{PrivateKey, SecretName};

use crate::pem;
use crate::report::Problem;

/// Certificate and key are found under the first of these pairs that is complete.
const KEYS: [(&str, &str); 2] = [("cert", "key"), ("tls.crt", "tls.key")];

/// The name a certificate goes by. `kubernetes://` may be written or not.
pub(crate) fn name(credential: &str) -> SecretName {
    SecretName::from(format!("kubernetes://{}", object_name(credential)))
}

/// The Secret that a credential name means.
pub(crate) fn object_name(credential: &str) -> &str {
    credential.strip_prefix("kubernetes://").unwrap_or(credential)
}

/// Certificate and key of a Secret, checked as far as reading them can.
pub(crate) fn translate(name: &SecretName, data: &SecretData) -> Result<ir::Secret, Problem> {
    let text = |key: &str| data.data.get(key).map(|bytes| bytes.as_bytes()).filter(|bytes| !bytes.is_empty());
    let pair = KEYS.iter().find_map(|(certificate, key)| Some((text(certificate)?, text(key)?)));
    let Some((certificate, key)) = pair else {
        let why = "it has neither cert and key nor tls.crt and tls.key".to_owned();
        return Err(Problem::UnusableSecret { why });
    };
    let unusable = |error: pem::PemError| Problem::UnusableSecret { why: error.to_string() };
    let chain = pem::certificates(certificate).map_err(unusable)?;
    let key = pem::private_key(key).map_err(unusable)?;
    pem::check_pair(&chain, &key).map_err(unusable)?;
    Ok(ir::Secret { name: name.clone(), certificate_chain: chain.text, private_key: PrivateKey::from(key.text) })
}
