//! Bounds of one controller process. Those of translation are `translate::TranslationLimits`.

limits::limits! {
    /// Bounds of one controller process, set by `--limit NAME=VALUE`.
    pub struct ControllerLimits {
        /// Bytes of a resource's name in what a proxy sends.
        name_bytes: usize [Bytes, 64 ..= 65_536] = 1_024 => "the stream ends with INVALID_ARGUMENT",
        /// Bytes of a resource's version in what a proxy sends.
        version_bytes: usize [Bytes, 32 ..= 4_096] = 128 => "the stream ends with INVALID_ARGUMENT",
        /// Bytes of each thing that a proxy says of itself: pod, namespace, service account, cluster, version, instance.
        node_field_bytes: usize [Bytes, 64 ..= 4_096] = 256 => "the stream ends with INVALID_ARGUMENT",
        /// Single names that one proxy may subscribe to.
        names_per_stream: usize [Count, 100 ..= 1_000_000] = 100_000 => "the stream ends with RESOURCE_EXHAUSTED",
        /// Bytes kept of what one proxy has said: the names it wants, and what it has while that is compared.
        stream_bytes: usize [Bytes, 65_536 ..= 1_073_741_824] = 16_777_216 => "the stream ends with RESOURCE_EXHAUSTED",
        /// The same for all proxies of one identity.
        identity_bytes: usize [Bytes, 65_536 ..= 17_179_869_184] = 67_108_864 => "the stream ends with RESOURCE_EXHAUSTED",
        /// The same for all proxies of the controller.
        streams_bytes: usize [Bytes, 1_048_576 ..= 68_719_476_736] = 268_435_456 => "the stream ends with RESOURCE_EXHAUSTED",
        /// Messages in a minute by which one proxy changes its subscription.
        messages_per_minute: u32 [Count, 10 ..= 1_000_000] = 600 => "the stream ends with RESOURCE_EXHAUSTED",
        /// Resources of one push that a proxy may refuse by name.
        refused_per_push: usize [Count, 1 ..= 100_000] = 1_000 => "further ones are not remembered",
    }
}
