//! What tenants write.

use controller::{Engine, FileChange};
use translate::{ProxyScope, TranslationLimits};

/// A file of objects: read, judged and translated, it leads to resources that a proxy can read.
///
/// # Panics
/// When a resource cannot be decoded.
pub fn yaml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut engine = Engine::new(ProxyScope::default(), TranslationLimits::default(), None);
    let mut step = engine.step(vec![FileChange::from_text("input.yaml", text)]);
    engine.judge(&mut step.event);
    for encoded in &step.delta.changed {
        if let Err(error) = ir::codec::decode(encoded) {
            panic!("{} is not decoded: {error}", encoded.key);
        }
    }
}

/// A format of the access log or of a header field: what is read is written as it was.
///
/// # Panics
/// When the text of a format is another one.
pub fn format(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(format) = text.parse::<ir::format::Format>() {
        assert_eq!(format.text(), text);
    }
}
