//! Routes, ready to be used.

use std::sync::Arc;
use std::time::Duration;

use router::RegexCache;

use crate::filter::cors::Cors;
use crate::filter::direct_response::DirectResponse;
use crate::filter::fault::Fault;
use crate::filter::headers::HeaderEdits;
use crate::filter::redirect::Redirect;
use crate::filter::rewrite::PathRewrite;
use crate::table::ClusterId;

/// What a matching request gets.
#[derive(Debug)]
pub struct Route {
    /// Of the group it comes from, for explanations.
    pub group: Arc<str>,
    /// For logs; empty = none.
    pub name: Arc<str>,
    /// Not subject to the virtual host's redirect to https.
    pub(crate) plaintext: bool,
    pub(crate) action: Action,
}

/// See the files of the same names in `filter`.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every route forwards")]
pub enum Action {
    #[expect(private_interfaces, reason = "opaque outside; explanations are made here")]
    Redirect(Redirect),
    #[expect(private_interfaces, reason = "opaque outside; explanations are made here")]
    DirectResponse(DirectResponse),
    Forward(Forward),
}

/// Sends the request to one of its destinations.
#[derive(Debug)]
pub struct Forward {
    destinations: Box<[Destination]>,
    total_weight: u64,
    pub(crate) path_rewrite: Option<PathRewrite>,
    pub(crate) authority: Option<ir::Authority>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<ir::RetryPolicy>,
    pub(crate) fault: Option<Fault>,
    pub(crate) cors: Option<Cors>,
}

/// A cluster with its share.
#[derive(Debug)]
pub struct Destination {
    pub(crate) cluster: ClusterId,
    /// Also where no such cluster exists.
    pub cluster_name: ir::ClusterName,
    pub weight: u32,
    pub(crate) edits: Box<HeaderEdits>,
    pub(crate) authority: Option<ir::Authority>,
    pub(crate) tell_original_host: bool,
}

/// Why a route cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RouteError {
    #[error("route {route}")]
    Match {
        route: String,
        #[source]
        source: router::CompileError,
    },
    #[error("path rewrite of route {route}")]
    Rewrite {
        route: String,
        #[source]
        source: router::RegexError,
    },
    #[error("origins of the CORS policy of route {route}")]
    Cors {
        route: String,
        #[source]
        source: router::RegexError,
    },
    #[error("body of the direct response of route {route}")]
    Body {
        route: String,
        #[source]
        source: base64::DecodeError,
    },
    #[error("route {route} has no destination with a positive weight")]
    NoDestination { route: String },
    #[error("binding names route list {index} of {count}")]
    NoSuchList { index: usize, count: usize },
}

impl Forward {
    pub(crate) fn compile(
        forward: &ir::Forward,
        route: &str,
        cache: &mut RegexCache,
        cluster: &mut impl FnMut(&ir::ClusterName) -> ClusterId,
    ) -> Result<Self, RouteError> {
        // No `..` here: a new field in the IR stops the build until someone decides what it does.
        let ir::Forward { destinations, path_rewrite, authority, timeout, retry, fault, cors } = forward;
        let total_weight = destinations.iter().map(|it| u64::from(it.weight)).sum();
        if total_weight == 0 {
            return Err(RouteError::NoDestination { route: route.to_owned() });
        }
        let path_rewrite = path_rewrite
            .as_ref()
            .map(PathRewrite::compile)
            .transpose()
            .map_err(|source| RouteError::Rewrite { route: route.to_owned(), source })?;
        let cors = cors
            .as_ref()
            .map(|cors| Cors::compile(cors, cache))
            .transpose()
            .map_err(|source| RouteError::Cors { route: route.to_owned(), source })?;
        Ok(Self {
            destinations: destinations.iter().map(|it| Destination::compile(it, cluster)).collect(),
            total_weight,
            path_rewrite,
            authority: authority.clone(),
            timeout: *timeout,
            retry: retry.clone(),
            fault: fault.as_ref().map(Fault::compile),
            cors,
        })
    }

    #[must_use]
    pub fn destinations(&self) -> &[Destination] {
        &self.destinations
    }

    /// A destination by weight.
    pub(crate) fn draw(&self) -> &Destination {
        match &*self.destinations {
            [only] => only,
            several => {
                let mut ticket = fastrand::u64(..self.total_weight);
                for destination in several {
                    match ticket.checked_sub(u64::from(destination.weight)) {
                        Some(rest) => ticket = rest,
                        None => return destination,
                    }
                }
                &several[several.len() - 1]
            }
        }
    }
}

impl Destination {
    fn compile(destination: &ir::Destination, cluster: &mut impl FnMut(&ir::ClusterName) -> ClusterId) -> Self {
        let ir::Destination { cluster: name, weight, edits, authority, tell_original_host } = destination;
        Self {
            cluster: cluster(name),
            cluster_name: name.clone(),
            weight: *weight,
            edits: Box::new(HeaderEdits::compile(edits)),
            authority: authority.clone(),
            tell_original_host: *tell_original_host,
        }
    }

    #[must_use]
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster
    }
}

impl Route {
    pub(crate) fn compile(
        route: &ir::Route,
        group: &Arc<str>,
        cache: &mut RegexCache,
        cluster: &mut impl FnMut(&ir::ClusterName) -> ClusterId,
    ) -> Result<Self, RouteError> {
        let action = match &route.action {
            ir::RouteAction::Redirect(redirect) => Action::Redirect(Redirect::compile(redirect)),
            ir::RouteAction::DirectResponse(response) => {
                let response = DirectResponse::compile(response)
                    .map_err(|source| RouteError::Body { route: route.name.clone(), source })?;
                Action::DirectResponse(response)
            }
            ir::RouteAction::Forward(forward) => {
                Action::Forward(Forward::compile(forward, &route.name, cache, cluster)?)
            }
        };
        let name = route.name.as_str().into();
        Ok(Self { group: Arc::clone(group), name, plaintext: route.plaintext, action })
    }

    #[must_use]
    pub fn action(&self) -> &Action {
        &self.action
    }
}
