//! The other end of a socket of the controller: how its replicas, and tests, come to it. Proxies have a way of their own,
//! which depends on nothing of the controller.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Error, Uri};

/// A connection to what listens at this address, whose certificate must have that name. `endpoint` says how it behaves;
/// where it points to counts for nothing but the requests' authority, and its scheme has to be `http`: TLS is done here.
///
/// # Errors
/// When nobody answers there, or as somebody else.
pub async fn connect(
    endpoint: Endpoint,
    address: SocketAddr,
    name: ServerName<'static>,
    mut config: ClientConfig,
) -> Result<Channel, Error> {
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let connect = tower::service_fn(move |_: Uri| {
        let (connector, name) = (connector.clone(), name.clone());
        async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(TokioIo::new(connector.connect(name, stream).await?))
        }
    });
    endpoint.connect_with_connector(connect).await
}
