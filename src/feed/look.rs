//! One look at one section: ask the source, take in the answer. The live feed and one-shot commands share it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::cloud::Plane;
use super::history;
use super::section::Section;
use super::store::{Change, Seen, Store, settle, settle_by};
use crate::model::backlog::Backlogs;
use crate::model::broker::Link;
use crate::model::group::Group;
use crate::model::logdir::{Copying, LogDir};
use crate::model::name::Names;
use crate::model::quorum::{Quorum, Voter};
use crate::model::{BrokerId, Moment, Observed, Snapshot};
use crate::settings::Paths;
use crate::source::kafka::record::Prober;
use crate::source::kafka::{Kafka, Of, Probe};
use crate::source::prometheus::Prometheus;

/// A section, of one broker where brokers tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Job {
    pub section: Section,
    pub broker: Option<BrokerId>,
}

/// Whom to ask, and where the answers go.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub kafka: Kafka,
    pub plane: Arc<Plane>,
    /// `None` where the context names no endpoint.
    pub prometheus: Option<Prometheus>,
    pub store: Arc<Store>,
    /// `None` where the context names no topic to write to.
    pub prober: Option<Arc<Prober>>,
    /// Where clusters are recorded.
    pub record: Option<Paths>,
}

impl Look {
    pub async fn at(&self, job: Job) -> Seen {
        match (job.section, job.broker) {
            (Section::Cluster, _) => self.cluster().await,
            (Section::Topics, _) => self.topics().await,
            (Section::TopicConfigs, _) => self.topic_configs(Of::All).await,
            (Section::MinIsrs, _) => self.topic_configs(Of::MinIsr).await,
            (Section::Quorum, _) => self.quorum().await,
            (Section::Reassignments, _) => self
                .store
                .settle(self.kafka.reassignments().await, |snapshot| &mut snapshot.reassignments),
            (Section::Acls, _) => self
                .store
                .settle(self.kafka.acls().await, |snapshot| &mut snapshot.acls),
            (Section::Users, _) => self
                .store
                .settle(self.kafka.users().await, |snapshot| &mut snapshot.users),
            (Section::Quotas, _) => self
                .store
                .settle(self.kafka.quotas().await, |snapshot| &mut snapshot.quotas),
            (Section::Links, Some(broker)) => self.link(broker).await,
            (Section::Offsets, Some(broker)) => {
                let seen = self.offsets(broker).await;
                self.last_write(broker).await;
                seen
            }
            (Section::Groups, Some(broker)) => self.groups(broker).await,
            (Section::Backlogs, Some(broker)) => self.backlogs(broker).await,
            (Section::Retentions, _) => self.retentions().await,
            (Section::Logdirs, Some(broker)) => self.logdirs(broker).await,
            (Section::BrokerConfigs, Some(broker)) => {
                let mut configs = self.kafka.broker_configs(broker).await;
                if let Ok(configs) = &mut configs {
                    self.store
                        .share(configs.iter_mut().filter_map(|config| config.documentation.as_mut()));
                }
                self.store
                    .settle(configs, |snapshot| snapshot.broker_configs.entry(broker).or_default())
            }
            (Section::Transactions, Some(broker)) => {
                let transactions = self.kafka.transactions(broker).await;
                self.store.settle(transactions, |snapshot| {
                    snapshot.transactions.entry(broker).or_default()
                })
            }
            (Section::BrokerMetrics, Some(broker)) => self.broker_metrics(broker).await,
            // Boxed, as their questions are: the SDK's futures are large, a thread's stack bears few of them, and every look at
            // anything else would have room for one.
            (Section::Instances, _) => Box::pin(self.plane.instances(&self.store)).await,
            (Section::Volumes, _) => Box::pin(self.plane.volumes(&self.store)).await,
            (Section::Metrics, _) => Box::pin(self.plane.metrics(&self.store)).await,
            (Section::Account, _) => Box::pin(self.plane.account(&self.store)).await,
            (Section::ClientMetrics, _) => self.store.settle(self.kafka.client_metrics().await, |snapshot| {
                &mut snapshot.client_metrics
            }),
            (Section::Probes, _) => self.probes().await,
            (
                Section::Links
                | Section::Offsets
                | Section::Groups
                | Section::Backlogs
                | Section::Logdirs
                | Section::BrokerConfigs
                | Section::BrokerMetrics
                | Section::Transactions,
                None,
            ) => Seen::default(),
        }
    }

