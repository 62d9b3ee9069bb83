//! `sluice-gateway admin`: a question to the admin socket, from inside the pod. Needs no other program in the image.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use crate::cli::AdminArgs;

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(60);
const LARGEST: u64 = 512 << 20;

pub(crate) fn ask(args: &AdminArgs) -> anyhow::Result<ExitCode> {
    let mut stream = UnixStream::connect(&args.socket)
        .with_context(|| format!("no gateway listens on {}", args.socket.display()))?;
    if args.pipe {
        return pipe(stream);
    }
    let plain = args.path.starts_with('/') && args.path.bytes().all(|byte| byte.is_ascii_graphic());
    anyhow::ensure!(plain, "{:?} is no path such as /config_dump", args.path);
    stream.set_read_timeout(Some(PATIENCE))?;
    let method = if args.post { "POST" } else { "GET" };
    let head = "Host: localhost\r\nConnection: close\r\nContent-Length: 0";
    write!(stream, "{method} {} HTTP/1.1\r\n{head}\r\n\r\n", args.path)?;
    let mut answer = Vec::new();
    stream.take(LARGEST).read_to_end(&mut answer).context("reading the answer")?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").context("the answer is no HTTP")?;
    std::io::stdout().write_all(&answer[end + 4..])?;
    let good = answer.starts_with(b"HTTP/1.1 2");
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Both directions until either ends.
fn pipe(stream: UnixStream) -> anyhow::Result<ExitCode> {
    let mut to_socket = stream.try_clone()?;
    std::thread::spawn(move || {
        // The other direction says whether anything was amiss.
        let _ = std::io::copy(&mut std::io::stdin(), &mut to_socket);
        let _ = to_socket.shutdown(Shutdown::Write);
    });
    let (mut from_socket, mut out) = (stream, std::io::stdout());
    let mut bytes = [0; 16 * 1024];
    loop {
        match from_socket.read(&mut bytes)? {
            0 => return Ok(ExitCode::SUCCESS),
            count => {
                out.write_all(&bytes[..count])?;
                out.flush()?;
            }
        }
    }
}
