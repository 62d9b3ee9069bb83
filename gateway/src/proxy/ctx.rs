//! What is kept about one request, for edits that speak of it, the access log and metrics.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::filter::cors::Allowed;
use crate::proxy::connection::Connection;
use crate::proxy::flags::Flags;
use crate::proxy::head::ResponseHead;
use crate::table::{Route, Table};
use crate::upstream::{Cluster, Endpoint};

pub(crate) struct Ctx<'c> {
    pub(crate) connection: &'c Connection,
    /// One table for the whole request, whatever happens meanwhile.
    pub(crate) table: Arc<Table>,
    pub(crate) started: Instant,
    pub(crate) wall: SystemTime,
    pub(crate) route: Option<Arc<Route>>,
    pub(crate) cluster: Option<Arc<Cluster>>,
    pub(crate) endpoint: Option<Arc<Endpoint>>,
    pub(crate) upstream_local: Option<SocketAddr>,
    /// Attempts that were started.
    pub(crate) attempts: u32,
    pub(crate) flags: Flags,
    pub(crate) details: Cow<'static, str>,
    /// Why the last attempt got no connection, as Envoy puts it.
    pub(crate) transport_failure: Cow<'static, str>,
    /// 0 until the head of the final response went out.
    pub(crate) status: u16,
    pub(crate) grpc_status: Option<u16>,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) grpc: bool,
    /// The origin that the response is to be shown to.
    pub(crate) cors: Option<Allowed>,
    /// The final response's head as it was sent, kept for the access log where there is one.
    pub(crate) response: Option<ResponseHead>,
    /// Address the client is believed to have: the peer, or what trusted proxies in front say (then with port 0).
    pub(crate) client: SocketAddr,
}

impl<'c> Ctx<'c> {
    pub(crate) fn new(connection: &'c Connection) -> Self {
        Self {
            table: connection.worker.shared.table.load_full(),
            connection,
            started: Instant::now(),
            wall: SystemTime::now(),
            route: None,
            cluster: None,
            endpoint: None,
            upstream_local: None,
            attempts: 0,
            flags: Flags::NONE,
            details: Cow::Borrowed(""),
            transport_failure: Cow::Borrowed(""),
            status: 0,
            grpc_status: None,
            bytes_received: 0,
            bytes_sent: 0,
            grpc: false,
            cors: None,
            response: None,
            client: connection.peer,
        }
    }

    /// Notes the head that is being sent.
    pub(crate) fn responding(&mut self, head: &ResponseHead) {
        self.status = head.status;
        if self.table.settings().access_log.is_some() {
            self.response = Some(head.clone());
        }
    }
}
