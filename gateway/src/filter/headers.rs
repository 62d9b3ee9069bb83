//! Header edits of routes (docs/semantics.md §3.5).

use ir::format::{Format, Segment};

use crate::proxy::ctx::Ctx;
use crate::proxy::error::Failure;
use crate::proxy::head::{FieldId, Fields, RequestHead, ResponseHead};
use crate::telemetry::format::{Missing, Reader, Source, TooLong, render_within};

/// Edits ready to be carried out.
#[derive(Debug, Default)]
pub(crate) struct HeaderEdits {
    pub(crate) request: Box<[Op]>,
    pub(crate) response: Box<[Op]>,
}

#[derive(Debug)]
pub(crate) enum Op {
    Remove(Box<[u8]>),
    Set(Box<[u8]>, Value),
    Append(Box<[u8]>, Value),
}

#[derive(Debug)]
pub(crate) enum Value {
    Literal(Box<[u8]>),
    Format(Format),
}

impl HeaderEdits {
    pub(crate) fn compile(edits: &ir::HeaderEdits) -> Self {
        let ir::HeaderEdits { request, response } = edits;
        Self { request: request.iter().map(op).collect(), response: response.iter().map(op).collect() }
    }
}

fn op(op: &ir::HeaderOp) -> Op {
    match op {
        ir::HeaderOp::Remove { name } => Op::Remove(name.as_bytes().into()),
        ir::HeaderOp::Set { name, value } => Op::Set(name.as_bytes().into(), Value::compile(value)),
        ir::HeaderOp::Append { name, value } => Op::Append(name.as_bytes().into(), Value::compile(value)),
    }
}

impl Value {
    fn compile(format: &Format) -> Self {
        match format.segments() {
            [] => Self::Literal(Box::default()),
            [Segment::Literal(text)] => Self::Literal(text.as_bytes().into()),
            _ => Self::Format(format.clone()),
        }
    }

    /// Appends the value for this request to `out`, of which no more than `limit` bytes are wanted.
    fn write(&self, source: &Source<'_>, out: &mut Vec<u8>, limit: usize) -> Result<(), TooLong> {
        match self {
            Self::Literal(text) if text.len() > limit => Err(TooLong),
            Self::Literal(text) => {
                out.extend_from_slice(text);
                Ok(())
            }
            Self::Format(format) => {
                render_within(format, source, Missing::Empty, out, limit)?;
                // Whatever an operator yields, a value is one line without control characters.
                if !ir::text::is_field_text(out) {
                    out.retain(|byte| ir::text::is_field_text(&[*byte]));
                }
                Ok(())
            }
        }
    }
}

/// How large a head may be after edits.
#[derive(Clone, Copy, Debug)]
struct Room {
    bytes: usize,
    fields: usize,
}

impl Room {
    /// As large as one that a client sends, or as it came if that is more; what the proxy itself adds to every head does
    /// not count against the edits.
    fn new(ctx: &Ctx<'_>, bytes: usize, fields: usize) -> Self {
        let limits = ctx.connection.limits();
        Self {
            bytes: limits.max_head_bytes.max(bytes).saturating_add(OWN_BYTES),
            fields: limits.max_header_fields.max(fields).saturating_add(OWN_FIELDS),
        }
    }
}

/// What the proxy's own fields may take.
const OWN_BYTES: usize = 1024;
const OWN_FIELDS: usize = 32;

pub(crate) fn apply_request(ops: &[Op], request: &mut RequestHead, ctx: &Ctx<'_>) -> Result<(), Failure> {
    if ops.is_empty() {
        return Ok(());
    }
    let room = Room::new(ctx, request.size(), request.fields.len());
    let source = Source { ctx, request, response: None, reader: Reader::Tenant };
    let values = values(ops, &source, room.bytes).map_err(|TooLong| Failure::LargeRequest)?;
    carry_out(ops, values, &mut request.fields);
    let fits = request.size() <= room.bytes && request.fields.len() <= room.fields;
    if fits { Ok(()) } else { Err(Failure::LargeRequest) }
}

pub(crate) fn apply_response(
    ops: &[Op],
    response: &mut ResponseHead,
    request: &RequestHead,
    ctx: &Ctx<'_>,
) -> Result<(), Failure> {
    if ops.is_empty() {
        return Ok(());
    }
    let room = Room::new(ctx, response.fields.size(), response.fields.len());
    let source = Source { ctx, request, response: Some(response), reader: Reader::Tenant };
    let values = values(ops, &source, room.bytes).map_err(|TooLong| Failure::LargeResponse)?;
    carry_out(ops, values, &mut response.fields);
    let fits = response.fields.size() <= room.bytes && response.fields.len() <= room.fields;
    if fits { Ok(()) } else { Err(Failure::LargeResponse) }
}

/// The values of all edits, which speak of the head as it was before them; together no longer than `room`.
fn values(ops: &[Op], source: &Source<'_>, mut room: usize) -> Result<Vec<Vec<u8>>, TooLong> {
    let mut values = Vec::with_capacity(ops.len());
    for op in ops {
        let mut out = Vec::new();
        match op {
            Op::Remove(_) => {}
            Op::Set(_, value) | Op::Append(_, value) => value.write(source, &mut out, room)?,
        }
        room = room.saturating_sub(out.len());
        values.push(out);
    }
    Ok(values)
}

fn carry_out(ops: &[Op], values: Vec<Vec<u8>>, fields: &mut Fields) {
    for (op, value) in ops.iter().zip(values) {
        match op {
            Op::Remove(name) if !frames(name) => fields.remove_named(name),
            // An empty value does nothing (docs/semantics.md §3.5).
            Op::Set(name, _) if !value.is_empty() && !frames(name) => fields.set(name, &value),
            Op::Append(name, _) if !value.is_empty() && !frames(name) => fields.push(name, &value),
            Op::Remove(_) | Op::Set(..) | Op::Append(..) => {}
        }
    }
}

/// Fields that say where the message ends are the proxy's alone.
fn frames(name: &[u8]) -> bool {
    matches!(FieldId::of(name), FieldId::ContentLength | FieldId::TransferEncoding | FieldId::Connection)
}

impl std::fmt::Display for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = String::from_utf8_lossy;
        match self {
            Self::Remove(name) => write!(f, "remove {}", text(name)),
            Self::Set(name, value) => write!(f, "set {}: {value}", text(name)),
            Self::Append(name, value) => write!(f, "add {}: {value}", text(name)),
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Literal(text) => f.write_str(&String::from_utf8_lossy(text)),
            Self::Format(format) => write!(f, "{format}"),
        }
    }
}
