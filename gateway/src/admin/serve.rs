//! Connections to the gateway's own ports: few, short, and the newest always has a place, so that what is asked for by a
//! probe is answered whatever else is connected.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, SockAddr, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio::task::AbortHandle;
use tracing::debug;

/// Until the head of a request is complete; also between two requests.
const HEAD: Duration = Duration::from_secs(30);
/// For all requests of a connection.
const LIFE: Duration = Duration::from_secs(120);
/// Bytes and fields of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
const FIELDS: usize = 64;
/// Users of this name may open any socket.
const ROOT: u32 = 0;

/// The connections of one port, the oldest first.
pub(super) struct Connections {
    open: VecDeque<AbortHandle>,
    most: usize,
}

impl Connections {
    pub(super) fn new(most: usize) -> Self {
        Self { open: VecDeque::new(), most }
    }

    /// Serves one more; if there are too many the oldest ends.
    pub(super) fn serve<IO, A, F>(&mut self, io: IO, answer: A)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        A: Fn(Request<Incoming>) -> F + Send + 'static,
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        self.open.retain(|task| !task.is_finished());
        while self.open.len() >= self.most
            && let Some(oldest) = self.open.pop_front()
        {
            oldest.abort();
        }
        let service = service_fn(move |request| {
            let answer = answer(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BYTES)
            .max_headers(FIELDS)
            .serve_connection(TokioIo::new(io), service);
        let task = tokio::spawn(async move {
            match tokio::time::timeout(LIFE, served).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!(error = %error, "admin connection ended"),
                Err(_) => debug!("admin connection took too long"),
            }
        });
        self.open.push_back(task.abort_handle());
    }
}

/// Binds the admin socket: only this user can ever connect to it.
pub(super) fn bind_socket(path: &Path) -> io::Result<UnixListener> {
    // A socket file that a former process left behind.
    if std::os::unix::net::UnixStream::connect(path)
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    {
        std::fs::remove_file(path)?;
    }
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // Before anything can connect.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    socket.listen(16)?;
    UnixListener::from_std(socket.into())
}

/// Whether a peer of the admin socket may change things: this user or root, and not this process, whose origins are
/// named by others.
pub(super) fn may_change(uid: u32, pid: Option<i32>) -> bool {
    let own = i32::try_from(std::process::id()).ok();
    (uid == rustix::process::geteuid().as_raw() || uid == ROOT) && pid.is_none_or(|pid| Some(pid) != own)
}
