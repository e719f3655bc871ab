//! Text being typed, one line or many: cursor, words, undo. The only widget type in the state.

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

/// Many lines; what is pasted keeps its line ends.
#[derive(Debug, Clone, Default)]
pub struct Pad {
    area: TextArea<'static>,
}

/// A paste is cut off after so many letters: 5,000 rules, twice.
const PASTED: usize = 1 << 20;

/// Lines that a page key goes.
const PAGE: isize = 20;

impl Pad {
    pub fn new(text: &str) -> Self {
        Self {
            area: TextArea::new(text.lines().map(str::to_owned).collect()),
        }
    }

    pub fn lines(&self) -> &[String] {
        self.area.lines()
    }

    /// All of it, each line with its end.
    pub fn text(&self) -> String {
        self.lines().iter().map(|line| format!("{line}\n")).collect()
    }

    /// Line, and characters from its left; both from 0.
    pub fn cursor(&self) -> (usize, usize) {
        let cursor = self.area.cursor();
        (cursor.0, cursor.1)
    }

    /// Takes a key; true when the text changed.
    pub fn input(&mut self, input: Input) -> bool {
        match input.key {
            Key::Tab | Key::Esc => false,
            // Its own paging goes by a height that only its own drawing tells it.
            Key::PageDown => self.page(PAGE),
            Key::PageUp => self.page(-PAGE),
            _ => self.area.input(input),
        }
    }

    fn page(&mut self, by: isize) -> bool {
        let last = self.lines().len().saturating_sub(1);
        self.go_to(self.cursor().0.saturating_add_signed(by).min(last));
        false
    }

    pub fn paste(&mut self, text: &str) -> bool {
        let plain = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
        let text: String = text
            .replace("\r\n", "\n")
            .replace('\r', "\n")
            .chars()
            .map(plain)
            .take(PASTED)
            .collect();
        self.area.insert_str(text)
    }

    /// The beginning of this line.
    pub fn go_to(&mut self, line: usize) {
        let line = u16::try_from(line).unwrap_or(u16::MAX);
        self.area.move_cursor(CursorMove::Jump(line, 0));
    }

    /// What stands before the cursor on its line.
    pub fn before(&self) -> String {
        let (row, column) = self.cursor();
        let line = self.lines().get(row).map_or("", String::as_str);
        line.chars().take(column).collect()
    }

    /// Puts text in the place of so many letters before the cursor.
    pub fn replace(&mut self, letters: usize, text: &str) -> bool {
        for _ in 0..letters {
            self.area.delete_char();
        }
        self.area.insert_str(text)
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
    fn a_pad_has_lines_and_completes_a_word() {
        let mut pad = Pad::new("allow a\ndeny b\n");
        pad.go_to(1);
        assert_eq!((pad.cursor(), pad.before().as_str()), ((1, 0), ""));
        assert!(pad.paste("# x\r\nde"));
        assert_eq!(pad.before(), "de");
        assert!(pad.replace(2, "deny "));
        assert_eq!(pad.text(), "allow a\n# x\ndeny deny b\n");
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
