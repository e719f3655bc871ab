//! Logging in, with librdkafka, with our own client, and with bytes that no client would send.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use azimuth_broker::cluster::{Cluster, ClusterConfig};
use azimuth_broker::wire::sasl::{Sasl, Scram};
use azimuth_broker::wire::{self, Client, ClientConfig, ErrorCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
use kafka_protocol::messages::{
    AlterUserScramCredentialsRequest, ApiVersionsRequest, DescribeUserScramCredentialsRequest, MetadataRequest,
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Request, StrBytes};
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Message, Offset, TopicPartitionList};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(60);
const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"node\" \
    password=\"node-secret\" user_node=\"node-secret\" user_alice=\"alice-secret\";";
const UNSECURED: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
    unsecuredValidatorAllowableClockSkewMs=\"3000\";";
const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"node\" \
    password=\"node-scram\";";

/// A cluster whose brokers log in everywhere, and the folder it lives in.
struct Home {
    cluster: Cluster,
    dir: TempDir,
}

impl Home {
    /// Clients find every mechanism; brokers use SCRAM among themselves and PLAIN at the controller.
    async fn start(nodes: u16, more: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut config = ClusterConfig::local(nodes, &[], dir.path(), 0);
        let protocols = "CLIENTS:SASL_PLAINTEXT,INTERNAL:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT";
        let mechanisms = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER";
        config.overrides = [
            ("group.initial.rebalance.delay.ms", "100"),
            ("offsets.topic.num.partitions", "1"),
            ("listener.security.protocol.map", protocols),
            ("inter.broker.listener.name", "INTERNAL"),
            ("sasl.mechanism.inter.broker.protocol", "SCRAM-SHA-512"),
            ("sasl.mechanism.controller.protocol", "PLAIN"),
            ("listener.name.clients.sasl.enabled.mechanisms", mechanisms),
            ("listener.name.clients.plain.sasl.jaas.config", PLAIN),
            ("listener.name.clients.oauthbearer.sasl.jaas.config", UNSECURED),
            ("listener.name.internal.sasl.enabled.mechanisms", "SCRAM-SHA-512"),
            ("listener.name.internal.scram-sha-512.sasl.jaas.config", SCRAM),
            ("listener.name.controller.sasl.enabled.mechanisms", "PLAIN"),
            ("listener.name.controller.plain.sasl.jaas.config", PLAIN),
        ]
        .iter()
        .chain(more)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
        config.users = vec![
            "SCRAM-SHA-512=[name=node,password=node-scram]".to_owned(),
            "SCRAM-SHA-512=[name=alice,password=\"alice-scram\",iterations=8192]".to_owned(),
            "SCRAM-SHA-256=[name=alice,password=alice-scram]".to_owned(),
        ];
        let cluster = Cluster::start(config).await.expect("a cluster");
        Self { cluster, dir }
    }

    fn addr(&self) -> String {
        self.cluster.addresses().swap_remove(0)
    }

    /// What librdkafka is configured with.
    fn client(&self, settings: &[(&str, &str)]) -> rdkafka::ClientConfig {
        let mut config = rdkafka::ClientConfig::new();
        config.set("bootstrap.servers", self.cluster.bootstrap());
        config.set("security.protocol", "sasl_plaintext");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        config
    }

    async fn connect(&self, sasl: Sasl) -> Result<Client, wire::Error> {
        let config = ClientConfig {
            connect_timeout: DEADLINE,
            sasl: Some(sasl),
            ..ClientConfig::default()
        };
        Client::connect(self.addr(), &config).await
    }

    async fn raw(&self) -> TcpStream {
        TcpStream::connect(self.addr()).await.expect("connects")
    }
}

