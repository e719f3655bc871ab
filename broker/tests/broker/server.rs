//! What a listener does with good and bad bytes. A controller's is used, because it serves without anyone else.

use std::time::Duration;

use azimuth_broker::node::{Config, Node, Surroundings};
use azimuth_broker::wire::{self, ErrorCode};
use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::{Decodable, StrBytes};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const DEADLINE: Duration = Duration::from_secs(10);

/// One node, and the folder it lives in.
struct Alone {
    node: Node,
    _dir: TempDir,
}

impl Alone {
    async fn with(properties: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let text = format!(
            "node.id=9\nprocess.roles=controller\nlisteners=CONTROLLER://127.0.0.1:0\n\
             controller.quorum.voters=9@127.0.0.1:1\ncontroller.listener.names=CONTROLLER\nlog.dirs={}\n{properties}",
            dir.path().display()
        );
        let config = Config::parse(&text, &[]).expect("good properties");
        let node = Node::start(config, Surroundings::default()).await.expect("starts");
        Self { node, _dir: dir }
    }

    async fn start() -> Self {
        Self::with("socket.request.max.bytes=1024\n").await
    }

    fn addr(&self) -> &str {
        &self.node.addresses()[0]
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr()).await.expect("connects")
    }
}

/// The next frame, or `None` when the server closed.
async fn answer(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let length = match tokio::time::timeout(DEADLINE, stream.read_u32())
        .await
        .expect("in time")
    {
        Ok(length) => length,
        Err(_) => return None,
    };
    let mut frame = vec![0; length as usize];
    stream.read_exact(&mut frame).await.expect("a whole frame");
    Some(frame)
}

fn api_versions(version: i16, correlation: i32) -> Vec<u8> {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("test"))
        .with_client_software_version(StrBytes::from_static_str("1"));
    let client = StrBytes::from_static_str("test");
    wire::encode_request(&request, version, correlation, &client)
        .expect("encodes")
        .to_vec()
}

#[tokio::test]
async fn requests_sent_together_are_answered_in_order() {
    let alone = Alone::start().await;
    let mut stream = alone.connect().await;
    let all: Vec<u8> = (0..50).flat_map(|id| api_versions(0, id)).collect();
    stream.write_all(&all).await.expect("writes");
    for id in 0..50_i32 {
        let frame = answer(&mut stream).await.expect("an answer");
        assert_eq!(frame[..4], id.to_be_bytes());
    }
}

#[tokio::test]
async fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let alone = Alone::start().await;
    let mut stream = alone.connect().await;
    let mut frame = BytesMut::new();
    frame.put_i32(13);
    frame.put_i16(ApiKey::ApiVersions as i16);
    frame.put_i16(99);
    frame.put_i32(7);
    frame.put_slice(b"\xff\xff\0\x01\x01");
    stream.write_all(&frame).await.expect("writes");
    let answer = answer(&mut stream).await.expect("an answer");
    assert_eq!(answer[..4], 7_i32.to_be_bytes());
    let response = ApiVersionsResponse::decode(&mut &answer[4..], 0).expect("version 0");
    assert_eq!(response.error_code, ErrorCode::UnsupportedVersion.code());
    assert_eq!(
        (response.api_keys[0].api_key, response.api_keys[0].max_version),
        (18, 4)
    );
}

#[tokio::test]
async fn bad_input_costs_only_its_own_connection() {
    let alone = Alone::start().await;
    let mut good = alone.connect().await;
    let bad: [&[u8]; 6] = [
        b"\x7f\xff\xff\xff",                                           // longer than any frame
        b"\xff\xff\xff\xff",                                           // a negative length
        b"\0\0\0\x02\0\x12",                                           // shorter than a header
        b"\0\0\0\x0a\0\x63\0\0\0\0\0\x01\xff\xff",                     // an API that does not exist
        b"\0\0\0\x0a\0\x03\0\x63\0\0\0\x01\xff\xff",                   // a version that does not exist
        b"\0\0\0\x0e\0\x12\0\x03\0\0\0\x01\xff\xff\0\xff\xff\xff\xff", // a string beyond the frame
    ];
    for bytes in bad {
        let mut stream = alone.connect().await;
        stream.write_all(bytes).await.expect("writes");
        assert_eq!(answer(&mut stream).await, None, "{bytes:?} is closed on");
        good.write_all(&api_versions(3, 1)).await.expect("writes");
        assert!(
            answer(&mut good).await.is_some(),
            "another connection goes on after {bytes:?}"
        );
    }
}

#[tokio::test]
async fn a_connection_beyond_the_limit_waits_for_a_place() {
    let alone = Alone::with("max.connections=1\n").await;
    let mut first = alone.connect().await;
    first.write_all(&api_versions(0, 1)).await.expect("writes");
    assert!(answer(&mut first).await.is_some());
    let mut second = alone.connect().await;
    second.write_all(&api_versions(0, 2)).await.expect("writes");
    let early = tokio::time::timeout(Duration::from_millis(50), second.read_u8()).await;
    assert!(early.is_err(), "it is not served yet");
    drop(first);
    assert!(answer(&mut second).await.is_some());
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let alone = Alone::with("connections.max.idle.ms=30\n").await;
    let mut stream = alone.connect().await;
    assert_eq!(answer(&mut stream).await, None);
}

#[tokio::test]
async fn stopping_closes_connections_and_frees_the_port() {
    let alone = Alone::start().await;
    let addr = alone.addr().to_owned();
    let mut stream = alone.connect().await;
    stream.write_all(&api_versions(0, 1)).await.expect("writes");
    assert!(answer(&mut stream).await.is_some());
    alone.node.shutdown().await;
    assert_eq!(answer(&mut stream).await, None);
    TcpListener::bind(&addr).await.expect("the port is free");
}
