//! Just enough XML for EC2's answers.

use std::fmt::Write as _;

/// A document under construction.
#[derive(Debug, Default)]
pub(super) struct Xml {
    text: String,
}

impl Xml {
    /// `<name>text</name>`, escaped.
    pub(super) fn leaf(&mut self, name: &str, text: impl std::fmt::Display) -> &mut Self {
        let raw = text.to_string();
        self.open(name);
        for c in raw.chars() {
            match c {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                c => self.text.push(c),
            }
        }
        self.close(name)
    }

    /// `<name>...</name>` around what `inside` writes.
    pub(super) fn nest(&mut self, name: &str, inside: impl FnOnce(&mut Self)) -> &mut Self {
        self.open(name);
        inside(self);
        self.close(name)
    }

    /// EC2's lists: `<name><item>...</item>...</name>`.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.nest(name, |xml| {
            for item in items {
                xml.nest("item", |xml| each(xml, item));
            }
        })
    }

    /// Seconds since the epoch as EC2 writes times.
    pub(super) fn time(&mut self, name: &str, seconds: i64) -> &mut Self {
        let at = jiff::Timestamp::from_second(seconds).unwrap_or_default();
        self.leaf(name, at)
    }

    /// The whole answer to an EC2 action.
    pub(super) fn answer(action: &str, request: &str, inside: impl FnOnce(&mut Self)) -> String {
        let mut xml = Self::default();
        let _ = write!(
            xml.text,
            "<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">"
        );
        xml.leaf("requestId", request);
        inside(&mut xml);
        let _ = write!(xml.text, "</{action}Response>");
        xml.text
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn open(&mut self, name: &str) {
        let _ = write!(self.text, "<{name}>");
    }

    fn close(&mut self, name: &str) -> &mut Self {
        let _ = write!(self.text, "</{name}>");
        self
    }
}
