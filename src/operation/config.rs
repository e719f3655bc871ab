//! Changing configs one by one, and reading back what brokers tell then.

use std::collections::BTreeMap;

use crate::model::BrokerId;
use crate::model::config::{Config, Owner};
use crate::plan::config::{Alter, Setting, Value, is_as, set_on};
use crate::source::kafka::{ConfigChange, Edit, Kafka, Resource};

use super::status::Progress;
use super::step::{Act, Seen, act_of};

/// Asks for the changes; together or not at all. Asking again sets the same again. `secrets` are sensitive values by name.
pub(super) async fn act(kafka: &Kafka, alter: &Alter, secrets: &BTreeMap<String, String>) -> Act {
    let mut changes = Vec::new();
    for one in alter.changes() {
        let edit = match &one.after {
            None => Edit::Unset,
            Some(Value::Text(text)) => Edit::Set(text.clone()),
            Some(Value::Hidden) => match secrets.get(&one.name) {
                Some(secret) => Edit::Set(secret.clone()),
                None => return Act::Refused(format!("the value of {} is kept nowhere; begin anew", one.name)),
            },
        };
        changes.push(ConfigChange {
            resource: Resource::from(&alter.owner),
            name: one.name.clone(),
            edit,
        });
    }
    match kafka.incremental_alter_configs(&changes, false).await {
        Err(error) => act_of(error),
        Ok(outcomes) => match outcomes.into_iter().find_map(|(_, outcome)| outcome.err()) {
            None => Act::Asked,
            Some(error) => act_of(error),
        },
    }
}

/// Whether it is told as it was asked for: by the broker itself, or for all brokers by each that is not fenced.
pub(super) async fn look(kafka: &Kafka, alter: &Alter, step: usize) -> Seen {
    let told = match kafka.configs_of(&alter.owner).await {
        Ok(told) => told,
        Err(error) => return Seen::Unknown(error.to_string()),
    };
    if let Some(late) = alter.changes().find(|one| !is_told(one, &told, &alter.owner)) {
        return waiting(step, format!("{} is not told as it was set yet", late.name));
    }
    if alter.owner != Owner::AllBrokers {
        let what = alter.changes().map(|one| outcome(one, &told)).collect::<Vec<_>>();
        return Seen::Done(format!("read back: {}", what.join(", ")));
    }
    match everywhere(kafka, alter).await {
        Err(error) => Seen::Unknown(error),
        Ok((_, Some(broker))) => waiting(step, format!("broker {broker} does not tell it yet")),
        Ok((brokers, None)) => Seen::Done(format!("read back from {brokers} brokers")),
    }
}

/// How many brokers were asked, and the first that does not have the default that was set.
async fn everywhere(kafka: &Kafka, alter: &Alter) -> Result<(usize, Option<BrokerId>), String> {
    let cluster = kafka.cluster().await.map_err(|error| error.to_string())?;
    let live: Vec<BrokerId> = cluster
        .brokers
        .iter()
        .filter(|one| !one.fenced)
        .map(|one| one.id)
        .collect();
    for id in &live {
        let told = kafka.broker_configs(*id).await.map_err(|error| error.to_string())?;
        let lacks = |one: &Setting| match (&one.after, told.iter().find(|config| config.name == one.name)) {
            // Not told at all is not set, as of throttles.
            (None, None) => false,
            (Some(_), None) => true,
            (wanted, Some(config)) => {
                let own = [Some(config.source), config.synonyms.first().map(|first| first.source)];
                // One that has its own keeps it.
                let has_own = own.contains(&Some(crate::model::config::ConfigSource::DynamicBroker));
                !has_own && !is_as(wanted.as_ref(), set_on(config, &alter.owner).as_ref())
            }
        };
        if alter.changes().any(lacks) {
            return Ok((live.len(), Some(*id)));
        }
    }
    Ok((live.len(), None))
}

fn is_told(one: &Setting, told: &[Config], owner: &Owner) -> bool {
    let config = told.iter().find(|config| config.name == one.name);
    let set = config.and_then(|config| set_on(config, owner));
    is_as(one.after.as_ref(), set.as_ref())
}

fn outcome(one: &Setting, told: &[Config]) -> String {
    let config = told.iter().find(|config| config.name == one.name);
    match config {
        Some(config) if config.sensitive => format!("{} is {}", one.name, config.source),
        Some(config) => format!(
            "{}={} ({})",
            one.name,
            config.value.as_deref().unwrap_or("(unset)"),
            config.source
        ),
        None => format!("{} is not set", one.name),
    }
}

fn waiting(step: usize, note: String) -> Seen {
    Seen::Waiting(Progress {
        step,
        total: 1,
        note,
        ..Progress::default()
    })
}
