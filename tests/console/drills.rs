//! Every drill of the demo, seen from outside: `azimuth triage --watch` on a demo that goes wrong names the culprit, the next
//! step and what not to do.
//!
//! The demo starts well, and triage has to say so first. The time that a verdict may take is the time that Kafka itself needs until a
//! poll can carry the symptom (a session timeout, a lag, a rate), and ten seconds: exactly so in `tests/run --heavy`, and with
//! [`SLACK`] where the machine does something else too. Each test prints what it took.

use std::time::Duration;

use azimuth::demo::{Begin, Demo, Drill};
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::pty::Terminal;
use crate::watch::{Watch, brief};

/// Long enough for a demo that starts to be well, whatever else the machine does.
const WELL: Duration = seconds(120);
/// For how long triage has to watch until it knows how much is usual.
const USUAL: Duration = seconds(50);
/// How many times longer all may take beside other tests on few cores.
const SLACK: u32 = 4;
/// From the fault to the first answer in which the group has committed nothing for longer than it ever took: the members' last
/// commits (5 s), their longest pause as it was seen (10 s), and until the next look (5 s). See `model::pace::GroupPace`.
const CONSUMER_STANDS: Duration = seconds(20);
/// From the answer that carries the symptom to the verdict that names its culprit.
const VERDICT: Duration = seconds(10);

/// What triage has to say of a drill.
struct Expected {
    drill: &'static str,
    /// Kind and name of the culprit; several where two names are equally right.
    culprits: &'static [(&'static str, &'static str)],
    /// What one of the next steps begins with.
    next: &'static str,
    /// What is in one of the things not to do.
    dont: &'static str,
    /// Whether the demo is well at first, and for how long at least.
    well: Option<Duration>,
    /// Until an answer of Kafka can carry the symptom.
    symptom: Duration,
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn has(verdict: &Value, key: &str, good: impl Fn(&str) -> bool) -> bool {
    let all = verdict[key].as_array().into_iter().flatten();
    all.filter_map(|item| item["action"].as_str()).any(good)
}

/// Two demos at a time: six brokers, their clients and a watch, of which much is waiting, are what a core does in time.
pub static GROUND: Semaphore = Semaphore::const_new(2);

/// A drill that begins when it is told to.
fn on_call() -> (oneshot::Sender<()>, Begin) {
    let (call, called) = oneshot::channel();
    let called: BoxFuture<'static, ()> = Box::pin(async move {
        // Who does not call ends the demo.
        let _ = called.await;
    });
    (call, Begin::When(called))
}

fn patience(exactly: Duration) -> Duration {
    let heavy = std::env::var_os("AZIMUTH_HEAVY").is_some();
    exactly * if heavy { 1 } else { SLACK }
}

async fn drill(expected: Expected) {
    let _room = GROUND.acquire().await.unwrap();
    let drill = Drill::parse(expected.drill).unwrap();
    let (call, begin) = match expected.well {
        Some(_) => {
            let (call, begin) = on_call();
            (Some(call), begin)
        }
        None => (None, Begin::AtOnce),
    };
    let demo = Demo::start(Some((drill, begin)), None).await.unwrap();
    let started = Instant::now();
    let mut watch = Watch::of(&demo);
    // Well at first: what is said afterwards is said because of the drill. What is wrong from the start is excepted.
    if let (Some(call), Some(time)) = (call, expected.well) {
        watch
            .until(WELL, |verdict| verdict["status"] == "ok")
            .await
            .unwrap_or_else(|seen| panic!("{}: it is not well before it begins: {seen}", expected.drill));
        sleep_until(started + time).await;
        call.send(()).unwrap();
    }
    let began = Instant::now();
    let patience = patience(expected.symptom + VERDICT);
    let names = |verdict: &Value| {
        let culprit = &verdict["culprit"];
        expected.culprits.iter().any(|(kind, name)| {
            culprit["kind"] == *kind && culprit["name"].as_str().is_some_and(|is| is.starts_with(name))
        })
    };
    let verdict = watch
        .until(patience, |verdict| {
            verdict["status"] != "ok"
                && names(verdict)
                && has(verdict, "next", |action| action.starts_with(expected.next))
                && has(verdict, "dont", |action| action.contains(expected.dont))
        })
        .await;
    let took = began.elapsed();
    watch.end().await;
    assert!(demo.failed().is_none(), "{}: {:?}", expected.drill, demo.failed());
    demo.shutdown().await;
    let verdict = verdict.unwrap_or_else(|seen| panic!("{}: {seen}", expected.drill));
    println!("{} after {took:.1?}: {}", expected.drill, brief(&verdict));
}

macro_rules! drills {
    ($($test:ident: $expected:expr;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                drill($expected).await;
            }
        )*
    };
}

