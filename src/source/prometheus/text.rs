//! The text exposition format, version 0.0.4, read line by line: what does not fit it is an error that names the line.
//!
//! Source: Prometheus' documentation, "Exposition formats", text-based format.

use std::borrow::Cow;

/// The longest line: log directories and topics as labels stay far below it.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// One sample, borrowed from the text.
#[derive(Debug, PartialEq)]
pub struct Sample<'a> {
    pub name: &'a str,
    pub labels: Vec<(&'a str, Cow<'a, str>)>,
    pub value: f64,
}

impl Sample<'_> {
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|(label, _)| *label == name)
            .map(|(_, value)| value.as_ref())
    }
}

/// Hands over every sample whose name is `wanted`; the lines of others are looked at no further than their name.
///
/// # Errors
/// The line, counted from 1, and what is wrong with it.
pub fn read<'a>(text: &'a str, wanted: impl Fn(&str) -> bool, mut take: impl FnMut(Sample<'a>)) -> Result<(), String> {
    for (at, line) in text.lines().enumerate() {
        let fault = |what: &str| format!("line {} {what}", at + 1);
        if line.len() > MAX_LINE_BYTES {
            return Err(fault("is too long"));
        }
        let line = line.trim_start_matches([' ', '\t']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, rest) = name(line, true).ok_or_else(|| fault("does not begin with the name of a metric"))?;
        if !rest.starts_with(['{', ' ', '\t']) {
            return Err(fault("has no value"));
        }
        if wanted(name) {
            take(sample(name, rest).map_err(fault)?);
        }
    }
    Ok(())
}

fn sample<'a>(name: &'a str, rest: &'a str) -> Result<Sample<'a>, &'static str> {
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let mut words = rest.split_ascii_whitespace();
    let value = words.next().ok_or("has no value")?;
    let value = number(value).ok_or("has a value that is no number")?;
    // A timestamp may follow: it is the exporter's, and what it counts is the scrape's time.
    match (words.next().map(str::parse::<i64>), words.next()) {
        (None | Some(Ok(_)), None) => Ok(Sample { name, labels, value }),
        _ => Err("has more behind its value than a timestamp"),
    }
}

type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// The labels after their brace, and what follows the closing one.
fn labels(mut rest: &str) -> Result<(Labels<'_>, &str), &'static str> {
    let mut labels = Vec::new();
    loop {
        rest = blank(rest);
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (label, after) = name(rest, false).ok_or("has a label without a name")?;
        let after = blank(after).strip_prefix('=').ok_or("has a label without a value")?;
        let quoted = blank(after)
            .strip_prefix('"')
            .ok_or("has a label whose value is not quoted")?;
        let (value, after) = value(quoted)?;
        labels.push((label, value));
        rest = blank(after);
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None if rest.starts_with('}') => {}
            None => return Err("has labels without a comma between"),
        }
    }
}

/// A label's value after its quotation mark, and what follows the closing one.
fn value(text: &str) -> Result<(Cow<'_, str>, &str), &'static str> {
    const OPEN: &str = "has a label whose value does not end";
    let end = text.find(['"', '\\']).ok_or(OPEN)?;
    if text.as_bytes()[end] == b'"' {
        return Ok((Cow::Borrowed(&text[..end]), &text[end + 1..]));
    }
    let mut plain = text[..end].to_owned();
    let mut letters = text[end..].char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((Cow::Owned(plain), &text[end + at + 1..])),
            '\\' => plain.push(match letters.next() {
                Some((_, 'n')) => '\n',
                Some((_, escaped @ ('"' | '\\'))) => escaped,
                _ => return Err("has a label with an unknown escape"),
            }),
            letter => plain.push(letter),
        }
    }
    Err(OPEN)
}

fn blank(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// A name of a metric, which may hold colons, or of a label; and what follows it.
fn name(text: &str, colons: bool) -> Option<(&str, &str)> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (colons && byte == b':');
    let end = text.bytes().position(|byte| !fits(byte)).unwrap_or(text.len());
    let fine = end > 0 && !text.as_bytes()[0].is_ascii_digit();
    fine.then(|| text.split_at(end))
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        // Rust also takes `infinity` and the like, which the format does not have.
        text if text
            .bytes()
            .any(|byte| byte.is_ascii_alphabetic() && !matches!(byte, b'e' | b'E')) =>
        {
            None
        }
        text => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<String>, String> {
        let mut seen = Vec::new();
        read(
            text,
            |name| name != "skipped",
            |sample| seen.push(format!("{} {:?} {}", sample.name, sample.labels, sample.value)),
        )?;
        Ok(seen)
    }

    #[test]
    fn what_the_format_allows_is_read() {
        let text = "# HELP a b\n# TYPE a counter\n\na 1\na{} 2.5e3 1700000000000\n\
                    a:b_c{x=\"1\",y = \"q\\\"\\\\\\n\",} NaN\nskipped{this is not looked at\nz -Inf\n";
        assert_eq!(
            all(text).unwrap(),
            [
                "a [] 1",
                "a [] 2500",
                "a:b_c [(\"x\", \"1\"), (\"y\", \"q\\\"\\\\\\n\")] NaN",
                "z [] -inf",
            ]
        );
    }

    #[test]
    fn what_it_does_not_allow_names_the_line() {
        for (line, wanted) in [
            ("1a 2", "does not begin with the name"),
            ("<html>", "does not begin with the name"),
            ("a", "has no value"),
            ("a{", "has a label without a name"),
            ("a{x} 1", "has a label without a value"),
            ("a{x=1} 1", "is not quoted"),
            ("a{x=\"1} 1", "does not end"),
            ("a{x=\"\\t\"} 1", "unknown escape"),
            ("a{x=\"1\" y=\"2\"} 1", "without a comma"),
            ("a{x=\"1\"}", "has no value"),
            ("a one", "is no number"),
            ("a infinity", "is no number"),
            ("a 1 soon", "more behind its value"),
            ("a 1 2 3", "more behind its value"),
        ] {
            let error = all(&format!("b 1\n{line}\n")).unwrap_err();
            assert!(
                error.starts_with("line 2 ") && error.contains(wanted),
                "{line}: {error}"
            );
        }
        let long = format!("a{{x=\"{}\"}} 1", "y".repeat(MAX_LINE_BYTES));
        assert_eq!(all(&long).unwrap_err(), "line 1 is too long");
    }
}
