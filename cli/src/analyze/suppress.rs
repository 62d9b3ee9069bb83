//! `-S CODE=Kind name.namespace`: messages that are not to be told.

use std::str::FromStr;

use crds::ObjectKey;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Suppression {
    code: String,
    object: String,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} suppresses nothing: write CODE=Kind name.namespace, as in 'IST0118=Service web.shop' or 'IST0118=*'")]
pub(super) struct SuppressionError {
    text: String,
}

impl FromStr for Suppression {
    type Err = SuppressionError;

    fn from_str(text: &str) -> Result<Self, SuppressionError> {
        match text.split_once('=') {
            Some((code, object)) if !code.is_empty() && !object.is_empty() => {
                Ok(Self { code: code.trim().to_owned(), object: object.trim().to_owned() })
            }
            _ => Err(SuppressionError { text: text.to_owned() }),
        }
    }
}

impl Suppression {
    pub(super) fn covers(&self, code: &str, object: &ObjectKey) -> bool {
        let ObjectKey { kind, namespace, name } = object;
        let full = if namespace.is_empty() { format!("{kind} {name}") } else { format!("{kind} {name}.{namespace}") };
        self.code == code && fits(&self.object, &full)
    }
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(before) else { return false };
    let mut parts = after.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use crds::ObjectKind;

    use super::*;

    #[test]
    fn objects_are_named_as_istio_names_them() {
        let key = ObjectKey::new(ObjectKind::Service, "shop", "web");
        for (text, covers) in [
            ("IST0118=Service web.shop", true),
            ("IST0118=Service *.shop", true),
            ("IST0118=* *.shop", true),
            ("IST0118=*", true),
            ("IST0118=Service w*.*op", true),
            ("IST0118=Service web", false),
            ("IST0118=Gateway *", false),
            ("IST0108=*", false),
        ] {
            assert_eq!(text.parse::<Suppression>().unwrap().covers("IST0118", &key), covers, "{text}");
        }
        assert!("IST0118".parse::<Suppression>().is_err());
    }
}
