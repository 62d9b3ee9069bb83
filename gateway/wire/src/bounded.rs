//! Reading of messages whose size in memory follows from their size on the wire: an empty name costs two bytes there and
//! a whole string here, so that a message of nothing else would take ten times as much and more. Such a message is
//! refused before anything is made of it.

use std::marker::PhantomData;

use bytes::Buf as _;
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstDecoder, ProstEncoder};

use crate::discovery::{Request, Response};

/// A message may have so many parts in any case.
const PARTS: usize = 1_000;
/// And one more for each so many bytes. Real names and versions are longer.
const BYTES_PER_PART: usize = 8;

/// A message whose parts can be counted before it is read.
pub trait Parts {
    /// How many strings and messages there are in these bytes, about; `None` when there are too many for its size.
    fn parts(bytes: &[u8]) -> Option<usize>;
}

impl Parts for Request {
    fn parts(bytes: &[u8]) -> Option<usize> {
        let most = PARTS + bytes.len() / BYTES_PER_PART;
        let mut count = 0;
        let mut fields = Fields(bytes);
        while let Some((number, content)) = fields.next() {
            count += 1;
            // Subscriptions are lists of their own.
            if let (2 | 3, Some(content)) = (number, content) {
                let mut names = Fields(content);
                while names.next().is_some() {
                    count += 1;
                    if count > most {
                        return None;
                    }
                }
            }
            if count > most {
                return None;
            }
        }
        Some(count)
    }
}

impl Parts for Response {
    /// Controllers are believed.
    fn parts(_: &[u8]) -> Option<usize> {
        Some(0)
    }
}

/// The fields of a message, as far as they can be read: what is broken is for the decoder to refuse.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The number of the next field, and its bytes where it has a length.
    fn next(&mut self) -> Option<(u64, Option<&'a [u8]>)> {
        let tag = self.varint()?;
        let content = match tag & 7 {
            0 => {
                self.varint()?;
                None
            }
            1 => {
                self.take(8)?;
                None
            }
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Some(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                None
            }
            _ => return None,
        };
        Some((tag >> 3, content))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in 0..10 {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f).checked_shl(7 * shift).unwrap_or_default();
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (content, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }
}

/// Protobuf, read with care.
#[derive(Clone, Debug)]
pub struct BoundedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Parts + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> ProstEncoder<T> {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> BoundedDecoder<U> {
        BoundedDecoder(ProstDecoder::default())
    }
}

/// The reading half of [`BoundedCodec`].
#[derive(Debug)]
pub struct BoundedDecoder<U>(ProstDecoder<U>);

impl<U: Message + Default + Parts> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // The whole message lies in one piece.
        if U::parts(buffer.chunk()).is_none() {
            return Err(Status::invalid_argument("the message has more parts than its size allows"));
        }
        self.0.decode(buffer)
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}

#[cfg(test)]
mod tests {
    use ir::{Key, Kind};

    use super::*;
    use crate::convert;
    use crate::discovery::{Digest, ResourceVersion, Subscription};

    fn parts(request: &Request) -> Option<usize> {
        Request::parts(&request.encode_to_vec())
    }

    #[test]
    fn messages_of_nothing_are_not_read() {
        let subscribe = vec![Subscription { kind: String::new(), names: vec![String::new(); 100_000] }];
        assert_eq!(parts(&Request { subscribe: subscribe.clone(), ..Request::default() }), None);
        assert_eq!(parts(&Request { unsubscribe: subscribe, ..Request::default() }), None);
        let versions = vec![ResourceVersion::default(); 100_000];
        assert_eq!(parts(&Request { initial_resource_versions: versions, ..Request::default() }), None);
        assert_eq!(parts(&Request { digests: vec![Digest::default(); 100_000], ..Request::default() }), None);
    }

    #[test]
    fn what_a_proxy_lists_is_read() {
        let names = (0..30_000).map(|index| format!("outbound|80||s{index}.a.svc"));
        let versions = (0..30_000).map(|index| {
            let key = Key { kind: Kind::Secret, name: format!("s{index}").into() };
            convert::resource_version(&key, "0123456789abcdef0123456789abcdef")
        });
        let request = Request {
            subscribe: vec![convert::subscription(Kind::Cluster, names), convert::wildcard(Kind::Listener)],
            initial_resource_versions: versions.collect(),
            ..Request::default()
        };
        // The kind and the name of each subscription count as well.
        assert_eq!(parts(&request), Some(2 + 30_001 + 2 + 30_000));
        assert_eq!(parts(&Request::default()), Some(0));
        let few = convert::subscription(Kind::Cluster, vec!["a".to_owned(); 900]);
        assert_eq!(parts(&Request { subscribe: vec![few], ..Request::default() }), Some(902));
    }

    #[test]
    fn broken_bytes_are_left_to_the_decoder() {
        for bytes in [&[0xff; 11][..], &[0x12], &[0x12, 0x05, 1], &[0x0b], &[0x80]] {
            assert!(Request::parts(bytes).is_some());
            assert!(Request::decode(bytes).is_err());
        }
    }
}
