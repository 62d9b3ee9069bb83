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
        /// Connections of one client address; load balancers that hide their clients count as one address.
        connections_per_address: usize [Count, 1 ..= 10_000_000] = 5_000 => "the idlest one of that address is closed; where none is idle, the new one",
        /// Connections that have not completed a handshake or begun a request, in all; a fifth of them of one address.
        unfinished_connections: usize [Count, 1 ..= 10_000_000] = 1_000 => "the oldest of them is closed",
        /// From accept to the first byte of a client without TLS.
        first_byte: std::time::Duration [Time, 1 ..= 3_600_000] = 10_000 => "the connection is closed",
        /// Time in which an HTTP/2 client may close a connection that it was told to leave.
        close_grace: std::time::Duration [Time, 1 ..= 3_600_000] = 5_000 => "the connection is closed",
        /// Time for which a client may take nothing of an HTTP response.
        write_stall: std::time::Duration [Time, 1 ..= 86_400_000] = 300_000 => "the connection is closed",
        /// Bytes until a TLS client's first message is complete.
        client_hello_bytes: usize [Bytes, 1_024 ..= 65_536] = 16_384 => "the connection is closed",
        /// Sockets that listeners have, on as many ports; the listeners of the oldest Gateways come first.
        listeners: usize [Count, 1 ..= 10_000] = 64 => "the listener is not bound, which is told as of a port that is taken",
        /// Names of endpoints that are resolved.
        dns_names: usize [Count, 1 ..= 1_000_000] = 1_000 => "names that came last are not resolved; their clusters have no endpoints, which is told",
        /// Names that are asked for at a time.
        dns_queries: usize [Count, 1 ..= 10_000] = 32 => "the others wait",
        /// Addresses of one name.
        dns_addresses_per_name: usize [Count, 1 ..= 10_000] = 256 => "the rest is left out",
        /// Bytes of a path in an access log line.
        log_path_bytes: usize [Bytes, 16 ..= 1_048_576] = 1_024 => "the rest is cut off",
        /// Bytes of any other value in an access log line.
        log_field_bytes: usize [Bytes, 16 ..= 1_048_576] = 256 => "the rest is cut off",
        /// Bytes of access log lines that wait for being written, per traffic thread.
        log_buffer_bytes: usize [Bytes, 4_096 ..= 1_073_741_824] = 4_194_304 => "lines are dropped and counted, from half of it on those of connections and addresses that have most",
        /// Connections to each of the gateway's own ports (admin, metrics, readiness).
        admin_connections: usize [Count, 4 ..= 10_000] = 64 => "the oldest one is closed",
        /// Bytes of a certificate file, or of a key file, that an object names.
        certificate_file_bytes: usize [Bytes, 1_024 ..= 16_777_216] = 1_048_576 => "the certificate is not used and the refusal is told",
        /// Certificate files with their keys that objects name, in all.
        certificate_files: usize [Count, 1 ..= 100_000] = 1_000 => "those that came last are not used and the refusal is told",
        /// Matches that a rewrite by pattern replaces in one path.
        rewrite_matches: usize [Count, 1 ..= 65_536] = 1_024 => "500 to the client",
    }
}
