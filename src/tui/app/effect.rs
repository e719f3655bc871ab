//! What the state wants done outside itself.

use crate::model::history::Window;

use super::past::Travel;
use super::place::Noun;

/// A wish; whoever carries it out answers with a message, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Quit,
    /// Leave, and open the console again on this context.
    SwitchContext(String),
    /// Draw every cell again.
    Redraw,
    /// Put text on the clipboard of the person's own terminal (OSC 52).
    Copy(String),
    /// Show text in `$PAGER`.
    Page(String),
    /// Write a file in the working directory.
    Export {
        name: String,
        text: String,
    },
    Theme(String),
    /// Make the table of this place where no key waits for it, from the facts at hand.
    Make,
    /// Rates and trends are to be over another time.
    Rates(Window),
    /// What changed is to be told of another time.
    Changes(Window),
    /// Ask everything of this screen now.
    Refresh(Noun),
    /// Ask every cluster of the fleet for a verdict.
    Fleet,
    /// This screen is looked at: its facts are asked for more often.
    Focus(Noun),
    /// Move in what was recorded.
    Travel(Travel),
    /// Read records: the words after `record`; none ends what is being read.
    Read(Vec<String>),
    /// Work out a plan for a command line, without the program's name.
    Plan(Vec<String>),
    /// Work out what applying these rules would do; `words` name the command, with [`super::rules::DRAFT`] for the file
    /// that the text is kept in.
    PlanRules {
        words: Vec<String>,
        text: String,
    },
    /// Do what the sheet says; `confirm` is the name that was typed.
    Apply {
        sheet: String,
        confirm: Option<String>,
    },
    /// Keep why with the sheet's plan, which goes on against its soft gates; `words` made the sheet.
    Reason {
        sheet: String,
        words: Vec<String>,
        reason: String,
    },
    /// Keep with the sheet's plan when it may go on, as flags.
    Schedule {
        sheet: String,
        words: Vec<String>,
        when: String,
    },
    /// Save the sheet's plan in the working directory.
    SavePlan(String),
}