    async fn cluster(&self) -> Seen {
        let seen = self
            .store
            .settle(self.kafka.cluster().await, |snapshot| &mut snapshot.cluster);
        if seen.change == Change::Value {
            self.plane.join(&self.store);
        }
        seen
    }

    async fn topics(&self) -> Seen {
        // Of a section that fails the next answer is news, whatever it says.
        let known = self.store.topics_mark();
        let topics = match self.kafka.topics_unless(known).await {
            Ok(None) => return self.store.affirm(|snapshot| &mut snapshot.topics),
            Ok(Some((mark, topics))) => {
                self.store.edit(|inner| {
                    inner.topics_mark = Some(mark);
                    Change::Nothing
                });
                Ok(topics)
            }
            Err(error) => Err(error),
        };
        let seen = self.store.settle(topics, |snapshot| &mut snapshot.topics);
        if seen.change == Change::Value {
            self.store.edit(|inner| {
                let snapshot = &inner.snapshot;
                inner.partitions = snapshot.topics().iter().map(|topic| topic.partitions.len()).sum();
                inner.rates.keep_topics(|name| snapshot.topic(name).is_some());
                inner.settle_rates();
                Change::Nothing
            });
        }
        seen
    }

    async fn topic_configs(&self, of: Of) -> Seen {
        let names = self.store.read(|snapshot| {
            let topics = snapshot.topics.get()?;
            Some(topics.iter().map(|topic| topic.name.clone()).collect::<Vec<_>>())
        });
        let Some(names) = names else { return Seen::default() };
        let configs = self.kafka.topic_configs(&names, of).await;
        self.store.settle(configs, |snapshot| &mut snapshot.topic_configs)
    }

    async fn quorum(&self) -> Seen {
        let quorum = self.kafka.quorum().await;
        let at = Moment::now();
        let mut seen = Seen::default();
        self.store.edit(|inner| {
            seen = settle_by(&mut inner.snapshot.quorum, quorum, at, |was, is| {
                match same_quorum(was, is) {
                    true => Change::Drift,
                    false => Change::Value,
                }
            });
            seen.change
        });
        seen
    }

    async fn link(&self, broker: BrokerId) -> Seen {
        let probe = self.kafka.link(broker).await;
        let at = Moment::now();
        let mut seen = Seen::default();
        self.store.edit(|inner| {
            let section = inner.snapshot.links.entry(broker).or_default();
            let recent = inner.rtts.entry(broker).or_default();
            let link = probe.map(|probe| steady(recent, section.get(), probe));
            seen = settle_by(section, link, at, |was, is| match was.release == is.release {
                true => Change::Waver,
                false => Change::Value,
            });
            seen.change
        });
        seen
    }

    async fn offsets(&self, broker: BrokerId) -> Seen {
        let Some(partitions) = self.store.led_by(broker) else {
            return Seen::default();
        };
        let standing = self.store.standing(broker);
        let known = standing.as_ref().map(|(marks, offsets)| (*marks, offsets.as_ref()));
        let told = self.kafka.offsets_unless(broker, &partitions, known).await;
        // Rates fall while nothing is written.
        let same = standing.map(|(marks, offsets)| (Some(marks), offsets));
        let told = match told {
            Ok(None) => Ok(same.unwrap_or_default()),
            Ok(Some((marks, offsets))) => Ok((marks, Arc::new(offsets))),
            Err(error) => Err(error),
        };
        let at = Moment::now();
        let mut seen = Seen::default();
        self.store.edit(|inner| {
            seen = inner.told_offsets(broker, told, at);
            seen.change
        });
        seen
    }

    /// Asks nothing while writes are taken, or were seen to stop.
    pub(super) async fn last_write(&self, leader: BrokerId) {
        let silenced = self.store.read(|snapshot| snapshot.silenced(leader));
        let known = self.store.read(|snapshot| snapshot.last_writes.contains_key(&leader));
        let told = match silenced.is_empty() {
            true if !known => return,
            true => None,
            // Where it is not told, the symptom says since when it was seen.
            false => self.kafka.last_write(leader, &silenced).await.ok().flatten(),
        };
        self.store.edit(|inner| {
            let writes = &mut inner.snapshot.last_writes;
            let was = match told {
                Some(last) => writes.insert(leader, last.clone()).filter(|was| *was == last).is_some(),
                None => writes.remove(&leader).is_none(),
            };
            if was { Change::Nothing } else { Change::Value }
        });
    }

