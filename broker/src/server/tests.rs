//! What a listener does with good and bad bytes.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersionsResponse;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest};
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::StrBytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::env::clock::Clock;
use crate::env::disk::Disk;
use crate::env::net::{self, Net};
use crate::env::random::Random;
use crate::handler::{ControllerLink, Face, RemoteController};
use crate::id::NodeId;
use crate::image::Image;
use crate::image::property::Config;
use crate::log::{Identity, LogConfig, LogManager};
use crate::replica::{AlterPartition, LinkError, Options, ReplicaManager, WireLinks};
use crate::wire::{self, Client, ClientConfig, ErrorCode};

const DEADLINE: Duration = Duration::from_secs(10);

/// A broker's listener without a cluster behind it. The folder goes with the value.
struct Alone {
    server: Server,
    _dir: tempfile::TempDir,
}

impl Alone {
    async fn with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let text = "node.id=1\nprocess.roles=broker\ncontroller.quorum.voters=9@127.0.0.1:1\n";
        let config = Arc::new(Config::parse(text, &[]).expect("good properties"));
        let identity = Identity {
            cluster_id: "test".to_owned(),
            node_id: NodeId(1),
        };
        let dirs = [dir.path().to_owned()];
        let clock = Clock::system();
        let logs = LogManager::open(
            &dirs,
            Disk::real(),
            &identity,
            LogConfig::default(),
            clock.clone(),
            &Random::seeded(1),
        );
        let settings = Arc::clone(&config);
        let around = crate::replica::Surroundings {
            logs: Arc::new(logs.expect("opens")),
            controller: Arc::new(Nobody),
            leaders: Arc::new(WireLinks::default()),
            settings: Box::new(move |image, topic| settings.topic(image, topic)),
        };
        let controller = RemoteController::new("127.0.0.1:1".to_owned(), Net::default(), ClientConfig::default());
        let cx = Context {
            node: NodeId(1),
            face: Face::Broker,
            config,
            image: watch::channel(Arc::new(Image::empty())).1,
            controller: ControllerLink::Remote(Arc::new(controller)),
            replicas: ReplicaManager::new(Options::new(NodeId(1), uuid::Uuid::nil()), around),
            clock,
            producer_ids: Arc::default(),
        };
        let listener = net::bind("127.0.0.1:0").await.expect("binds");
        let server = Server::start(listener, "PLAINTEXT", Arc::new(cx), limits).expect("serves");
        Self { server, _dir: dir }
    }

    async fn start() -> Self {
        Self::with(Limits {
            frame_bytes: 1024,
            connections: 100,
            idle: Duration::from_secs(600),
        })
        .await
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.addr()).await.expect("connects")
    }
}

struct Nobody;

impl AlterPartition for Nobody {
    fn alter_partition(
        &self,
        _: kafka_protocol::messages::AlterPartitionRequest,
    ) -> futures::future::BoxFuture<'_, Result<kafka_protocol::messages::AlterPartitionResponse, LinkError>> {
        Box::pin(async { Err(LinkError("no one".to_owned())) })
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
async fn our_own_client_sees_what_is_served() {
    let alone = Alone::start().await;
    let client = Client::connect(alone.server.addr().to_string(), &ClientConfig::default())
        .await
        .expect("connects");
    let produce = client.api_versions().api_keys.iter().find(|api| api.api_key == 0);
    assert_eq!(
        produce.map(|api| api.min_version),
        Some(0),
        "or old clients stop compressing"
    );
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
    let alone = Alone::with(Limits {
        frame_bytes: 1024,
        connections: 1,
        idle: Duration::from_secs(600),
    })
    .await;
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
    let alone = Alone::with(Limits {
        frame_bytes: 1024,
        connections: 10,
        idle: Duration::from_millis(30),
    })
    .await;
    let mut stream = alone.connect().await;
    assert_eq!(answer(&mut stream).await, None);
}

#[tokio::test]
async fn stopping_closes_connections_and_frees_the_port() {
    let alone = Alone::start().await;
    let addr = alone.server.addr();
    let mut stream = alone.connect().await;
    stream.write_all(&api_versions(0, 1)).await.expect("writes");
    assert!(answer(&mut stream).await.is_some());
    alone.server.stop(DEADLINE).await;
    assert_eq!(answer(&mut stream).await, None);
    net::bind(&addr.to_string()).await.expect("the port is free");
}
