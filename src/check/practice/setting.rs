//! The brokers' configs, machines and measurements, as the checks ask for them: what each broker says, or why it says nothing.

use super::outcome::Lack;
use super::survey::Survey;
use super::{Outcome, broker};
use crate::check::Facts;
use crate::model::cloud::{Instance, InstanceType};
use crate::model::config::Config;
use crate::model::metric::BrokerMetrics;
use crate::model::row::Cell;
use crate::model::row::broker::BrokerRow;
use crate::model::row::volume::VolumeRow;
use crate::model::{BrokerId, Moment, Observed};

/// What was asked for configs.
pub const CONFIGS: &str = "DescribeConfigs";

/// What was asked for a broker's metrics.
pub const SCRAPE: &str = "metrics endpoint";

/// One broker's config of this name, or why it is not told.
pub fn config<'a>(facts: &Facts<'a>, id: BrokerId, name: &str) -> Result<(&'a Config, Option<Moment>), (Lack, String)> {
    let what = format!("configs of {}", broker(id));
    let Some(section) = facts.snapshot.broker_configs.get(&id) else {
        return Err((Lack::Answer, format!("{what}: not asked yet")));
    };
    let Some(configs) = section.get() else {
        return Err(Lack::of(section, &what));
    };
    match configs.binary_search_by(|config| config.name.as_str().cmp(name)) {
        Ok(at) => Ok((&configs[at], section.seen_at)),
        // Not every source keeps them sorted.
        Err(_) => match configs.iter().find(|config| config.name == name) {
            Some(config) => Ok((config, section.seen_at)),
            None => Err((Lack::Metric, format!("{} does not tell {name}", broker(id)))),
        },
    }
}

/// The value of a broker's config, empty where it is unset.
pub fn value<'a>(facts: &Facts<'a>, id: BrokerId, name: &str) -> Result<(&'a str, Option<Moment>), (Lack, String)> {
    let (config, at) = config(facts, id, name)?;
    Ok((config.value.as_deref().unwrap_or_default(), at))
}

/// A number of the first broker that tells it.
pub fn number(facts: &Facts<'_>, name: &str) -> Option<f64> {
    let mut told = ids(facts).filter_map(|id| value(facts, id, name).ok()?.0.parse().ok());
    told.next()
}

pub fn ids<'a>(facts: &Facts<'a>) -> impl Iterator<Item = BrokerId> + use<'a> {
    facts.rows.brokers.iter().map(|row| row.id)
}

/// Asks every broker for one config.
pub fn survey(facts: &Facts<'_>, name: &str, expected: &str, fits: impl Fn(BrokerId, &str) -> bool) -> Survey {
    let mut survey = Survey::new(CONFIGS, name, expected);
    for id in ids(facts) {
        match value(facts, id, name) {
            Ok((value, at)) => survey.add(fits(id, value), broker(id), value, at),
            Err(why) => survey.lacking(why),
        }
    }
    survey
}

/// Asks every broker's machine.
pub fn machines<'a>(
    facts: &Facts<'a>,
    survey: &mut Survey,
    mut ask: impl FnMut(&mut Survey, &'a BrokerRow, &'a Instance),
) {
    for row in &facts.rows.brokers {
        let instance = row
            .instance
            .value
            .as_deref()
            .and_then(|id| facts.snapshot.cloud.instance(id));
        match instance {
            Some(instance) => ask(survey, row, instance),
            None => survey.lacking(no_machine(facts, row)),
        }
    }
}

/// The same with what its type can do.
pub fn types<'a>(
    facts: &Facts<'a>,
    survey: &mut Survey,
    mut ask: impl FnMut(&mut Survey, &'a BrokerRow, &'a InstanceType),
) {
    let types = &facts.snapshot.cloud.types;
    machines(facts, survey, |survey, row, instance| {
        match types.get(&instance.instance_type) {
            Some(known) => ask(survey, row, known),
            None => {
                let what = format!("what {} can do", instance.instance_type);
                survey.lacking(call(facts, "DescribeInstanceTypes", &what));
            }
        }
    });
}

/// Why an AWS call was not answered; it names the right where that is missing.
pub fn call(facts: &Facts<'_>, operation: &str, what: &str) -> (Lack, String) {
    match facts.snapshot.cloud.calls.get(operation) {
        Some(section) => Lack::of(section, what),
        None => Lack::of(&facts.snapshot.cloud.zones, what),
    }
}

fn no_machine(facts: &Facts<'_>, row: &BrokerRow) -> (Lack, String) {
    let cloud = &facts.snapshot.cloud;
    if cloud.instances.is_empty() || cloud.all_instances().next().is_none() {
        return call(facts, "DescribeInstances", "the brokers' instances");
    }
    let reason = row.instance.reason.clone();
    let reason = reason.unwrap_or_else(|| "its instance is not known".to_owned());
    (Lack::Answer, format!("{}: {reason}", broker(row.id)))
}

/// Asks every data volume.
pub fn volumes<'a>(facts: &Facts<'a>, survey: &mut Survey, mut ask: impl FnMut(&mut Survey, &'a VolumeRow)) {
    let volumes = &facts.rows.volumes;
    if volumes.is_empty() {
        let told = facts
            .snapshot
            .cloud
            .volumes
            .values()
            .any(|section| section.get().is_some());
        match told {
            true => survey.lack(Lack::Answer, "no EBS volume of a log directory is known"),
            false => survey.lacking(call(facts, "DescribeVolumes", "the brokers' volumes")),
        }
    }
    for row in volumes {
        ask(survey, row);
    }
}

/// Asks every broker's metrics endpoint for one number; `None` is one that it does not have.
pub fn scraped<'a, T>(
    facts: &Facts<'a>,
    survey: &mut Survey,
    metric: &str,
    take: impl Fn(&'a BrokerMetrics) -> Option<T>,
    mut ask: impl FnMut(&mut Survey, BrokerId, T, Option<Moment>),
) {
    if facts.snapshot.broker_metrics.is_empty() {
        let why = format!("{metric}: the context names no metrics endpoint ([context.….prometheus] url)");
        return survey.lack(Lack::Metric, why);
    }
    for (id, section) in &facts.snapshot.broker_metrics {
        match section.get().map(&take) {
            Some(Some(value)) => ask(survey, *id, value, section.seen_at),
            Some(None) => survey.lack(Lack::Metric, format!("{} does not export {metric}", broker(*id))),
            None => survey.lacking(Lack::of(section, &format!("metrics of {}", broker(*id)))),
        }
    }
}

/// A number of a row, or why it is not known.
pub fn cell<T: Copy>(survey: &mut Survey, subject: &str, cell: &Cell<T>, ask: impl FnOnce(&mut Survey, T)) {
    match cell.value {
        Some(value) => ask(survey, value),
        None => {
            let reason = cell.reason.clone().unwrap_or_else(|| "it is not told".to_owned());
            let denied = reason.starts_with("denied");
            survey.lack(
                if denied { Lack::Permission } else { Lack::Answer },
                format!("{subject}: {reason}"),
            );
        }
    }
}

/// When a section was seen.
pub fn at<T>(section: &Observed<T>) -> Option<Moment> {
    section.seen_at
}

/// The topics' rows, or why there are none.
pub fn topics(facts: &Facts<'_>) -> Option<Outcome> {
    let topics = &facts.snapshot.topics;
    topics.get().is_none().then(|| Outcome::untold(topics, "topics"))
}

/// `4.3` as numbers; `> 4.3` is taken for 4.3.
pub fn release(text: &str) -> Option<(u32, u32)> {
    let text = text.trim_start_matches(['>', ' ']);
    let (major, rest) = text.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}
