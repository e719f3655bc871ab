//! Engines of everything that moves no data, killed at every point.

use std::path::Path;
use std::time::Instant;

use azimuth_broker::cluster::{Cluster, ClusterConfig};
use futures::future::join_all;
use rdkafka::producer::BaseProducer;
use serde_json::{Value, json};

use super::{Killed, LANES, is_heavy, print};
use crate::PATIENCE;
use crate::load::fill;
use crate::operations::{Desk, LOOK, volumes};
use crate::{rules, source};

/// How one is done, how it is taken back, and what tells whether it is done.
struct Deed {
    kind: &'static str,
    /// `{at}` is the number of the point, for what only goes on: the next goes further. `{producer}` is one whose
    /// transaction is open.
    line: &'static str,
    /// The line that brings back what was before; `ID` is the operation. It may find nothing to do. Empty for what only
    /// goes on.
    back: &'static str,
    look: &'static str,
    /// What the answer of `look` holds when it is done; null where that finds nothing to do.
    done: fn(&Value, u32) -> bool,
    /// Why it cannot be taken up before it is done: what it needs is kept nowhere.
    lacks: Option<&'static str>,
}

const NONE: Deed = Deed {
    kind: "",
    line: "",
    back: "",
    look: "",
    done: |_, _| false,
    lacks: None,
};

const DEEDS: [Deed; 15] = [
    Deed {
        kind: "topic create",
        line: "topic create made --partitions 2 --replication-factor 3",
        back: "topic delete made --confirm dev",
        look: "topic list --name made",
        done: |told, _| told["items"] != json!([]),
        ..NONE
    },
    Deed {
        kind: "topic delete",
        line: "topic delete gone --confirm dev",
        back: "topic create gone --partitions 2 --replication-factor 3 --yes",
        look: "topic list --name gone",
        done: |told, _| told["items"] == json!([]),
        ..NONE
    },
    Deed {
        kind: "config set",
        line: "config set retention.ms=3600000 --topic kept",
        back: "config unset retention.ms --topic kept --yes",
        look: "config list --topic kept",
        done: |told, _| told.to_string().contains("3600000"),
        ..NONE
    },
    Deed {
        kind: "leader move",
        line: "leader move --from-broker 1 --topic led",
        back: "operation undo ID --yes",
        look: "topic show led",
        done: |told, _| {
            let mut led = told["items"][0]["partitions"].as_array().unwrap().iter();
            led.all(|one| one["leader"] != json!(1) && one["replicas"][0] != json!(1))
        },
        ..NONE
    },
    Deed {
        kind: "group reset",
        line: "group reset billing --to earliest",
        back: "group reset billing --to latest --yes",
        look: "group lag billing",
        done: |told, _| {
            let mut rows = told["items"].as_array().unwrap().iter();
            rows.all(|row| row["committed_offset"] == json!(0))
        },
        ..NONE
    },
    Deed {
        kind: "group delete",
        line: "group delete leaving",
        back: "group reset leaving --topic read --to latest --override exists --reason test --yes",
        look: "group list",
        done: |told, _| !told.to_string().contains("leaving"),
        ..NONE
    },
    Deed {
        kind: "acl apply",
        line: "acl apply more.acl",
        back: "acl apply none.acl --prune --yes",
        look: "acl list --principal etl",
        done: |told, _| told["items"] != json!([]),
        ..NONE
    },
    Deed {
        kind: "quota set",
        line: "quota set producer_byte_rate=1000000 --user etl",
        back: "quota unset producer_byte_rate --user etl --yes",
        look: "quota list",
        done: |told, _| told.to_string().contains("etl"),
        ..NONE
    },
    Deed {
        kind: "user set",
        line: "user set carol --password-file password",
        back: "user delete carol --yes",
        look: "user list",
        done: |told, _| told.to_string().contains("carol"),
        lacks: Some("the password of carol is kept nowhere; azimuth user set carol begins anew"),
    },
    Deed {
        kind: "user delete",
        line: "user delete dave",
        back: "user set dave --password-file password --yes",
        look: "user list",
        done: |told, _| !told.to_string().contains("dave"),
        ..NONE
    },
    Deed {
        kind: "topic truncate",
        line: "topic truncate full --before {at}",
        look: "topic show full",
        done: |told, at| told["items"][0]["partitions"][0]["start_offset"].as_u64() >= Some(at.into()),
        ..NONE
    },
    Deed {
        kind: "add partitions",
        line: "topic add-partitions wide --to {at}",
        look: "topic show wide",
        done: |told, at| told["items"][0]["partitions"].as_array().unwrap().len() >= at as usize,
        ..NONE
    },
    Deed {
        kind: "throttle clear",
        line: "throttle clear --broker 3",
        back: "config set leader.replication.throttled.rate=7000 --broker 3 --yes",
        look: "throttle list",
        done: |told, _| told["items"] == json!([]),
        ..NONE
    },
    Deed {
        kind: "transaction abort",
        line: "transaction abort open:0 --producer {producer} --override orphan,idle --reason test",
        look: "transaction abort open:0 --producer {producer} --override orphan,idle --reason test --dry-run",
        done: |told, _| told.is_null(),
        ..NONE
    },
    Deed {
        kind: "feature finalize",
        line: "feature finalize transaction.version --level 1",
        back: "feature finalize transaction.version --yes",
        look: "feature list",
        done: |told, _| {
            let items = told["items"].as_array().unwrap();
            let own = items
                .iter()
                .find(|one| one["feature"] == "transaction.version")
                .unwrap();
            own["finalized_level"] == json!(1)
        },
        ..NONE
    },
];

