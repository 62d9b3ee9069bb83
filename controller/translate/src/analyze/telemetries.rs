//! IST0157, IST0159, IST0160: Telemetries without providers, and ones of which only one can hold.

use crds::ObjectKind;

use super::Message;
use super::code::{NO_PROVIDER, TELEMETRIES_WITHOUT_SELECTOR, TELEMETRY_SELECTORS};
use super::objects::Objects;
use super::sidecars::{Selecting, compete};

pub(super) fn analyze(objects: &Objects<'_>, messages: &mut Vec<Message>) {
    for telemetry in &objects.telemetries {
        for (index, logging) in telemetry.spec.access_logging.iter().enumerate() {
            let disabled = logging.disabled == Some(true);
            let has_default = objects.mesh.config.default_providers.is_some();
            if logging.providers.is_empty() && !has_default && !disabled {
                let text = format!(
                    "The Telemetry {} in namespace {:?} with empty providers will be ignored.",
                    telemetry.meta.name, telemetry.meta.namespace
                );
                let field = format!("spec.accessLogging[{index}]");
                messages.push(Message::new(NO_PROVIDER, telemetry.key(ObjectKind::Telemetry), field, text));
            }
        }
    }
    // Those for a named target stand beside the others.
    let untargeted =
        objects.telemetries.iter().filter(|it| it.spec.target_ref.is_none() && it.spec.target_refs.is_empty());
    let telemetries = untargeted.map(|telemetry| Selecting {
        key: telemetry.key(ObjectKind::Telemetry),
        selector: telemetry.spec.selector.as_ref().map(|it| &it.match_labels).filter(|labels| !labels.is_empty()),
    });
    let codes = (TELEMETRY_SELECTORS, TELEMETRIES_WITHOUT_SELECTOR);
    compete(objects, telemetries, "Telemetries", "spec.selector", codes, messages);
}
