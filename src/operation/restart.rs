//! Restarts: looks at one broker from outside, and has the leaders that prefer it elected.

use tokio::join;

use super::step::is_passing;
use crate::model::BrokerId;
use crate::model::driver::Action;
use crate::model::topic::{Partition, Topic};
use crate::plan::restart::lag_of_voter;
use crate::source::kafka::{Election, Kafka};

/// This many partitions are asked of the controller at once. Source: KRaft's MAX_RECORDS_PER_USER_OP is 10,000, and each
/// takes a record.
const BATCH: usize = 1000;
/// A voter that was level so long ago or less is one that counts, in ms.
const LEVEL_MS: i64 = 5000;

/// One broker as it is seen at one moment, by itself and by the others.
#[derive(Debug, Clone, Default)]
pub(super) struct Sight {
    /// It answers, or why not.
    answer: Option<Result<(), String>>,
    /// What the cluster says of it.
    standing: Option<Standing>,
    placed: Option<Placed>,
    /// When it last read the metadata log, by the clock of the quorum's leader: its process lives.
    fetched_ms: Option<i64>,
    /// How long ago it was level with the quorum, if it is a voter.
    voter_lag_ms: Option<i64>,
    /// What could not be looked at.
    unknown: Option<String>,
    /// It is a controller, and no broker.
    apart: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Unregistered,
    Fenced,
    Counted,
}

/// What the broker holds and leads.
#[derive(Debug, Clone, Default)]
struct Placed {
    replicas: u32,
    in_sync: u32,
    leads: u32,
    preferred: u32,
    preferred_led: u32,
    to_elect: Vec<(String, i32)>,
}

/// Looks at a broker, or at a controller that listens `apart`.
pub(super) async fn look(kafka: Kafka, id: BrokerId, apart: Option<String>) -> Sight {
    if let Some(address) = apart {
        return controller(kafka, id, &address).await;
    }
    let (link, cluster, topics, quorum) = join!(kafka.link(id), kafka.cluster(), kafka.topics(), kafka.quorum());
    let mut sight = Sight {
        answer: Some(link.map(drop).map_err(|error| error.to_string())),
        ..Sight::default()
    };
    match cluster {
        Ok(cluster) => {
            let listed = cluster.brokers.iter().find(|broker| broker.id == id);
            sight.standing = Some(match listed {
                None => Standing::Unregistered,
                Some(broker) if broker.fenced => Standing::Fenced,
                Some(_) => Standing::Counted,
            });
        }
        Err(error) => sight.unknown = Some(error.to_string()),
    }
    match topics {
        Ok(topics) => sight.placed = Some(placed(&topics, id)),
        Err(error) => sight.unknown = Some(error.to_string()),
    }
    // Who may not ask for it, or has none, is told less.
    if let Ok(quorum) = quorum {
        let own = quorum.observers.iter().chain(&quorum.voters).find(|one| one.id == id);
        sight.fetched_ms = own.and_then(|one| one.last_fetch_ms);
        sight.voter_lag_ms = lag_of_voter(&quorum, id);
    }
    sight
}

/// What the quorum says of a voter, and whether it answers. It holds no replica, and is counted on while it answers.
async fn controller(kafka: Kafka, id: BrokerId, address: &str) -> Sight {
    let (link, quorum) = join!(kafka.controller_link(address), kafka.quorum());
    let mut sight = Sight {
        answer: Some(link.map(drop).map_err(|error| error.to_string())),
        placed: Some(Placed::default()),
        apart: true,
        ..Sight::default()
    };
    sight.standing = Some(match sight.answers() {
        true => Standing::Counted,
        false => Standing::Fenced,
    });
    match quorum {
        Ok(quorum) => {
            let own = quorum.voters.iter().find(|one| one.id == id);
            sight.fetched_ms = own.and_then(|one| one.last_fetch_ms);
            sight.voter_lag_ms = lag_of_voter(&quorum, id);
        }
        Err(error) => sight.unknown = Some(error.to_string()),
    }
    sight
}

