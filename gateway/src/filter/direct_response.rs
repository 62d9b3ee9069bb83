//! Fixed answers of routes (docs/semantics.md §3.7).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::filter::headers::HeaderEdits;
use crate::filter::redirect;
use crate::proxy::head::RequestHead;
use crate::proxy::reply::Reply;

#[derive(Debug)]
pub(crate) struct DirectResponse {
    status: u16,
    body: Option<Box<[u8]>>,
    edits: HeaderEdits,
}

impl DirectResponse {
    pub(crate) fn compile(response: &ir::DirectResponse) -> Result<Self, base64::DecodeError> {
        let ir::DirectResponse { status, body, edits } = response;
        let body = body.as_ref().map(|text| STANDARD.decode(text)).transpose()?;
        Ok(Self { status: status.get(), body: body.map(Into::into), edits: HeaderEdits::compile(edits) })
    }

    pub(crate) fn reply(&self, request: &RequestHead) -> Reply<'_> {
        let mut reply = Reply::new(self.status, self.body.as_deref().unwrap_or_default());
        reply.edits = Some(&self.edits);
        if self.status == 304 {
            reply.head.fields.push(b"location", &redirect::url_of(request));
        }
        reply
    }
}
