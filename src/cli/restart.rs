//! `azimuth restart …`

use super::change::{self, Files, Wish};
use super::exit::{Exit, Failure};
use crate::command::Line;
use crate::command::restart::Verb;
use crate::plan::Kind;
use crate::plan::intent::Intent;

pub async fn run(line: &Line, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Plan(roll) => {
            let files = Files {
                plan: roll.out.as_deref(),
                ..Files::default()
            };
            change::plan(line, Intent::Restart(roll.wish()), files).await
        }
        Verb::Apply {
            file,
            detach,
            overrides,
            when,
        } => {
            let plan = change::load(file, Kind::Restart)?;
            change::run(line, Wish::saved(plan, overrides, *detach, when)).await
        }
    }
}
