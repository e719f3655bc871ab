//! `azimuth feature list`

use futures::FutureExt;

use super::change::ground;
use super::exit::Failure;
use super::facts;
use super::output::{Answer, Block, Column, Data, Field, Problem, Rank, Sheet};
use crate::command::Line;
use crate::model::feature::{Feature, Features, METADATA_VERSION};
use crate::model::{BrokerId, Moment};
use crate::operation::feature::of_cluster;

/// One broker, and what it tells.
struct Speaker {
    id: BrokerId,
    release: Option<String>,
    speaks: Vec<String>,
    why: Option<String>,
}

pub async fn answer(line: &Line) -> Result<Answer, Failure> {
    if line.global.from.is_some() {
        return Err(Failure::usage("features are not in a capture; leave out --from"));
    }
    let ground = ground(&line.global)?;
    let patience = facts::patience(&line.global);
    let cluster_id = ground.cluster_id(patience).boxed().await?;
    let told = tokio::time::timeout(patience, of_cluster(&ground.sources)).await;
    let features = told
        .map_err(|_| Failure::partial("no broker told its features in time"))?
        .map_err(Failure::partial)?;
    let all = features.all();
    let speakers: Vec<Speaker> = features.brokers.iter().map(speaker).collect();
    let brokers = Sheet::of(BROKERS, &speakers);
    let mut answer = Answer::list(COLUMNS, &all, "feature", |feature| feature.name.clone());
    answer.context = Some(ground.context.name.clone());
    answer.cluster_id = Some(cluster_id);
    answer.taken_at = Some(Moment::now());
    answer.beside.insert("brokers", brokers.items());
    answer.problems.extend(silent(&features));
    answer.complete = answer.problems.is_empty();
    answer.blocks.push(Block {
        title: Some("BROKERS".to_owned()),
        sheet: brokers,
        upright: false,
    });
    Ok(answer)
}

fn silent(features: &Features) -> impl Iterator<Item = Problem> + '_ {
    features.silent().map(|(id, why)| Problem {
        subjects: vec![format!("broker {id}")],
        fields: Vec::new(),
        reason: why.to_owned(),
    })
}

fn speaker((id, told): (&BrokerId, &Result<crate::model::feature::Told, String>)) -> Speaker {
    let told_well = told.as_ref().ok();
    let range = |(name, (min, max)): (&String, &(i16, i16))| format!("{name} {min}–{max}");
    Speaker {
        id: *id,
        release: told_well.and_then(|told| told.release.clone()),
        speaks: told_well
            .map(|told| told.speaks.iter().map(range).collect())
            .unwrap_or_default(),
        why: told.as_ref().err().cloned(),
    }
}

const COLUMNS: &[Column<Feature>] = &[
    Column {
        key: "feature",
        title: "FEATURE",
        rank: Rank::Always,
        field: |feature| Field::text(&feature.name),
    },
    Column {
        key: "finalized_level",
        title: "FINALIZED",
        rank: Rank::Always,
        field: |feature| match feature.finalized {
            0 => Field::number(0, "off"),
            level => Field::number(i32::from(level), level),
        },
    },
    Column {
        key: "highest_level",
        title: "ALL SPEAK",
        rank: Rank::Always,
        field: |feature| match feature.common {
            Some((min, max)) => Field::data(i32::from(max), format!("{min}–{max}")),
            None => Field::data(Data::Null, "nothing in common"),
        },
    },
    Column {
        key: "behind",
        title: "TO FINALIZE",
        rank: Rank::Always,
        field: |feature| match feature.highest() {
            Some(high) if high > feature.finalized => Field::data(true, format!("up to {high}")),
            _ => Field::data(false, ""),
        },
    },
    Column {
        key: "least_broker",
        title: "SPEAKS LEAST",
        rank: Rank::Usual,
        field: |feature| match feature.least {
            Some((id, max)) => Field::data(id, format!("broker {id}: {max}")),
            None => Field::data(Data::Null, ""),
        },
    },
    Column {
        key: "undo",
        title: "UNDO",
        rank: Rank::Usual,
        field: |feature| match feature.name.as_str() {
            METADATA_VERSION => Field::text("none: brokers of the old version no longer start"),
            _ => Field::text("where Kafka finds that nothing is lost"),
        },
    },
];

const BROKERS: &[Column<Speaker>] = &[
    Column {
        key: "broker",
        title: "BROKER",
        rank: Rank::Always,
        field: |one| Field::number(one.id, one.id),
    },
    Column {
        key: "release",
        title: "RELEASE",
        rank: Rank::Always,
        field: |one| match (&one.release, &one.why) {
            (Some(release), _) => Field::text(release),
            (None, why) => Field {
                reason: why.clone(),
                ..Field::data(Data::Null, "?")
            },
        },
    },
    Column {
        key: "speaks",
        title: "SPEAKS",
        rank: Rank::Always,
        field: |one| Field::list(&one.speaks),
    },
];
