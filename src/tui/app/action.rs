//! What a person can ask for. The variant's name is its word in keymap files and the palette; its doc comment is its help.

use strum::{EnumMessage, EnumString, IntoStaticStr, VariantArray};

/// One request of the person at the keys.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, EnumString, IntoStaticStr, EnumMessage, VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
pub enum Action {
    /// What is wrong, and who is at fault.
    Triage,
    /// Brokers by availability zone.
    Broker,
    /// Topics and where their replicas are.
    Topic,
    /// Consumer groups and their lag.
    Group,
    /// EBS volumes and their limits.
    Volume,
    /// Operations, running and done.
    Operation,
    /// How the cluster stands by the practices.
    Check,
    /// Access rules: who may do what.
    Acl,
    /// Users: credentials, rules, quotas.
    User,
    /// Client quotas, and which of them wins.
    Quota,
    /// Configs: where brokers differ.
    Config,
    /// The clusters of the context file.
    Context,

    /// Move to the next row.
    Next,
    /// Move to the previous row.
    Previous,
    /// Move a page down.
    PageDown,
    /// Move a page up.
    PageUp,
    /// Move to the first row.
    First,
    /// Move to the last row.
    Last,
    /// Show columns to the right.
    ScrollRight,
    /// Show columns to the left.
    ScrollLeft,
    /// Open the row.
    Open,
    /// Drop the filter, or close what is open.
    Back,
    /// The next page of what is open.
    NextTab,
    /// The previous page of what is open.
    PreviousTab,
    /// The screen before this one.
    HistoryBack,
    /// Forward again.
    HistoryForward,

    /// Filter: text, key:value, !not, >90%.
    Filter,
    /// Show only rows with a fault.
    Faults,
    /// Order again, or by a column.
    Sort,
    /// Every column, scrolled sideways.
    Wide,
    /// Unfold the healthy rows.
    Unfold,
    /// Mark the row.
    Mark,
    /// Unmark all rows.
    UnmarkAll,
    /// The row in full; why a value is missing.
    Inspect,
    /// Read records; there, choose which.
    Record,
    /// Bytes instead of roles in the matrix.
    Heat,
    /// Rates and trends over a longer time.
    Window,
    /// What would free the log directory.
    Relieve,
    /// The next step of what was recorded.
    Later,
    /// The step before it.
    Earlier,
    /// Where the next finding began or was over.
    LaterFinding,
    /// Where the one before did.
    EarlierFinding,
    /// Play it: ×1, ×10, ×60, stand still.
    Speed,
    /// Freeze the screen as it is.
    Freeze,
    /// Ask again now, and order again.
    Refresh,
    /// Draw the screen again.
    Redraw,

    /// What can be done with the row.
    Actions,
    /// Copy a value, the row, the command.
    Copy,
    /// Write the rows to a file.
    Export,
    /// Read the rows in the pager.
    Pager,
    /// Go anywhere, do anything, by name.
    Palette,
    /// The keys that work here.
    Help,
    /// Switch to the next theme.
    Theme,
    /// Times in UTC, or in the local zone.
    Clock,
    /// Leave; operations go on.
    Quit,

    /// Plan to create a topic.
    Create,
    /// Plan to delete the topics, or groups.
    Delete,
    /// Plan where the group reads on.
    Reset,
    /// Plan to move replicas.
    Reassign,
    /// Plan to move leaders off the brokers.
    Leader,
    /// Plan to restart the brokers, one by one.
    Restart,
    /// Plan a larger or faster volume.
    Modify,
    /// Plan a snapshot of the broker's volumes.
    Snapshot,
    /// Plan the first next step that is safe.
    Step,
    /// Plan to throttle what is in flight.
    SetThrottle,
    /// Plan to clear the throttles.
    ClearThrottle,
    /// Plan to send back what is in flight.
    CancelMove,
    /// Plan to pause the operation.
    Pause,
    /// Plan to resume the operation.
    Resume,
    /// Plan to abort; what has moved stays.
    Abort,
    /// Plan to take back what it did.
    Undo,
    /// Plan to set what is chosen.
    Set,
    /// Plan to take it away again.
    Unset,
    /// Edit the rules as text.
    Rules,

    /// Take what is typed or chosen.
    Accept,
    /// Close without doing anything.
    Cancel,
    /// Complete the word.
    Complete,
    /// Plan what is written.
    Propose,
    /// Apply the plan.
    Apply,
    /// Save the plan to a file.
    Save,
    /// Say why, and go on against soft gates.
    Override,
    /// Say when it may go on: hours, pauses.
    When,
    /// Edit the command, and plan it again.
    Revise,
}

impl Action {
    /// Its word in keymap files.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Its help: one sentence.
    pub fn help(self) -> &'static str {
        self.get_documentation().unwrap_or_default()
    }

    /// Leads to a change of the cluster, by way of a plan and a confirmation.
    pub fn is_change(self) -> bool {
        matches!(
            self,
            Self::Create
                | Self::Delete
                | Self::Reassign
                | Self::Leader
                | Self::Restart
                | Self::Modify
                | Self::Snapshot
                | Self::Reset
                | Self::Step
                | Self::SetThrottle
                | Self::ClearThrottle
                | Self::CancelMove
                | Self::Undo
                | Self::Pause
                | Self::Resume
                | Self::Abort
                | Self::Set
                | Self::Unset
                | Self::Rules
                | Self::Apply
                | Self::Override
        )
    }
}
