//! Connections that are no client's: in their thousands they leave the broker as it was.
//!
//! 5,000 in an ordinary run, 100,000 with `AZIMUTH_HEAVY`.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use azimuth_broker::env::random::Random;
use azimuth_broker::wire::{Client, ClientConfig};
use kafka_protocol::messages::MetadataRequest;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpSocket;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

const DEADLINE: Duration = Duration::from_secs(60);
/// Connections at the same time.
const SIDE_BY_SIDE: usize = 32;
/// Until memory is what it stays: buffers, and what the allocator keeps.
const WARM_UP: usize = 2_000;
/// What the resident memory may differ by afterwards; a leak of 100 bytes for each of 100,000 is more.
const RSS_SLACK_KIB: u64 = 8 << 10;
const SOURCES: usize = 200;

fn count() -> usize {
    if std::env::var_os("AZIMUTH_HEAVY").is_some() {
        100_000
    } else {
        5_000
    }
}

/// What is sent, and whether the broker is then left to end it.
#[derive(Debug, Clone, Copy)]
enum Garbage {
    Nothing,
    Noise,
    HalfFrame,
    HugeLength,
    NegativeLength,
    TlsHello,
    UnknownApi,
    BrokenBody,
    HalfAnswered,
}

const KINDS: [Garbage; 9] = [
    Garbage::Nothing,
    Garbage::Noise,
    Garbage::HalfFrame,
    Garbage::HugeLength,
    Garbage::NegativeLength,
    Garbage::TlsHello,
    Garbage::UnknownApi,
    Garbage::BrokenBody,
    Garbage::HalfAnswered,
];

impl Garbage {
    fn bytes(self, random: &Random) -> Vec<u8> {
        let noise = |length: u64| (0..length).map(|_| random.next_u64() as u8).collect::<Vec<u8>>();
        match self {
            Self::Nothing => Vec::new(),
            Self::Noise => noise(1 + random.below(512)),
            Self::HalfFrame => [&4_000_u32.to_be_bytes()[..], &noise(random.below(3_000))].concat(),
            Self::HugeLength => 0x7fff_ffff_u32.to_be_bytes().to_vec(),
            Self::NegativeLength => [&[0xff; 4][..], &noise(20)].concat(),
            // A ClientHello's record header; as a frame's length it is 369 MB.
            Self::TlsHello => [&b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"[..], &noise(200)].concat(),
            Self::UnknownApi => b"\0\0\0\x0a\x7f\x63\0\0\0\0\0\x01\xff\xff".to_vec(),
            // Metadata v12, then what is none.
            Self::BrokenBody => {
                let body = noise(40);
                let length = (11 + body.len()) as u32;
                [&length.to_be_bytes()[..], b"\0\x03\0\x0c\0\0\0\x07\xff\xff\0", &body].concat()
            }
            // ApiVersions v0 twice, whose answers are not read.
            Self::HalfAnswered => b"\0\0\0\x0a\0\x12\0\0\0\0\0\x07\xff\xff".repeat(2),
        }
    }

    /// Whether the broker ends the connection by itself.
    fn is_refused(self) -> bool {
        matches!(self, Self::HugeLength | Self::NegativeLength | Self::UnknownApi)
    }
}

/// One broker and its controller in one process.
struct Broker {
    child: Child,
    addr: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Broker {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut child = Command::new(env!("CARGO_BIN_EXE_azimuth-broker"))
            .args(["cluster", "--nodes", "1", "--port", "0", "--dir"])
            .arg(dir.path())
            .stdout(Stdio::piped())
            // One line for each bad connection.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let ready = tokio::time::timeout(DEADLINE, lines.next_line())
            .await
            .expect("in time");
        let ready = ready.expect("a line").expect("a line");
        let addr = ready
            .strip_prefix("ready ")
            .expect("ready")
            .parse()
            .expect("an address");
        Self { child, addr, _dir: dir }
    }

    fn proc(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.child.id().expect("it runs"))
    }

    fn descriptors(&self) -> usize {
        std::fs::read_dir(self.proc("fd")).expect("Linux").count()
    }

    fn rss_kib(&self) -> u64 {
        let status = std::fs::read_to_string(self.proc("status")).expect("Linux");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
        line.split_whitespace()
            .nth(1)
            .expect("a number")
            .parse()
            .expect("a number")
    }

    /// Waits until no more descriptors are open than `at_most`.
    async fn settled(&self, at_most: usize) {
        let until = Instant::now() + DEADLINE;
        while self.descriptors() > at_most {
            assert!(
                Instant::now() < until,
                "{} descriptors, {at_most} before",
                self.descriptors()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn answers(&self) {
        let client = Client::connect(self.addr.to_string(), &ClientConfig::default())
            .await
            .expect("connects");
        let request = MetadataRequest::default();
        client.call(request, DEADLINE).await.expect("answers");
    }

    /// `count` bad connections, one after the other in each of some tasks.
    async fn pelt(&self, count: usize, seed: u64) {
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for task in 0..SIDE_BY_SIDE {
            let (next, addr) = (Arc::clone(&next), self.addr);
            tasks.spawn(async move {
                let random = Random::seeded(seed + task as u64);
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        return;
                    }
                    let kind = KINDS[at % KINDS.len()];
                    connect(addr, at, kind, &random)
                        .await
                        .unwrap_or_else(|error| panic!("{kind:?}: {error}"));
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no task panics");
        }
    }
}

/// One bad connection, from an address of its own so that ports do not run out.
async fn connect(addr: SocketAddr, at: usize, kind: Garbage, random: &Random) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    let source = format!("127.0.9.{}:0", 1 + at % SOURCES);
    socket.bind(source.parse().expect("an address"))?;
    let mut stream = socket.connect(addr).await?;
    // Nothing lingers: closing resets.
    stream.set_zero_linger()?;
    match stream.write_all(&kind.bytes(random)).await {
        // It may be refused before all of it is sent.
        Err(error) if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => return Err(error),
        _ => {}
    }
    if kind.is_refused() {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
        assert!(read.is_ok(), "{kind:?} is left open");
        assert!(rest.is_empty(), "{kind:?} is answered");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_leaves_memory_and_descriptors_where_they_were() {
    let broker = Broker::start().await;
    broker.answers().await;
    let idle = broker.descriptors();
    broker.pelt(WARM_UP, 1).await;
    broker.settled(idle).await;
    broker.answers().await;
    broker.settled(idle).await;
    let (before, begun) = (broker.rss_kib(), Instant::now());
    broker.pelt(count(), 1_000).await;
    broker.settled(idle).await;
    broker.answers().await;
    broker.settled(idle).await;
    let after = broker.rss_kib();
    println!(
        "{} connections in {:.1?}; resident {before} KiB before, {after} KiB after; {idle} descriptors",
        count(),
        begun.elapsed()
    );
    assert!(
        after <= before + RSS_SLACK_KIB,
        "resident {before} KiB before, {after} KiB after"
    );
}
