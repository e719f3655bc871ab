//! Access rules edited as text, and beside it what applying it would do: the difference, who gains and loses, whether it cuts
//! anybody off. Nothing leaves the editor but a plan to confirm.

use crate::command::acl::{Of, Verb};
use crate::model::acl::{self, Operation, ResourceKind};
use crate::model::{Moment, Snapshot};
use crate::plan::acl::change::{self, Wish};
use crate::plan::acl::text::{Note, Scope, Text};
use crate::plan::summary::{self, Mood};
use crate::plan::{Error, Plan};
use strum::IntoEnumIterator;

use super::action::Action;
use super::dialog::Dialog;
use super::editor::{Input, Pad};
use super::effect::Effect;
use super::field::{Field, Tone};
use super::state::State;

/// The word that stands for the draft's file until it is written.
pub const DRAFT: &str = "DRAFT";

/// So many words are offered for completion.
const OFFERED: usize = 12;

/// One text being edited.
#[derive(Debug, Clone)]
pub struct Draft {
    pub scope: Scope,
    pub pad: Pad,
    /// What could be read of it.
    text: Text,
    pub faults: Vec<Note>,
    /// What applying it would do; of a text without faults.
    plan: Result<Plan, Error>,
    /// Words that could follow, after a tab.
    pub offers: Vec<String>,
}

impl Draft {
    /// The rules of a scope as the cluster has them.
    fn new(scope: Scope, snapshot: &Snapshot) -> Self {
        let whole = Text {
            scopes: vec![scope.clone()],
            ..Text::default()
        };
        let rules = snapshot.acls.get().map(|acls| change::in_scope(&whole, acls));
        let text = Text::write(&whole.scopes, &rules.unwrap_or_default());
        Self {
            scope,
            pad: Pad::new(&text),
            text: Text::default(),
            faults: Vec::new(),
            plan: Err(Error::Nothing(String::new())),
            offers: Vec::new(),
        }
    }

    /// Reads the text anew; only another meaning is worked out anew, or with `anew` all.
    fn read(&mut self, snapshot: &Snapshot, context: &str, now: Moment, anew: bool) {
        let (text, faults) = Text::read(&self.pad.text());
        let same = text == self.text && faults == self.faults;
        if same && !anew {
            return;
        }
        (self.text, self.faults) = (text, faults);
        self.plan = match self.faults.len() {
            0 => {
                let wish = Wish::Text {
                    text: self.text.clone(),
                    prune: true,
                };
                change::plan(snapshot, &wish, context, now)
            }
            _ => Err(Error::Impossible("what cannot be read is not compared".to_owned())),
        };
    }

    /// What applying it would do, in the order to read; faults first.
    pub fn panel(&self) -> Vec<Field> {
        let mut lines = Vec::new();
        for fault in &self.faults {
            lines.push(Field::new(format!("✖ {fault}")).tone(Tone::Error));
        }
        match &self.plan {
            Err(_) if !self.faults.is_empty() => {}
            Err(Error::Nothing(_)) => lines.push(Field::new("✓ the cluster has exactly these rules").tone(Tone::Ok)),
            Err(error) => lines.push(Field::new(format!("? {error}")).tone(Tone::Unknown)),
            Ok(plan) => {
                lines.push(Field::new(format!("{} · {}", plan.title, summary::figures(plan))).tone(Tone::Title));
                lines.extend(plan.gates.iter().map(|gate| Field::from(summary::gate(gate))));
                lines.extend(summary::steps(plan).into_iter().map(Field::from));
            }
        }
        lines.extend(self.text.notes.iter().map(|note| Field::muted(note.to_string())));
        lines
    }

    /// `3 rules · 1 line cannot be read`.
    pub fn status(&self) -> String {
        let rules = super::text::plural(self.text.rules.len(), "rule");
        match self.faults.len() {
            0 => format!("{} · {rules}", self.scope),
            1 => format!("{} · {rules} · 1 line cannot be read", self.scope),
            many => format!("{} · {rules} · {many} lines cannot be read", self.scope),
        }
    }

    /// The fault of the line that the cursor is on.
    pub fn fault(&self) -> Option<&Note> {
        let (row, _) = self.pad.cursor();
        self.faults.iter().find(|fault| fault.line == row + 1)
    }
}

impl State {
    /// The text that is being edited, where one is.
    pub fn drafting(&self) -> Option<&Draft> {
        let key = self.drafting.as_ref()?;
        self.drafts.get(key)
    }

