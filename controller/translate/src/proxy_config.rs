//! ProxyConfig: what is checked about it (docs/semantics.md §8). Nothing reads it yet.

use crds::networking::proxy_config::ProxyConfig;

use crate::attachment;
use crate::scope::Scope;

pub(crate) fn validate(spec: &ProxyConfig, at: &mut Scope<'_>) {
    let ProxyConfig { selector, concurrency, environment_variables: _, image: _ } = spec;
    attachment::validate_selector(selector.as_ref(), at);
    if let Some(threads) = concurrency {
        at.field("concurrency").range(*threads, 0, i64::from(i32::MAX));
    }
}
