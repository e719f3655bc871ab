//! Text that somebody else wrote: names, client ids, values of configs and records. Nothing in it may move a cursor, colour
//! a terminal, ring its bell or turn the direction of what stands beside it, and a column of it must stay a column.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

/// Stands for a character that would change how its neighbours look.
const STAND_IN: char = '\u{fffd}';

/// The text as it may be printed: control characters are spaces; characters without a place of their own that turn the
/// direction (Unicode's `Bidi_Control`), join or hide others, or break the line are `�`. What is left is one line.
pub fn plain(text: &str) -> Cow<'_, str> {
    if text.chars().all(|letter| printed(letter) == letter) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(printed).collect())
}

/// Whether it acts on a terminal and JSON and YAML let it stand: control characters below are part of their layout, or
/// escaped already.
fn acts(letter: char) -> bool {
    letter >= '\u{7f}' && printed(letter) != letter
}

/// JSON that means the same and acts on no terminal: what [`plain`] would replace and JSON lets stand is written as `\uXXXX`.
pub fn json(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match acts(letter) {
            true => {
                let units = letter.encode_utf16(&mut [0; 2]).to_vec();
                escaped.extend(units.into_iter().map(|unit| format!("\\u{unit:04x}")));
            }
            false => escaped.push(letter),
        }
    }
    Cow::Owned(escaped)
}

/// YAML in block style, every scalar on the line where it begins, that means the same and acts on no terminal: a scalar with
/// such letters is in double quotes, where they are written as `\uXXXX` or `\UXXXXXXXX`.
pub fn yaml(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 64);
    for line in text.split_inclusive('\n') {
        match line.contains(acts) {
            true => yaml_line(&mut safe, line),
            false => safe.push_str(line),
        }
    }
    Cow::Owned(safe)
}

/// A line is marks of lists, a key, a scalar; each of the last two may be left out.
fn yaml_line(safe: &mut String, line: &str) {
    let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
    let mut rest = line.trim_start_matches([' ']);
    while let Some(item) = rest.strip_prefix("- ") {
        rest = item.trim_start_matches([' ']);
    }
    safe.push_str(&line[..line.len() - rest.len()]);
    // Plain keys have no colon, and plain scalars none before a blank.
    let key = match rest.starts_with('"') {
        true => quoted(rest).filter(|end| rest[*end..].starts_with(':')),
        false => rest.find(": ").or_else(|| rest.ends_with(':').then(|| rest.len() - 1)),
    };
    if let Some(end) = key {
        yaml_scalar(safe, &rest[..end]);
        let value = rest[end + 1..].trim_start_matches(' ');
        safe.push_str(&rest[end..rest.len() - value.len()]);
        rest = value;
    }
    yaml_scalar(safe, rest);
    safe.push_str(end);
}

/// Where what begins with a double quote ends, behind the closing one.
fn quoted(text: &str) -> Option<usize> {
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => drop(letters.next()),
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn yaml_scalar(safe: &mut String, scalar: &str) {
    if !scalar.contains(acts) {
        safe.push_str(scalar);
        return;
    }
    let is_plain = !scalar.starts_with('"');
    let quote = if is_plain { "\"" } else { "" };
    safe.push_str(quote);
    for letter in scalar.chars() {
        match letter {
            '"' | '\\' if is_plain => safe.extend(['\\', letter]),
            letter if acts(letter) && letter > '\u{ffff}' => safe.push_str(&format!("\\U{:08X}", u32::from(letter))),
            letter if acts(letter) => safe.push_str(&format!("\\u{:04X}", u32::from(letter))),
            letter => safe.push(letter),
        }
    }
    safe.push_str(quote);
}

fn printed(letter: char) -> char {
    match letter {
        letter if letter.is_control() => ' ',
        // Soft hyphen, Arabic letter mark, Mongolian vowel separator, zero width and direction marks, separators of lines
        // and paragraphs, embeddings and overrides, invisible operators and isolates, variation selectors, byte order
        // mark, interlinear annotations, tags.
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}' => STAND_IN,
        letter => letter,
    }
}

/// One cell of a screen: its first letter with the marks on it, and nothing that acts on others.
pub fn cell(symbol: &str) -> String {
    let harmless = symbol.chars().filter(|letter| printed(*letter) == *letter);
    let mut letters = harmless.skip_while(|letter| letter.width() == Some(0));
    let mut cell: String = letters.next().into_iter().collect();
    cell.extend(letters.take_while(|letter| letter.width() == Some(0)));
    if cell.is_empty() { " ".to_owned() } else { cell }
}

/// Columns that a terminal gives it: letter by letter, as terminals count, whatever a font would join.
pub fn width(text: &str) -> usize {
    text.chars().map(|letter| letter.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_harmless_stays_as_it_is() {
        for text in ["", "orders-eu", "größe", "日本語", "שלום", "مرحبا", "e\u{301}"] {
            assert!(matches!(plain(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn nothing_moves_a_cursor_or_turns_the_direction() {
        assert_eq!(plain("a\u{1b}[2Jb\r\nc\u{9b}d\u{7f}"), "a [2Jb  c d ");
        assert_eq!(plain("invoice\u{202e}fdp.exe"), "invoice\u{fffd}fdp.exe");
        assert_eq!(plain("a\u{200d}b\u{feff}c\u{2029}d"), "a\u{fffd}b\u{fffd}c\u{fffd}d");
    }

    #[test]
    fn json_stays_the_same_and_harmless() {
        let value = "a\u{1b}[2J\u{9b}31m\u{202e}שלום\u{feff}\u{e0041}日本";
        let written = serde_json::to_string(value).unwrap();
        let harmless = json(&written);
        assert!(matches!(plain(&harmless), Cow::Borrowed(_)), "{harmless}");
        assert_eq!(serde_json::from_str::<String>(&harmless).unwrap(), value);
        assert!(harmless.contains("日本"));
        assert!(matches!(json("{\n  \"größe\": 1\n}"), Cow::Borrowed(_)));
    }

    #[test]
    fn every_character_is_printable_after_it() {
        for letter in (0..=0x0010_ffff_u32).filter_map(char::from_u32) {
            let text = letter.to_string();
            let printed = plain(&text);
            assert!(!printed.chars().any(char::is_control), "{letter:?}");
            assert_eq!(plain(&printed), printed, "{letter:?}");
        }
    }

    #[test]
    fn a_cell_holds_one_letter_with_its_marks() {
        assert_eq!(cell("m\u{202e}"), "m");
        assert_eq!(cell("e\u{301}\u{200d}"), "e\u{301}");
        assert_eq!(cell("👩\u{200d}💻"), "👩");
        assert_eq!(cell("\u{202e}"), " ");
    }

    #[test]
    fn wide_letters_count_twice_and_marks_not_at_all() {
        assert_eq!(width("日本"), 4);
        assert_eq!(width("e\u{301}"), 1);
        // Lam and alef: a font may draw one letter, a terminal keeps two cells.
        assert_eq!(width("\u{644}\u{627}"), 2);
    }
}
