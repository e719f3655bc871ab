//! The file format of `java.util.Properties`: comments, three separators, continued lines, escapes.
//!
//! Source: the documentation of `java.util.Properties.load(Reader)`, JDK 21.

use std::path::Path;

use super::{Place, Property};
use crate::settings::Error;
use crate::settings::secret::Secret;

/// The properties of a file's text, in order, each with the line (from 1) on which it starts.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Property>, Error> {
    let mut properties = Vec::new();
    let mut lines = text
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .enumerate();
    while let Some((at, first)) = lines.next() {
        let first = first.trim_start_matches(BLANK);
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        while continues(&logical) {
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(next.trim_start_matches(BLANK));
        }
        let line = at + 1;
        let (key, value) = split(&logical);
        let plain = |raw: &str| {
            unescape(raw).map_err(|message| Error::Text {
                path: path.to_owned(),
                line,
                message,
            })
        };
        properties.push(Property {
            key: plain(key)?,
            value: Secret::text(plain(value)?),
            place: Place::Line {
                path: path.to_owned(),
                line,
            },
        });
    }
    Ok(properties)
}

const BLANK: [char; 3] = [' ', '\t', '\x0c'];

/// An odd number of backslashes at the end.
fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Key and value, still escaped. The key ends at the first unescaped `=`, `:` or blank.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|letter: char| {
        let ends = !escaped && (letter == '=' || letter == ':' || BLANK.contains(&letter));
        escaped = letter == '\\' && !escaped;
        ends
    });
    let Some(end) = end else { return (line, "") };
    let rest = line[end..].trim_start_matches(BLANK);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (&line[..end], rest.trim_start_matches(BLANK))
}

fn unescape(raw: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(raw.len());
    let mut letters = raw.chars();
    let mut units: Vec<u16> = Vec::new();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            flush(&mut units, &mut plain);
            plain.push(letter);
            continue;
        }
        let escape = letters.next();
        if escape == Some('u') {
            let digits: String = letters.by_ref().take(4).collect();
            let unit = u16::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4);
            units.push(unit.ok_or_else(|| format!("`\\u{digits}` is not \\u and four hexadecimal digits"))?);
            continue;
        }
        flush(&mut units, &mut plain);
        match escape {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\x0c'),
            Some(other) => plain.push(other),
            None => {}
        }
    }
    flush(&mut units, &mut plain);
    Ok(plain)
}

/// UTF-16 units of successive `\u` escapes; pairs may be surrogates.
fn flush(units: &mut Vec<u16>, plain: &mut String) {
    if !units.is_empty() {
        plain.push_str(&String::from_utf16_lossy(units));
        units.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String, String)> {
        let properties = parse(Path::new("f"), text).unwrap();
        properties
            .into_iter()
            .map(|property| {
                (
                    property.key,
                    property.value.reveal().unwrap(),
                    property.place.to_string(),
                )
            })
            .collect()
    }

    fn pair(key: &str, value: &str, place: &str) -> (String, String, String) {
        (key.to_owned(), value.to_owned(), place.to_owned())
    }

    #[test]
    fn separators_comments_and_blanks_are_javas() {
        let text = "# no\n ! no\n\na=1\n b : 2 \nc 3\nd\ne==5\n\\=f\\:=6\r\n";
        assert_eq!(
            pairs(text),
            [
                pair("a", "1", "f:4"),
                pair("b", "2 ", "f:5"),
                pair("c", "3", "f:6"),
                pair("d", "", "f:7"),
                pair("e", "=5", "f:8"),
                pair("=f:", "6", "f:9"),
            ]
        );
    }

    #[test]
    fn lines_continue_and_the_first_is_named() {
        let text =
            "sasl.jaas.config=org.Plain required \\\n    username=\"a\" \\\n    # password=\"b\";\nb=x\\\\\nc=\\";
        assert_eq!(
            pairs(text),
            [
                pair(
                    "sasl.jaas.config",
                    "org.Plain required username=\"a\" # password=\"b\";",
                    "f:1"
                ),
                pair("b", "x\\", "f:4"),
                pair("c", "", "f:5"),
            ]
        );
    }

    #[test]
    fn escapes_are_javas() {
        assert_eq!(pairs("a=\\t\\q\\u00e4\\uD83D\\uDE00\n"), [pair("a", "\tqä😀", "f:1")]);
        let error = parse(Path::new("f"), "\na=\\u00g1\n").unwrap_err().to_string();
        assert!(error.starts_with("f:2: "), "{error}");
    }
}
