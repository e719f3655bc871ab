//! Words of a shell: printing a command so that a shell, and we, read the same words back.

use std::fmt;

/// A command as it will be printed: noun and verb, then names, then options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    path: Vec<String>,
    names: Vec<String>,
    options: Vec<String>,
}

impl Words {
    /// Starts with a noun and its verb, for example `["broker", "list"]`.
    pub fn new(path: &[&str]) -> Self {
        Self {
            path: path.iter().map(|word| (*word).to_owned()).collect(),
            ..Self::default()
        }
    }

    pub fn path(&self) -> &[String] {
        &self.path
    }

    pub fn is_empty(&self) -> bool {
        self.path.is_empty() && self.names.is_empty() && self.options.is_empty()
    }

    /// A name without a flag.
    pub fn name(mut self, name: impl fmt::Display) -> Self {
        self.names.push(name.to_string());
        self
    }

    pub fn names<T: fmt::Display>(self, names: impl IntoIterator<Item = T>) -> Self {
        names.into_iter().fold(self, Self::name)
    }

    /// A flag without a value, when it is set.
    pub fn flag(mut self, flag: &str, set: bool) -> Self {
        if set {
            self.options.push(flag.to_owned());
        }
        self
    }

    /// A flag with all of these values at once, commas between.
    pub fn list(self, flag: &str, values: &[String]) -> Self {
        self.option(flag, (!values.is_empty()).then(|| values.join(",")))
    }

    /// A flag with each of these values; an `Option` will do.
    pub fn option<T: fmt::Display>(mut self, flag: &str, values: impl IntoIterator<Item = T>) -> Self {
        for value in values {
            let value = value.to_string();
            // Otherwise it would be read as a flag.
            if value.starts_with('-') {
                self.options.push(format!("{flag}={value}"));
            } else {
                self.options.extend([flag.to_owned(), value]);
            }
        }
        self
    }
}

impl fmt::Display for Words {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dashes = "--".to_owned();
        let words: Vec<&String> = if self.names.iter().any(|name| name.starts_with('-')) {
            let names = std::iter::once(&dashes).chain(&self.names);
            self.path.iter().chain(&self.options).chain(names).collect()
        } else {
            self.path.iter().chain(&self.names).chain(&self.options).collect()
        };
        for (at, word) in words.into_iter().enumerate() {
            if at > 0 {
                formatter.write_str(" ")?;
            }
            formatter.write_str(&quote(word))?;
        }
        Ok(())
    }
}

/// A word as a POSIX shell reads it back; quoted only where it must be.
pub fn quote(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "_-./:=,@%+".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The words of a line, by the quoting rules of a POSIX shell; nothing is expanded.
pub fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        Some('\'') => break,
                        Some(letter) => word.push(letter),
                        None => return Err("a single quote ' is never closed".to_owned()),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        Some('"') => break,
                        Some('\\') => match letters.next() {
                            Some(escaped @ ('"' | '\\' | '$' | '`')) => word.push(escaped),
                            Some(other) => word.extend(['\\', other]),
                            None => return Err("a backslash ends the line".to_owned()),
                        },
                        Some(letter) => word.push(letter),
                        None => return Err("a double quote \" is never closed".to_owned()),
                    }
                }
            }
            '\\' => match letters.next() {
                Some(letter) => word.get_or_insert_default().push(letter),
                None => return Err("a backslash ends the line".to_owned()),
            },
            letter if letter.is_whitespace() => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_a_shells() {
        let words = split(r#"  a 'b c' "d \" \n" e\ f '' g'h'i  "#).unwrap();
        assert_eq!(words, ["a", "b c", r#"d " \n"#, "e f", "", "ghi"]);
        for bad in ["'a", "\"a", "a\\"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn quoting_is_undone_by_splitting() {
        for word in ["", "a", "it's", "a b", "$HOME", "a\"b", "\\", "ü", "*", "a\nb"] {
            assert_eq!(split(&quote(word)).unwrap(), [word]);
        }
    }
}
