//! Header edits of routes (docs/semantics.md §3.5).

use ir::format::{Format, Segment};

use crate::proxy::ctx::Ctx;
use crate::proxy::head::{FieldId, Fields, RequestHead, ResponseHead};
use crate::telemetry::format::{Missing, Source, render};

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

    /// Appends the value for this request to `out`.
    fn write(&self, source: &Source<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Literal(text) => out.extend_from_slice(text),
            Self::Format(format) => {
                render(format, source, Missing::Empty, out);
                // Whatever an operator yields, a value is one line.
                out.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
            }
        }
    }
}

pub(crate) fn apply_request(ops: &[Op], request: &mut RequestHead, ctx: &Ctx<'_>) {
    if ops.is_empty() {
        return;
    }
    let values: Vec<Vec<u8>> = {
        let source = Source { ctx, request, response: None };
        ops.iter().map(|op| op.value(&source)).collect()
    };
    carry_out(ops, values, &mut request.fields);
}

pub(crate) fn apply_response(ops: &[Op], response: &mut ResponseHead, request: &RequestHead, ctx: &Ctx<'_>) {
    if ops.is_empty() {
        return;
    }
    let values: Vec<Vec<u8>> = {
        let source = Source { ctx, request, response: Some(response) };
        ops.iter().map(|op| op.value(&source)).collect()
    };
    carry_out(ops, values, &mut response.fields);
}

impl Op {
    fn value(&self, source: &Source<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Remove(_) => {}
            Self::Set(_, value) | Self::Append(_, value) => value.write(source, &mut out),
        }
        out
    }
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
