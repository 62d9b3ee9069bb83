//! RequestAuthentication: which tokens are accepted as identities of requests (docs/semantics.md §12).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::selector::PolicySelector;
use crate::common::target::PolicyTargetReference;

/// Which tokens are accepted. A request without a token passes, without an identity; one with a bad token does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestAuthentication {
    /// Workloads of the namespace it applies to; without it and targets, all of them.
    pub selector: Option<PolicySelector>,
    /// The object it is attached to, in place of `selector`; `targetRefs` takes several.
    pub target_ref: Option<PolicyTargetReference>,
    /// The objects it is attached to, in place of `selector`: a Gateway, GatewayClass, Service or ServiceEntry.
    pub target_refs: Vec<PolicyTargetReference>,
    /// The tokens; any of the rules may accept one.
    pub jwt_rules: Vec<JwtRule>,
}

/// Tokens of one issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtRule {
    /// What claim `iss` of the tokens must say.
    pub issuer: Option<String>,
    /// Audiences of which claim `aud` must name one; without any, all are accepted.
    pub audiences: Vec<String>,
    /// Address of the issuer's public keys; without it and `jwks` they are found by OpenID discovery.
    #[serde(alias = "jwks_uri")]
    pub jwks_uri: Option<String>,
    /// The issuer's public keys, as a JSON Web Key Set.
    pub jwks: Option<String>,
    /// Headers that tokens are taken from; the defaults are off when any place is given.
    pub from_headers: Vec<JwtHeader>,
    /// Query parameters that tokens are taken from.
    pub from_params: Vec<String>,
    /// Cookies that tokens are taken from.
    pub from_cookies: Vec<String>,
    /// Header that gets the token's payload, in base64; the client cannot set it.
    pub output_payload_to_header: Option<String>,
    /// Whether the token is forwarded; it is removed from the request without it.
    pub forward_original_token: bool,
    /// Headers that get single claims of the token; the client cannot set them.
    pub output_claim_to_headers: Vec<ClaimToHeader>,
    /// How long fetching the keys may take; 5s without it.
    pub timeout: Option<String>,
    /// Claims that are lists separated by spaces, besides `scope` and `permission`.
    pub space_delimited_claims: Vec<String>,
}

/// A header with a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtHeader {
    /// The name of the header that holds the token.
    pub name: String,
    /// What stands in front of the token, such as `Bearer ` with its space.
    pub prefix: Option<String>,
}

/// A header that gets a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimToHeader {
    /// The name of the header that gets the claim.
    pub header: String,
    /// The claim's name; parts of nested ones are separated by dots.
    pub claim: String,
}