    /// Opens the rules of what is on screen: of one principal, or all. A text that was left is there again.
    pub(super) fn edit_rules(&mut self, now: Moment) {
        let scope = match &self.place().name {
            Some(principal) => Scope::Principal(principal.clone()),
            None => Scope::All,
        };
        match self.snapshot.acls.get() {
            Some(acls) if acls.authorizer => {}
            Some(_) => {
                return self.notify(
                    now,
                    Tone::Warn,
                    "the cluster has no authorizer: there are no rules".to_owned(),
                );
            }
            None => {
                let why = self.snapshot.acls.problem().unwrap_or_default();
                return self.notify(now, Tone::Warn, format!("the rules are not known: {why}"));
            }
        }
        let key = scope.to_string();
        let snapshot = self.snapshot.clone();
        self.drafts
            .entry(key.clone())
            .or_insert_with(|| Draft::new(scope, &snapshot));
        self.drafting = Some(key);
        self.read_draft(now, true);
    }

    /// What the cluster has may have changed.
    pub(super) fn read_draft(&mut self, now: Moment, anew: bool) {
        let (snapshot, context) = (self.snapshot.clone(), self.origin.context.clone());
        let Some(key) = &self.drafting else { return };
        if let Some(draft) = self.drafts.get_mut(key) {
            draft.read(&snapshot, &context, now, anew);
        }
    }

    pub(super) fn type_rules(&mut self, now: Moment, input: Input) {
        self.change_rules(now, |pad| pad.input(input));
    }

    pub(super) fn paste_rules(&mut self, now: Moment, text: &str) {
        self.change_rules(now, |pad| pad.paste(text));
    }

    fn change_rules(&mut self, now: Moment, change: impl FnOnce(&mut Pad) -> bool) {
        let Some(key) = &self.drafting else { return };
        let Some(draft) = self.drafts.get_mut(key) else { return };
        draft.offers.clear();
        if change(&mut draft.pad) {
            self.read_draft(now, false);
        }
    }

    pub(super) fn rules_act(&mut self, now: Moment, action: Action) -> Vec<Effect> {
        match action {
            Action::Cancel => {
                self.drafting = None;
                let keys = self.keys_of(Action::Rules);
                self.notify(now, Tone::Muted, format!("the text is kept: {keys} opens it again"));
                Vec::new()
            }
            Action::Complete => {
                self.complete_rules(now);
                Vec::new()
            }
            Action::Propose => self.propose_rules(now),
            _ => Vec::new(),
        }
    }

    /// A plan of what is written; a fault is gone to instead.
    fn propose_rules(&mut self, now: Moment) -> Vec<Effect> {
        let Some(key) = &self.drafting else { return Vec::new() };
        let Some(draft) = self.drafts.get_mut(key) else {
            return Vec::new();
        };
        if let Some(fault) = draft.faults.first() {
            let text = fault.to_string();
            draft.pad.go_to(fault.line.saturating_sub(1));
            self.notify(now, Tone::Error, text);
            return Vec::new();
        }
        let words = ["acl", "apply", DRAFT, "--prune"].map(str::to_owned).to_vec();
        let text = draft.pad.text();
        self.dialog = Some(Dialog::Planning { words: words.clone() });
        vec![Effect::PlanRules { words, text }]
    }

    /// Completes the word before the cursor as far as all that could be meant agree, and offers them.
    fn complete_rules(&mut self, now: Moment) {
        let Some(draft) = self.drafting() else { return };
        let before = draft.pad.before();
        let (word, candidates) = candidates(&before, &self.snapshot);
        let lower = word.to_lowercase();
        let fitting: Vec<String> = candidates
            .into_iter()
            .filter(|candidate| candidate.to_lowercase().starts_with(&lower))
            .collect();
        let common = common(&fitting);
        let letters = word.chars().count();
        let Some(key) = &self.drafting else { return };
        let Some(draft) = self.drafts.get_mut(key) else { return };
        draft.offers = match fitting.as_slice() {
            [] => vec!["nothing that is known begins so".to_owned()],
            [_] => Vec::new(),
            many => many.iter().take(OFFERED).cloned().collect(),
        };
        let changed = match fitting.as_slice() {
            [only] => draft.pad.replace(letters, &format!("{only} ")),
            [_, ..] if common.chars().count() > letters => draft.pad.replace(letters, &common),
            _ => false,
        };
        if changed {
            self.read_draft(now, false);
        }
    }

