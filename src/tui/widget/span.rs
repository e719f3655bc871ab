//! Text that fits its place: clipped with an ellipsis, padded to one side.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// `text` in at most `width` columns; what is cut shows as `…`.
pub fn clip(text: &str, width: u16) -> String {
    let width = usize::from(width);
    if text.width() <= width {
        return text.to_owned();
    }
    let mut clipped = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        clipped.push(c);
    }
    if width > 0 {
        clipped.push('…');
    }
    clipped
}

/// `text` in exactly `width` columns.
pub fn pad(text: &str, width: u16, right: bool) -> String {
    let clipped = clip(text, width);
    let space = " ".repeat(usize::from(width).saturating_sub(clipped.width()));
    if right { space + &clipped } else { clipped + &space }
}

/// Lines of at most `width` columns, broken between words.
pub fn wrap(text: &str, width: u16) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().filter(|line| !line.is_empty());
        match line {
            Some(line) if line.width() + 1 + word.width() <= usize::from(width) => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(clip(word, width)),
            None => {
                lines.pop();
                lines.push(clip(word, width));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(clip("orders", 6), "orders");
        assert_eq!(clip("orders-eu", 6), "order…");
        assert_eq!(clip("x", 0), "");
        assert_eq!(pad("7", 3, true), "  7");
        assert_eq!(pad("ab", 3, false), "ab ");
        assert_eq!(pad("日本語", 5, false), "日本…");
    }

    #[test]
    fn words_wrap() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("extraordinary", 5), ["extr…"]);
        assert_eq!(wrap("", 5), [""]);
    }
}
