//! HTTP/2 by way of the `h2` crate. Its and `http`'s header types end in this folder.

mod blocks;
pub(crate) mod client;
mod hpack;
pub(crate) mod rewind;
mod sender;
pub(crate) mod server;
mod streams;
mod watch;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::proxy::head::{FieldId, Fields};
use crate::proxy::http1::parse::{BadLength, Framing, declared_length};
use crate::proxy::http1::write::Unwritable;
use crate::proxy::trailers::{Size, TooMany};

/// Fields as `h2` wants them. What HTTP/2 cannot carry is left out.
fn fields_to_map(fields: &Fields) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(fields.len());
    for (id, name, value) in fields.iter() {
        if id.is_hop_by_hop() || id == FieldId::Host {
            continue;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    map
}

/// The same for a head, of which nothing may be left out.
fn head_to_map(fields: &Fields) -> Result<HeaderMap, Unwritable> {
    let map = fields_to_map(fields);
    let carried = |id: FieldId| !id.is_hop_by_hop() && id != FieldId::Host;
    let all = fields.iter().filter(|(id, ..)| carried(*id)).count();
    if map.len() == all && !fields.is_overflown() { Ok(map) } else { Err(Unwritable) }
}

/// `extra` bytes of room are left for what the proxy adds.
fn fields_of(map: &HeaderMap, extra: usize) -> Fields {
    let bytes: usize = map.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let mut fields = Fields::with_capacity(bytes + extra, map.len() + 8);
    for (name, value) in map {
        fields.push(name.as_str().as_bytes(), value.as_bytes());
    }
    fields
}

/// Trailers within their bounds.
fn trailers_of(map: Option<HeaderMap>) -> Result<Option<Fields>, TooMany> {
    let Some(map) = map else { return Ok(None) };
    let mut size = Size::default();
    for (name, value) in &map {
        size.add(name.as_str().as_bytes(), value.as_bytes())?;
    }
    Ok(Some(fields_of(&map, 0)))
}

/// How a body is framed for the other side. `ended`: the head was all there is.
fn framing_of(map: &HeaderMap, ended: bool) -> Result<Framing, BadLength> {
    let declared = declared_length(map.get_all(http::header::CONTENT_LENGTH).iter().map(HeaderValue::as_bytes))?;
    Ok(match declared {
        _ if ended => Framing::None,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    })
}
