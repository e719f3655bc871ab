//! Bytes as text, JSON or hex, safe for a terminal: nothing that comes out can move a cursor, colour a screen or turn
//! the direction of writing.

use std::borrow::Cow;
use std::fmt::Write as _;

/// How key and value are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, strum::Display, strum::EnumString, strum::VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Form {
    /// One line, escaped.
    #[default]
    Text,
    /// Indented; what is no JSON is shown as text.
    Json,
    /// Offset, sixteen bytes, and their ASCII.
    Hex,
}

/// One line. Bytes that are no UTF-8 are escaped one by one; null is `-`.
pub fn line(bytes: Option<&[u8]>) -> Cow<'_, str> {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => Cow::Borrowed("-"),
        Some((_, Ok(text))) => escape(text),
        Some((bytes, Err(_))) => bytes.escape_ascii().to_string().into(),
    }
}

/// The lines of a value in a form.
pub fn lines(bytes: Option<&[u8]>, form: Form) -> Vec<String> {
    let Some(bytes) = bytes else {
        return vec!["-".to_owned()];
    };
    match form {
        Form::Text => text_lines(bytes),
        Form::Json => json_lines(bytes).unwrap_or_else(|| text_lines(bytes)),
        Form::Hex => hex_lines(bytes),
    }
}

/// Escapes what a terminal would act upon or hide: control characters, and the marks that turn the direction of text or
/// have no width.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match is_unsafe(letter) {
            true => safe.extend(letter.escape_default()),
            false => safe.push(letter),
        }
    }
    Cow::Owned(safe)
}

/// Control characters; then U+200B to 200F, 2028 to 202E, 2060 to 206F, FEFF and FFF9 to FFFB (Unicode, categories Cf,
/// Zl and Zp, as far as they are invisible), and tags (E0000 to E007F).
fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Line by line where it is text of several lines.
fn text_lines(bytes: &[u8]) -> Vec<String> {
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
            lines.map(|line| escape(line).into_owned()).collect()
        }
        Err(_) => vec![bytes.escape_ascii().to_string()],
    }
}

fn hex_lines(bytes: &[u8]) -> Vec<String> {
    let line = |(at, row): (usize, &[u8])| {
        let mut text = format!("{:08x} ", at * 16);
        for (at, byte) in row.iter().enumerate() {
            let gap = if at == 8 { "  " } else { " " };
            // Writing to a string cannot fail.
            let _ = write!(text, "{gap}{byte:02x}");
        }
        let ascii: String = row
            .iter()
            .map(|byte| {
                if byte.is_ascii_graphic() || *byte == b' ' {
                    char::from(*byte)
                } else {
                    '.'
                }
            })
            .collect();
        format!("{text:<59}|{ascii}|")
    };
    match bytes.is_empty() {
        true => vec!["00000000".to_owned()],
        false => bytes.chunks(16).enumerate().map(line).collect(),
    }
}

/// JSON with a member a line; `None` when it is no JSON. Only the layout changes: numbers keep their digits, members
/// their order, and names may repeat.
fn json_lines(bytes: &[u8]) -> Option<Vec<String>> {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).ok()?;
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = Vec::new();
    let mut current = String::new();
    let mut depth = 0_usize;
    let mut letters = text.chars().peekable();
    let mut is_string = false;
    while let Some(letter) = letters.next() {
        if is_string {
            current.push(letter);
            match letter {
                '\\' => current.extend(letters.next()),
                '"' => is_string = false,
                _ => {}
            }
            continue;
        }
        match letter {
            '"' => {
                is_string = true;
                current.push('"');
            }
            '{' | '[' => {
                current.push(letter);
                while letters.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(close) = letters.next_if(|next| matches!(next, '}' | ']')) {
                    current.push(close);
                } else {
                    depth += 1;
                    new_line(&mut lines, &mut current, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut lines, &mut current, depth);
                current.push(letter);
            }
            ',' => {
                current.push(',');
                new_line(&mut lines, &mut current, depth);
            }
            ':' => current.push_str(": "),
            space if space.is_ascii_whitespace() => {}
            other => current.push(other),
        }
    }
    lines.push(escape(&current).into_owned());
    Some(lines)
}

fn new_line(lines: &mut Vec<String>, current: &mut String, depth: usize) {
    lines.push(escape(current).into_owned());
    *current = "  ".repeat(depth.min(40));
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[2J\u{9b}31m\u{7}\u{202e}gnp\u{200b}\u{feff}\r\u{7f}";

    #[test]
    fn nothing_that_comes_out_moves_the_cursor_or_turns_the_text() {
        for form in [Form::Text, Form::Json, Form::Hex] {
            let json = serde_json::to_string(HOSTILE).unwrap();
            for bytes in [HOSTILE.as_bytes(), json.as_bytes(), b"\xff\x1b[2J"] {
                for line in lines(Some(bytes), form) {
                    assert!(!line.contains(is_unsafe), "{form}: {line:?}");
                }
            }
        }
        assert!(!line(Some(HOSTILE.as_bytes())).contains(is_unsafe));
        assert_eq!(line(Some("a\u{202e}b".as_bytes())), "a\\u{202e}b");
        assert_eq!(line(Some("größe 数".as_bytes())), "größe 数");
    }

    #[test]
    fn null_is_not_empty() {
        assert_eq!((line(None), line(Some(b""))), ("-".into(), "".into()));
    }

    #[test]
    fn json_keeps_its_digits_order_and_repeated_names() {
        let lines = lines(
            Some(br#"{"n":12345678901234567890.10,"a":[ ],"a":[1,{"b":"x, {y}"}],"e":{}}"#),
            Form::Json,
        );
        let told = [
            "{",
            "  \"n\": 12345678901234567890.10,",
            "  \"a\": [],",
            "  \"a\": [",
            "    1,",
            "    {",
            "      \"b\": \"x, {y}\"",
            "    }",
            "  ],",
            "  \"e\": {}",
            "}",
        ];
        assert_eq!(lines, told);
    }

    #[test]
    fn what_is_no_json_is_text() {
        assert_eq!(lines(Some(b"{oops"), Form::Json), ["{oops"]);
        assert_eq!(lines(Some(b"one\ntwo"), Form::Json), ["one", "two"]);
    }

    #[test]
    fn hex_lines_up() {
        let lines = lines(Some(b"0123456789abcdef\x00\xffz"), Form::Hex);
        assert_eq!(
            lines[0],
            "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66 |0123456789abcdef|"
        );
        assert_eq!(lines[1].len(), 59 + 5);
        assert!(lines[1].ends_with("|..z|"));
    }
}
