//! What AWS is asked while people watch: several screens are open, and the account's limits hold for all of them together.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::operations::{LOOK, Screen};
use crate::volumes::{Rig, TEMPO, volume};

/// Tokens that an account has for one operation at first, of those that only tell and come in pages; and how many of them
/// come back in a minute. Source: EC2 developer guide, "Request throttling for the EC2 API".
const BUCKET: u64 = 100;
const REFILL: u64 = 20 * 60;

/// Of that a console takes a request a second at most, all operations together.
const A_MINUTE: u64 = 60;

/// Minutes of AWS that people watch.
const MINUTES: u64 = 3;

type Requests = BTreeMap<String, u64>;

fn since(before: &Requests, now: &Requests) -> Requests {
    let more = |(operation, count): (&String, &u64)| {
        let more = count - before.get(operation).copied().unwrap_or(0);
        (more > 0).then(|| (operation.clone(), more))
    };
    now.iter().filter_map(more).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_screens_together_ask_aws_for_less_than_an_account_may() {
    let rig = Rig::start().await;
    let cloud = rig.demo.cloud();
    let before = cloud.requests();
    // Each looks at something else that AWS tells.
    let mut screens = Vec::new();
    for (key, shown) in [("2", "az1"), ("5", &*volume(2)), ("7", "▸ check"), ("!", "LIMITS")] {
        let mut screen = Screen::open(&rig.desk, "dev");
        screen.shows("aws ●").await.press(key).shows(shown).await;
        screens.push(screen);
    }
    let opened = since(&before, &cloud.requests());
    assert!(opened.len() >= 5, "{opened:?}");
    for (operation, count) in &opened {
        assert!(
            *count <= BUCKET,
            "{operation} was asked {count} times to open {}: {opened:?}",
            screens.len()
        );
    }

    // Until what is looked at has been asked for once more.
    let (began, before) = (Instant::now(), cloud.requests());
    let minute = Duration::from_secs(60) / TEMPO;
    let watched = loop {
        let now = since(&before, &cloud.requests());
        if began.elapsed() >= minute * MINUTES as u32 && now.contains_key("DescribeVolumes") {
            break now;
        }
        assert!(began.elapsed() < PATIENCE, "nothing was asked: {now:?}");
        tokio::time::sleep(LOOK).await;
    };
    let minutes = (began.elapsed().as_secs_f64() / minute.as_secs_f64()).ceil() as u64;
    println!(
        "{} screens, {minutes} minutes of AWS: {watched:?}; to open them: {opened:?}",
        screens.len()
    );
    let all: u64 = watched.values().sum();
    let consoles = screens.len() as u64;
    assert!(
        all <= consoles * A_MINUTE * minutes,
        "{all} requests in {minutes} minutes: {watched:?}"
    );
    for (operation, count) in &watched {
        assert!(*count <= REFILL * minutes, "{operation}: {count} in {minutes} minutes");
    }
    for screen in screens {
        screen.quit().await;
    }
    rig.demo.shutdown().await;
}
