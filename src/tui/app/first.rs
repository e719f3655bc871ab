//! The first time: no cluster is known. What was found on this machine, and the demo, to choose from.

use super::action::Action;
use super::text;

/// The choices and the cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct First {
    pub items: Vec<Item>,
    pub selected: usize,
    /// AWS profiles, for the command that keeps a cluster.
    pub profiles: Vec<String>,
}

/// One line to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub label: String,
    /// Where it was found, or what it is.
    pub hint: String,
    pub pick: Pick,
}

/// What choosing it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// Opens the screens on these brokers, read-only; nothing is written.
    Cluster {
        bootstrap: String,
        /// A file of client properties.
        command_config: Option<String>,
    },
    Demo,
}

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Stay,
    Pick(Pick),
    Leave,
}

impl First {
    /// The clusters that were found, then the demo.
    pub fn new(clusters: Vec<Item>, profiles: Vec<String>) -> Self {
        let demo = Item {
            label: "the demo".to_owned(),
            hint: "six brokers in three zones, a simulated cloud, incidents to practise on".to_owned(),
            pick: Pick::Demo,
        };
        Self {
            items: clusters.into_iter().chain([demo]).collect(),
            selected: 0,
            profiles,
        }
    }

    pub fn act(&mut self, action: Action) -> Step {
        let last = self.items.len().saturating_sub(1);
        match action {
            Action::Next => self.selected = (self.selected + 1).min(last),
            Action::Previous => self.selected = self.selected.saturating_sub(1),
            Action::First => self.selected = 0,
            Action::Last => self.selected = last,
            Action::Accept => {
                if let Some(item) = self.items.get(self.selected) {
                    return Step::Pick(item.pick.clone());
                }
            }
            Action::Cancel | Action::Quit => return Step::Leave,
            _ => {}
        }
        Step::Stay
    }

    /// The command that does what choosing does, and the one that keeps it.
    pub fn commands(&self) -> Vec<String> {
        let line = |words: Vec<&str>| words.into_iter().map(text::word).collect::<Vec<_>>().join(" ");
        match self.items.get(self.selected).map(|item| &item.pick) {
            Some(Pick::Cluster {
                bootstrap,
                command_config,
            }) => {
                let mut target = vec!["--bootstrap", bootstrap.as_str()];
                if let Some(file) = command_config {
                    target.extend(["--command-config", file.as_str()]);
                }
                let mut add = vec!["azimuth", "context", "add", "NAME"];
                add.extend(&target);
                if let Some(profile) = self.profiles.first() {
                    add.extend(["--profile", profile]);
                }
                let open = std::iter::once("azimuth").chain(target).collect();
                vec![line(open), line(add)]
            }
            Some(Pick::Demo) => vec!["azimuth demo".to_owned()],
            None => Vec::new(),
        }
    }
}
