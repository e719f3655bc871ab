//! `azimuth record send`: a record, or one for each line of stdin, and where each went.

use std::io::{BufRead, Write};

use futures::{StreamExt, stream};
use tokio::sync::mpsc;

use crate::cli::direct::Here;
use crate::cli::exit::{Exit, Failure, say};
use crate::command::record::Send;
use crate::command::{Line, Output};
use crate::feed::{self, Delivered, Error, NewRecord, Producer, Section};
use crate::operation::direct::Direct;
use crate::plan::Kind;

/// So many records wait for their acknowledgement.
const IN_FLIGHT: usize = 500;

pub async fn send(line: &Line, wanted: &Send) -> Result<Exit, Failure> {
    let global = &line.global;
    let here = Here::look(
        global,
        &[Section::Cluster, Section::Topics],
        "a capture takes no records",
    )
    .await?;
    super::known(&here.snapshot, &wanted.topic, wanted.partition)?;
    let one = wanted.value.is_some() || wanted.tombstone;
    let what = match one {
        true => format!("write a record to {}", wanted.topic),
        false => format!("write each line of stdin to {}", wanted.topic),
    };
    let Some(direct) = here.begin(global, Kind::RecordSend, what)? else {
        return Ok(Exit::Done);
    };
    let producer = feed::producer(&here.ground.sources, &[]).map_err(Failure::partial)?;
    let writer = Writer {
        producer,
        wanted,
        output: global.output,
    };
    match one {
        true => {
            let value = wanted.value.as_ref().map(|value| value.as_bytes().to_vec());
            match writer.write(value).await {
                Ok(delivered) => {
                    let Delivered { partition, offset } = delivered;
                    direct.done(format!("{}:{partition}:{offset}", wanted.topic))?;
                    writer.told(delivered)?;
                    Ok(Exit::Done)
                }
                Err(error) => {
                    direct.failed(error.to_string())?;
                    Err(Failure::partial(error))
                }
            }
        }
        false => writer.lines(lines(), direct).await,
    }
}

/// The lines of stdin, read by a thread of its own: a terminal or a pipe may keep it waiting for ever.
fn lines() -> mpsc::Receiver<std::io::Result<Vec<u8>>> {
    let (sender, lines) = mpsc::channel(IN_FLIGHT);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().split(b'\n') {
            // Nobody listens once a record was not acknowledged.
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    lines
}

struct Writer<'a> {
    producer: Producer,
    wanted: &'a Send,
    output: Output,
}

impl Writer<'_> {
    async fn write(&self, value: Option<Vec<u8>>) -> Result<Delivered, Error> {
        let headers: Vec<(&str, &[u8])> = self
            .wanted
            .header
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name, value.as_bytes()))
            .collect();
        let record = NewRecord {
            topic: &self.wanted.topic,
            partition: self.wanted.partition,
            key: self.wanted.key.as_deref().map(str::as_bytes),
            value: value.as_deref(),
            headers: &headers,
            ..NewRecord::default()
        };
        self.producer.send(record).await
    }

    /// Until the end of the input, or the first record that is not acknowledged.
    async fn lines(&self, lines: mpsc::Receiver<std::io::Result<Vec<u8>>>, direct: Direct) -> Result<Exit, Failure> {
        let lines = stream::unfold(lines, |mut lines| async { Some((lines.recv().await?, lines)) });
        let lines = lines.map(|line| line.map_err(|error| Error::Local(format!("stdin: {error}"))));
        let written = lines.map(|line| async { self.write(Some(line?)).await });
        let mut written = std::pin::pin!(written.buffered(IN_FLIGHT));
        let mut count = 0_u64;
        while let Some(outcome) = written.next().await {
            match outcome {
                Ok(delivered) => self.told(delivered)?,
                Err(error) => {
                    let told = format!("{count} records were acknowledged, then: {error}");
                    say(&format!("azimuth: {told}"));
                    direct.failed(told)?;
                    return Ok(if count == 0 { Exit::Partial } else { Exit::PartWay });
                }
            }
            count += 1;
        }
        let told = format!("{count} records were acknowledged");
        say(&format!("azimuth: {told}"));
        direct.done(told)?;
        Ok(Exit::Done)
    }

    /// A line for each record: where it is.
    fn told(&self, delivered: Delivered) -> Result<(), Failure> {
        let Delivered { partition, offset } = delivered;
        let topic = &self.wanted.topic;
        let text = match self.output {
            Output::Json | Output::Yaml => {
                serde_json::json!({"topic": topic, "partition": partition, "offset": offset}).to_string()
            }
            Output::Csv => format!("{topic},{partition},{offset}"),
            Output::Name | Output::Table | Output::Wide | Output::Prom | Output::Nagios | Output::Md | Output::Plan => {
                format!("{topic}:{partition}:{offset}")
            }
        };
        let mut out = crate::cli::out::stdout();
        crate::cli::printed(writeln!(out, "{text}").and_then(|()| out.flush())).map(drop)
    }
}
