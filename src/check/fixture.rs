//! Six healthy brokers in three zones, built by hand, and what can happen to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Act, Cause, Facts, Triage, cause};
use crate::model::broker::{Broker, Link};
use crate::model::cloud::{Instance, Metrics, Point, Volume, VolumeMetrics, Zone};
use crate::model::cluster::Cluster;
use crate::model::config::{Config, ConfigSource};
use crate::model::event::{Event, EventKind, Events, Symptom};
use crate::model::group::{Commit, Group, Member};
use crate::model::history::{Basis, GroupPast, History, Since, Standing, Window};
use crate::model::identity::Rules;
use crate::model::logdir::LogDir;
use crate::model::offset::{Offsets, Span};
use crate::model::pace::{GroupLook, GroupPace, Pace, Surge};
use crate::model::probe::Probe;
use crate::model::quorum::{Quorum, Voter};
use crate::model::reassignment::Reassignment;
use crate::model::row::Rows;
use crate::model::topic::{Partition, Topic};
use crate::model::{BrokerId, Moment, Observed, Snapshot, Trouble};

/// Brokers 1 and 2 in az1, 3 and 4 in az2, 5 and 6 in az3; topic `orders` with twelve partitions, RF 3, min ISR 2.
pub struct Six {
    pub snapshot: Snapshot,
}

pub fn now() -> Moment {
    "2026-11-22T21:04:00Z".parse().unwrap()
}

pub fn ago(seconds: i64) -> Moment {
    now() - jiff::SignedDuration::from_secs(seconds)
}

fn zone(id: BrokerId) -> String {
    format!("az{}", (id + 1) / 2)
}

fn address(id: BrokerId) -> String {
    format!("10.0.{}.{}", (id + 1) / 2, 10 + id)
}

/// A partition's replicas: one of each zone, leaders rotate over all six, and their neighbours change.
fn replicas(partition: i32) -> Vec<BrokerId> {
    let leader = partition % 6 + 1;
    let zone = (leader - 1) / 2;
    let other = |n: i32| (zone + n) % 3 * 2 + (leader + n + partition / 6) % 2 + 1;
    vec![leader, other(1), other(2)]
}

impl Six {
    pub fn healthy() -> Self {
        let ids = || 1..=6;
        let broker = |id: BrokerId| Broker {
            id,
            host: address(id),
            port: 9092,
            rack: Some(zone(id)),
            fenced: false,
        };
        let cluster = Cluster {
            id: "six".into(),
            controller: Some(1),
            brokers: ids().map(broker).collect(),
            version: Some("4.3".into()),
        };
        let partition = |partition: i32| Partition {
            partition,
            leader: Some(replicas(partition)[0]),
            leader_epoch: 1,
            replicas: replicas(partition).into(),
            isr: replicas(partition).into(),
            eligible: [].into(),
        };
        let topic = Topic {
            name: "orders".into(),
            id: uuid::Uuid::from_u128(7),
            internal: false,
            partitions: (0..12).map(partition).collect(),
        };
        let min_isr = Config {
            name: "min.insync.replicas".into(),
            value: Some("2".into()),
            source: ConfigSource::Topic,
            sensitive: false,
            read_only: false,
            documentation: None,
            synonyms: Vec::new(),
        };
        let voter = |id| Voter {
            id,
            log_end_offset: 5_000,
            last_fetch_ms: Some(1_000_000),
            last_caught_up_ms: Some(1_000_000),
            directory: None,
        };
        let quorum = Quorum {
            leader: Some(101),
            leader_epoch: 3,
            high_watermark: 5_000,
            voters: vec![voter(101), voter(102), voter(103)],
            observers: Vec::new(),
            ..Quorum::default()
        };
        let mut events = Events::default();
        events.watched_since = Some(ago(600));
        let mut six = Self {
            snapshot: Snapshot {
                taken_at: Some(now()),
                cluster: Observed::fresh(cluster, ago(1)),
                topics: Observed::fresh(vec![topic], ago(1)),
                topic_configs: Observed::fresh(BTreeMap::from([("orders".to_owned(), vec![min_isr])]), ago(1)),
                quorum: Observed::fresh(quorum, ago(1)),
                reassignments: Observed::fresh(Vec::new(), ago(1)),
                groups: Observed::fresh(Vec::new(), ago(1)),
                links: ids()
                    .map(|id| {
                        (
                            id,
                            Observed::fresh(
                                Link {
                                    rtt_ms: 0.4,
                                    release: None,
                                },
                                ago(1),
                            ),
                        )
                    })
                    .collect(),
                events: Arc::new(events),
                ..Snapshot::default()
            },
        };
        for id in ids() {
            six.disk(id, 40).paces(id, 1).probe(id, None);
        }
        six
    }

