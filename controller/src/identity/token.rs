//! Service account tokens as they come in a request. What a token says of itself is used to explain a refusal and to
//! forget an answer in time; whether it is true, only the API server decides.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tonic::metadata::MetadataMap;

use super::refusal::Refusal;

/// Longest token that is looked at (docs/security.md §9).
pub(super) const MAX_TOKEN: usize = 16 * 1024;

/// A bearer token. Never printed.
pub(super) struct Token<'a>(&'a str);

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Names a token without holding it.
pub(super) type TokenHash = [u8; 32];

impl<'a> Token<'a> {
    /// The token of a request, if it brings one.
    pub(super) fn of(metadata: &'a MetadataMap) -> Result<Option<Self>, Refusal> {
        let mut values = metadata.get_all("authorization").iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Refusal::MalformedToken);
        }
        let text = value.to_str().map_err(|_| Refusal::MalformedToken)?;
        let (scheme, token) = text.split_once(' ').ok_or(Refusal::MalformedToken)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Refusal::MalformedToken);
        }
        if token.len() > MAX_TOKEN {
            return Err(Refusal::TokenTooLong { limit: MAX_TOKEN });
        }
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if token.is_empty() || !token.bytes().all(is_token) {
            return Err(Refusal::MalformedToken);
        }
        Ok(Some(Self(token)))
    }

    pub(super) fn secret(&self) -> &str {
        self.0
    }

    pub(super) fn hash(&self) -> TokenHash {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// What it says of itself, unverified.
    pub(super) fn claims(&self) -> Option<Claims> {
        let mut parts = self.0.split('.');
        let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return None;
        };
        let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

/// Claims that concern us.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    #[serde(default)]
    aud: Audience,
    exp: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Default for Audience {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Claims {
    pub(super) fn expires(&self) -> Option<SystemTime> {
        self.exp.and_then(|exp| UNIX_EPOCH.checked_add(Duration::from_secs(exp)))
    }

    /// Whether the API server could accept the token at all, by what it says of itself.
    pub(super) fn is_plausible(&self, wanted: &[String], now: SystemTime) -> bool {
        self.audiences().iter().any(|audience| wanted.contains(audience)) && self.expires().is_none_or(|it| now < it)
    }

    fn audiences(&self) -> &[String] {
        match &self.aud {
            Audience::One(one) => std::slice::from_ref(one),
            Audience::Many(many) => many,
        }
    }

    /// Tells a person what is most likely wrong with a token that was refused.
    pub(super) fn hint(&self, wanted: &[String], now: SystemTime) -> String {
        let audiences = self.audiences();
        if let Some(expires) = self.expires()
            && expires <= now
        {
            let ago = now.duration_since(expires).unwrap_or_default().as_secs();
            return format!(": it expired {ago} s ago");
        }
        if !audiences.iter().any(|audience| wanted.contains(audience)) {
            return format!(": it is for the audience [{}], needed is {}", excerpt(audiences), wanted.join(" or "));
        }
        ": its pod or service account may be gone, or it was issued by another cluster".into()
    }
}

/// A few words of what the peer has sent, safe to print.
fn excerpt(audiences: &[String]) -> String {
    let text = audiences.iter().take(4).map(|it| it.escape_debug().to_string()).collect::<Vec<_>>().join(", ");
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Option<String>, Refusal> {
        let mut metadata = MetadataMap::new();
        for value in values {
            metadata.append("authorization", value.parse().unwrap());
        }
        Token::of(&metadata).map(|token| token.map(|token| token.secret().to_owned()))
    }

    #[test]
    fn a_token_is_one_bearer_value() {
        assert!(read(&[]).unwrap().is_none());
        assert_eq!(read(&["Bearer a.b.c"]).unwrap().as_deref(), Some("a.b.c"));
        assert_eq!(read(&["bearer a"]).unwrap().as_deref(), Some("a"));
        for values in [
            &["Basic YTpi"][..],
            &["Bearer"],
            &["Bearer "],
            &["Bearer  a"],
            &["Bearer a b"],
            &["Bearer a,b"],
            &["Bearer a", "Bearer a"],
        ] {
            assert!(matches!(read(values), Err(Refusal::MalformedToken)), "{values:?}");
        }
        let long = format!("Bearer {}", "a".repeat(MAX_TOKEN + 1));
        assert!(matches!(read(&[&long]), Err(Refusal::TokenTooLong { .. })));
    }

    #[test]
    fn hints_tell_what_is_wrong_with_a_token() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        let hint = |json: &str| {
            let token = format!("x.{}.y", URL_SAFE_NO_PAD.encode(json));
            Token(&token).claims().map(|claims| claims.hint(&["istio-ca".into()], now))
        };
        assert_eq!(hint(r#"{"aud":["istio-ca"],"exp":990}"#).unwrap(), ": it expired 10 s ago");
        assert_eq!(
            hint(r#"{"aud":["vault","a\nb"],"exp":1990}"#).unwrap(),
            ": it is for the audience [vault, a\\nb], needed is istio-ca"
        );
        assert_eq!(hint(r#"{"aud":"vault"}"#).unwrap(), ": it is for the audience [vault], needed is istio-ca");
        assert!(hint(r#"{"aud":"istio-ca","exp":1990}"#).unwrap().contains("pod or service account"));
        assert!(hint("no json").is_none());
        assert!(Token("opaque").claims().is_none());
    }

    #[test]
    fn a_token_is_not_printed() {
        assert_eq!(format!("{:?}", Token("secret")), "Token(..)");
    }
}