    /// The command that edits the same on the command line.
    pub(super) fn rules_command(&self) -> Option<Vec<String>> {
        let draft = self.drafting()?;
        let mut of = Of::default();
        if let Scope::Principal(principal) = &draft.scope {
            of.principal = Some(principal.clone());
        }
        let verb = Verb::Edit {
            of,
            overrides: Vec::new(),
        };
        let printed = crate::command::Command::Acl(verb).to_string();
        crate::command::words::split(&printed).ok()
    }
}

/// The beginning that all have.
fn common(words: &[String]) -> String {
    let Some((first, rest)) = words.split_first() else {
        return String::new();
    };
    let shared = |other: &String, so_far: usize| {
        let pairs = first.chars().zip(other.chars()).take(so_far);
        pairs.take_while(|(one, other)| one == other).count()
    };
    let length = rest
        .iter()
        .fold(first.chars().count(), |length, other| shared(other, length));
    first.chars().take(length).collect()
}

/// The word being written and what could stand there.
fn candidates(before: &str, snapshot: &Snapshot) -> (String, Vec<String>) {
    let ends = before.ends_with(char::is_whitespace);
    let mut words: Vec<&str> = before.split_whitespace().collect();
    let word = if ends { "" } else { words.pop().unwrap_or_default() };
    let principals = || {
        let rules = snapshot.acls.get().into_iter().flat_map(|acls| &acls.rules);
        let users = snapshot.users.get().into_iter().flatten();
        let users = users.map(|user| acl::quoted(&format!("User:{}", user.name)));
        sorted(rules.map(|rule| acl::quoted(&rule.principal)).chain(users))
    };
    let kinds = || ResourceKind::iter().map(|kind| kind.to_string());
    let names = |kind: &str| match kind {
        "topic" => sorted(snapshot.topics().iter().map(|topic| acl::quoted(&topic.name))),
        "group" => {
            let groups = snapshot.groups.get().into_iter().flatten();
            sorted(groups.map(|group| acl::quoted(&group.name)))
        }
        _ => Vec::new(),
    };
    let fixed = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let list = match words.as_slice() {
        [] => fixed(&["allow", "deny", "scope"]),
        ["scope"] => fixed(&["all", "principal"]).into_iter().chain(kinds()).collect(),
        ["allow" | "deny"] | ["scope", "principal"] => principals(),
        ["scope", kind] => [fixed(&["prefix"]), names(kind)].concat(),
        [_, _] => fixed(&["from", "to"]),
        [.., "from"] => fixed(&["*"]),
        [.., "to"] => {
            // After a comma another one begins.
            let done = word
                .rsplit_once(',')
                .map_or(String::new(), |(done, _)| format!("{done},"));
            let all = Operation::iter().map(|one| one.to_string());
            let short = ["consume", "produce", "transact"].map(str::to_owned);
            let list = all.chain(short).map(|one| format!("{done}{one}"));
            list.collect()
        }
        [.., "on"] => kinds().collect(),
        [.., "on", kind] => [fixed(&["prefix"]), names(kind)].concat(),
        [.., kind, "prefix"] => names(kind),
        [.., "from", _] => fixed(&["to"]),
        [.., "to", _] => fixed(&["on"]),
        _ => Vec::new(),
    };
    (word.to_owned(), list)
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let names: std::collections::BTreeSet<String> = names.collect();
    names.into_iter().collect()
}

impl From<summary::Line> for Field {
    fn from(line: summary::Line) -> Self {
        let tone = match line.mood {
            Mood::Plain => Tone::Plain,
            Mood::Title => Tone::Title,
            Mood::Muted => Tone::Muted,
            Mood::Pass => Tone::Ok,
            Mood::Warn => Tone::Warn,
            Mood::Fail => Tone::Error,
            Mood::Unknown => Tone::Unknown,
        };
        Self::new(line.text).tone(tone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(before: &str) -> Vec<String> {
        let (word, all) = candidates(before, &Snapshot::default());
        all.into_iter().filter(|one| one.starts_with(&word)).collect()
    }

    #[test]
    fn what_can_follow_is_offered() {
        assert_eq!(offered("a"), ["allow"]);
        assert_eq!(offered("allow User:a "), ["from", "to"]);
        assert_eq!(
            offered("allow User:a to Read,Descr"),
            ["Read,Describe", "Read,DescribeConfigs", "Read,DescribeTokens"]
        );
        assert_eq!(
            offered("allow User:a from * to Read on t"),
            ["topic", "transactional_id"]
        );
        assert_eq!(offered("scope p"), ["principal"]);
        assert_eq!(common(&offered("allow User:a to Read,Descr")), "Read,Describe");
    }
}