drills! {
    a_dead_broker: Expected {
        drill: "broker-down", culprits: &[("broker", "4")], next: "broker start 4", dont: "start reassignments", well: Some(Duration::ZERO), symptom: seconds(3),
    };
    a_lost_zone: Expected {
        drill: "zone-down", culprits: &[("az", "use1-az2")], next: "leader move --from-az use1-az2", dont: "start all brokers of use1-az2", well: Some(Duration::ZERO), symptom: seconds(3),
    };
    a_stalled_volume: Expected {
        drill: "volume-stalled", culprits: &[("broker", "5"), ("volume", "vol-")], next: "leader move --from-broker 5", dont: "restart broker 5", well: Some(Duration::ZERO), symptom: seconds(10),
    };
    a_slow_volume: Expected {
        drill: "volume-slow", culprits: &[("broker", "5"), ("volume", "vol-")], next: "leader move --from-broker 5", dont: "restart broker 5", well: Some(Duration::ZERO), symptom: seconds(10),
    };
    a_full_disk: Expected {
        drill: "disk-full", culprits: &[("broker", "5"), ("volume", "vol-")], next: "logdir relieve 5", dont: "rm segment files", well: Some(Duration::ZERO), symptom: seconds(15),
    };
    a_leader_alone_in_its_isr: Expected {
        drill: "isr-shrunk", culprits: &[("broker", "4")], next: "leader move --from-broker 4", dont: "restart broker 4", well: Some(Duration::ZERO), symptom: seconds(6),
    };
    a_runaway_producer: Expected {
        drill: "producer-runaway", culprits: &[("client", "")], next: "quota set", dont: "add brokers", well: Some(USUAL), symptom: seconds(10),
    };
    a_stuck_consumer: Expected {
        drill: "consumer-stuck", culprits: &[("group", "billing")], next: "group show billing", dont: "reset the offsets of billing", well: Some(USUAL), symptom: CONSUMER_STANDS,
    };
    a_throttle_that_was_left: Expected {
        drill: "throttle-left", culprits: &[("broker", "")], next: "throttle clear --foreign", dont: "raise the rate", well: Some(Duration::ZERO), symptom: seconds(60),
    };
    an_expired_certificate: Expected {
        drill: "certificate-expired", culprits: &[("broker", "4")], next: "replace the key store of broker 4", dont: "restart broker 4", well: Some(Duration::ZERO), symptom: seconds(10),
    };
    a_lost_controller: Expected {
        drill: "controller-lost", culprits: &[("broker", "1000")], next: "start controller 1000", dont: "restart brokers", well: Some(Duration::ZERO), symptom: seconds(4),
    };
}

/// It takes EC2 to know in which zone an instance is.
#[cfg(feature = "aws")]
mod with_aws {
    use super::*;

    drills! {
        a_broker_in_the_wrong_rack: Expected {
            drill: "rack-wrong", culprits: &[("broker", "3")], next: "set broker.rack=", dont: "reassign or create topics by rack before", well: None, symptom: seconds(20),
        };
    }
}

/// The account is throttled: that is said, and speaks against no zone and no broker. What AWS has told before stays and ages.
#[cfg(feature = "aws")]
#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_account() {
    let _room = GROUND.acquire().await.unwrap();
    let drill = Drill::parse("aws-throttled").unwrap();
    let (call, begin) = on_call();
    let demo = Demo::start(Some((drill, begin)), None).await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let file = demo.context_file().display().to_string();
    let mut terminal = Terminal::run(home.path(), &["--context-file", &file]);
    let shows = |terminal: &Terminal, what: &str, header: &str, is_aged: bool| {
        tokio::task::block_in_place(|| {
            terminal.until(what, |screen| {
                let mut lines = screen.lines();
                let titles = lines.clone().nth(2).unwrap_or_default();
                lines.next().is_some_and(|first| first.contains(header))
                    && screen.contains("vol-0")
                    && titles.split_whitespace().any(|title| title == "age") == is_aged
            });
        });
    };
    terminal.press("5");
    shows(&terminal, "shows what AWS tells", "aws ● $", false);
    let mut watch = Watch::of(&demo);
    call.send(()).unwrap();
    let told = |verdict: &Value| {
        let mut lines = verdict["lines"].as_array().into_iter().flatten();
        lines.any(|line| line.to_string().contains("THROTTLED")) && verdict["culprit"]["kind"] == "none"
    };
    let verdict = watch.until(WELL, told).await;
    watch.end().await;
    shows(&terminal, "keeps it, and says how old it is", "aws ▲ throttled", true);
    terminal.press("q");
    assert_eq!(tokio::task::block_in_place(|| terminal.ends()), 0);
    demo.shutdown().await;
    let verdict = verdict.unwrap();
    assert_ne!(verdict["status"], "fail", "{}", brief(&verdict));
}
