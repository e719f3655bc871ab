//! Engines of what is done to volumes, killed at every point: EC2 and the host are asked once, whoever dies meanwhile.

use std::collections::BTreeSet;
use std::time::Instant;

use azimuth::demo::cloud::Script;
use futures::future::join_all;
use serde_json::{Value, json};

use super::{Killed, is_heavy, print};
use crate::PATIENCE;
use crate::operations::{Desk, LOOK};
use crate::volumes::{Rig, instance, volume};

/// MiB a second; more than a volume has at first.
const RATE: i64 = 200;

/// How one is done to a volume `{id}` of a broker `{broker}`, and what is asked for it.
struct Deed {
    kind: &'static str,
    broker: i32,
    /// `{n}` and `{rate}` grow from one to the next, `{snapshot}` is one of the broker's, `{made}` a volume from one.
    line: &'static str,
    /// Brings back what was before; empty where the next goes further.
    back: &'static str,
    /// Operations, each with a word that its parameters hold.
    asks: &'static [(&'static str, &'static str)],
    /// Whether `volume show` tells that it is done; `None` where something else is made of the volume.
    done: Option<fn(&Value, i64) -> bool>,
}

const DEEDS: [Deed; 6] = [
    Deed {
        kind: "volume grow",
        broker: 2,
        line: "volume modify {id} --size {n}",
        back: "",
        asks: &[("ModifyVolume", "{id}"), ("SendCommand", "{instance}")],
        done: Some(|row, n| row["size_gib"] == json!(n) && row["filesystem_percent"].as_f64() > Some(97.0)),
    },
    Deed {
        kind: "volume faster",
        broker: 3,
        line: "volume modify {id} --throughput {rate}",
        back: "",
        asks: &[("ModifyVolume", "{id}")],
        done: Some(|row, n| {
            let limit = row["throughput_limit_mb_per_second"].as_f64().unwrap_or_default();
            (limit - (RATE + n) as f64 * 1.048_576).abs() < 0.01
        }),
    },
    Deed {
        kind: "volume snapshot",
        broker: 4,
        line: "volume snapshot --broker {broker}",
        back: "",
        asks: &[("CreateSnapshots", "{instance}")],
        done: None,
    },
    Deed {
        kind: "volume create",
        broker: 5,
        line: "volume create --from-snapshot {snapshot} --broker {broker}",
        back: "",
        asks: &[("CreateVolume", "{snapshot}")],
        done: None,
    },
    Deed {
        kind: "volume attach",
        broker: 6,
        line: "volume attach {made} --broker {broker} --device /dev/sdg",
        back: "volume detach {made} --yes",
        asks: &[("AttachVolume", "{made}")],
        done: None,
    },
    Deed {
        kind: "volume detach",
        broker: 6,
        line: "volume detach {made}",
        back: "volume attach {made} --broker {broker} --device /dev/sdh --yes",
        asks: &[("DetachVolume", "{made}")],
        done: None,
    },
];

/// One of them at a desk of its own.
struct Walk<'a> {
    deed: &'a Deed,
    rig: &'a Rig,
    desk: Desk,
    snapshot: String,
    /// A volume that no broker needs.
    made: String,
}

