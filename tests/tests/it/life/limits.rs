//! Bounds that protect the gateway, and that everybody else does not notice.

use sluice_tests::Edge;
use sluice_tests::client::H2;
use sluice_tests::edge::{GATEWAY, host_rule};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

async fn start(limits: ir::Limits) -> Edge {
    let documents = [GATEWAY.to_owned(), host_rule("a", "{directResponse: {status: 299}}")];
    Edge::start_limited(&documents, gateway::Config::default(), Some(limits)).await
}

#[tokio::test]
async fn a_client_that_opens_streams_only_to_reset_them_is_cut_off() {
    let edge = start(ir::Limits::default()).await;
    let address = edge.port(8080).await;
    let mut other = H2::connect(address).await.unwrap();
    assert_eq!(other.get("a.test", "/").await.unwrap().status, 299);
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    // :method GET, :scheme http, :path / from the static table; :authority a.test as a literal.
    let block = [0x82, 0x86, 0x84, 0x01, 6, b'a', b'.', b't', b'e', b's', b't'];
    for index in 0..20_000_u32 {
        let id = (2 * index + 1).to_be_bytes();
        bytes.extend_from_slice(&[0, 0, u8::try_from(block.len()).unwrap(), 1, 5]);
        bytes.extend_from_slice(&id);
        bytes.extend_from_slice(&block);
        bytes.extend_from_slice(&[0, 0, 4, 3, 0]);
        bytes.extend_from_slice(&id);
        bytes.extend_from_slice(&[0, 0, 0, 8]);
    }
    // The rest is of no interest once the other side has closed.
    let _ = stream.write_all(&bytes).await;
    let mut all = Vec::new();
    let closed = tokio::time::timeout(std::time::Duration::from_secs(10), stream.read_to_end(&mut all)).await;
    assert!(closed.is_ok(), "the connection is still open");
    assert_eq!(other.get("a.test", "/").await.unwrap().status, 299);
}

#[tokio::test]
async fn a_field_block_without_end_is_cut_off() {
    let edge = start(ir::Limits::default()).await;
    let mut stream = tokio::net::TcpStream::connect(edge.port(8080).await).await.unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    bytes.extend_from_slice(&[0, 0, 3, 1, 1, 0, 0, 0, 1, 0x82, 0x86, 0x84]);
    stream.write_all(&bytes).await.unwrap();
    // CONTINUATION frames of 16 KiB, none of them the last.
    let mut frame = vec![0, 0x40, 0, 9, 0, 0, 0, 0, 1];
    let mut field = vec![0, 1, b'x', 0x7f, 0x81, 0x7e];
    field.resize(16 * 1024, b'y');
    frame.extend_from_slice(&field);
    let mut sent = 0;
    while sent < 4096 && stream.write_all(&frame).await.is_ok() {
        sent += 1;
    }
    assert!(sent < 4096, "64 MiB of field block were taken");
}