/// One of them at a place of its own.
struct Walk<'a> {
    deed: &'a Deed,
    desk: Desk,
    bootstrap: &'a str,
    /// Their transactions are open until the walk ends.
    producers: Vec<BaseProducer>,
}

impl Walk<'_> {
    /// Where one begins, and how far apart its points are.
    fn stride(&self) -> (u32, usize) {
        let at = DEEDS
            .iter()
            .position(|deed| deed.kind == self.deed.kind)
            .unwrap_or_default();
        // So that all of them together stand at every point.
        if is_heavy() {
            (1, 1)
        } else {
            (1 + at as u32 % LANES, LANES as usize)
        }
    }

    /// Kills the engine at the points of its way, until one comes to its end before; resumes and aborts in turn.
    async fn walk(mut self) -> Vec<Killed> {
        let mut table = Vec::new();
        let (first, stride) = self.stride();
        self.take_back("", first).await;
        for (turn, at) in (first..).step_by(stride).enumerate() {
            // A topic has one partition at first, and a log an offset 0.
            let number = turn as u32 + 2;
            let producer = self.producer(number).await;
            let of = |line: &str| {
                line.replace("{at}", &number.to_string())
                    .replace("{producer}", &producer)
            };
            let (line, look) = (of(self.deed.line), of(self.deed.look));
            let Some((killed, id)) = self.kill(at, number, &line, &look).await else {
                return table;
            };
            table.push(killed);
            self.take_back(&id, number).await;
        }
        table
    }

    /// `None` when it came to its end before that point.
    async fn kill(&self, at: u32, number: u32, line: &str, look: &str) -> Option<(Killed, String)> {
        let Self { deed, desk, .. } = self;
        let kind = deed.kind;
        let before = desk.latest().await;
        desk.dying(at, line).await;
        let (id, shown) = desk.settled().await;
        assert_ne!(before.as_ref(), Some(&id), "{kind}: nothing was begun at {at}");
        let is_done = async || (deed.done)(&self.told(look).await, number);
        if shown["state"] == "finished" {
            assert!(is_done().await, "{kind}: {shown:#}");
            return None;
        }
        assert_eq!(shown["state"], "orphaned", "{kind}: {shown:#}");
        let done = shown["steps_done"].as_u64().unwrap();
        let all = shown["steps"].as_array().unwrap().len() as u64;
        if done == all {
            assert!(is_done().await, "what is told as done is: {shown:#}");
        }
        let found = format!("{done} of {all} done");
        let way = if at.is_multiple_of(2) { "abort" } else { "resume" };
        let ran = desk.run(&format!("operation {way} {id} --yes")).await;
        let ended = desk.operation(&id).await["state"].clone();
        let ran = match deed.lacks {
            Some(why) if way == "resume" && done < all => {
                assert_eq!(ended, json!("failed"), "{kind} at {at}");
                assert_ne!(ran.status, 0, "{kind} at {at}");
                ran.answers(why)
            }
            _ => ran.ends(0),
        };
        match way {
            "resume" if ended == json!("failed") => assert!(deed.lacks.is_some(), "{kind} at {at}"),
            "resume" => {
                assert_eq!(ended, json!("finished"), "{kind} at {at}");
                assert!(is_done().await, "{kind}: it was finished at {at}");
            }
            _ => assert_eq!(ended, json!("aborted"), "{kind} at {at}"),
        }
        let killed = Killed {
            kind,
            whom: "engine",
            at,
            found,
            way,
            end: Killed::end(&ran.stdout),
        };
        Some((killed, id))
    }

    /// What a command tells; null where it finds nothing to do.
    async fn told(&self, look: &str) -> Value {
        let ran = self.desk.run(&format!("{look} -o json")).await;
        match ran.status {
            1 => Value::Null,
            _ => serde_json::from_str(&ran.stdout)
                .unwrap_or_else(|error| panic!("{look}: {error}\n{}{}", ran.stdout, ran.stderr)),
        }
    }

    /// The id of a producer whose transaction is open, where one is needed.
    async fn producer(&mut self, number: u32) -> String {
        if !self.deed.line.contains("{producer}") {
            return String::new();
        }
        let name = format!("open-{number}");
        self.producers
            .push(source::transact(self.bootstrap, &name, "open", 60_000).await);
        let listed = self.desk.json("transaction list").await;
        let items = listed["items"].as_array().unwrap();
        let own = items.iter().find(|one| one["transactional_id"] == json!(name));
        own.unwrap_or_else(|| panic!("{listed:#}"))["producer_id"].to_string()
    }

    /// As it was before, whatever became of the last one.
    async fn take_back(&self, id: &str, number: u32) {
        let Self { deed, desk, .. } = self;
        if deed.back.is_empty() || deed.back.contains("ID") && id.is_empty() {
            return;
        }
        let line = deed.back.replace("ID", id);
        let started = Instant::now();
        loop {
            // What was aborted half way may need it although it is not done.
            desk.run(&line).await;
            if !(deed.done)(&self.told(deed.look).await, number) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{} cannot be taken back", deed.kind);
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Four brokers with access rules, at which nobody is refused.
async fn ruled(folder: &Path) -> Cluster {
    let racks = ["a", "b", "c", "a"].map(str::to_owned);
    let mut config = ClusterConfig::local(4, &racks, folder, 0);
    volumes(&mut config, folder);
    config.overrides = rules::authorizes();
    Cluster::start(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn engines_of_other_operations_may_be_killed_anywhere() {
    let folder = tempfile::Builder::new().prefix("azimuth-killed-").tempdir().unwrap();
    let cluster = ruled(folder.path()).await;
    let bootstrap = cluster.bootstrap();
    let desk = Desk::of(&bootstrap);
    // Of the one that is led there is enough for broker 1 to lead some.
    for (topic, partitions) in [
        ("kept", 2),
        ("led", 8),
        ("read", 2),
        ("full", 1),
        ("wide", 1),
        ("open", 1),
    ] {
        let line = format!("topic create {topic} --partitions {partitions} --replication-factor 3 --yes");
        desk.run(&line).await.ends(0);
    }
    fill(&bootstrap, "read", 2, 4, 100).await;
    fill(&bootstrap, "full", 1, 100, 100).await;
    // A group with commits and without members.
    let started = Instant::now();
    while desk
        .run("group reset billing --topic read --to latest --override exists --reason test --yes")
        .await
        .status
        != 0
    {
        assert!(started.elapsed() < PATIENCE, "the group is never made");
        tokio::time::sleep(LOOK).await;
    }
    let walks = DEEDS.iter().map(async |deed| {
        let desk = Desk::of(&bootstrap);
        let rules = "scope principal User:etl\n";
        std::fs::write(desk.path("none.acl"), rules).unwrap();
        let rules = format!("{rules}allow User:etl to Read on topic read\n");
        std::fs::write(desk.path("more.acl"), rules).unwrap();
        std::fs::write(desk.path("password"), "open sesame 7\n").unwrap();
        let walk = Walk {
            deed,
            desk,
            bootstrap: &bootstrap,
            producers: Vec::new(),
        };
        walk.walk().await
    });
    let table: Vec<Killed> = join_all(walks).await.into_iter().flatten().collect();
    print(&table.iter().collect::<Vec<_>>());
    let least = if is_heavy() { 8 } else { 2 };
    for deed in &DEEDS {
        let points = table.iter().filter(|killed| killed.kind == deed.kind).count();
        assert!(points >= least, "{points} points of a {}", deed.kind);
    }
    cluster.shutdown().await;
}
