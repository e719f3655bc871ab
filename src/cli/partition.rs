//! `azimuth partition …`

use super::exit::Failure;
use super::facts::gather;
use super::output::{Answer, Column, Data, Field, Rank, count};
use crate::command::Line;
use crate::command::partition::{Filter, Verb};
use crate::feed::Section;
use crate::model::row::partition::{Badge, Badges, PartitionRow};

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    let Verb::List(filter) = verb;
    let pattern = super::pattern("--topic", filter.topic.as_deref())?;
    let needs = [
        Section::Cluster,
        Section::Topics,
        Section::MinIsrs,
        Section::Reassignments,
    ];
    let facts = gather(line, &needs).await?;
    let partitions = facts.rows().partitions;
    let faults = faults(filter);
    let found = partitions
        .iter()
        .filter(|row| faults.is_empty() || !faults.is_disjoint(row.badges()))
        .filter(|row| filter.broker.is_none_or(|id| row.replicas.contains(&id)))
        .filter(|row| pattern.as_ref().is_none_or(|pattern| pattern.is_match(row.topic())));
    let answer = Answer::list(&Column::ALL, found, "partition", |row| {
        format!("{}:{}", row.topic(), row.partition)
    });
    Ok(facts.seal(answer))
}

/// The faults asked for; a partition with fewer in sync than it needs is one without its last safe copy too.
fn faults(filter: &Filter) -> Badges {
    let wanted = [
        (filter.offline, Badge::Offline),
        (filter.under_min_isr, Badge::UnderMinIsr),
        (filter.at_min_isr, Badge::AtMinIsr),
        (filter.under_replicated, Badge::UnderReplicated),
        (filter.rack_violation, Badge::RackViolation),
        (filter.leader_not_preferred, Badge::LeaderNotPreferred),
    ];
    wanted
        .into_iter()
        .filter(|(set, _)| *set)
        .map(|(_, badge)| badge)
        .collect()
}

/// The word of a badge in JSON, and for people.
pub fn word(badge: Badge) -> String {
    serde_json::to_value(badge)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

pub fn badges(badges: Badges) -> Field {
    let words: Vec<String> = badges.iter().map(word).collect();
    Field::data(words.clone(), words.join(" ").replace('_', "-"))
}

/// The properties of a partition.
impl Column<PartitionRow<'_>> {
    const ALL: [Self; 10] = [
        Self::TOPIC,
        Self::PARTITION,
        Self::LEADER,
        Self::REPLICAS,
        Self::ISR,
        Self::ADDING,
        Self::REMOVING,
        Self::MIN_ISR,
        Self::LEADER_EPOCH,
        Self::FAULTS,
    ];

    const TOPIC: Self = Self {
        key: "topic",
        title: "TOPIC",
        rank: Rank::Always,
        field: |row| Field::text(row.topic()),
    };

    pub const PARTITION: Self = Self {
        key: "partition",
        title: "P",
        rank: Rank::Always,
        field: |row| Field::number(row.partition, row.partition),
    };

    pub const LEADER: Self = Self {
        key: "leader",
        title: "LEADER",
        rank: Rank::Always,
        field: |row| match row.leader {
            Some(id) => Field::number(id, id),
            None => Field::number(Data::Null, "none"),
        },
    };

    pub const REPLICAS: Self = Self {
        key: "replicas",
        title: "REPLICAS",
        rank: Rank::Always,
        field: |row| Field::list(&row.replicas),
    };

    pub const ISR: Self = Self {
        key: "isr",
        title: "ISR",
        rank: Rank::Always,
        field: |row| Field::list(&row.isr),
    };

    pub const ADDING: Self = Self {
        key: "adding",
        title: "ADDING",
        rank: Rank::Wide,
        field: |row| Field::list(row.adding()),
    };

    pub const REMOVING: Self = Self {
        key: "removing",
        title: "REMOVING",
        rank: Rank::Wide,
        field: |row| Field::list(row.removing()),
    };

    const MIN_ISR: Self = Self {
        key: "min_isr",
        title: "MIN ISR",
        rank: Rank::Usual,
        field: |row| Field::cell(row.min_isr(), count),
    };

    pub const LEADER_EPOCH: Self = Self {
        key: "leader_epoch",
        title: "EPOCH",
        rank: Rank::Wide,
        field: |row| Field::number(row.leader_epoch, row.leader_epoch),
    };

    pub const FAULTS: Self = Self {
        key: "faults",
        title: "FAULTS",
        rank: Rank::Usual,
        field: |row| badges(row.badges()),
    };
}
