//! Adding and removing access rules, read back from every broker before the next act.

use crate::model::acl::{Acls, Rule};
use crate::plan::acl::effect;
use crate::source::Error;
use crate::source::kafka::Kafka;

use super::status::Progress;
use super::step::{Act, Seen, act_of};

/// Asks for rules; one that is there already is no error.
pub(super) async fn add(kafka: &Kafka, rules: &[Rule]) -> Act {
    asked(kafka.create_acls(rules).await)
}

/// Asks for rules to go; one that is gone already is no error.
pub(super) async fn remove(kafka: &Kafka, rules: &[Rule]) -> Act {
    asked(kafka.delete_acls(rules).await)
}

fn asked(outcome: Result<(), Error>) -> Act {
    match outcome {
        Ok(()) => Act::Asked,
        Err(error) => act_of(error),
    }
}

/// Whether every broker that is not fenced has all of them, or with `gone` none. One that does not answer is waited for.
pub(super) async fn look(kafka: &Kafka, rules: &[Rule], gone: bool, step: usize) -> Seen {
    let cluster = match kafka.cluster().await {
        Ok(cluster) => cluster,
        Err(error) => return Seen::Unknown(error.to_string()),
    };
    let live: Vec<i32> = cluster
        .brokers
        .iter()
        .filter(|one| !one.fenced)
        .map(|one| one.id)
        .collect();
    let told = futures::future::join_all(live.iter().map(async |id| (*id, kafka.acls_of(*id).await))).await;
    let mut done = 0;
    let mut late = None;
    for (id, told) in told {
        match told {
            Ok(acls) if is_so(&acls, rules, gone) => done += 1,
            Ok(_) => late = Some(format!("broker {id} does not tell it yet")),
            Err(error) => late = Some(format!("broker {id} does not tell its rules: {error}")),
        }
    }
    match late {
        None if done > 0 => Seen::Done(format!("read back from {done} brokers")),
        late => Seen::Waiting(Progress {
            step,
            done,
            total: live.len() as u32,
            note: late.unwrap_or_else(|| "no broker is there".to_owned()),
            ..Progress::default()
        }),
    }
}

fn is_so(acls: &Acls, rules: &[Rule], gone: bool) -> bool {
    match gone {
        false => effect::has_all(acls, rules),
        true => effect::has_none(acls, rules),
    }
}