    async fn groups(&self, coordinator: BrokerId) -> Seen {
        let answer = self.kafka.groups(coordinator).await;
        let at = Moment::now();
        let mut seen = Seen::default();
        self.store.edit(|inner| {
            let before = inner.groups.get(&coordinator).map(Vec::as_slice);
            let answer = answer.map(|groups| shared(&mut inner.names, before.unwrap_or_default(), groups));
            let change = match (before, &answer) {
                (Some(was), Ok(is)) => groups_change(was, is),
                _ => Change::Value,
            };
            let told = answer.map(|groups| {
                let before = inner.groups.insert(coordinator, groups);
                let answer = history::Answer {
                    coordinator,
                    before: before.as_deref().unwrap_or_default(),
                    groups: inner.groups.get(&coordinator).map_or(&[], Vec::as_slice),
                };
                history::look(&mut inner.snapshot, &mut inner.taken, &answer, at);
            });
            seen = settle(
                inner.snapshot.coordinators.entry(coordinator).or_default(),
                told.clone(),
                at,
            );
            let all = inner.told_groups(told, change, at);
            seen.change = seen.change.max(all);
            seen.change
        });
        seen
    }

    /// Asks nothing where no group is behind.
    async fn backlogs(&self, leader: BrokerId) -> Seen {
        let now = Moment::now();
        let Some(unread) = self.store.unread(leader) else {
            return Seen::default();
        };
        let backlogs = match unread.is_empty() {
            true => Ok(Backlogs::default()),
            false => self.kafka.backlogs(leader, &unread, now).await,
        };
        let at = Moment::now();
        let mut seen = Seen::default();
        self.store.edit(|inner| {
            let section = inner.snapshot.backlogs.entry(leader).or_default();
            let backlogs = backlogs.map(|backlogs| match section.get() {
                Some(before) => backlogs.after(before),
                None => backlogs,
            });
            seen = settle_by(section, backlogs, at, |was, is| match was.pins().eq(is.pins()) {
                true => Change::Drift,
                false => Change::Value,
            });
            seen.change
        });
        seen
    }

    async fn retentions(&self) -> Seen {
        let Some(topics) = self.store.topics_behind() else {
            return Seen::default();
        };
        let retentions = self.kafka.retentions(&topics).await;
        self.store.settle(retentions, |snapshot| &mut snapshot.retentions)
    }

    async fn logdirs(&self, broker: BrokerId) -> Seen {
        let dirs = self.kafka.logdirs(broker).await;
        let at = Moment::now();
        let mut seen = Seen::default();
        self.store.edit(|inner| {
            let dirs = dirs.map(|mut dirs| {
                share(&mut inner.names, &inner.snapshot, broker, &mut dirs);
                copies(&inner.snapshot, broker, &mut dirs);
                inner.rates.logdirs(broker, &mut dirs, at);
                dirs
            });
            let section = inner.snapshot.logdirs.entry(broker).or_default();
            seen = settle_by(section, dirs, at, |was, is| match placed_alike(was, is) {
                true if hold_alike(was, is) => Change::Waver,
                true => Change::Drift,
                false => Change::Value,
            });
            seen.change
        });
        if seen.change == Change::Value {
            self.plane.join(&self.store);
        }
        seen
    }

