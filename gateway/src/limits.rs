//! Bounds of one gateway process. Those that the mesh's administrator sets for all proxies are `ir::Limits`.

limits::limits! {
    /// Bounds of one gateway process, set by `--limit NAME=VALUE`.
    pub struct GatewayLimits {
        /// Bytes of a request target after rewrites.
        target_bytes: usize [Bytes, 256 ..= 1_048_576] = 8_192 => "500 to the client",
        /// Bytes of request heads that the streams in progress of one HTTP/2 connection hold together.
        h2_head_bytes_per_connection: usize [Bytes, 65_536 ..= 1_073_741_824] = 1_048_576 => "further streams are refused (REFUSED_STREAM)",
        /// Bytes of bodies that wait for clients or are kept for retries on one HTTP/2 connection.
        h2_body_bytes_per_connection: usize [Bytes, 65_536 ..= 1_073_741_824] = 1_048_576 => "origins are read piece by piece; request bodies are not kept for retries",
        /// Streams of one HTTP/2 connection that end without completing, beyond those that complete, in 10 s.
        h2_resets_per_window: u32 [Count, 1 ..= 1_000_000] = 100 => "GOAWAY (ENHANCE_YOUR_CALM), close",
        /// Connections that are being opened to one endpoint, by all threads together.
        pending_connects_per_endpoint: u32 [Count, 1 ..= 1_000_000] = 1_024 => "503 (UO) at once",
    }
}
