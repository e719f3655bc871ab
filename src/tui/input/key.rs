//! One key: from the terminal's event, from a keymap file's word, and back to a word.

use std::fmt;
use std::str::FromStr;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::tui::app::editor::{Input, Key as Typed};

/// A key with its modifiers. Shift is part of the character where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    pub code: KeyCode,
    pub ctrl: bool,
    pub alt: bool,
    pub shift: bool,
}

/// Keys that terminals, multiplexers and shells own; nothing may be bound to them.
const RESERVED: [char; 6] = ['a', 'b', 's', 'q', 'z', '\\'];

const NAMES: [(&str, KeyCode); 14] = [
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("space", KeyCode::Char(' ')),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pgup", KeyCode::PageUp),
    ("pgdn", KeyCode::PageDown),
];

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no key; keys are a character, ctrl-x, alt-x, f1 to f12, or one of {known}", known = NAMES.map(|(name, _)| name).join(", "))]
pub struct Error(pub String);

impl Key {
    /// `None` for releases and for keys that are only modifiers.
    pub fn of(event: &KeyEvent) -> Option<Self> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        let has = |modifier| event.modifiers.contains(modifier);
        let (code, shift) = match event.code {
            KeyCode::BackTab => (KeyCode::Tab, true),
            KeyCode::Char(c) => (KeyCode::Char(c), false),
            KeyCode::Modifier(_) | KeyCode::Null => return None,
            code => (code, has(KeyModifiers::SHIFT)),
        };
        let ctrl = has(KeyModifiers::CONTROL);
        let code = match code {
            // With control, terminals do not tell cases apart.
            KeyCode::Char(c) if ctrl => KeyCode::Char(c.to_ascii_lowercase()),
            code => code,
        };
        Some(Self {
            code,
            ctrl,
            alt: has(KeyModifiers::ALT),
            shift,
        })
    }

    pub fn is_reserved(&self) -> bool {
        self.ctrl && matches!(self.code, KeyCode::Char(c) if RESERVED.contains(&c))
    }

    /// The key as the line editor takes it.
    pub fn input(&self) -> Input {
        let key = match self.code {
            KeyCode::Char(c) => Typed::Char(c),
            KeyCode::Enter => Typed::Enter,
            KeyCode::Esc => Typed::Esc,
            KeyCode::Tab => Typed::Tab,
            KeyCode::Backspace => Typed::Backspace,
            KeyCode::Delete => Typed::Delete,
            KeyCode::Left => Typed::Left,
            KeyCode::Right => Typed::Right,
            KeyCode::Up => Typed::Up,
            KeyCode::Down => Typed::Down,
            KeyCode::Home => Typed::Home,
            KeyCode::End => Typed::End,
            KeyCode::PageUp => Typed::PageUp,
            KeyCode::PageDown => Typed::PageDown,
            _ => Typed::Null,
        };
        Input {
            key,
            ctrl: self.ctrl,
            alt: self.alt,
            shift: self.shift,
        }
    }
}

impl FromStr for Key {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (mut rest, mut ctrl, mut alt, mut shift) = (text, false, false, false);
        loop {
            let modifiers = [("ctrl-", &mut ctrl), ("alt-", &mut alt), ("shift-", &mut shift)];
            let mut found = None;
            for (prefix, flag) in modifiers {
                if let Some(after) = rest.strip_prefix(prefix).filter(|after| !after.is_empty()) {
                    *flag = true;
                    found = Some(after);
                    break;
                }
            }
            match found {
                Some(after) => rest = after,
                None => break,
            }
        }
        let unknown = || Error(text.to_owned());
        let named = NAMES.iter().find(|(name, _)| *name == rest).map(|(_, code)| *code);
        let function = || {
            rest.strip_prefix('f')?
                .parse::<u8>()
                .ok()
                .filter(|n| (1..=12).contains(n))
                .map(KeyCode::F)
        };
        let code = match named.or_else(function) {
            Some(code) => code,
            None => {
                let mut chars = rest.chars();
                match (chars.next(), chars.next()) {
                    (Some(c), None) if !c.is_control() => KeyCode::Char(c),
                    _ => return Err(unknown()),
                }
            }
        };
        if shift && matches!(code, KeyCode::Char(_)) {
            return Err(unknown());
        }
        Ok(Self { code, ctrl, alt, shift })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (set, prefix) in [(self.ctrl, "ctrl-"), (self.alt, "alt-"), (self.shift, "shift-")] {
            if set {
                f.write_str(prefix)?;
            }
        }
        if let Some((name, _)) = NAMES.iter().find(|(_, code)| *code == self.code) {
            return f.write_str(name);
        }
        match self.code {
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::F(n) => write!(f, "f{n}"),
            code => write!(f, "{code:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_keys_are_two_ways_to_say_the_same() {
        for word in [
            "j",
            "G",
            "?",
            "-",
            "ctrl-r",
            "alt-<",
            "shift-tab",
            "f5",
            "space",
            "pgdn",
            "ctrl-alt-x",
            "\\",
        ] {
            assert_eq!(word.parse::<Key>().unwrap().to_string(), word);
        }
    }

    #[test]
    fn what_is_no_key_is_named() {
        for word in ["", "jj", "f13", "shift-a", "ctrl", "\u{1b}"] {
            assert!(
                word.parse::<Key>().unwrap_err().to_string().contains("is no key"),
                "{word}"
            );
        }
    }

    #[test]
    fn an_event_becomes_the_key_of_its_word() {
        let event = |code, modifiers| Key::of(&KeyEvent::new(code, modifiers)).unwrap().to_string();
        assert_eq!(event(KeyCode::Char('G'), KeyModifiers::SHIFT), "G");
        assert_eq!(event(KeyCode::BackTab, KeyModifiers::SHIFT), "shift-tab");
        assert_eq!(event(KeyCode::Char('R'), KeyModifiers::CONTROL), "ctrl-r");
    }

    #[test]
    fn the_keys_of_terminals_are_reserved() {
        for word in ["ctrl-a", "ctrl-b", "ctrl-s", "ctrl-q", "ctrl-z", "ctrl-\\"] {
            assert!(word.parse::<Key>().unwrap().is_reserved(), "{word}");
        }
        assert!(!"a".parse::<Key>().unwrap().is_reserved());
    }
}
