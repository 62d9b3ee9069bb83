//! Where a body ends: a decoder that is fed the connection's bytes and says which of them are body.

use std::ops::Range;

use crate::proxy::http1::parse::Framing;

/// Bytes of chunk extensions, and of framing beyond 16 times the body, that are put up with.
const MAX_EXTENSION: usize = 256;
const FRAMING_ALLOWANCE: u64 = 16 * 1024;
const MAX_TRAILER: usize = 8 * 1024;

/// Follows one body.
#[derive(Debug)]
pub(crate) enum Decoder {
    Done,
    Length(u64),
    UntilClose,
    Chunked(Chunked),
}

/// What the given bytes hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// `data` is body; `consumed` bytes from the start are done with.
    Data { data: Range<usize>, consumed: usize },
    /// Nothing but framing so far: `consumed` bytes are done with and more are needed.
    More { consumed: usize },
    /// The body is over after `consumed` bytes.
    End { consumed: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("chunked body is malformed")]
pub(crate) struct BadChunk;

impl Decoder {
    pub(crate) fn new(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Done,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunked::default()),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    /// Whether the end was reached.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Whether the end of the connection is the end of the body.
    pub(crate) fn ends_with_connection(&self) -> bool {
        matches!(self, Self::UntilClose)
    }

    /// Looks at the next bytes of the connection.
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> Result<Decoded, BadChunk> {
        match self {
            Self::Done => Ok(Decoded::End { consumed: 0 }),
            Self::Length(0) => {
                *self = Self::Done;
                Ok(Decoded::End { consumed: 0 })
            }
            Self::Length(_) | Self::UntilClose if bytes.is_empty() => Ok(Decoded::More { consumed: 0 }),
            Self::Length(left) => {
                let take = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= take as u64;
                Ok(Decoded::Data { data: 0..take, consumed: take })
            }
            Self::UntilClose => Ok(Decoded::Data { data: 0..bytes.len(), consumed: bytes.len() }),
            Self::Chunked(chunked) => {
                let decoded = chunked.decode(bytes)?;
                if matches!(decoded, Decoded::End { .. }) {
                    *self = Self::Done;
                }
                Ok(decoded)
            }
        }
    }
}

/// RFC 9112 §7.1, read strictly: CRLF everywhere, 1–15 hexadecimal digits, bounded extensions and trailers, both
/// thrown away.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    state: State,
    /// Of the line being read: its length.
    line: usize,
    digits: usize,
    size: u64,
    framing_bytes: u64,
    body_bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    Trailer,
    TrailerLf,
    EndLf,
}

impl Chunked {
    fn decode(&mut self, bytes: &[u8]) -> Result<Decoded, BadChunk> {
        let mut at = 0;
        while at < bytes.len() {
            if self.state == State::Data {
                let take = usize::try_from(self.size).map_or(bytes.len() - at, |left| left.min(bytes.len() - at));
                self.size -= take as u64;
                self.body_bytes += take as u64;
                if self.size == 0 {
                    self.state = State::DataCr;
                }
                return Ok(Decoded::Data { data: at..at + take, consumed: at + take });
            }
            let byte = bytes[at];
            at += 1;
            self.framing_bytes += 1;
            if self.framing_bytes > self.body_bytes.saturating_mul(16) + FRAMING_ALLOWANCE {
                return Err(BadChunk);
            }
            if self.step(byte)? {
                return Ok(Decoded::End { consumed: at });
            }
        }
        Ok(Decoded::More { consumed: at })
    }

