//! Bounds of one controller process. Those of translation are `translate::TranslationLimits`.

use std::time::Duration;

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
        /// Messages of more than 160 KiB that are read at a time; one address may have an eighth of them.
        long_messages: usize [Count, 1 ..= 10_000] = 16 => "further ones wait, and are not read meanwhile",
        /// From the first byte of a proxy's message to its last.
        message_time: Duration [Time, 100 ..= 600_000] = 10_000 => "the stream ends with DEADLINE_EXCEEDED",
        /// Resources of one push that a proxy may refuse by name.
        refused_per_push: usize [Count, 1 ..= 100_000] = 1_000 => "further ones are not remembered",
        /// Distinct workloads, by name and labels of their pods, that are translated for.
        scopes: usize [Count, 1 ..= 100_000] = 1_000 => "a proxy of a further workload is refused with RESOURCE_EXHAUSTED; those that are served stay so",
        /// The same of one namespace.
        scopes_per_namespace: usize [Count, 1 ..= 100_000] = 256 => "a proxy of a further workload is refused with RESOURCE_EXHAUSTED",
        /// The same of one service account.
        scopes_per_account: usize [Count, 1 ..= 100_000] = 256 => "a proxy of a further workload is refused with RESOURCE_EXHAUSTED",
        /// Of those of one service account, the ones that stay translated although no proxy is connected.
        idle_scopes_per_account: usize [Count, 0 ..= 100_000] = 8 => "the one that was used longest ago is forgotten",
        /// Workloads of one service account that are translated for anew in a minute, after as many at once as it may have.
        new_scopes_per_minute: u32 [Count, 1 ..= 100_000] = 30 => "a proxy of a further workload is refused with RESOURCE_EXHAUSTED",
        /// Open connections of one address (of one /64 of IPv6) to a port.
        connections_per_address: usize [Count, 1 ..= 100_000] = 512 => "its oldest connection that has proven nothing is closed, else the new one",
        /// Open connections on which no call has been authenticated yet.
        unauthenticated_connections: usize [Count, 4 ..= 100_000] = 2_000 => "the oldest of the address that has the most of them is closed",
        /// From the end of a handshake to the first call that is authenticated.
        unauthenticated_connection: Duration [Time, 100 ..= 600_000] = 10_000 => "the connection is closed",
        /// Handshakes of one address that are not finished.
        unfinished_per_address: usize [Count, 1 ..= 10_000] = 64 => "further ones wait for their turn, until their deadline",
        /// Handshakes of one address begun in a second.
        handshakes_per_address: u32 [Count, 0 ..= 100_000] = 50 => "further ones wait for their turn, until their deadline",
        /// Token reviews of one address at a time.
        reviews_per_address: usize [Count, 1 ..= 1_000] = 8 => "further ones wait for their turn, then UNAVAILABLE",
        /// Tokens of one address that the API server refuses in a minute.
        refused_tokens: u32 [Count, 1 ..= 100_000] = 60 => "further tokens of the address are not looked at: RESOURCE_EXHAUSTED",
        /// Streams that one workload (pod, else address) has opened without being served yet.
        starting_streams: usize [Count, 1 ..= 10_000] = 16 => "a further stream is refused with RESOURCE_EXHAUSTED",
        /// How long certificates may be renewed by certificates, since a token proved the identity.
        identity_chain: Duration [Time, 3_600_000 ..= 31_536_000_000] = 604_800_000 => "the next renewal needs a token",
        /// How often it is looked whether the pod and the service account of a stream still exist.
        identity_check: Duration [Time, 100 ..= 3_600_000] = 15_000 => "a stream whose workload is gone ends with UNAUTHENTICATED",
    }
}
