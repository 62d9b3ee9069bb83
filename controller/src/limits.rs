//! Bounds of one controller process. Those of translation are `translate::TranslationLimits`.

limits::limits! {
    /// Bounds of one controller process, set by `--limit NAME=VALUE`.
    pub struct ControllerLimits {
        /// Bytes of a resource's name in a subscription.
        name_bytes: usize [Bytes, 64 ..= 1_048_576] = 1_024 => "the stream ends with INVALID_ARGUMENT",
    }
}