    /// Tries a write through every broker at once; each has its own outcome, as soon as it is there.
    async fn probes(&self) -> Seen {
        let Some(prober) = &self.prober else {
            return Seen::default();
        };
        let Some(plan) = self.store.read(|snapshot| probe_plan(snapshot, prober.topic())) else {
            return Seen::default();
        };
        let all: Vec<i32> = plan
            .values()
            .filter_map(|partition| partition.as_ref().ok())
            .map(|(_, all)| all.clone())
            .next()
            .unwrap_or_default();
        let tries = plan.into_iter().map(|(broker, partition)| {
            let all = &all;
            async move {
                match partition {
                    Ok((partition, _)) => {
                        let outcome = prober.probe(partition, all).await.map(steady_probe);
                        let at = Moment::now();
                        let mut seen = Seen::default();
                        self.store.edit(|inner| {
                            let section = inner.snapshot.probes.entry(broker).or_default();
                            seen = settle_by(section, outcome, at, |was, is| match as_quick(was, is) {
                                true => Change::Drift,
                                false => Change::Value,
                            });
                            seen.change
                        });
                        seen
                    }
                    Err(reason) => {
                        self.store.edit(|inner| {
                            let absent = Observed::absent(reason);
                            let section = inner.snapshot.probes.entry(broker).or_default();
                            let news = *section != absent;
                            *section = absent;
                            if news { Change::Value } else { Change::Nothing }
                        });
                        Seen::default()
                    }
                }
            }
        });
        let outcomes = futures::future::join_all(tries).await;
        // One that fails is tried again as often as the others.
        let change = outcomes.iter().map(|seen| seen.change).max().unwrap_or_default();
        Seen {
            change,
            ..Seen::default()
        }
    }

    async fn broker_metrics(&self, id: BrokerId) -> Seen {
        let broker = self.store.read(|snapshot| {
            let known = snapshot.cluster.get()?.brokers.iter();
            known.into_iter().find(|broker| broker.id == id).cloned()
        });
        let (Some(prometheus), Some(broker)) = (&self.prometheus, broker) else {
            return Seen::default();
        };
        let scraped = prometheus.scrape(&broker).await;
        let at = Moment::now();
        let mut seen = Seen::default();
        self.store.edit(|inner| {
            let section = inner.snapshot.broker_metrics.entry(id).or_default();
            let scraped = scraped.map(|metrics| match (section.get(), section.seen_at) {
                (Some(before), Some(then)) => metrics.since(&before.counters, at.duration_since(then).as_secs_f64()),
                _ => metrics,
            });
            seen = settle_by(section, scraped, at, |_, _| Change::Drift);
            seen.change
        });
        seen
    }

    /// Everybody worth asking: who is registered, and who holds replicas although it is not (a dead broker leaves the
    /// list before Kafka 4.0).
    pub fn brokers(&self) -> BTreeSet<BrokerId> {
        self.store.read(|snapshot| {
            let registered = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
            let holding = snapshot.partitions().flat_map(|(_, partition)| &partition.replicas);
            registered
                .iter()
                .map(|broker| broker.id)
                .chain(holding.copied())
                .collect()
        })
    }

    /// Drops a broker that is gone for good.
    pub fn forget(&self, broker: BrokerId) {
        self.store.edit(|inner| {
            let snapshot = &mut inner.snapshot;
            snapshot.links.remove(&broker);
            snapshot.offsets.remove(&broker);
            snapshot.paces.remove(&broker);
            snapshot.probes.remove(&broker);
            snapshot.backlogs.remove(&broker);
            snapshot.logdirs.remove(&broker);
            snapshot.broker_configs.remove(&broker);
            snapshot.broker_metrics.remove(&broker);
            snapshot.coordinators.remove(&broker);
            snapshot.transactions.remove(&broker);
            inner.groups.remove(&broker);
            inner.offsets_marks.remove(&broker);
            inner.still.remove(&broker);
            inner.rtts.remove(&broker);
            inner.rates.forget_broker(broker);
            Change::Value
        });
    }
}

/// Replicas that are as they were keep their place in memory: most of what a broker tells of its disks never changes, and the
/// free space around it always does.
/// What is new shares its names with all that others tell of the topics.
fn share(names: &mut Names, snapshot: &Snapshot, broker: BrokerId, dirs: &mut [LogDir]) {
    let before = snapshot.logdirs.get(&broker).and_then(Observed::get);
    for dir in dirs {
        let mut known = before.into_iter().flatten();
        if let Some(known) = known.find(|known| known.path == dir.path && known.replicas == dir.replicas) {
            dir.replicas = Arc::clone(&known.replicas);
        } else if let Some(replicas) = Arc::get_mut(&mut dir.replicas) {
            replicas.iter_mut().for_each(|replica| names.share(&mut replica.topic));
        }
    }
}

