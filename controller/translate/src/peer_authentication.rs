//! PeerAuthentication: what is checked about it (docs/semantics.md §11). Nothing enforces it yet.

use crds::{MutualTls, PeerAuthentication};

use crate::attachment;
use crate::scope::Scope;

pub(crate) fn validate(spec: &PeerAuthentication, at: &mut Scope<'_>) {
    let PeerAuthentication { selector, mtls: _, port_level_mtls } = spec;
    attachment::validate_selector(selector.as_ref(), at);
    let selects = selector.as_ref().is_some_and(|selector| !selector.match_labels.is_empty());
    if !port_level_mtls.is_empty() && !selects {
        at.field("portLevelMtls").conflict("portLevelMtls needs a selector with labels: ports belong to workloads");
    }
    for (port, MutualTls { mode: _ }) in port_level_mtls {
        if !port.parse::<u16>().is_ok_and(|number| number > 0) {
            at.entry("portLevelMtls", port).invalid(port, "a port from 1 to 65535");
        }
    }
}
