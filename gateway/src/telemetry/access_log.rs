//! One line per request (docs/semantics.md §16.4). Traffic threads append to a buffer of their own; a writer thread
//! takes the buffers over and does the IO.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use ir::format::Format;
use tracing::warn;

use crate::proxy::connection::Connection;
use crate::proxy::ctx::Ctx;
use crate::proxy::head::RequestHead;
use crate::telemetry::format::{Cuts, Missing, Reader, Source, render_line};
use crate::telemetry::metrics::Metrics;

/// How long a line may wait.
const INTERVAL: Duration = Duration::from_millis(50);
/// Parts of the buffer that one connection and one address may fill once it is half full: one in so many.
const CONNECTION_SHARE: usize = 64;
const ADDRESS_SHARE: usize = 4;

/// Istio's default line.
static TEXT: LazyLock<Format> = LazyLock::new(|| {
    concat!(
        r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% "#,
        r#"%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "#,
        r#""%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "#,
        r#"%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "#,
        r#""%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% "#,
        r#"%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "#,
        r#"%REQUESTED_SERVER_NAME% %ROUTE_NAME%"#
    )
    .parse()
    .expect("a constant")
});

/// Keys of Istio's default JSON object, each with what stands there and whether it is a number.
static JSON: LazyLock<Vec<(&'static str, Format, bool)>> = LazyLock::new(|| {
    [
        ("authority", "%REQ(:AUTHORITY)%", false),
        ("bytes_received", "%BYTES_RECEIVED%", true),
        ("bytes_sent", "%BYTES_SENT%", true),
        ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%", false),
        ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%", false),
        ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%", false),
        ("duration", "%DURATION%", true),
        ("method", "%REQ(:METHOD)%", false),
        ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", false),
        ("protocol", "%PROTOCOL%", false),
        ("request_id", "%REQ(X-REQUEST-ID)%", false),
        ("requested_server_name", "%REQUESTED_SERVER_NAME%", false),
        ("response_code", "%RESPONSE_CODE%", true),
        ("response_code_details", "%RESPONSE_CODE_DETAILS%", false),
        ("response_flags", "%RESPONSE_FLAGS%", false),
        ("route_name", "%ROUTE_NAME%", false),
        ("start_time", "%START_TIME%", false),
        ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%", false),
        ("upstream_host", "%UPSTREAM_HOST%", false),
        ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%", false),
        ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", false),
        ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%", false),
        ("user_agent", "%REQ(USER-AGENT)%", false),
        ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%", false),
    ]
    .into_iter()
    .map(|(key, text, number)| (key, text.parse().expect("a constant"), number))
    .collect()
});

/// A traffic thread's lines on their way to the writer.
#[derive(Debug, Default)]
pub(crate) struct Lines(Mutex<Buffer>);

/// Lines that wait. While there are many of them each connection and each address has a share of what is left, so that
/// a flood displaces none but its own.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// Bytes since the buffer was half full, by connection and by address.
    of_connections: HashMap<usize, usize>,
    of_addresses: HashMap<IpAddr, usize>,
}

impl Buffer {
    /// Whether a connection may have one more line.
    fn has_room(&self, most: usize, connection: usize, address: IpAddr) -> bool {
        if self.bytes.len() < most / 2 {
            return true;
        }
        let of_connection = self.of_connections.get(&connection).copied().unwrap_or(0);
        let of_address = self.of_addresses.get(&address).copied().unwrap_or(0);
        self.bytes.len() < most && of_connection < most / CONNECTION_SHARE && of_address < most / ADDRESS_SHARE
    }

    fn note(&mut self, most: usize, connection: usize, address: IpAddr, added: usize) {
        if self.bytes.len() - added >= most / 2 {
            *self.of_connections.entry(connection).or_default() += added;
            *self.of_addresses.entry(address).or_default() += added;
        }
    }
}

/// Appends the line of a request.
pub(crate) fn write(ctx: &Ctx<'_>, request: &RequestHead) {
    let Some(log) = &ctx.table.settings().access_log else { return };
    let connection = ctx.connection;
    let worker = &connection.worker;
    let limits = &worker.shared.limits;
    let most = limits.log_buffer_bytes;
    let cuts = Cuts { path: limits.log_path_bytes, field: limits.log_field_bytes };
    // The address of what is known of a connection is its own for as long as it lives.
    let (id, address) = (std::ptr::from_ref::<Connection>(connection).addr(), connection.peer.ip());
    // Taken by the writer for an instant, twenty times a second; else nobody contends.
    let mut buffer = worker.lines.0.lock().unwrap_or_else(PoisonError::into_inner);
    if !buffer.has_room(most, id, address) {
        worker.shared.metrics.access_log_dropped.inc();
        return;
    }
    let lines = &mut buffer.bytes;
    let start = lines.len();
    let source = Source { ctx, request, response: ctx.response.as_ref(), reader: Reader::Administrator };
    match &log.format {
        ir::AccessLogFormat::Text => render_line(&TEXT, &source, Missing::Dash, cuts, lines),
        ir::AccessLogFormat::Custom(format) => render_line(format, &source, Missing::Dash, cuts, lines),
        ir::AccessLogFormat::Json => {
            object(JSON.iter().map(|(key, format, number)| (*key, format, *number)), &source, cuts, lines);
        }
        ir::AccessLogFormat::CustomJson(keys) => {
            object(keys.iter().map(|(key, format)| (key.as_str(), format, false)), &source, cuts, lines);
        }
    }
    if !matches!(log.format, ir::AccessLogFormat::Json | ir::AccessLogFormat::CustomJson(_)) {
        escape(lines, start);
    }
    if lines.last() != Some(&b'\n') {
        lines.push(b'\n');
    }
    let added = lines.len() - start;
    buffer.note(most, id, address, added);
}

