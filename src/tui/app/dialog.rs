//! What lies above the screen and takes every key: help, a menu, a plan to confirm.

use crate::command::schedule::When;
use crate::model::Moment;

use super::action::Action;
use super::editor::Editor;
use super::effect::Effect;
use super::field::Tone;
use super::menu::{Choice, Menu};
use super::operation::{Answer, Confirm};
use super::state::State;

/// A dialog; at most one is open.
#[derive(Debug, Clone)]
pub enum Dialog {
    Help {
        scroll: usize,
    },
    Menu(Menu),
    Confirm(Box<Confirm>),
    /// A plan is being worked out.
    Planning {
        words: Vec<String>,
    },
}

const PAGE: isize = 10;

impl State {
    pub(super) fn dialog_act(&mut self, now: Moment, action: Action) -> Vec<Effect> {
        let last_help = self.help_lines().saturating_sub(1);
        match &mut self.dialog {
            None => Vec::new(),
            Some(Dialog::Help { scroll }) => {
                match step(action) {
                    Some(by) => *scroll = scroll.saturating_add_signed(by).min(last_help),
                    None => self.dialog = None,
                }
                Vec::new()
            }
            Some(Dialog::Planning { .. }) => {
                if action == Action::Cancel {
                    self.dialog = None;
                }
                Vec::new()
            }
            Some(Dialog::Menu(menu)) => match (action, step(action)) {
                (_, Some(by)) => {
                    menu.step(by);
                    Vec::new()
                }
                (Action::Accept, _) => self.choose(now),
                (Action::Cancel, _) => {
                    self.dialog = None;
                    Vec::new()
                }
                _ => Vec::new(),
            },
            Some(Dialog::Confirm(_)) => self.confirm_act(now, action),
        }
    }

    fn choose(&mut self, now: Moment) -> Vec<Effect> {
        let Some(Dialog::Menu(menu)) = self.dialog.take() else {
            return Vec::new();
        };
        let Some(item) = menu.chosen().cloned() else {
            return Vec::new();
        };
        if let Some(refused) = item.refused {
            self.notify(now, Tone::Warn, refused);
            return Vec::new();
        }
        match item.choice {
            Choice::Act(action) => self.screen_act(now, action),
            Choice::Copy { what, text } => {
                self.notify(now, Tone::Ok, format!("copied {what}"));
                vec![Effect::Copy(text)]
            }
            Choice::Sort(by) => {
                self.sort(now, by);
                Vec::new()
            }
            Choice::Export { name, text } => vec![Effect::Export { name, text }],
        }
    }

    /// Nothing typed before the plan could be read is heard, so neither type-ahead nor a paste applies it.
    fn confirm_act(&mut self, now: Moment, action: Action) -> Vec<Effect> {
        let Some(Dialog::Confirm(confirm)) = &mut self.dialog else {
            return Vec::new();
        };
        if !confirm.is_armed(now) {
            return Vec::new();
        }
        if let Some(by) = step(action).filter(|_| confirm.typed.is_none()) {
            let last = confirm.sheet.lines.len().saturating_sub(1);
            confirm.scroll = confirm.scroll.saturating_add_signed(by).min(last);
            return Vec::new();
        }
        match action {
            Action::Cancel => {
                self.dialog = None;
                Vec::new()
            }
            Action::Revise if confirm.typed.is_none() => {
                let words = std::mem::take(&mut confirm.words);
                self.dialog = None;
                self.revise(&words);
                Vec::new()
            }
            Action::Override if confirm.sheet.asks_why() && confirm.typed.is_none() => {
                confirm.typed = Some((Answer::Reason, Editor::default()));
                Vec::new()
            }
            Action::When if confirm.sheet.when.is_some() && confirm.typed.is_none() => {
                let known = confirm.sheet.when.as_deref().unwrap_or_default();
                confirm.typed = Some((Answer::When, Editor::new(known)));
                Vec::new()
            }
            Action::Save => vec![Effect::SavePlan(confirm.sheet.id.clone())],
            Action::Apply if confirm.sheet.blocked.is_some() => Vec::new(),
            Action::Apply if confirm.sheet.wants_reason && confirm.typed.is_none() => {
                confirm.typed = Some((Answer::Reason, Editor::default()));
                Vec::new()
            }
            Action::Apply if confirm.sheet.confirm.is_some() && confirm.typed.is_none() => {
                confirm.typed = Some((Answer::Name, Editor::default()));
                Vec::new()
            }
            Action::Apply if confirm.sheet.confirm.is_none() => self.apply(None),
            Action::Accept => match (&confirm.typed, &confirm.sheet.confirm) {
                (Some((Answer::Reason, typed)), _) if !typed.text().trim().is_empty() => {
                    let reason = typed.text().trim().to_owned();
                    let (sheet, words) = (confirm.sheet.id.clone(), std::mem::take(&mut confirm.words));
                    self.dialog = Some(Dialog::Planning { words: words.clone() });
                    vec![Effect::Reason { sheet, words, reason }]
                }
                (Some((Answer::When, typed)), _) => match typed.text().parse::<When>() {
                    Ok(when) => {
                        let (sheet, words) = (confirm.sheet.id.clone(), std::mem::take(&mut confirm.words));
                        self.dialog = Some(Dialog::Planning { words: words.clone() });
                        let when = when.flags();
                        vec![Effect::Schedule { sheet, words, when }]
                    }
                    Err(error) => {
                        confirm.wrong = true;
                        self.notify(now, Tone::Warn, error);
                        Vec::new()
                    }
                },
                (Some((Answer::Name, typed)), Some(name)) if typed.text() == name => {
                    let name = name.clone();
                    self.apply(Some(name))
                }
                (Some(_), _) => {
                    confirm.wrong = true;
                    Vec::new()
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn apply(&mut self, confirm: Option<String>) -> Vec<Effect> {
        match self.dialog.take() {
            Some(Dialog::Confirm(dialog)) => vec![Effect::Apply {
                sheet: dialog.sheet.id,
                confirm,
            }],
            _ => Vec::new(),
        }
    }
}

fn step(action: Action) -> Option<isize> {
    match action {
        Action::Next => Some(1),
        Action::Previous => Some(-1),
        Action::PageDown => Some(PAGE),
        Action::PageUp => Some(-PAGE),
        Action::First => Some(isize::MIN),
        Action::Last => Some(isize::MAX / 2),
        _ => None,
    }
}
