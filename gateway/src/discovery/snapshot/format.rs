//! What a snapshot looks like as bytes. Reading believes nothing that the checksum does not cover, and no length that
//! does not fit into what is there.
//!
//! ```text
//! "SLUICESN"  format u32  written u64 (ms since 1970)  count u32
//! count × (kind, name, version, body), each a length u32 and that many bytes
//! SHA-256 of all of the above
//! ```
//! Numbers are little-endian.

use std::io::{self, BufWriter, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ir::{Encoded, Key};
use sha2::{Digest as _, Sha256};
use wire::convert::{self, ConvertError};

const MAGIC: &[u8; 8] = b"SLUICESN";
/// Changes whenever old bytes can no longer be read.
const FORMAT: u32 = 1;
const HEADER: usize = 24;
const CHECKSUM: usize = 32;
/// Written at a time.
const BUFFER: usize = 64 << 10;
/// The lengths of a record.
const LENGTHS: usize = 16;

/// Why bytes are not a snapshot that can be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    #[error("it is not a snapshot")]
    NotASnapshot,
    #[error("it is of format {found}, and this version reads format {FORMAT}")]
    OtherFormat { found: u32 },
    #[error("it is damaged: the checksum does not fit")]
    Checksum,
    #[error("it is damaged: a length does not fit")]
    Length,
    #[error("it is damaged: a name is no text")]
    Text,
    #[error("it holds what this version cannot read")]
    Resource(#[from] ConvertError),
}

/// What was in force when it was written.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) written: SystemTime,
    pub(crate) resources: Vec<Encoded>,
}

/// Writes resources down and says how many bytes that took. Nothing is held in memory meanwhile.
///
/// # Errors
/// When the bytes cannot be written.
pub(crate) fn write<'a>(
    resources: impl ExactSizeIterator<Item = &'a Encoded>,
    written: SystemTime,
    out: impl Write,
) -> io::Result<u64> {
    let mut out = BufWriter::with_capacity(BUFFER, Summing { out, sum: Sha256::new(), bytes: 0 });
    let millis = written.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    out.write_all(MAGIC)?;
    out.write_all(&FORMAT.to_le_bytes())?;
    out.write_all(&u64::try_from(millis).unwrap_or(u64::MAX).to_le_bytes())?;
    out.write_all(&length(resources.len())?)?;
    for Encoded { key, version, body } in resources {
        for field in [convert::kind_name(key.kind).as_bytes(), key.name.as_bytes(), version.as_bytes(), body] {
            out.write_all(&length(field.len())?)?;
            out.write_all(field)?;
        }
    }
    let Summing { mut out, sum, bytes } = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    out.write_all(&sum.finalize())?;
    Ok(bytes + CHECKSUM as u64)
}

fn length(of: usize) -> io::Result<[u8; 4]> {
    u32::try_from(of).map(u32::to_le_bytes).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

/// Passes bytes on and remembers their sum.
struct Summing<W> {
    out: W,
    sum: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.sum.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads them back.
///
/// # Errors
/// When anything about the bytes is not as it was written.
pub(crate) fn decode(bytes: &[u8]) -> Result<Contents, FormatError> {
    let mut header = Reader(bytes);
    if header.take(MAGIC.len()).ok() != Some(MAGIC) {
        return Err(FormatError::NotASnapshot);
    }
    let found = header.number()?;
    if found != FORMAT {
        return Err(FormatError::OtherFormat { found });
    }
    let body = bytes.len().checked_sub(CHECKSUM).filter(|length| *length >= HEADER).ok_or(FormatError::Length)?;
    let (covered, checksum) = bytes.split_at(body);
    if Sha256::digest(covered).as_slice() != checksum {
        return Err(FormatError::Checksum);
    }
    let mut rest = Reader(covered);
    rest.take(MAGIC.len() + 4)?;
    let millis = u64::from_le_bytes(rest.array()?);
    let count = rest.number()? as usize;
    if count > rest.0.len() / LENGTHS {
        return Err(FormatError::Length);
    }
    let mut resources = Vec::with_capacity(count);
    for _ in 0..count {
        let kind = convert::kind(rest.text()?)?;
        let name = rest.text()?.into();
        let version = rest.text()?.into();
        let body = rest.field()?.into();
        resources.push(Encoded { key: Key { kind, name }, version, body });
    }
    if !rest.0.is_empty() {
        return Err(FormatError::Length);
    }
    let written = UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(UNIX_EPOCH);
    Ok(Contents { written, resources })
}

/// What has not been read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(FormatError::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        self.take(N)?.try_into().map_err(|_| FormatError::Length)
    }

    fn number(&mut self) -> Result<u32, FormatError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn field(&mut self) -> Result<&'a [u8], FormatError> {
        let length = self.number()?;
        self.take(usize::try_from(length).map_err(|_| FormatError::Length)?)
    }

    fn text(&mut self) -> Result<&'a str, FormatError> {
        std::str::from_utf8(self.field()?).map_err(|_| FormatError::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources() -> Vec<Encoded> {
        let table = |name: &str| {
            ir::codec::encode(&ir::Resource::RouteTable(ir::RouteTable {
                name: name.into(),
                https_redirect: vec!["shop.test".into()],
                namespaces_apart: false,
            }))
        };
        vec![table("http.80"), table("http.8080")]
    }

    fn encode(resources: &[Encoded]) -> Vec<u8> {
        let mut out = Vec::new();
        let written = UNIX_EPOCH + Duration::from_millis(1_234_567_890_123);
        assert_eq!(write(resources.iter(), written, &mut out).unwrap(), out.len() as u64);
        out
    }

    fn bytes() -> Vec<u8> {
        encode(&resources())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let contents = decode(&bytes()).unwrap();
        assert_eq!(contents.resources, resources());
        assert_eq!(contents.written, UNIX_EPOCH + Duration::from_millis(1_234_567_890_123));
        assert!(decode(&encode(&[])).unwrap().resources.is_empty());
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        let good = bytes();
        for index in 0..good.len() {
            for bit in [0x01, 0x80] {
                let mut bad = good.clone();
                bad[index] ^= bit;
                assert!(decode(&bad).is_err(), "byte {index}");
            }
        }
    }

    #[test]
    fn a_cut_or_a_longer_file_is_noticed() {
        let good = bytes();
        for length in 0..good.len() {
            assert!(decode(&good[..length]).is_err(), "{length} bytes");
        }
        let mut longer = good;
        longer.push(0);
        assert!(decode(&longer).is_err());
    }

    /// What somebody who can compute checksums may write.
    fn signed(mut body: Vec<u8>) -> Vec<u8> {
        let checksum = Sha256::digest(&body);
        body.extend_from_slice(&checksum);
        body
    }

    #[test]
    fn lengths_are_not_believed() {
        let good = bytes();
        let body = &good[..good.len() - CHECKSUM];
        let with = |at: usize, value: u32| {
            let mut bad = body.to_vec();
            bad[at..at + 4].copy_from_slice(&value.to_le_bytes());
            decode(&signed(bad)).unwrap_err()
        };
        for value in [3, 1_000_000, u32::MAX] {
            assert_eq!(with(20, value), FormatError::Length, "count {value}");
        }
        assert_eq!(with(20, 1), FormatError::Length, "what is left over");
        assert_eq!(with(24, u32::MAX), FormatError::Length);
        assert!(matches!(with(24, 3), FormatError::Resource(ConvertError::UnknownKind { .. })));
        assert_eq!(with(8, 2), FormatError::OtherFormat { found: 2 });
    }
}
