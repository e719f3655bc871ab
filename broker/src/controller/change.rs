//! How one partition may change: from a wish to the state that follows by the rules, leader included.
//!
//! In the order of Apache Kafka's controller: a reassignment that is done is completed, the eligible leader replicas are
//! kept (KIP-966), a leader is elected, and the epochs are counted on. With eligible leader replicas an ISR may become
//! empty, and who was in it then may lead; without, its last members stay in it and are waited for.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{State, election};
use crate::id::NodeId;
use crate::image::property::Config;
use crate::image::{Image, Partition, Record, Topic, feature};

/// How far an election may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Election {
    /// The first replica if it can lead, else as [`Election::Online`].
    Preferred,
    /// Only a replica that has everything acknowledged.
    Online,
    /// Any live replica when nothing else is left; acknowledged records may be lost.
    Unclean,
}

/// The rules of one topic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    min_insync_replicas: usize,
    unclean: bool,
}

impl Rules {
    /// What the topic allows when nobody asked for an election (`unclean.leader.election.enable`).
    pub fn election(self) -> Election {
        match self.unclean {
            true => Election::Unclean,
            false => Election::Online,
        }
    }

    pub fn allows_unclean(self) -> bool {
        self.unclean
    }
}

/// The cluster as it is for one decision.
pub(super) struct Scene<'a> {
    image: &'a Image,
    config: &'a Config,
    /// The brokers that may lead or be in sync.
    pub eligible: BTreeSet<NodeId>,
    /// A broker whose last run may have lost what it had: it is no eligible leader replica any more.
    crashed: Option<NodeId>,
    /// A broker of which only these log directories are left (KIP-858).
    left: Option<(NodeId, Vec<Uuid>)>,
    /// `eligible.leader.replicas.version` is 1.
    eligible_leaders: bool,
}

impl<'a> Scene<'a> {
    pub fn of(state: &'a State) -> Self {
        Self::new(&state.image, &state.config, state.eligible())
    }

    pub fn new(image: &'a Image, config: &'a Config, eligible: BTreeSet<NodeId>) -> Self {
        Self {
            eligible_leaders: feature::is_on(image, feature::ELIGIBLE_LEADER_REPLICAS),
            image,
            config,
            eligible,
            crashed: None,
            left: None,
        }
    }

    /// With one more broker that may lead.
    pub fn with(mut self, id: NodeId) -> Self {
        self.eligible.insert(id);
        self
    }

    /// Without brokers that stop being eligible.
    pub fn without(mut self, gone: &BTreeSet<NodeId>) -> Self {
        self.eligible.retain(|id| !gone.contains(id));
        self
    }

    /// Without a broker that may have lost records.
    pub fn without_crashed(mut self, id: NodeId) -> Self {
        self.eligible.remove(&id);
        self.crashed = Some(id);
        self
    }

    /// With only these log directories of a broker.
    pub fn with_directories(mut self, id: NodeId, online: Vec<Uuid>) -> Self {
        self.left = Some((id, online));
        self
    }

    /// Whether a replica is not in a log directory that failed; a broker that names none fails as a whole.
    pub fn is_sound(&self, partition: &Partition, id: NodeId) -> bool {
        match (&self.left, partition.directory(id)) {
            (Some((broker, online)), Some(directory)) if *broker == id => online.contains(&directory),
            (_, None) => true,
            _ => self.image.has_directory(partition, id),
        }
    }

    /// Whether a replica may lead, or be in sync, if it has the records.
    pub fn is_usable(&self, partition: &Partition, id: NodeId) -> bool {
        self.eligible.contains(&id) && self.is_sound(partition, id)
    }

    pub fn crashed(&self) -> Option<NodeId> {
        self.crashed
    }

    pub fn rules(&self, topic: &Topic) -> Rules {
        let value = |key: &str| self.config.topic_value(self.image, &topic.name, key);
        let min = value("min.insync.replicas").and_then(|min| min.trim().parse().ok());
        Rules {
            min_insync_replicas: min.unwrap_or(1),
            unclean: value("unclean.leader.election.enable").is_some_and(|text| text.trim() == "true"),
        }
    }

    /// The records for all partitions for which there is a wish, each decided as its topic allows.
    pub fn each(&self, wish: impl Fn(&Partition) -> Option<Partition>) -> Vec<Record> {
        let mut records = Vec::new();
        for topic in self.image.topics.values() {
            // Looked up only for topics that are concerned.
            let mut rules = None;
            for (index, old) in topic.partitions.iter().enumerate() {
                let Some(wish) = wish(old) else { continue };
                let rules = *rules.get_or_insert_with(|| self.rules(topic));
                if let Some(new) = self.change(rules, rules.election(), old, wish) {
                    records.push(election::record(topic, index, new));
                }
            }
        }
        records
    }