/// Sends `count` records, and reads them back.
async fn round_trip(home: &Home, topic: &str, login: &[(&str, &str)], count: usize) {
    let producer: FutureProducer = home.client(login).set("acks", "all").create().expect("a producer");
    for number in 0..count {
        let value = number.to_string();
        let record = FutureRecord::<(), _>::to(topic).payload(&value);
        producer.send(record, DEADLINE).await.expect("acknowledged");
    }
    let consumer: BaseConsumer = home.client(login).set("group.id", topic).create().expect("a consumer");
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, 0, Offset::Beginning)
        .expect("an offset");
    consumer.assign(&from).expect("assigns");
    let read = tokio::task::spawn_blocking(move || {
        let until = Instant::now() + DEADLINE;
        let mut read = Vec::new();
        while read.len() < count {
            assert!(Instant::now() < until, "only {read:?}");
            if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                let message = message.expect("a record");
                read.push(String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned());
            }
        }
        read
    });
    let expected: Vec<_> = (0..count).map(|number| number.to_string()).collect();
    assert_eq!(read.await.expect("reads"), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_with_sasl_everywhere_serves_whoever_logs_in() {
    let home = Home::start(3, &[("default.replication.factor", "3")]).await;
    let password = |mechanism, secret| {
        [
            ("sasl.mechanism", mechanism),
            ("sasl.username", "alice"),
            ("sasl.password", secret),
        ]
    };
    round_trip(&home, "plain", &password("PLAIN", "alice-secret"), 3).await;
    round_trip(&home, "scram-256", &password("SCRAM-SHA-256", "alice-scram"), 3).await;
    round_trip(&home, "scram-512", &password("SCRAM-SHA-512", "alice-scram"), 3).await;
    let unsecured = [
        ("sasl.mechanism", "OAUTHBEARER"),
        ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
        ("sasl.oauthbearer.config", "principal=alice"),
    ];
    round_trip(&home, "bearer", &unsecured, 3).await;
    // Nothing of a password is kept in the metadata.
    let log = home
        .dir
        .path()
        .join("controller/__cluster_metadata-0/00000000000000000000.log");
    let log = std::fs::read(log).expect("the metadata log");
    let holds = |text: &str| log.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("alice") && holds("stored_key"));
    assert!(!holds("alice-scram") && !holds("alice-secret"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_go_through_tls_on_every_listener() {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let own = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    let protocols = "CLIENTS:SASL_SSL,INTERNAL:SASL_SSL,CONTROLLER:SASL_SSL";
    let home = Home::start(
        3,
        &[
            ("default.replication.factor", "3"),
            ("listener.security.protocol.map", protocols),
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.certificate.chain", &certificate),
            ("ssl.keystore.key", &key),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.certificates", &certificate),
        ],
    )
    .await;
    let login = [
        ("security.protocol", "sasl_ssl"),
        ("ssl.ca.pem", certificate.as_str()),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", "alice"),
        ("sasl.password", "alice-scram"),
    ];
    round_trip(&home, "tls", &login, 5).await;
}

/// Remembers whether librdkafka said that it was not let in.
#[derive(Default)]
struct Ears {
    refused: AtomicBool,
}

impl ClientContext for Ears {
    fn error(&self, error: KafkaError, _: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Authentication) {
            self.refused.store(true, Ordering::SeqCst);
        }
    }
}

impl ConsumerContext for Ears {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_and_an_unknown_user_are_refused_alike() {
    let home = Home::start(1, &[]).await;
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let mut client = home.client(&[("sasl.mechanism", mechanism), ("sasl.username", "alice")]);
        client.set("sasl.password", "wrong").set("group.id", "g");
        let consumer: BaseConsumer<Ears> = client.create_with_context(Ears::default()).expect("a consumer");
        consumer.subscribe(&["topic"]).expect("subscribes");
        let refused = tokio::task::spawn_blocking(move || {
            let until = Instant::now() + DEADLINE;
            while !consumer.context().refused.load(Ordering::SeqCst) {
                assert!(Instant::now() < until, "{mechanism} was not refused");
                let _ = consumer.poll(Duration::from_millis(50));
            }
        });
        refused.await.expect("refused");
    }
    let said = async |sasl| match home.connect(sasl).await {
        Err(error @ wire::Error::Login { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    for scram in Scram::ALL {
        let wrong = said(Sasl::scram(scram, "alice", "wrong")).await;
        let nobody = said(Sasl::scram(scram, "nobody", "wrong")).await;
        assert_eq!(wrong, nobody);
        assert!(
            wrong.contains("SaslAuthenticationFailed") && wrong.contains(scram.name()),
            "{wrong}"
        );
    }
    assert_eq!(
        said(Sasl::plain("alice", "wrong")).await,
        said(Sasl::plain("nobody", "wrong")).await
    );
}

fn upsertion(user: &str, scram: Scram, password: &str, iterations: i32) -> ScramCredentialUpsertion {
    let salt = format!("salt for {password}").into_bytes();
    let rounds = u32::try_from(iterations).ok().and_then(std::num::NonZeroU32::new);
    let salted = scram.salted_password(password, &salt, rounds.expect("more than 0"));
    ScramCredentialUpsertion::default()
        .with_name(StrBytes::from_string(user.to_owned()))
        .with_mechanism(scram.code())
        .with_iterations(iterations)
        .with_salt(salt.into())
        .with_salted_password(salted.into())
}

fn deletion(user: &'static str, mechanism: i8) -> ScramCredentialDeletion {
    ScramCredentialDeletion::default()
        .with_name(StrBytes::from_static_str(user))
        .with_mechanism(mechanism)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_made_changed_described_and_removed() {
    let home = Home::start(1, &[]).await;
    let admin = home
        .connect(Sasl::plain("alice", "alice-secret"))
        .await
        .expect("lets in");
    let alter = async |deletions: Vec<_>, upsertions: Vec<_>| {
        let request = AlterUserScramCredentialsRequest::default()
            .with_deletions(deletions)
            .with_upsertions(upsertions);
        let results = admin.call(request, DEADLINE).await.expect("an answer").results;
        let code = |code| ErrorCode::try_from_code(code).map(|code| format!("{code:?}"));
        let results = results.into_iter();
        results
            .map(|result| (result.user.to_string(), code(result.error_code)))
            .collect::<Vec<_>>()
    };
    let bob = |password| Sasl::scram(Scram::Sha256, "bob", password);
    let done = vec![("bob".to_owned(), None)];
    home.connect(bob("one")).await.expect_err("is not there yet");
    assert_eq!(
        alter(vec![], vec![upsertion("bob", Scram::Sha256, "one", 4096)]).await,
        done
    );
    home.connect(bob("one")).await.expect("lets in");
    assert_eq!(
        alter(vec![], vec![upsertion("bob", Scram::Sha256, "two", 8192)]).await,
        done
    );
    home.connect(bob("one")).await.expect_err("has another password");
    home.connect(bob("two")).await.expect("lets in");

    let refused = alter(
        vec![deletion("nobody", 1), deletion("ann", 7), deletion("", 1)],
        vec![
            upsertion("weak", Scram::Sha256, "x", 4095),
            upsertion("slow", Scram::Sha256, "x", 16385),
            upsertion("twice", Scram::Sha256, "x", 4096),
            upsertion("twice", Scram::Sha512, "x", 4096),
        ],
    )
    .await;
    let refused: Vec<_> = refused
        .iter()
        .map(|(user, code)| (user.as_str(), code.as_deref()))
        .collect();
    assert_eq!(
        refused,
        [
            ("nobody", Some("ResourceNotFound")),
            ("ann", Some("UnsupportedSaslMechanism")),
            ("", Some("UnacceptableCredential")),
            ("weak", Some("UnacceptableCredential")),
            ("slow", Some("UnacceptableCredential")),
            ("twice", Some("DuplicateResource")),
        ]
    );

    let asked = UserName::default().with_name(StrBytes::from_static_str("bob"));
    let request = DescribeUserScramCredentialsRequest::default().with_users(Some(vec![asked]));
    let described = admin.call(request, DEADLINE).await.expect("an answer").results;
    let info = &described[0].credential_infos[0];
    assert_eq!((described.len(), info.mechanism, info.iterations), (1, 1, 8192));
    assert_eq!(alter(vec![deletion("bob", 1)], vec![]).await, done);
    home.connect(bob("two")).await.expect_err("is removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_log_in_again_go_on_and_others_are_cut_off() {
    let home = Home::start(1, &[("listener.name.clients.connections.max.reauth.ms", "2000")]).await;
    let login = [
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", "alice"),
        ("sasl.password", "alice-scram"),
        ("acks", "all"),
    ];
    let producer: FutureProducer = home.client(&login).create().expect("a producer");
    let ours = home
        .connect(Sasl::scram(Scram::Sha256, "alice", "alice-scram"))
        .await
        .expect("lets in");
    let mut silent = home.raw().await;
    authenticate(&mut silent, "PLAIN", b"\0alice\0alice-secret").await;
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < Duration::from_secs(6) {
        let record = FutureRecord::<(), _>::to("again").payload("x");
        producer.send(record, DEADLINE).await.expect("acknowledged");
        ours.call(MetadataRequest::default(), DEADLINE)
            .await
            .expect("answers on one connection");
        sent += 1;
    }
    assert!(!ours.is_closed() && sent > 0);
    send(&mut silent, &MetadataRequest::default(), 9).await;
    assert_eq!(frame(&mut silent).await, None, "its login has ended");

    // Who it is and how it proves that cannot change.
    for (mechanism, token, said) in [
        ("PLAIN", &b"\0node\0node-secret"[..], "Cannot change principals"),
        (
            "SCRAM-SHA-256",
            b"n,,n=alice,r=x",
            "not supported for re-authentication",
        ),
    ] {
        let mut other = home.raw().await;
        let lifetime = authenticate(&mut other, "PLAIN", b"\0alice\0alice-secret").await;
        assert_eq!(lifetime, 2000);
        handshake(&mut other, mechanism, 1).await;
        let answer = token_of(&mut other, token).await.expect("an answer");
        assert_eq!(answer.error_code, ErrorCode::SaslAuthenticationFailed.code());
        let message = answer.error_message.expect("says why");
        assert!(message.contains(said), "{message}");
        assert_eq!(frame(&mut other).await, None);
    }
}

/// The next frame, or `None` when the server closed.
async fn frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let length = tokio::time::timeout(DEADLINE, stream.read_u32())
        .await
        .expect("in time")
        .ok()?;
    let mut frame = vec![0; length as usize];
    stream.read_exact(&mut frame).await.expect("a whole frame");
    Some(frame)
}

async fn send<R: Request>(stream: &mut TcpStream, request: &R, version: i16) {
    let client = StrBytes::from_static_str("raw");
    let bytes = wire::encode_request(request, version, 1, &client).expect("encodes");
    // A server that has closed is noticed by its answer.
    let _ = stream.write_all(&bytes).await;
}

async fn handshake(stream: &mut TcpStream, mechanism: &str, version: i16) -> SaslHandshakeResponse {
    let name = StrBytes::from_string(mechanism.to_owned());
    send(stream, &SaslHandshakeRequest::default().with_mechanism(name), version).await;
    let answer = frame(stream).await.expect("an answer");
    wire::decode_response::<SaslHandshakeRequest>(answer.into(), version).expect("decodes")
}

async fn token_of(stream: &mut TcpStream, token: &[u8]) -> Option<SaslAuthenticateResponse> {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(token.to_vec().into());
    send(stream, &request, 2).await;
    let answer = frame(stream).await?;
    Some(wire::decode_response::<SaslAuthenticateRequest>(answer.into(), 2).expect("decodes"))
}

/// Logs in with one message; returns for how many ms that holds.
async fn authenticate(stream: &mut TcpStream, mechanism: &str, token: &[u8]) -> i64 {
    assert_eq!(handshake(stream, mechanism, 1).await.error_code, 0);
    let answer = token_of(stream, token).await.expect("an answer");
    assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
    answer.session_lifetime_ms
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_a_login_comes_before_a_login() {
    let home = Home::start(1, &[("listener.name.clients.sasl.server.max.receive.size", "1000")]).await;
    let mut early = home.raw().await;
    send(&mut early, &ApiVersionsRequest::default(), 0).await;
    assert!(frame(&mut early).await.is_some(), "versions may be asked for");
    send(&mut early, &MetadataRequest::default(), 9).await;
    assert_eq!(frame(&mut early).await, None);

    let mut within = home.raw().await;
    handshake(&mut within, "PLAIN", 1).await;
    send(&mut within, &MetadataRequest::default(), 9).await;
    assert_eq!(frame(&mut within).await, None);

    let mut token_first = home.raw().await;
    assert!(token_of(&mut token_first, b"\0alice\0alice-secret").await.is_none());

    let mut long = home.raw().await;
    handshake(&mut long, "PLAIN", 1).await;
    assert!(
        token_of(&mut long, &[b'x'; 2000]).await.is_none(),
        "longer than is taken"
    );

    let mut other = home.raw().await;
    let answer = handshake(&mut other, "GSSAPI", 1).await;
    assert_eq!(answer.error_code, ErrorCode::UnsupportedSaslMechanism.code());
    let offered: Vec<_> = answer.mechanisms.iter().map(StrBytes::as_str).collect();
    assert_eq!(offered, ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]);
    assert_eq!(frame(&mut other).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_handshake_goes_on_with_bare_messages() {
    let home = Home::start(1, &[]).await;
    for (token, lets_in) in [(&b"\0alice\0alice-secret"[..], true), (b"\0alice\0wrong", false)] {
        let mut stream = home.raw().await;
        assert_eq!(handshake(&mut stream, "PLAIN", 0).await.error_code, 0);
        stream
            .write_u32(u32::try_from(token.len()).expect("short"))
            .await
            .expect("writes");
        stream.write_all(token).await.expect("writes");
        if lets_in {
            assert_eq!(frame(&mut stream).await, Some(Vec::new()));
            send(&mut stream, &MetadataRequest::default(), 9).await;
            assert!(frame(&mut stream).await.is_some());
            // Outside of a login, and without an end of it, there is no other.
            let again = handshake(&mut stream, "PLAIN", 1).await;
            assert_eq!(again.error_code, ErrorCode::IllegalSaslState.code());
        } else {
            assert_eq!(frame(&mut stream).await, None);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_never_log_in_take_no_place_of_others() {
    let home = Home::start(1, &[("listener.name.clients.max.connections", "8")]).await;
    let mut inside = home.raw().await;
    authenticate(&mut inside, "PLAIN", b"\0alice\0alice-secret").await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        let mut stream = home.raw().await;
        send(&mut stream, &ApiVersionsRequest::default(), 0).await;
        assert!(frame(&mut stream).await.is_some());
        silent.push(stream);
    }
    let mut one_more = home.raw().await;
    assert_eq!(
        frame(&mut one_more).await,
        None,
        "half of the places are for those that are logged in"
    );
    send(&mut inside, &MetadataRequest::default(), 9).await;
    assert!(frame(&mut inside).await.is_some());
    drop(silent.pop());
    let until = Instant::now() + DEADLINE;
    loop {
        assert!(Instant::now() < until, "no place became free");
        let mut stream = home.raw().await;
        send(&mut stream, &ApiVersionsRequest::default(), 0).await;
        if frame(&mut stream).await.is_some() {
            break;
        }
    }
}

/// Signs tokens, and gives them to librdkafka.
struct Issuer {
    key: Arc<KeyPair>,
    key_id: &'static str,
}

impl Issuer {
    fn token(&self, claims: &serde_json::Value) -> String {
        let header = serde_json::json!({"alg": "RS256", "kid": self.key_id});
        let part = |json: &serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .expect("signs");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn alice(&self, audience: &str) -> (String, i64) {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("after 1970")
            .as_secs();
        let claims = serde_json::json!({
            "sub": "alice", "iat": now, "exp": now + 600, "aud": audience, "iss": "https://issuer.example",
        });
        (self.token(&claims), i64::try_from(now + 600).expect("fits") * 1000)
    }

    /// The public key as a JSON web key set. Its DER form is two integers, the modulus of 256 bytes and the exponent.
    fn keys(&self) -> String {
        let der = self.key.public_key().as_ref();
        let start = der.len() - 256 - 5;
        let (modulus, exponent) = (&der[start..start + 256], &der[der.len() - 3..]);
        let text = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        serde_json::json!({"keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.key_id, "n": text(modulus), "e": text(exponent),
        }]})
        .to_string()
    }
}

impl ClientContext for Issuer {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let (token, lifetime_ms) = self.alice("kafka");
        Ok(OAuthToken {
            token,
            principal_name: "alice".to_owned(),
            lifetime_ms,
        })
    }
}

impl ConsumerContext for Issuer {}

/// A token that is there already.
struct Fixed(String);

impl wire::sasl::TokenSource for Fixed {
    fn token(&self) -> futures::future::BoxFuture<'_, Result<wire::sasl::Token, String>> {
        let token = wire::sasl::Token {
            value: self.0.as_str().into(),
            extensions: std::collections::BTreeMap::new(),
        };
        Box::pin(std::future::ready(Ok(token)))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_checked_with_the_keys_of_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.json");
    let key = Arc::new(KeyPair::generate(KeySize::Rsa2048).expect("a key"));
    let issuer = Issuer { key, key_id: "first" };
    std::fs::write(&file, issuer.keys()).expect("writes");
    let url = format!("file://{}", file.display());
    let home = Home::start(
        1,
        &[
            (
                "listener.name.clients.oauthbearer.sasl.jaas.config",
                "OAuthBearerLoginModule required;",
            ),
            ("listener.name.clients.sasl.oauthbearer.jwks.endpoint.url", &url),
            ("listener.name.clients.sasl.oauthbearer.expected.audience", "kafka"),
            (
                "listener.name.clients.sasl.oauthbearer.expected.issuer",
                "https://issuer.example",
            ),
        ],
    )
    .await;
    let fixed = |token: String| Sasl::oauth_bearer(Arc::new(Fixed(token)));
    home.connect(fixed(issuer.alice("kafka").0)).await.expect("lets in");
    let stranger = Issuer {
        key: Arc::new(KeyPair::generate(KeySize::Rsa2048).expect("a key")),
        key_id: "first",
    };
    let unsigned = {
        let token = issuer.alice("kafka").0;
        let claims = token.split('.').nth(1).expect("claims").to_owned();
        format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#))
    };
    for (token, what) in [
        (issuer.alice("another").0, "it is for another audience"),
        (stranger.alice("kafka").0, "it is signed by another key"),
        (unsigned, "it is not signed"),
        (
            issuer.token(&serde_json::json!({"sub": "alice", "iat": 1, "exp": 2, "aud": "kafka", "iss": "https://issuer.example"})),
            "it has expired",
        ),
    ] {
        let error = home.connect(fixed(token)).await.expect_err(what).to_string();
        assert!(error.contains("invalid_token"), "{what}: {error}");
    }

    let mut config = home.client(&[("sasl.mechanism", "OAUTHBEARER"), ("group.id", "g")]);
    let consumer: BaseConsumer<Issuer> = config
        .set("auto.offset.reset", "earliest")
        .create_with_context(issuer)
        .expect("a consumer");
    let seen = tokio::task::spawn_blocking(move || {
        let until = Instant::now() + DEADLINE;
        loop {
            // The token is asked for while it polls.
            let _ = consumer.poll(Duration::from_millis(50));
            match consumer.fetch_metadata(None, Duration::from_secs(2)) {
                Ok(metadata) => return metadata.brokers().len(),
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
        }
    });
    assert_eq!(seen.await.expect("sees the cluster"), 1);
}