impl Walk<'_> {
    fn words(&self, line: &str, n: i64) -> String {
        let broker = self.deed.broker;
        line.replace("{id}", &volume(broker))
            .replace("{instance}", &instance(broker))
            .replace("{broker}", &broker.to_string())
            .replace("{n}", &n.to_string())
            .replace("{rate}", &(RATE + n).to_string())
            .replace("{snapshot}", &self.snapshot)
            .replace("{made}", &self.made)
    }

    /// How often EC2 and the host were asked for it so far. What is asked again with the same token is the same volume (EC2, "Ensuring
    /// idempotency in Amazon EC2 API requests"): who died before the answer was in the journal has to ask again.
    fn asked(&self) -> Vec<usize> {
        let all = self.rig.demo.cloud().asked();
        let of = |(operation, word): &(&str, &str)| {
            let word = self.words(word, 0);
            let own = all
                .iter()
                .filter(|one| one.operation == *operation && one.parameters["DryRun"] != "true");
            let own = own.filter(|one| one.parameters.to_string().contains(&word));
            let named = own.enumerate().map(|(at, one)| match &one.parameters["ClientToken"] {
                Value::String(token) => token.clone(),
                _ => at.to_string(),
            });
            named.collect::<BTreeSet<String>>().len()
        };
        self.deed.asks.iter().map(of).collect()
    }

    async fn walk(self) -> Vec<Killed> {
        let mut table = Vec::new();
        for (turn, at) in (1..).enumerate() {
            let n = turn as i64 + 2;
            self.rests().await;
            let before = self.asked();
            let latest = self.desk.latest().await;
            let line = self.words(self.deed.line, n);
            self.desk.dying(at, &line).await;
            let (id, shown) = self.desk.settled().await;
            let kind = self.deed.kind;
            assert_ne!(latest.as_ref(), Some(&id), "{kind}: nothing was begun at {at}");
            let once = || {
                let times = self.asked().into_iter().zip(&before).map(|(now, before)| now - before);
                times.collect::<Vec<usize>>()
            };
            if shown["state"] == "finished" {
                let each = once();
                assert!(
                    each.iter().all(|times| *times == 1),
                    "{kind} at {at}: {each:?} of {shown:#}"
                );
                return table;
            }
            assert_eq!(shown["state"], "orphaned", "{kind} at {at}: {shown:#}");
            let (done, all) = (&shown["steps_done"], shown["steps"].as_array().unwrap().len());
            let found = format!("{done} of {all} done");
            let way = if at.is_multiple_of(2) { "abort" } else { "resume" };
            let ran = self.desk.run(&format!("operation {way} {id} --yes")).await.ends(0);
            let ended = self.desk.operation(&id).await["state"].clone();
            if way == "resume" {
                assert_eq!(ended, json!("finished"), "{kind} at {at}");
                assert!(
                    once().iter().all(|times| *times == 1),
                    "{kind} at {at}: asked {:?} times",
                    once()
                );
                if let Some(is_done) = self.deed.done {
                    self.rig.shows(&volume(self.deed.broker), |row| is_done(row, n)).await;
                }
            } else {
                assert_eq!(ended, json!("aborted"), "{kind} at {at}");
                assert!(
                    once().iter().all(|times| *times <= 1),
                    "{kind} at {at}: asked {:?} times",
                    once()
                );
            }
            table.push(Killed {
                kind,
                whom: "engine",
                at,
                found,
                way,
                end: Killed::end(&ran.stdout),
            });
            if !self.deed.back.is_empty() && once() != [0] {
                self.rests().await;
                self.takes_back(n).await;
            }
        }
        table
    }

    /// What EC2 has not ended yet cannot be taken back yet.
    async fn takes_back(&self, n: i64) {
        let line = self.words(self.deed.back, n);
        let started = Instant::now();
        loop {
            let ran = self.desk.run(&line).await;
            if ran.status == 0 {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{line}: {}", ran.stderr);
            tokio::time::sleep(LOOK).await;
        }
    }

    /// EC2 takes one modification of a volume after the other, and four in a day, which a walk needs more than.
    async fn rests(&self) {
        let rests = |row: &Value| ["completed", ""].contains(&row["modification_state"].as_str().unwrap_or_default());
        let id = volume(self.deed.broker);
        self.rig.shows(&id, rests).await;
        let day = Script {
            rested: Some(id),
            ..Script::default()
        };
        self.rig.demo.cloud().script(&day).unwrap();
    }
}

/// What a command says that it has made: the first word that begins so.
fn made(said: &str, prefix: &str) -> String {
    let mut words = said.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words
        .find(|word| word.starts_with(prefix))
        .unwrap_or_else(|| panic!("no {prefix}: {said}"))
        .to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn engines_over_volumes_may_be_killed_anywhere() {
    if !is_heavy() {
        return;
    }
    let rig = Rig::start().await;
    let desk = Desk::in_demo(&rig.demo);
    for deed in &DEEDS {
        rig.shows(&volume(deed.broker), |row| row["broker"] == json!(deed.broker))
            .await;
    }
    let snapshot = async |broker: i32| {
        let line = format!("volume snapshot --broker {broker} --yes");
        made(&desk.run(&line).await.ends(0).stderr, "snap-")
    };
    let (fifth, sixth) = (snapshot(5).await, snapshot(6).await);
    let volumes = async |at: i32| {
        let line = format!("volume create --from-snapshot {sixth} --broker 6 --size {at} --yes");
        made(&desk.run(&line).await.ends(0).stderr, "vol-0000000ee")
    };
    // Only a broker that is stopped gives volumes away.
    let (one, other) = (volumes(2).await, volumes(3).await);
    desk.run("broker stop 6 --yes").await.ends(0);
    desk.run(&format!("volume attach {other} --broker 6 --device /dev/sdh --yes"))
        .await
        .ends(0);
    let walks = DEEDS.iter().map(async |deed| {
        let walk = Walk {
            deed,
            rig: &rig,
            desk: Desk::in_demo(&rig.demo),
            snapshot: fifth.clone(),
            made: if deed.kind == "volume attach" {
                one.clone()
            } else {
                other.clone()
            },
        };
        walk.walk().await
    });
    let table: Vec<Killed> = join_all(walks).await.into_iter().flatten().collect();
    print(&table.iter().collect::<Vec<_>>());
    for deed in &DEEDS {
        let points = table.iter().filter(|killed| killed.kind == deed.kind).count();
        assert!(points >= 8, "{points} points of a {}", deed.kind);
    }
    rig.demo.shutdown().await;
}
