//! What is done to a request between its head and its upstream. One file per feature; the order is here.

pub(crate) mod cors;
pub(crate) mod direct_response;
pub(crate) mod fault;
pub(crate) mod forwarded;
pub(crate) mod headers;
pub(crate) mod hygiene;
pub(crate) mod path;
#[cfg(test)]
mod properties;
pub(crate) mod redirect;
pub(crate) mod rewrite;

use std::sync::Arc;

use crate::proxy::ctx::Ctx;
use crate::proxy::error::Failure;
use crate::proxy::head::RequestHead;
use crate::proxy::http1::parse::Refusal;
use crate::table::{Route, Table};

/// What the table says about a request.
pub(crate) enum Outcome {
    Route(Arc<Route>),
    NoRoute,
    /// The virtual host answers plaintext requests with a redirect to https.
    HttpsRedirect,
}

/// Makes the request what routing, policy, logs and the upstream will all see.
pub(crate) fn prepare(ctx: &mut Ctx<'_>, request: &mut RequestHead) -> Result<(), Failure> {
    hygiene::check(request)?;
    path::normalise(request, ctx.table.settings().path_normalization)?;
    // Normalising may encode bytes, which makes three of one.
    if request.target().len() > ctx.connection.limits().max_head_bytes {
        return Err(Failure::Refused(Refusal::TooLarge));
    }
    forwarded::prepare(ctx, request);
    Ok(())
}

/// Listener → virtual host → first matching route.
pub(crate) fn choose(table: &Table, ctx: &Ctx<'_>, request: &RequestHead) -> Outcome {
    let Some(hosts) = ctx.connection.hosts(table) else { return Outcome::NoRoute };
    if hygiene::names_no_host(request) {
        return Outcome::NoRoute;
    }
    let Some(host) = hosts.find(request.authority()) else { return Outcome::NoRoute };
    if host.redirects(request) {
        return Outcome::HttpsRedirect;
    }
    // `OPTIONS *` asks about the server as a whole, which no route is.
    if !request.path().starts_with(b"/") {
        return Outcome::NoRoute;
    }
    match host.router.find(request) {
        Some(route) => Outcome::Route(Arc::clone(route)),
        None => Outcome::NoRoute,
    }
}
