//! What the screens know and what they do with it: one state, one pure update. Nothing here waits, draws or reads a clock.

pub mod acl;
pub mod action;
pub mod broker;
pub mod copy;
pub mod dialog;
pub mod editor;
pub mod effect;
pub mod field;
pub mod filter;
pub mod frame;
pub mod group;
pub mod health;
pub mod list;
pub mod menu;
pub mod message;
pub mod navigate;
pub mod operation;
pub mod palette;
pub mod partition;
pub mod place;
pub mod plan;
pub mod prompt;
pub mod quota;
pub mod state;
pub mod table;
pub mod text;
pub mod topic;
pub mod trend;
pub mod update;
pub mod user;
pub mod volume;

pub use action::Action;
pub use effect::Effect;
pub use message::Message;
pub use state::State;