    pub fn causes(&self) -> Vec<Cause> {
        self.with(&[], cause::all)
    }

    pub fn triage(&self) -> Triage {
        self.triage_during(&[])
    }

    /// While these operations run.
    pub fn triage_during(&self, acts: &[Act]) -> Triage {
        self.with(acts, Triage::of)
    }

    pub fn with<R>(&self, acts: &[Act], judge: impl FnOnce(&Facts<'_>) -> R) -> R {
        let rows = Rows::of(&self.snapshot, now());
        judge(&Facts {
            snapshot: &self.snapshot,
            rows: &rows,
            acts,
            strict: false,
            changes: Window::CHANGES,
            now: now(),
        })
    }

    /// The write probes go.
    pub fn no_probes(&mut self) -> &mut Self {
        self.snapshot.probes.clear();
        self.snapshot.probe_topic = None;
        self
    }

    pub fn partitions(&mut self, change: impl Fn(&mut Partition)) -> &mut Self {
        let mut topics = self.snapshot.topics.get().unwrap().clone();
        topics
            .iter_mut()
            .flat_map(|topic| &mut topic.partitions)
            .for_each(change);
        self.snapshot.topics = Observed::fresh(topics, ago(1));
        self
    }

    /// It does not answer, is fenced, out of every ISR, and what it led has moved.
    pub fn kill(&mut self, id: BrokerId) -> &mut Self {
        self.unreachable(id, Trouble::TimedOut, "no answer within 2000 ms");
        let mut cluster = self.snapshot.cluster.get().unwrap().clone();
        cluster
            .brokers
            .iter_mut()
            .filter(|broker| broker.id == id)
            .for_each(|broker| broker.fenced = true);
        self.snapshot.cluster = Observed::fresh(cluster, ago(1));
        self.behind(id)
    }

    pub fn unregister(&mut self, id: BrokerId) -> &mut Self {
        let mut cluster = self.snapshot.cluster.get().unwrap().clone();
        cluster.brokers.retain(|broker| broker.id != id);
        self.snapshot.cluster = Observed::fresh(cluster, ago(1));
        self.snapshot.links.remove(&id);
        self
    }

    pub fn unreachable(&mut self, id: BrokerId, trouble: Trouble, reason: &str) -> &mut Self {
        self.snapshot.links.get_mut(&id).unwrap().fail(trouble, reason, ago(40));
        for section in [self.snapshot.logdirs.get_mut(&id)].into_iter().flatten() {
            section.fail(trouble, reason, ago(40));
        }
        if let Some(section) = self.snapshot.offsets.get_mut(&id) {
            section.fail(trouble, reason, ago(40));
        }
        self.snapshot.probes.remove(&id);
        self
    }

    /// It is in no ISR that it does not lead, and leads nothing.
    pub fn behind(&mut self, id: BrokerId) -> &mut Self {
        self.mark(Symptom::Missing(id), 40);
        self.partitions(|partition| {
            partition.isr.retain(|other| *other != id);
            partition.leader = partition.isr.first().copied();
        })
    }

    /// It shrank the ISR of all it leads to itself.
    pub fn alone(&mut self, id: BrokerId) -> &mut Self {
        self.mark(Symptom::Alone(id), 40);
        self.partitions(|partition| {
            if partition.leader == Some(id) {
                partition.isr = [id].into();
            }
        })
    }

    pub fn isr(&mut self, topic: &str, at: i32, isr: &[BrokerId]) -> &mut Self {
        let mut topics = self.snapshot.topics.get().unwrap().clone();
        for partition in topics
            .iter_mut()
            .filter(|one| one.name == topic)
            .flat_map(|topic| &mut topic.partitions)
        {
            if partition.partition == at {
                partition.isr = isr.to_vec().into();
                partition.leader = isr.first().copied();
            }
        }
        self.snapshot.topics = Observed::fresh(topics, ago(1));
        self
    }

    /// The probe topic: partition n is led by broker n + 1.
    pub fn probe_partitions(&mut self) -> &mut Self {
        let mut topics = self.snapshot.topics.get().unwrap().clone();
        let mut probe = topics[0].clone();
        probe.name = "azimuth-probe".into();
        probe.partitions.truncate(6);
        topics.insert(0, probe);
        self.snapshot.topics = Observed::fresh(topics, ago(1));
        self
    }

    /// What waits for this broker stands: all that has it in its ISR.
    pub fn stalled(&mut self, id: BrokerId) -> &mut Self {
        for paces in self.snapshot.paces.values_mut() {
            for pace in paces.iter_mut().filter(|pace| replicas(pace.partition).contains(&id)) {
                pace.moved_at = ago(20);
            }
        }
        self
    }

    pub fn mark(&mut self, symptom: Symptom, seconds: i64) -> &mut Self {
        Arc::make_mut(&mut self.snapshot.events).mark(&symptom, true, ago(seconds), true);
        self
    }

    pub fn disk(&mut self, id: BrokerId, percent: u64) -> &mut Self {
        let dir = LogDir {
            path: "/data".into(),
            total_bytes: Some(500_000_000_000),
            usable_bytes: Some(5_000_000_000 * (100 - percent)),
            error: None,
            replicas: [].into(),
            top: Vec::new(),
            copies: Vec::new(),
            growth_bytes_per_second: Some(0.0),
        };
        self.snapshot.logdirs.insert(id, Observed::fresh(vec![dir], ago(1)));
        self
    }

    /// Its busiest partitions moved last so many seconds ago.
    pub fn paces(&mut self, id: BrokerId, seconds: i64) -> &mut Self {
        let led = (0..12).filter(|partition| replicas(*partition)[0] == id);
        let pace = |partition| Pace {
            topic: "orders".into(),
            partition,
            rate: 50.0,
            end: 1_000,
            moved_at: ago(seconds),
            longest_gap_seconds: 2.0,
        };
        let offsets: Offsets = led
            .clone()
            .map(|partition| {
                let span = Span {
                    start: 0,
                    end: 1_000,
                    rate: Some(50.0),
                };
                ("orders", partition, span)
            })
            .collect();
        self.snapshot.paces.insert(id, led.map(pace).collect());
        self.snapshot.offsets.insert(id, Observed::fresh(offsets, now()));
        self
    }

    pub fn probe(&mut self, id: BrokerId, trouble: Option<Trouble>) -> &mut Self {
        self.snapshot.probe_topic = Some("azimuth-probe".into());
        let mut probe = Observed::fresh(
            Probe {
                partition: id - 1,
                append_ms: 4.0,
                read_ms: 2.0,
            },
            ago(3),
        );
        if let Some(trouble) = trouble {
            probe.fail(trouble, "no acknowledgement within 4000 ms", ago(3));
        }
        self.snapshot.probes.insert(id, probe);
        self
    }

    /// Its last write probe took so long.
    pub fn append(&mut self, id: BrokerId, ms: f64) -> &mut Self {
        self.probe(id, None);
        let probe = Probe {
            append_ms: ms,
            ..*self.snapshot.probes[&id].get().unwrap()
        };
        self.snapshot.probes.insert(id, Observed::fresh(probe, ago(1)));
        self
    }

    pub fn throttle(&mut self, id: BrokerId, rate: &str) -> &mut Self {
        let config = Config {
            name: "leader.replication.throttled.rate".into(),
            value: Some(rate.into()),
            source: ConfigSource::DynamicBroker,
            sensitive: false,
            read_only: false,
            documentation: None,
            synonyms: Vec::new(),
        };
        self.snapshot
            .broker_configs
            .insert(id, Observed::fresh(vec![config], ago(1)));
        self
    }

    pub fn reassign(&mut self, topic: &str, partition: i32, adding: BrokerId) -> &mut Self {
        let moving = Reassignment {
            topic: topic.into(),
            partition,
            replicas: replicas(partition),
            adding: vec![adding],
            removing: Vec::new(),
        };
        self.snapshot.reassignments = Observed::fresh(vec![moving], ago(1));
        self
    }

    pub fn surge(&mut self, topic: &str, rate: f64, usual: f64) -> &mut Self {
        let surge = Surge {
            rate,
            usual,
            since: ago(20),
        };
        self.snapshot.surges.insert(topic.into(), surge);
        self
    }

    /// One group that reads `orders`: so many members and records behind, and its last commit so many seconds ago.
    pub fn group(&mut self, name: &str, members: usize, lag: i64, seconds: i64) -> &mut Self {
        let member = |n: usize| Member {
            id: format!("{name}-{n}"),
            instance: None,
            client: name.into(),
            host: "10.0.9.9".into(),
            assignment: vec![("orders".into(), n as i32)],
        };
        let group = Group {
            name: name.into(),
            state: if members > 0 { "Stable" } else { "Empty" }.into(),
            kind: "classic".into(),
            protocol: "range".into(),
            coordinator: Some(1),
            members: (0..members).map(member).collect(),
            commits: vec![Commit {
                topic: "orders".into(),
                partition: 0,
                offset: 1_000 - lag,
                metadata: Box::default(),
            }],
        };
        let standing = Standing {
            offset: 1_000 - lag,
            since: ago(seconds),
            end: 950,
        };
        let past = GroupPast {
            state: group.state.clone(),
            since: Since {
                at: ago(600),
                basis: Basis::Seen,
            },
            rebalances: Default::default(),
            standing: [("orders".into(), 0, standing)].into_iter().collect(),
            shape: 0,
            commits: 1,
            pace: five_second_commits(seconds),
        };
        let history = History {
            groups: Arc::new(BTreeMap::from([(name.into(), Arc::new(past))])),
            ..History::default()
        };
        self.snapshot.history = Arc::new(history);
        self.snapshot.groups = Observed::fresh(vec![group.into()], ago(1));
        self.snapshot.coordinators.insert(1, Observed::fresh((), now()));
        self
    }

    /// Where a partition's log begins.
    pub fn log_start(&mut self, topic: &str, partition: i32, start: i64) -> &mut Self {
        for section in self.snapshot.offsets.values_mut() {
            let mut offsets = section.get().unwrap().clone();
            let span = offsets.get_mut(topic, partition);
            span.into_iter().for_each(|span| span.start = start);
            *section = Observed::fresh(offsets, now());
        }
        self
    }

    pub fn quorum_fails(&mut self, trouble: Trouble, seconds: i64) -> &mut Self {
        let quorum = self.snapshot.quorum.get().unwrap().clone();
        self.snapshot.quorum = Observed::fresh(quorum, ago(seconds + 5));
        self.snapshot
            .quorum
            .fail(trouble, "no controller answered within 5000 ms", ago(seconds));
        self
    }

    pub fn voter_behind(&mut self, id: BrokerId) -> &mut Self {
        let mut quorum = self.snapshot.quorum.get().unwrap().clone();
        for voter in quorum.voters.iter_mut().filter(|voter| voter.id == id) {
            voter.log_end_offset = 900;
            voter.last_caught_up_ms = Some(900_000);
        }
        self.snapshot.quorum = Observed::fresh(quorum, ago(1));
        self
    }

    /// The leader has not seen this voter fetch.
    pub fn voter_unseen(&mut self, id: BrokerId) -> &mut Self {
        let mut quorum = self.snapshot.quorum.get().unwrap().clone();
        for voter in quorum.voters.iter_mut().filter(|voter| voter.id == id) {
            voter.log_end_offset = -1;
            voter.last_fetch_ms = None;
            voter.last_caught_up_ms = None;
        }
        self.snapshot.quorum = Observed::fresh(quorum, ago(1));
        self
    }

    /// Another controller was elected, seconds ago.
    pub fn elected(&mut self, seconds: i64) -> &mut Self {
        let event = Event::new(ago(seconds), EventKind::Controller, "controller 101", "leads", 1);
        Arc::make_mut(&mut self.snapshot.events).push(event);
        self
    }

    /// An AWS plane with an instance and a volume for each broker.
    pub fn cloud(&mut self) -> &mut Self {
        let cloud = &mut self.snapshot.cloud;
        let zones = (1..=3).map(|n| format!("az{n}"));
        let zone_of = |id: String| Zone {
            name: format!("name-{id}"),
            state: "available".into(),
            id,
        };
        cloud.zones = Observed::fresh(
            zones.clone().map(|id| (format!("name-{id}"), zone_of(id))).collect(),
            ago(1),
        );
        let mut metrics = Metrics::default();
        for name in zones {
            let here = || (1..=6).filter(|id| zone(*id) == name);
            let instance = |id: BrokerId| Instance {
                id: format!("i-{id}"),
                instance_type: "m7g.xlarge".into(),
                zone: format!("name-{name}"),
                zone_id: Some(name.clone()),
                state: "running".into(),
                private_addresses: vec![address(id)],
                system_check: Some("ok".into()),
                instance_check: Some("ok".into()),
                ebs_check: Some("ok".into()),
                root_device: Some("/dev/xvda".into()),
                ..Instance::default()
            };
            let volume = |id: BrokerId| Volume {
                id: format!("vol-{id}"),
                volume_type: "gp3".into(),
                size_gib: 500,
                zone: format!("name-{name}"),
                state: "in-use".into(),
                instance: Some(format!("i-{id}")),
                device: Some("/dev/sdf".into()),
                tags: [("kafka:log-dir".to_owned(), "/data".to_owned())].into(),
                ..Volume::default()
            };
            for id in here() {
                let point = |value| Some(Point::new(ago(60), value));
                let measured = VolumeMetrics {
                    stalled_io: point(0.0),
                    write_latency_ms: point(1.0),
                    ..VolumeMetrics::default()
                };
                metrics.volumes.insert(format!("vol-{id}"), measured);
            }
            let key = format!("name-{name}");
            let instances = here().map(|id| (format!("i-{id}"), instance(id))).collect();
            cloud.instances.insert(key.clone(), Observed::fresh(instances, ago(1)));
            let volumes = here().map(|id| (format!("vol-{id}"), volume(id))).collect();
            cloud.volumes.insert(key, Observed::fresh(volumes, ago(1)));
        }
        cloud.metrics = Observed::fresh(metrics, ago(1));
        self.join()
    }

    fn join(&mut self) -> &mut Self {
        self.snapshot.join_cloud(&Rules::default(), &BTreeMap::new());
        self
    }

    /// EC2 fails for a zone.
    pub fn ec2(&mut self, zone: &str, trouble: Trouble) -> &mut Self {
        let section = self.snapshot.cloud.instances.get_mut(&format!("name-{zone}")).unwrap();
        section.fail(trouble, "RequestLimitExceeded or worse", ago(60));
        self
    }

    pub fn instance(&mut self, id: BrokerId, change: impl Fn(&mut Instance)) -> &mut Self {
        for section in self.snapshot.cloud.instances.values_mut() {
            let mut all = section.get().unwrap().clone();
            all.values_mut()
                .filter(|instance| instance.id == format!("i-{id}"))
                .for_each(&change);
            *section = Observed::fresh(all, ago(1));
        }
        self.join()
    }

    fn measure(&mut self, id: BrokerId, change: impl Fn(&mut VolumeMetrics)) -> &mut Self {
        let mut metrics = self.snapshot.cloud.metrics.get().unwrap().clone();
        change(metrics.volumes.get_mut(&format!("vol-{id}")).unwrap());
        self.snapshot.cloud.metrics = Observed::fresh(metrics, ago(1));
        self
    }

    pub fn stall(&mut self, id: BrokerId) -> &mut Self {
        self.measure(id, |metrics| metrics.stalled_io = Some(Point::new(ago(60), 1.0)))
    }

    pub fn latency(&mut self, id: BrokerId, ms: f64) -> &mut Self {
        self.measure(id, |metrics| metrics.write_latency_ms = Some(Point::new(ago(60), ms)))
    }

    pub fn rack(&mut self, id: BrokerId, rack: &str) -> &mut Self {
        let mut cluster = self.snapshot.cluster.get().unwrap().clone();
        cluster
            .brokers
            .iter_mut()
            .filter(|broker| broker.id == id)
            .for_each(|broker| broker.rack = Some(rack.into()));
        self.snapshot.cluster = Observed::fresh(cluster, ago(1));
        self.join()
    }
}

/// Two minutes of commits every five seconds, the last one so many seconds ago.
fn five_second_commits(seconds: i64) -> GroupPace {
    let mut pace = GroupPace::default();
    for look in (0..=24).rev() {
        let look_at = GroupLook {
            commits: look,
            has_read_all: false,
            is_settled: true,
        };
        pace.look(look_at, ago(seconds + look as i64 * 5));
    }
    pace
}
