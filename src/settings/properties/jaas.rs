//! `sasl.jaas.config`: one login module with its options, in the syntax of JAAS configuration files.
//!
//! Source: `org.apache.kafka.common.security.JaasConfig`, which reads it by a `java.io.StreamTokenizer`.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// What a login module is given.
#[derive(Clone, PartialEq, Eq)]
pub struct Jaas {
    /// The class, with its package.
    pub module: String,
    pub options: BTreeMap<String, String>,
}

impl Jaas {
    /// # Errors
    /// What is missing, without any of the values.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = Words {
            rest: text.chars().peekable(),
        };
        let module = words
            .next()?
            .filter(|word| word != ";")
            .ok_or("it names no login module")?;
        let flag = words.next()?.unwrap_or_default().to_ascii_lowercase();
        if !["required", "requisite", "sufficient", "optional"].contains(&flag.as_str()) {
            return Err(format!("`required` must follow {module}"));
        }
        let mut options = BTreeMap::new();
        loop {
            let Some(key) = words.next()? else {
                return Err("it must end with a semicolon; is a line not continued with a backslash?".to_owned());
            };
            if key == ";" {
                return Ok(Self { module, options });
            }
            if words.next()?.as_deref() != Some("=") {
                return Err(format!("`=` must follow {key}"));
            }
            let value = words.next()?.filter(|word| word != ";");
            options.insert(key.clone(), value.ok_or_else(|| format!("{key} has no value"))?);
        }
    }

    /// The class without its package.
    pub fn class(&self) -> &str {
        self.module.rsplit('.').next().unwrap_or(&self.module)
    }
}

struct Words<'a> {
    rest: Peekable<Chars<'a>>,
}

impl Words<'_> {
    /// A word, a quoted text without its quotes, `=` or `;`.
    fn next(&mut self) -> Result<Option<String>, String> {
        while self.rest.next_if(|letter| letter.is_whitespace()).is_some() {}
        match self.rest.next() {
            None => Ok(None),
            Some(quote @ ('"' | '\'')) => self.quoted(quote).map(Some),
            Some(sign @ ('=' | ';')) => Ok(Some(sign.to_string())),
            Some(first) => {
                let mut word = first.to_string();
                let ends = |letter: &char| letter.is_whitespace() || matches!(letter, '=' | ';' | '"' | '\'');
                while let Some(letter) = self.rest.next_if(|letter| !ends(letter)) {
                    word.push(letter);
                }
                Ok(Some(word))
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let mut text = String::new();
        loop {
            match self.rest.next() {
                None => return Err("a quotation mark is not closed".to_owned()),
                Some(letter) if letter == quote => return Ok(text),
                Some('\\') => text.push(match self.rest.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    Some(other) => other,
                    None => return Err("a quotation mark is not closed".to_owned()),
                }),
                Some(letter) => text.push(letter),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_and_options_are_read_as_java_reads_them() {
        let text = "org.apache.kafka.common.security.scram.ScramLoginModule required\n username=\"al\\\"ice\" \
                    password='p=w; x' tokenauth=true;";
        let jaas = Jaas::parse(text).ok().unwrap();
        assert_eq!(jaas.class(), "ScramLoginModule");
        assert_eq!(jaas.options["username"], "al\"ice");
        assert_eq!(jaas.options["password"], "p=w; x");
        assert_eq!(jaas.options["tokenauth"], "true");
    }

    #[test]
    fn faults_name_what_is_missing_and_no_password() {
        for (text, wanted) in [
            ("", "names no login module"),
            ("a.PlainLoginModule username=\"a\";", "`required` must follow"),
            (
                "a.PlainLoginModule required username=\"a\" password=\"sesame\"",
                "semicolon",
            ),
            ("a.PlainLoginModule required password=\"sesame", "not closed"),
            ("a.PlainLoginModule required password;", "`=` must follow password"),
            ("a.PlainLoginModule required password=;", "password has no value"),
        ] {
            let error = Jaas::parse(text).err().unwrap();
            assert!(error.contains(wanted) && !error.contains("sesame"), "{error}");
        }
    }
}
