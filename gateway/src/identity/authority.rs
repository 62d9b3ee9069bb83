//! Asks the mesh's authority for a certificate, in Istio's protocol.

use std::time::Duration;

use tonic::Status;
use wire::ca::IstioCertificateRequest;
use wire::ca::istio_certificate_service_client::IstioCertificateServiceClient;

use crate::identity::channel::Connection;
use crate::identity::credentials::Credential;

/// The authority may have to ask the API server first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// The metadata by which Istio's agents name their cluster.
const CLUSTER_ID: &str = "clusterid";

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Ask {
    /// PEM.
    pub(crate) request: String,
    pub(crate) lifetime: Duration,
    pub(crate) cluster: String,
}

/// The answer: certificates in PEM, the leaf first.
///
/// # Errors
/// When the authority refuses or cannot be heard.
pub(crate) async fn ask(connection: Connection, credential: &Credential, ask: Ask) -> Result<Vec<String>, Status> {
    let Ask { request, lifetime, cluster } = ask;
    let validity_duration = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
    let mut call = tonic::Request::new(IstioCertificateRequest { csr: request, validity_duration, metadata: None });
    call.set_timeout(ANSWER_TIMEOUT);
    if let Some(token) = credential.token() {
        let bearer = token.bearer().ok_or_else(|| Status::unauthenticated("the token cannot stand in a header"))?;
        call.metadata_mut().insert("authorization", bearer);
    }
    if let Ok(cluster) = cluster.parse() {
        call.metadata_mut().insert(CLUSTER_ID, cluster);
    }
    let mut client = IstioCertificateServiceClient::with_origin(connection.channel, connection.origin);
    // The time limit in the request is the other end's to keep; this one is ours.
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, client.create_certificate(call)).await;
    let answer = answer.map_err(|_| Status::deadline_exceeded("the authority does not answer"))??;
    Ok(answer.into_inner().cert_chain)
}
