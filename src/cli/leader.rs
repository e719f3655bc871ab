//! `azimuth leader …`

use super::change;
use super::exit::{Exit, Failure, say};
use super::facts;
use crate::command::Line;
use crate::command::leader::Verb;
use crate::operation::saved_order;
use crate::plan::intent::Intent;
use crate::plan::leader;

pub async fn run(line: &Line, verb: &Verb) -> Result<Exit, Failure> {
    let wish = match (verb.wish(), verb) {
        (Some(wish), _) => wish,
        (None, Verb::Restore { id, .. }) => saved(line, id.as_deref()).await?,
        (None, _) => return Err(Failure::usage("that is no wish about leaders")),
    };
    change::scheduled(line, Intent::Leaders(wish), verb.overrides(), verb.begin()).await
}

/// The order of a `leader move` in this cluster's journal.
async fn saved(line: &Line, id: Option<&str>) -> Result<leader::Wish, Failure> {
    let global = &line.global;
    let ground = change::ground(global)?;
    let cluster_id = ground.cluster_id(facts::patience(global)).await?;
    let (id, order) = saved_order(&ground.folder(&cluster_id)?, id)?;
    say(&format!("azimuth: the order that operation {id} found"));
    Ok(leader::Wish::Restore(order))
}
