//! Bounds of one gateway process. Those that the mesh's administrator sets for all proxies are `ir::Limits`.

limits::limits! {
    /// Bounds of one gateway process, set by `--limit NAME=VALUE`.
    pub struct GatewayLimits {
        /// Bytes of a request target after rewrites.
        target_bytes: usize [Bytes, 256 ..= 1_048_576] = 8_192 => "500 to the client",
    }
}