    /// Takes one byte of framing; true at the end of the body.
    fn step(&mut self, byte: u8) -> Result<bool, BadChunk> {
        self.state = match (self.state, byte) {
            (State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).ok_or(BadChunk)?;
                self.digits += 1;
                if self.digits > 15 {
                    return Err(BadChunk);
                }
                self.size = self.size << 4 | u64::from(digit);
                State::Size
            }
            (State::Size, b'\r') if self.digits > 0 => State::SizeLf,
            (State::Size, b';') if self.digits > 0 => {
                self.line = 0;
                State::Extension
            }
            (State::Extension, b'\r') => State::SizeLf,
            (State::Extension, byte) if byte >= b' ' && byte != 0x7f || byte == b'\t' => {
                self.line += 1;
                if self.line > MAX_EXTENSION {
                    return Err(BadChunk);
                }
                State::Extension
            }
            (State::SizeLf, b'\n') => {
                self.digits = 0;
                self.line = 0;
                if self.size == 0 { State::TrailerStart } else { State::Data }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::EndLf, b'\n') => return Ok(true),
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::TrailerStart | State::TrailerName, byte) if is_token(byte) => {
                self.in_trailer()?;
                State::TrailerName
            }
            (State::TrailerName, b':') => State::Trailer,
            (State::Trailer, byte) if byte >= b' ' && byte != 0x7f || byte == b'\t' => {
                self.in_trailer()?;
                State::Trailer
            }
            _ => return Err(BadChunk),
        };
        Ok(false)
    }

    /// Counts a byte of the trailers.
    fn in_trailer(&mut self) -> Result<(), BadChunk> {
        self.line += 1;
        if self.line > MAX_TRAILER { Err(BadChunk) } else { Ok(()) }
    }
}

/// What names of fields are made of (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the bytes in pieces of `step`; the body, and what is left over.
    fn run(framing: Framing, bytes: &[u8], step: usize) -> Result<(Vec<u8>, usize), BadChunk> {
        let (mut decoder, mut body, mut at, mut seen) = (Decoder::new(framing), Vec::new(), 0, 0);
        loop {
            match decoder.decode(&bytes[at..seen])? {
                Decoded::Data { data, consumed } => {
                    body.extend_from_slice(&bytes[at..][data]);
                    at += consumed;
                }
                Decoded::End { consumed } => return Ok((body, bytes.len() - at - consumed)),
                Decoded::More { consumed } => {
                    at += consumed;
                    assert!(seen < bytes.len(), "incomplete");
                    seen = (seen + step).min(bytes.len());
                }
            }
        }
    }

    #[test]
    fn bodies_end_where_they_end_however_they_are_cut() {
        let chunked = b"3\r\nabc\r\n0a;x=y\r\n0123456789\r\n0\r\nx-trailer: dropped\r\n\r\nNEXT";
        for step in 1..chunked.len() {
            assert_eq!(run(Framing::Chunked, chunked, step).unwrap(), (b"abc0123456789".to_vec(), 4), "{step}");
            assert_eq!(run(Framing::Length(3), b"abcNEXT", step).unwrap(), (b"abc".to_vec(), 4));
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for text in [
            "\r\nabc",
            "x\r\n",
            "-1\r\n",
            "0x3\r\nabc",
            "3 \r\nabc",
            "3\nabc",
            "3\r\nabcd\r\n",
            "3\r\nabc\n",
            "1234567890abcdef\r\n",
            "0\r\nbad\x01: x\r\n\r\n",
            "0\r\nGET / HTTP/1.1\r\n\r\n",
            "0\r\n: x\r\n\r\n",
            "0\r\nx: y\r\n folded\r\n\r\n",
            "0\r\n\n",
        ] {
            let mut decoder = Decoder::new(Framing::Chunked);
            let (mut at, bytes) = (0, text.as_bytes());
            let failed = loop {
                match decoder.decode(&bytes[at..]) {
                    Ok(Decoded::Data { consumed, .. }) => at += consumed,
                    Ok(_) => break false,
                    Err(BadChunk) => break true,
                }
            };
            assert!(failed, "{text:?}");
        }
    }

    #[test]
    fn framing_is_bounded() {
        let mut long = b"1;".to_vec();
        long.extend(std::iter::repeat_n(b'x', 300));
        assert!(Decoder::new(Framing::Chunked).decode(&long).is_err());
        let mut trailers = b"0\r\n".to_vec();
        trailers.extend(b"x: y\r\n".repeat(3000));
        assert!(Decoder::new(Framing::Chunked).decode(&trailers).is_err());
    }
}
