//! One line of text being typed: cursor, words, undo. The only widget type in the state.

use tui_textarea::{CursorMove, TextArea};
pub use tui_textarea::{Input, Key};

/// A single line; pasted line ends become spaces.
#[derive(Debug, Clone, Default)]
pub struct Editor {
    area: TextArea<'static>,
}

impl Editor {
    pub fn new(text: &str) -> Self {
        let mut area = TextArea::new(vec![text.to_owned()]);
        area.move_cursor(CursorMove::End);
        Self { area }
    }

    pub fn text(&self) -> &str {
        self.area.lines().first().map_or("", String::as_str)
    }

    /// In characters from the left.
    pub fn cursor(&self) -> usize {
        self.area.cursor().1
    }

    /// Takes a key; true when the text changed.
    pub fn input(&mut self, input: Input) -> bool {
        match input.key {
            Key::Enter | Key::Tab | Key::Esc => false,
            Key::Char('u') if input.ctrl => self.area.delete_line_by_head(),
            Key::Char('m' | 'j') if input.ctrl => false,
            _ => self.area.input(input),
        }
    }

    pub fn paste(&mut self, text: &str) -> bool {
        let line: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(4096)
            .collect();
        self.area.insert_str(line.trim_end())
    }

    pub fn set(&mut self, text: &str) {
        *self = Self::new(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_one_line() {
        let mut editor = Editor::new("ab");
        assert!(!editor.input(Input {
            key: Key::Enter,
            ..Input::default()
        }));
        assert!(editor.paste("c\nd\x1b[31m"));
        assert_eq!(editor.text(), "abc d [31m");
        assert_eq!(editor.cursor(), 10);
    }

    #[test]
    fn ctrl_u_empties_it() {
        let mut editor = Editor::new("orders");
        assert!(editor.input(Input {
            key: Key::Char('u'),
            ctrl: true,
            ..Input::default()
        }));
        assert_eq!(editor.text(), "");
    }
}