/// A coordinator's groups, sorted by name. Those that are as they were keep their place in memory; what is new shares the names of
/// topics with all that others tell of them.
fn shared(names: &mut Names, before: &[Arc<Group>], groups: Vec<Group>) -> Vec<Arc<Group>> {
    let share = |mut group: Group| {
        let known = before.binary_search_by(|known| known.name.cmp(&group.name));
        match known.map(|at| &before[at]) {
            Ok(known) if **known == group => Arc::clone(known),
            _ => {
                group.share(names);
                Arc::new(group)
            }
        }
    };
    groups.into_iter().map(share).collect()
}

/// How one answer of a coordinator differs from the next: commits move on all the time.
fn groups_change(was: &[Arc<Group>], is: &[Arc<Group>]) -> Change {
    let told = |group: &Group| {
        (
            group.name.clone(),
            group.state.clone(),
            group.kind.clone(),
            group.protocol.clone(),
        )
    };
    let same = |(was, is): (&Arc<Group>, &Arc<Group>)| told(was) == told(is) && was.members == is.members;
    if was == is {
        Change::Age
    } else if was.len() == is.len() && was.iter().zip(is).all(same) {
        Change::Drift
    } else {
        Change::Value
    }
}

/// Whether the same nodes vote, follow and lead, however far each has read: that moves on with every fetch.
fn same_quorum(was: &Quorum, is: &Quorum) -> bool {
    let alike = |was: &[Voter], is: &[Voter]| {
        let mut pairs = was.iter().zip(is);
        was.len() == is.len() && pairs.all(|(was, is)| (was.id, &was.directory) == (is.id, &is.directory))
    };
    (was.leader, was.leader_epoch) == (is.leader, is.leader_epoch)
        && alike(&was.voters, &is.voters)
        && alike(&was.observers, &is.observers)
}

/// Whether the same directories hold the same replicas, whatever their sizes.
fn placed_alike(was: &[LogDir], is: &[LogDir]) -> bool {
    let same = |(was, is): (&LogDir, &LogDir)| {
        let mut replicas = was.replicas.iter().zip(is.replicas.iter());
        (&was.path, &was.error, was.total_bytes) == (&is.path, &is.error, is.total_bytes)
            && was.replicas.len() == is.replicas.len()
            && replicas
                .all(|(was, is)| (was.partition, was.future) == (is.partition, is.future) && was.topic == is.topic)
    };
    was.len() == is.len() && was.iter().zip(is).all(same)
}

/// Whether they hold the same bytes too: [`share`] has found that out.
fn hold_alike(was: &[LogDir], is: &[LogDir]) -> bool {
    was.iter()
        .zip(is)
        .all(|(was, is)| Arc::ptr_eq(&was.replicas, &is.replicas))
}

/// Marks the replicas that are on their way to `broker`: of reassignments, and those that change directories.
fn copies(snapshot: &Snapshot, broker: BrokerId, dirs: &mut [LogDir]) {
    let moves = snapshot.reassignments.get().into_iter().flatten();
    let coming: BTreeSet<(&str, i32)> = moves
        .filter(|one| one.adding.contains(&broker))
        .map(|one| (one.topic.as_str(), one.partition))
        .collect();
    for dir in dirs {
        let moving = dir
            .replicas
            .iter()
            .filter(|replica| replica.future || coming.contains(&(replica.topic.as_str(), replica.partition)));
        dir.copies = moving
            .map(|replica| Copying {
                topic: replica.topic.to_string(),
                partition: replica.partition,
                size_bytes: replica.size_bytes,
                future: replica.future,
                bytes_per_second: None,
            })
            .collect();
    }
}

/// A round trip that wavers is the same one: the median of the last few moves slowly, in two digits, and only by half or more.
/// Nobody waits for less than a millisecond, and all that is less is told as one: of a hundred brokers one always wavers.
fn steady(recent: &mut VecDeque<f64>, before: Option<&Link>, probe: Probe) -> Link {
    const RECENT: usize = 9;
    const SHORT_MS: f64 = 1.0;
    let Probe { link, queued } = probe;
    if !queued || recent.is_empty() {
        recent.push_back(link.rtt_ms);
    }
    if recent.len() > RECENT {
        recent.pop_front();
    }
    let mut sorted: Vec<f64> = recent.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let median = sorted[(sorted.len() - 1) / 2].max(SHORT_MS);
    let shown = before.map(|before| before.rtt_ms);
    let rtt_ms = match shown.filter(|shown| (median - shown).abs() < shown / 2.0) {
        Some(shown) => shown,
        None => two_digits(median),
    };
    Link { rtt_ms, ..link }
}