    /// What becomes of a partition that is to be as `wish`; `None` if that changes nothing. The wish's leader and epochs do
    /// not count.
    pub fn change(&self, rules: Rules, election: Election, old: &Partition, wish: Partition) -> Option<Partition> {
        let mut new = completed(Partition {
            leader: old.leader,
            leader_epoch: old.leader_epoch,
            partition_epoch: old.partition_epoch,
            ..wish
        });
        if self.eligible_leaders {
            self.keep_eligible(rules, old, &mut new);
        }
        let unclean = self.elect(election, old, &mut new);
        if unclean || !self.eligible_leaders {
            new.elr.clear();
        }
        if new.isr.is_empty() && !self.eligible_leaders {
            new.isr.clone_from(&old.isr);
        }
        if self.eligible_leaders {
            remember_leader(old, &mut new);
        }
        advanced(old, new)
    }

    /// Whoever is in sync while fewer than `min.insync.replicas` are has everything that was committed, and stays eligible
    /// after it left, until enough are in sync again: nothing is committed meanwhile.
    fn keep_eligible(&self, rules: Rules, old: &Partition, new: &mut Partition) {
        if new.isr.len() >= rules.min_insync_replicas.min(new.replicas.len()) {
            new.elr.clear();
            return;
        }
        let mut eligible = Vec::new();
        for id in old.elr.iter().chain(&old.isr) {
            let stays = new.replicas.contains(id) && !new.isr.contains(id) && self.crashed != Some(*id);
            if stays && !eligible.contains(id) {
                eligible.push(*id);
            }
        }
        new.elr = eligible;
    }

    /// Sets the leader, and the ISR that it begins with. Whether acknowledged records may be lost by it.
    fn elect(&self, election: Election, old: &Partition, new: &mut Partition) -> bool {
        let (leader, unclean) = self.leader(election, old, new);
        if leader == old.leader {
            return false;
        }
        new.leader = leader;
        if unclean {
            new.isr = vec![leader];
            new.recovering = true;
        } else if new.elr.contains(&leader) {
            new.isr = vec![leader];
            new.elr.retain(|id| *id != leader);
        }
        unclean
    }

    fn leader(&self, election: Election, old: &Partition, new: &Partition) -> (NodeId, bool) {
        let live = |id: &NodeId| self.is_usable(new, *id);
        let has_all = |id: &NodeId| new.isr.contains(id) || (new.isr.is_empty() && new.elr.contains(id));
        let may_lead = |id: &NodeId| has_all(id) && live(id);
        let preferred = new.replicas.first().filter(|_| election == Election::Preferred);
        let current = Some(&old.leader).filter(|leader| new.replicas.contains(leader));
        let clean = preferred
            .into_iter()
            .chain(current)
            .chain(&new.replicas)
            .find(|id| may_lead(id));
        if let Some(leader) = clean {
            return (*leader, false);
        }
        // All that was committed may be only at the last leader, even if it ended badly (KIP-966).
        let last = match old.last_known_elr.as_slice() {
            [last] if self.eligible_leaders && new.isr.is_empty() && new.elr.is_empty() => Some(last),
            _ => None,
        };
        if let Some(last) = last.filter(|id| new.replicas.contains(id) && live(id)) {
            return (*last, true);
        }
        match new.replicas.iter().find(|id| live(id)) {
            Some(any) if election == Election::Unclean => (*any, true),
            _ => (NodeId::NONE, false),
        }
    }
}

/// The last leader of a partition that has none is remembered in `last_known_elr`, and forgotten when there is one again.
fn remember_leader(old: &Partition, new: &mut Partition) {
    if new.leader != NodeId::NONE {
        new.last_known_elr.clear();
    } else if new.isr.is_empty() && !old.isr.is_empty() {
        let last = match old.isr.as_slice() {
            _ if old.leader != NodeId::NONE => Some(old.leader),
            // It had no leader before eligible leader replicas were turned on.
            [only] => Some(*only),
            _ => None,
        };
        new.last_known_elr = last.into_iter().collect();
    }
}

/// Ends the reassignment if every adding replica is in sync and at least one replica of the target is.
///
/// As in Kafka, a replica that stays and is out of sync is not waited for: the move does not make it worse.
fn completed(partition: Partition) -> Partition {
    if !partition.is_reassigning() {
        return partition;
    }
    let replicas = partition.target();
    let stays = |id: &NodeId| !partition.removing.contains(id);
    let isr: Vec<NodeId> = partition.isr.iter().copied().filter(stays).collect();
    if isr.is_empty() || replicas.is_empty() || !partition.adding.iter().all(|id| isr.contains(id)) {
        return partition;
    }
    Partition {
        replicas,
        isr,
        adding: Vec::new(),
        removing: Vec::new(),
        ..partition
    }
}

/// Counts the epochs on; `None` if nothing changed.
fn advanced(old: &Partition, mut new: Partition) -> Option<Partition> {
    if new == *old {
        return None;
    }
    let replicas = &new.replicas;
    new.directories.retain(|(id, _)| replicas.contains(id));
    new.partition_epoch = old.partition_epoch + 1;
    // A replica that is not one any more must not go on fetching in the same epoch.
    let removes = old.replicas.iter().any(|id| !new.replicas.contains(id));
    if new.leader != old.leader || removes {
        new.leader_epoch = old.leader_epoch + 1;
    }
    Some(new)
}
