//! JAAS lines as Kafka's properties hold them: `Module required key="value" ...;`.
//!
//! Errors say what is wrong and never repeat a value, which may be a password.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

use crate::wire::sasl::Secret;

/// One login module with its options.
#[derive(Debug)]
pub struct Entry {
    /// The class without its package.
    pub module: String,
    pub options: BTreeMap<String, Secret>,
}

impl Entry {
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(Secret::expose)
    }

    /// The options whose names begin with `prefix`, without it.
    pub fn options_after<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Secret)> {
        self.options
            .iter()
            .filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value)))
    }
}

enum Token {
    Word(String),
    Equals,
    Semicolon,
}

/// Reads one line.
///
/// # Errors
/// A sentence without any value in it.
pub fn parse(text: &str) -> Result<Entry, String> {
    let mut tokens = tokens(text)?.into_iter();
    let Some(Token::Word(class)) = tokens.next() else {
        return Err("it does not begin with the name of a login module".to_owned());
    };
    let module = class.rsplit('.').next().unwrap_or_default().to_owned();
    match tokens.next() {
        Some(Token::Word(flag))
            if ["required", "requisite", "sufficient", "optional"]
                .iter()
                .any(|known| flag.eq_ignore_ascii_case(known)) => {}
        _ => {
            return Err(format!(
                "after {module} there has to be a control flag, usually `required`"
            ));
        }
    }
    let mut options = BTreeMap::new();
    loop {
        match tokens.next() {
            Some(Token::Semicolon) => break,
            Some(Token::Word(name)) => match (tokens.next(), tokens.next()) {
                (Some(Token::Equals), Some(Token::Word(value))) => {
                    options.insert(name, Secret::from(value));
                }
                _ => return Err(format!("option {} is not followed by = and a value", options.len() + 1)),
            },
            _ => return Err("it does not end with a semicolon".to_owned()),
        }
    }
    if tokens.next().is_some() {
        return Err("there is more than one login module; Kafka takes one per property".to_owned());
    }
    Ok(Entry { module, options })
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&next) = chars.peek() {
        match next {
            '=' | ';' => {
                chars.next();
                tokens.push(if next == '=' { Token::Equals } else { Token::Semicolon });
            }
            '"' => {
                chars.next();
                tokens.push(Token::Word(quoted(&mut chars)?));
            }
            '/' => comment(&mut chars)?,
            _ if next.is_whitespace() => {
                chars.next();
            }
            _ => {
                let mut word = String::new();
                while let Some(&c) = chars.peek()
                    && !(c.is_whitespace() || matches!(c, '=' | ';' | '"'))
                {
                    word.push(c);
                    chars.next();
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

/// The rest of a quoted value, with Java's escapes.
fn quoted(chars: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut value = String::new();
    loop {
        match chars.next() {
            Some('"') => return Ok(value),
            Some('\\') => match chars.next() {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some('r') => value.push('\r'),
                Some(other) => value.push(other),
                None => break,
            },
            Some(other) => value.push(other),
            None => break,
        }
    }
    Err("a quotation mark is not closed".to_owned())
}

fn comment(chars: &mut Peekable<Chars<'_>>) -> Result<(), String> {
    chars.next();
    match chars.next() {
        Some('/') => {
            while chars.next().is_some_and(|c| c != '\n') {}
            Ok(())
        }
        Some('*') => {
            let mut last = ' ';
            for c in chars.by_ref() {
                if last == '*' && c == '/' {
                    return Ok(());
                }
                last = c;
            }
            Err("a comment is not closed".to_owned())
        }
        _ => Err("a value with a slash needs quotation marks".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_own_example_is_read() {
        let entry = parse(
            "org.apache.kafka.common.security.plain.PlainLoginModule required \
             username=\"admin\" password=\"admin-secret\" /* users */ user_admin=\"admin-secret\" \
             user_alice=\"al\\\"ice; = \" debug=true;",
        )
        .unwrap();
        assert_eq!(entry.module, "PlainLoginModule");
        assert_eq!(entry.option("username"), Some("admin"));
        assert_eq!(entry.option("debug"), Some("true"));
        let users: Vec<_> = entry.options_after("user_").map(|(name, _)| name).collect();
        assert_eq!(users, ["admin", "alice"]);
        assert_eq!(entry.option("user_alice"), Some("al\"ice; = "));
        assert!(!format!("{entry:?}").contains("secret"));
    }

    #[test]
    fn an_error_says_what_is_wrong_but_no_value() {
        for (text, what) in [
            ("", "login module"),
            ("Module", "control flag"),
            ("Module sometimes a=b;", "control flag"),
            ("Module required password=hunter2", "semicolon"),
            ("Module required password=\"hunter2;", "not closed"),
            ("Module required password hunter2;", "not followed by ="),
            ("Module required password=;", "not followed by ="),
            ("A required x=hunter2; B required;", "more than one"),
            ("Module required /* hunter2", "comment"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