fn object<'f>(
    keys: impl Iterator<Item = (&'f str, &'f Format, bool)>,
    source: &Source<'_>,
    cuts: Cuts,
    out: &mut Vec<u8>,
) {
    out.push(b'{');
    let mut value = Vec::new();
    for (index, (key, format, number)) in keys.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        value.clear();
        render_line(format, source, Missing::Empty, cuts, &mut value);
        // Writing to a Vec does not fail, and strings serialise.
        let _ = serde_json::to_writer(&mut *out, key);
        out.push(b':');
        if value.is_empty() {
            out.extend_from_slice(b"null");
        } else if number {
            out.extend_from_slice(&value);
        } else {
            let _ = serde_json::to_writer(&mut *out, &String::from_utf8_lossy(&value));
        }
    }
    out.push(b'}');
}

/// Control characters from clients must not make lines of their own.
fn escape(lines: &mut Vec<u8>, start: usize) {
    let is_bad = |byte: &u8| *byte < b' ' && *byte != b'\n' || *byte == 0x7f;
    let end = lines.len();
    let inner_newline = lines[start..end].iter().rev().skip(1).any(|byte| *byte == b'\n');
    if !inner_newline && !lines[start..].iter().any(is_bad) {
        return;
    }
    let line = lines.split_off(start);
    for (index, byte) in line.iter().enumerate() {
        if is_bad(byte) || *byte == b'\n' && index + 1 < line.len() {
            let _ = write!(lines, "\\x{byte:02x}");
        } else {
            lines.push(*byte);
        }
    }
}

/// Writes the lines of all threads out until everything else that knows them is gone.
pub(crate) struct Writer {
    pub(crate) lines: Vec<Arc<Lines>>,
    pub(crate) path: Box<dyn Fn() -> Option<String> + Send>,
    pub(crate) metrics: Arc<Metrics>,
    /// Why the file could not be opened, as far as it was told.
    pub(crate) failed: Option<io::ErrorKind>,
}

impl Writer {
    /// Runs on a thread of its own.
    pub(crate) fn run(mut self, stop: &std::sync::mpsc::Receiver<()>) {
        let mut target: Option<(String, Box<dyn Write + Send>)> = None;
        loop {
            let stopping = stop.recv_timeout(INTERVAL) != Err(std::sync::mpsc::RecvTimeoutError::Timeout);
            if let Some(path) = (self.path)() {
                self.write_out(&path, &mut target);
            }
            if stopping {
                return;
            }
        }
    }

    fn write_out(&mut self, path: &str, target: &mut Option<(String, Box<dyn Write + Send>)>) {
        if target.as_ref().is_none_or(|(open, _)| open != path) {
            match open(path) {
                Ok(file) => {
                    self.failed = None;
                    *target = Some((path.to_owned(), file));
                }
                Err(error) => {
                    // Told once, not with every try.
                    let (why, shown) = (Some(error.kind()), &mut self.failed);
                    if *shown != why {
                        *shown = why;
                        warn!(path, error = %error, "access log cannot be opened");
                    }
                    *target = None;
                }
            }
        }
        for lines in &self.lines {
            let taken = std::mem::take(&mut *lines.0.lock().unwrap_or_else(PoisonError::into_inner)).bytes;
            if taken.is_empty() {
                continue;
            }
            let written = target.as_mut().map(|(_, file)| file.write_all(&taken).and_then(|()| file.flush()));
            if !matches!(written, Some(Ok(()))) {
                let count = taken.iter().filter(|byte| **byte == b'\n').count();
                self.metrics.access_log_dropped.inc_by(count as u64);
                *target = None;
            }
        }
    }
}

fn open(path: &str) -> io::Result<Box<dyn Write + Send>> {
    Ok(match path {
        "/dev/stdout" => Box::new(io::stdout()),
        "/dev/stderr" => Box::new(io::stderr()),
        path => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_formats() {
        assert!(TEXT.segments().len() > 40);
        assert_eq!(JSON.len(), 24);
    }

    #[test]
    fn a_flood_has_a_share_of_the_buffer_and_the_others_have_the_rest() {
        const MOST: usize = 64 * 1024;
        let (flood, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut buffer = Buffer::default();
        let mut write = |connection: usize, address: IpAddr| {
            let room = buffer.has_room(MOST, connection, address);
            if room {
                buffer.bytes.resize(buffer.bytes.len() + 512, b'x');
                buffer.note(MOST, connection, address, 512);
            }
            room
        };
        let one = (0..1000).filter(|_| write(1, flood)).count();
        assert_eq!(one, (MOST / 2 + MOST / CONNECTION_SHARE) / 512);
        let many = (0..1000).filter(|number| write(100 + number, flood)).count();
        assert_eq!(one + many, (MOST / 2 + MOST / ADDRESS_SHARE) / 512);
        assert!((0..20).all(|number| write(2000 + number, other)));
        assert!((0..1000).filter(|number| write(3000 + number, other)).count() < 1000);
        assert!(buffer.bytes.len() <= MOST + 512);
    }

    #[test]
    fn what_clients_send_stays_on_one_line() {
        let mut lines = b"before\na\tb\r\nc\x7f\n".to_vec();
        escape(&mut lines, 7);
        assert_eq!(String::from_utf8(lines).unwrap(), "before\na\\x09b\\x0d\\x0ac\\x7f\n");
    }
}