/// Asks for the election of these, whoever leads them.
///
/// # Errors
/// A sentence, when it was refused for a reason that does not pass.
pub(super) async fn elect(kafka: Kafka, partitions: Vec<(String, i32)>) -> Result<(), String> {
    for batch in partitions.chunks(BATCH) {
        match kafka.elect_leaders(Election::Preferred, batch).await {
            Ok(_) => {}
            Err(error) if is_passing(&error) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

fn placed(topics: &[Topic], id: BrokerId) -> Placed {
    let mut placed = Placed::default();
    for topic in topics {
        for one in topic.partitions.iter().filter(|one| one.replicas.contains(&id)) {
            placed.count(&topic.name, one, id);
        }
    }
    placed
}

impl Placed {
    fn count(&mut self, topic: &str, one: &Partition, id: BrokerId) {
        let (in_sync, leads) = (one.isr.contains(&id), one.leader == Some(id));
        self.replicas += 1;
        self.in_sync += u32::from(in_sync);
        self.leads += u32::from(leads);
        if one.replicas.first() == Some(&id) {
            self.preferred += 1;
            self.preferred_led += u32::from(leads);
            if !leads && in_sync {
                self.to_elect.push((topic.to_owned(), one.partition));
            }
        }
    }
}

impl Sight {
    pub fn answers(&self) -> bool {
        matches!(self.answer, Some(Ok(())))
    }

    pub fn in_sync(&self) -> u32 {
        self.placed.as_ref().map_or(0, |placed| placed.in_sync)
    }

    pub fn replicas_held(&self) -> u32 {
        self.placed.as_ref().map_or(0, |placed| placed.replicas)
    }

    pub fn replicas(&self) -> String {
        match self.replicas_held() {
            1 => "1 replica".to_owned(),
            many => format!("{many} replicas"),
        }
    }

    /// How many of those that prefer it as their leader it leads.
    pub fn leads(&self) -> Option<(u32, u32)> {
        let placed = self.placed.as_ref()?;
        Some((placed.preferred_led, placed.preferred))
    }

    pub fn to_elect(&self) -> Vec<(String, i32)> {
        self.placed
            .as_ref()
            .map(|placed| placed.to_elect.clone())
            .unwrap_or_default()
    }

    /// Whether it is as the act wants it.
    pub fn is_there(&self, action: Action, voter: bool) -> bool {
        let Some(placed) = &self.placed else { return false };
        match action {
            Action::Stop => {
                let away = matches!(self.answer, Some(Err(_)));
                away && self.standing.is_some_and(|standing| standing < Standing::Counted) && placed.leads == 0
            }
            Action::Restart | Action::Start => {
                let level = !voter || self.voter_lag_ms.is_some_and(|lag| lag <= LEVEL_MS);
                self.answers() && self.standing == Some(Standing::Counted) && placed.in_sync == placed.replicas && level
            }
        }
    }

    /// It gets on: it answers, is counted on, has more in sync, or reads the metadata log.
    pub fn is_further_than(&self, other: &Self) -> bool {
        let rank = |sight: &Self| (sight.answers(), sight.standing, sight.in_sync());
        let (now, then) = (rank(self), rank(other));
        (now.0 && !then.0)
            || now.1 > then.1
            || now.2 > then.2
            || (!self.answers() && self.fetched_ms > other.fetched_ms)
    }

    /// How it is, in words.
    pub fn note(&self, action: Action) -> String {
        if let (Some(why), None) = (&self.unknown, &self.placed) {
            return format!("the cluster does not tell: {why}");
        }
        if self.apart {
            let level = match (self.voter_lag_ms, &self.unknown) {
                (Some(lag), _) => format!("level with the quorum {lag} ms ago"),
                (None, Some(why)) => format!("the quorum does not tell: {why}"),
                (None, None) => "when it was level with the quorum is not known".to_owned(),
            };
            return match &self.answer {
                Some(Err(why)) => format!("it does not answer ({why}), {level}"),
                _ => format!("it answers, {level}"),
            };
        }
        let counted = match self.standing {
            Some(Standing::Unregistered) => "not registered",
            Some(Standing::Fenced) => "fenced",
            Some(Standing::Counted) => "registered",
            None => "registration not known",
        };
        if action == Action::Stop {
            let how = if self.answers() {
                "it still answers"
            } else {
                "it does not answer"
            };
            return format!("{how}, {counted}");
        }
        match &self.answer {
            Some(Err(why)) => {
                let lives = match self.fetched_ms {
                    Some(_) if self.standing == Some(Standing::Fenced) => ", its process may be recovering",
                    _ => "",
                };
                format!("it does not answer ({why}), {counted}{lives}")
            }
            _ => format!("{counted}, {} of {} in sync", self.in_sync(), self.replicas()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(partition: i32, replicas: &[BrokerId], isr: &[BrokerId], leader: BrokerId) -> Partition {
        Partition {
            partition,
            leader: Some(leader),
            replicas: replicas.into(),
            isr: isr.into(),
            ..Partition::default()
        }
    }

    fn sight(partitions: Vec<Partition>, standing: Standing) -> Sight {
        let topic = Topic {
            name: "orders".into(),
            id: uuid::Uuid::nil(),
            internal: false,
            partitions,
        };
        Sight {
            answer: Some(Ok(())),
            standing: Some(standing),
            placed: Some(placed(&[topic], 1)),
            ..Sight::default()
        }
    }

    #[test]
    fn back_is_who_answers_is_counted_on_and_is_in_sync_everywhere() {
        let full = || vec![partition(0, &[1, 2], &[2, 1], 2), partition(1, &[2, 3], &[2], 2)];
        let back = sight(full(), Standing::Counted);
        assert!(back.is_there(Action::Restart, false));
        assert!(!back.is_there(Action::Restart, true), "a voter must be level, too");
        assert_eq!(
            (back.leads(), back.to_elect()),
            (Some((0, 1)), vec![("orders".to_owned(), 0)])
        );
        assert!(!sight(full(), Standing::Fenced).is_there(Action::Restart, false));
        let behind = sight(vec![partition(0, &[1, 2], &[2], 2)], Standing::Counted);
        assert!(!behind.is_there(Action::Start, false) && behind.to_elect().is_empty());
        assert!(back.is_further_than(&behind) && !behind.is_further_than(&back));
    }

    #[test]
    fn gone_is_who_neither_answers_nor_is_counted_on_nor_leads() {
        let away = Some(Err("refused".to_owned()));
        let led = |leader| vec![partition(0, &[1, 2], &[2], leader)];
        let gone = |partitions, standing| Sight {
            answer: away.clone(),
            ..sight(partitions, standing)
        };
        assert!(gone(led(2), Standing::Fenced).is_there(Action::Stop, false));
        assert!(!gone(led(2), Standing::Counted).is_there(Action::Stop, false));
        assert!(!gone(led(1), Standing::Unregistered).is_there(Action::Stop, false));
        assert!(!sight(led(2), Standing::Fenced).is_there(Action::Stop, false));
    }
}