/// Whether two writes took about the same: how long one takes is a number that never rests.
fn as_quick(was: &crate::model::probe::Probe, is: &crate::model::probe::Probe) -> bool {
    /// Nobody waits for less.
    const SHORT_MS: f64 = 20.0;
    let (least, most) = (was.append_ms.min(is.append_ms), was.append_ms.max(is.append_ms));
    was.partition == is.partition && (most <= SHORT_MS || most <= 2.0 * least)
}

/// Milliseconds in two digits: what wavers by less is the same.
fn steady_probe(probe: crate::model::probe::Probe) -> crate::model::probe::Probe {
    crate::model::probe::Probe {
        append_ms: two_digits(probe.append_ms),
        read_ms: two_digits(probe.read_ms),
        ..probe
    }
}

/// By broker: the partition to write to and all that the topic has, or why there is none. `None` until the topics are known.
type ProbePlan = BTreeMap<BrokerId, Result<(i32, Vec<i32>), String>>;

fn probe_plan(snapshot: &Snapshot, name: &str) -> Option<ProbePlan> {
    let topics = snapshot.topics.get()?;
    let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    let topic = topics.iter().find(|topic| topic.name == name);
    let plan = |broker: BrokerId| match topic {
        None => Err(format!("there is no topic {name}")),
        Some(topic) => {
            let led = topic
                .partitions
                .iter()
                .find(|partition| partition.leader == Some(broker));
            let all = topic.partitions.iter().map(|partition| partition.partition).collect();
            led.map(|led| (led.partition, all))
                .ok_or_else(|| format!("broker {broker} leads no partition of {name}"))
        }
    };
    Some(brokers.iter().map(|broker| (broker.id, plan(broker.id))).collect())
}

fn two_digits(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let scale = 10_f64.powf(1.0 - value.log10().floor());
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::group::Commit;

    fn probe(rtt_ms: f64, queued: bool) -> Probe {
        let link = Link { rtt_ms, release: None };
        Probe { link, queued }
    }

    #[test]
    fn a_group_that_is_as_it_was_keeps_its_place_and_a_new_one_shares_names() {
        let group = |name: &str, offset| Group {
            name: name.to_owned(),
            commits: vec![Commit {
                topic: "orders".into(),
                partition: 0,
                offset,
                metadata: Box::default(),
            }],
            ..Group::default()
        };
        let mut names = Names::default();
        let was = shared(&mut names, &[], vec![group("audit", 1), group("billing", 1)]);
        let is = shared(&mut names, &was, vec![group("audit", 1), group("billing", 2)]);
        assert!(Arc::ptr_eq(&was[0], &is[0]) && !Arc::ptr_eq(&was[1], &is[1]));
        let topic = |group: &Group| group.commits[0].topic.as_ptr();
        assert_eq!(topic(&was[0]), topic(&is[1]));
        assert_eq!(groups_change(&was, &is), Change::Drift);
        let same = shared(&mut names, &is, vec![group("audit", 1), group("billing", 2)]);
        assert_eq!(groups_change(&is, &same), Change::Age);
    }

    #[test]
    fn a_wavering_round_trip_is_not_news_and_a_slow_one_is() {
        let mut recent = VecDeque::new();
        let mut link = steady(&mut recent, None, probe(0.4321, false));
        assert_eq!(link.rtt_ms, 1.0);
        for rtt in [0.5, 0.38, 2.0, 1.44, 0.6, 4.0] {
            link = steady(&mut recent, Some(&link), probe(rtt, false));
            assert_eq!(link.rtt_ms, 1.0);
        }
        for _ in 0..5 {
            link = steady(&mut recent, Some(&link), probe(900.0, true));
            assert_eq!(link.rtt_ms, 1.0, "it queued behind a request of ours");
        }
        for _ in 0..6 {
            link = steady(&mut recent, Some(&link), probe(900.0, false));
        }
        assert!(link.rtt_ms > 200.0);
    }
}
