//! The envelope that scripts lean on, as JSON and as YAML.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::{Answer, Data, Problem, yaml};
use crate::model::{Moment, foreign};

/// The version of the envelope and of the items' shapes; fields may be added without raising it.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Envelope<'a> {
    azimuth: u32,
    kind: &'a str,
    context: &'a Option<String>,
    cluster_id: &'a Option<String>,
    taken_at: Option<Moment>,
    complete: bool,
    problems: &'a [Problem],
    items: &'a [Data],
    #[serde(flatten)]
    beside: &'a BTreeMap<&'static str, Vec<Data>>,
}

impl<'a> Envelope<'a> {
    fn of(kind: &'a str, answer: &'a Answer) -> Self {
        Self {
            azimuth: VERSION,
            kind,
            context: &answer.context,
            cluster_id: &answer.cluster_id,
            taken_at: answer.taken_at,
            complete: answer.complete,
            problems: &answer.problems,
            items: &answer.items,
            beside: &answer.beside,
        }
    }
}

pub fn print(out: &mut dyn Write, kind: &str, answer: &Answer) -> io::Result<()> {
    let mut out = Harmless(io::BufWriter::new(out));
    serde_json::to_writer_pretty(&mut out, &Envelope::of(kind, answer))?;
    writeln!(out)?;
    out.flush()
}

/// Somebody may look at JSON on a terminal: see [`foreign::json`]. The serializer writes whole characters.
struct Harmless<W>(W);

impl<W: Write> Write for Harmless<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.0.write_all(foreign::json(text).as_bytes())?,
            Err(_) => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

pub fn print_yaml(out: &mut dyn Write, kind: &str, answer: &Answer) -> io::Result<()> {
    out.write_all(yaml(&Envelope::of(kind, answer)).map_err(io::Error::other)?.as_bytes())
}
