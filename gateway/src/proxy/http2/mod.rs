//! HTTP/2 by way of the `h2` crate. Its and `http`'s header types end in this folder.

pub(crate) mod client;
pub(crate) mod rewind;
mod sender;
pub(crate) mod server;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::proxy::head::{FieldId, Fields};

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

fn fields_of(map: &HeaderMap) -> Fields {
    let mut fields = Fields::with_capacity(512, map.len() + 8);
    for (name, value) in map {
        fields.push(name.as_str().as_bytes(), value.as_bytes());
    }
    fields
}
