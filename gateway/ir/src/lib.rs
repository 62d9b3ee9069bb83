//! The contract: what a proxy is told.
//!
//! Plain closed types, owned by the consumer. They say what the proxy must do, never what the user typed; every
//! default, merge and precedence of Istio's objects has been decided before a value of this crate exists. Nothing
//! here does IO or knows of Kubernetes.

pub mod cluster;
pub mod codec;
pub mod endpoint;
pub mod format;
pub mod header;
pub mod listener;
pub mod name;
pub mod resource;
pub mod route;
pub mod secret;
pub mod settings;
pub mod text;

pub use cluster::{Balancing, Cluster, Discovery, ServiceIdentity, UpstreamProtocol};
pub use endpoint::{Endpoint, EndpointAddress, Endpoints};
pub use header::{HeaderEdits, HeaderOp};
pub use listener::{Bind, CertificateSource, Chain, Listener, ServerTls, TcpChain, TlsChain, TlsVersion};
pub use name::{ClusterName, Host, ListenerName, SecretName, TableName};
pub use resource::{Delta, Encoded, Key, Kind, Resource};
pub use route::{
    AbortReply, Binding, Cors, Destination, DirectResponse, Fault, FaultAbort, FaultDelay, Forward, HeaderMatch,
    PathMatch, PathRewrite, Precedence, QueryMatch, Redirect, RedirectPath, RetryOn, RetryPolicy, Route, RouteAction,
    RouteGroup, RouteMatch, RouteTable, ServerRank, StringMatch, ValueMatch,
};
pub use secret::{PrivateKey, Secret};
pub use settings::{AccessLog, AccessLogFormat, Limits, PathNormalization, ProxySettings, WorkloadIdentity};
pub use text::{
    Authority, HeaderFormat, HeaderName, HeaderText, PathPiece, PathText, RedirectStatus, ReplyStatus, Scheme,
    TextError,
};
