//! Everything that can happen to the state.

use std::sync::Arc;

use crate::model::Snapshot;
use crate::operation::fleet;

use super::action::Action;
use super::editor::Input;
use super::field::Tone;
use super::operation::{Operation, Operator, Sheet};
use super::outline::Made;
use super::past::Past;
use super::record::Batch;
use super::state::Facts;

/// One event.
#[derive(Debug)]
pub enum Message {
    Act(Action),
    /// A key that is bound to nothing here: text for whoever takes it.
    Type(Input),
    Paste(String),
    Resize(u16, u16),
    /// Time went by.
    Tick,
    /// New facts, with their rows, what the rules say of them, and the table that was asked for.
    Facts(Facts, Option<Box<Made>>),
    /// The table that [`super::Effect::Make`] wished for, and the facts it was made of.
    Made(Arc<Snapshot>, Box<Made>),
    Operations(Arc<Vec<Operation>>),
    /// Where one is in what was recorded.
    Past(Past),
    Operators(Arc<Vec<Operator>>),
    Records(Batch),
    /// What triage says of the clusters of the fleet.
    Fleet(Result<Vec<fleet::Line>, String>),
    /// What became of working out these words.
    Planned(Vec<String>, Result<Sheet, String>),
    Applied(Result<String, String>),
    Notice(Tone, String),
    /// The left button of a mouse, on this line of the screen.
    Click(u16),
    /// The chord typed so far; empty when it ended.
    Chord(String),
}
