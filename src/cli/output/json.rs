//! The envelope that scripts lean on, as JSON and as YAML.

use std::io::{self, Write};

use serde::Serialize;

use super::{Answer, Data, Problem};
use crate::model::Moment;

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
        }
    }
}

pub fn print(out: &mut dyn Write, kind: &str, answer: &Answer) -> io::Result<()> {
    let mut out = io::BufWriter::new(out);
    serde_json::to_writer_pretty(&mut out, &Envelope::of(kind, answer))?;
    writeln!(out)?;
    out.flush()
}

pub fn print_yaml(out: &mut dyn Write, kind: &str, answer: &Answer) -> io::Result<()> {
    let text = serde_yaml_ng::to_string(&Envelope::of(kind, answer)).map_err(io::Error::other)?;
    out.write_all(text.as_bytes())
}
