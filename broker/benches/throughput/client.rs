//! `rdkafka_performance`, built once outside the tree from the librdkafka that rdkafka-sys carries, with the system's OpenSSL.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use super::topic::PARTITIONS;
use super::{Failure, cpu};

/// The size of a record's value.
pub const RECORD_BYTES: u64 = 1024;
/// Of one of many producers'.
const SMALL_BYTES: u64 = 100;
/// How many they are.
const PRODUCERS: usize = 100;

const BATCH: &str = "batch.size=65536";
const SMALL_BATCH: &str = "batch.size=2048";

/// The client.
pub struct Tool {
    program: PathBuf,
}

/// How the client reaches the brokers: addresses with commas.
#[derive(Debug, Clone, Copy)]
pub enum Way<'a> {
    Plain(&'a str),
    /// Encrypted, with the file of the certificate that it trusts.
    Tls(&'a str, &'a Path),
}

/// Runs of the client that have ended and are not reaped, so that their processor time can still be read.
pub struct Ended {
    clients: Vec<(Child, PathBuf)>,
    /// Of a producer whose records the clients read.
    source: Option<(Child, PathBuf)>,
    /// Of a value.
    bytes: u64,
    /// From the start of the first until the end of the last.
    took: Duration,
    /// They were told to end, and give up what is not acknowledged then.
    interrupted: bool,
}

/// What the client measured: bytes of values, and by its own clock where it was one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    pub bytes: u64,
    pub milliseconds: u64,
}

impl Tool {
    /// Builds it if it is not there yet, which takes minutes.
    pub fn ready() -> Result<Self, Failure> {
        let source = source()?;
        let version = source
            .parent()
            .and_then(Path::file_name)
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let version = version.rsplit('+').next().unwrap_or("unknown");
        let built = cache()?.join(format!("librdkafka-{version}-ssl"));
        let program = built.join("examples/rdkafka_performance");
        if !program.exists() {
            println!("building rdkafka_performance {version} in {}", built.display());
            build(&source, &built)?;
        }
        Ok(Self { program })
    }

    /// Produces `records` records and waits until it has ended.
    pub fn produce(&self, way: Way<'_>, topic: &str, acks: &str, records: u64) -> Result<Ended, Failure> {
        let begun = Instant::now();
        let client = self.producing(way, topic, acks, (RECORD_BYTES, records), BATCH)?;
        ended(vec![client], RECORD_BYTES, begun)
    }

    /// Produces with acks=all for so long.
    pub fn produce_for(&self, bootstrap: &str, topic: &str, lasts: Duration) -> Result<Ended, Failure> {
        let begun = Instant::now();
        // As many as no broker takes in that time.
        let load = (RECORD_BYTES, 1_000_000_000);
        let client = self.producing(Way::Plain(bootstrap), topic, "-1", load, BATCH)?;
        std::thread::sleep(lasts);
        kill_process(cpu::pid(client.0.id())?, Signal::INT)?;
        Ok(Ended {
            interrupted: true,
            ..ended(vec![client], RECORD_BYTES, begun)?
        })
    }

    /// Many producers, each of `records` small records in small batches with acks=all.
    pub fn produce_many(&self, bootstrap: &str, topic: &str, records: u64) -> Result<Ended, Failure> {
        let begun = Instant::now();
        let one = |_| self.producing(Way::Plain(bootstrap), topic, "-1", (SMALL_BYTES, records), SMALL_BATCH);
        let clients: Vec<_> = (0..PRODUCERS).map(one).collect::<Result<_, _>>()?;
        ended(clients, SMALL_BYTES, begun)
    }

    /// `(size, records)`.
    fn producing(
        &self,
        way: Way<'_>,
        topic: &str,
        acks: &str,
        (size, records): (u64, u64),
        batch: &str,
    ) -> Result<(Child, PathBuf), Failure> {
        let (size, records) = (size.to_string(), records.to_string());
        let (bootstrap, trust) = match way {
            Way::Plain(bootstrap) => (bootstrap, None),
            Way::Tls(bootstrap, trusted) => (bootstrap, Some(format!("ssl.ca.location={}", trusted.display()))),
        };
        let mut arguments = vec![
            "-P", "-t", topic, "-b", bootstrap, "-s", &size, "-c", &records, "-a", acks, "-X", batch,
        ];
        if let Some(trust) = &trust {
            arguments.extend(["-X", "security.protocol=ssl", "-X", trust]);
        }
        self.run(&arguments)
    }

    /// Reads `records` records from the beginning of all partitions and waits until it has ended.
    pub fn consume(&self, bootstrap: &str, topic: &str, records: u64) -> Result<Ended, Failure> {
        let begun = Instant::now();
        ended(vec![self.consuming(bootstrap, topic, records)?], RECORD_BYTES, begun)
    }

    /// Produces `records` records to an empty topic that are read as they come, and waits until the last one is.
    pub fn tail(&self, bootstrap: &str, topic: &str, acks: &str, records: u64) -> Result<Ended, Failure> {
        let reader = self.consuming(bootstrap, topic, records)?;
        let begun = Instant::now();
        let source = self.producing(Way::Plain(bootstrap), topic, acks, (RECORD_BYTES, records), BATCH)?;
        let read = ended(vec![reader], RECORD_BYTES, begun)?;
        cpu::until_ended(&source.0)?;
        Ok(Ended {
            source: Some(source),
            ..read
        })
    }

    fn consuming(&self, bootstrap: &str, topic: &str, records: u64) -> Result<(Child, PathBuf), Failure> {
        let partitions: Vec<String> = (0..PARTITIONS).map(|partition| partition.to_string()).collect();
        let count = records.to_string();
        let mut arguments = vec!["-C", "-t", topic, "-b", bootstrap, "-o", "beginning", "-c", &count];
        for partition in &partitions {
            arguments.extend(["-p", partition]);
        }
        self.run(&arguments)
    }

    fn run(&self, arguments: &[&str]) -> Result<(Child, PathBuf), Failure> {
        let output = tempfile::NamedTempFile::new()?.into_temp_path().keep()?;
        let file = File::create(&output)?;
        let child = Command::new(&self.program)
            .args(arguments)
            .args(["-q", "-X", "linger.ms=5"])
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        Ok((child, output))
    }
}

fn ended(clients: Vec<(Child, PathBuf)>, bytes: u64, begun: Instant) -> Result<Ended, Failure> {
    for (child, _) in &clients {
        cpu::until_ended(child)?;
    }
    let took = begun.elapsed();
    Ok(Ended {
        clients,
        source: None,
        bytes,
        took,
        interrupted: false,
    })
}

impl Ended {
    pub fn processes(&self) -> impl Iterator<Item = u32> {
        self.clients.iter().chain(&self.source).map(|(child, _)| child.id())
    }

    /// Reaps them and reads their summaries.
    pub fn measured(self) -> Result<Measured, Failure> {
        // A reader's own clock begins with its first record, however late that is.
        let alone = self.clients.len() == 1 && self.source.is_none();
        let mut sum = Measured {
            bytes: 0,
            milliseconds: u64::try_from(self.took.as_millis())?,
        };
        if let Some(source) = self.source {
            told(source, false)?;
        }
        for client in self.clients {
            let (records, milliseconds) = told(client, self.interrupted)?;
            sum.bytes += records * self.bytes;
            if alone {
                sum.milliseconds = milliseconds;
            }
        }
        Ok(sum)
    }
}

/// Reaps a client and reads its summary: records and milliseconds.
fn told((mut child, output): (Child, PathBuf), interrupted: bool) -> Result<(u64, u64), Failure> {
    let status = child.wait()?;
    let text = fs::read_to_string(&output)?;
    fs::remove_file(&output)?;
    // A partition that got nothing may be read slowly to its end; everything that was produced is counted.
    let told = text.lines().filter_map(summary).next_back();
    told.filter(|_| status.success() || interrupted)
        .ok_or_else(|| format!("rdkafka_performance ended with {status}: {text}").into())
}

/// Records and milliseconds of `% N messages produced (B bytes), D delivered (offset O, F failed) in Tms: …` or
/// `% N messages (B bytes) consumed in Tms: …`.
fn summary(line: &str) -> Option<(u64, u64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let before = |word: &str| {
        let at = words.iter().position(|other| *other == word)?;
        words.get(at.checked_sub(1)?)?.parse::<u64>().ok()
    };
    let records = match before("delivered") {
        Some(delivered) if before("failed)") == Some(0) => delivered,
        Some(_) => return None,
        None => words.contains(&"consumed").then(|| before("messages")).flatten()?,
    };
    let milliseconds = words.iter().find_map(|word| word.strip_suffix("ms:")?.parse().ok())?;
    Some((records, milliseconds))
}

/// Where cargo keeps the librdkafka of rdkafka-sys.
fn source() -> Result<PathBuf, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let asked = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&asked.stdout)
        .map_err(|error| format!("cargo metadata: {error}: {}", String::from_utf8_lossy(&asked.stderr)))?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .filter(|package| package["name"] == "rdkafka-sys")
        .filter_map(|package| Path::new(package["manifest_path"].as_str()?).parent())
        .map(|folder| folder.join("librdkafka"))
        .next()
        .ok_or_else(|| "cargo knows no package rdkafka-sys".into())
}

fn cache() -> Result<PathBuf, Failure> {
    if let Some(cache) = std::env::var_os("AZIMUTH_CACHE") {
        return Ok(cache.into());
    }
    let home = std::env::var_os("HOME").ok_or("neither AZIMUTH_CACHE nor HOME is set")?;
    Ok(Path::new(&home).join(".cache/azimuth"))
}

/// A folder is complete only under its final name.
fn build(source: &Path, built: &Path) -> Result<(), Failure> {
    let part = built.with_extension("part");
    if part.exists() {
        fs::remove_dir_all(&part)?;
    }
    fs::create_dir_all(built.parent().unwrap_or(Path::new("/")))?;
    let log = File::create(built.with_extension("log"))?;
    let step = |command: &mut Command| -> Result<(), Failure> {
        let status = command.stdout(log.try_clone()?).stderr(log.try_clone()?).status()?;
        if status.success() {
            return Ok(());
        }
        Err(format!(
            "{command:?} ended with {status}; see {}",
            built.with_extension("log").display()
        )
        .into())
    };
    step(Command::new("cp").arg("-r").arg(source).arg(&part))?;
    // TLS by the system's OpenSSL, whose headers have to be there.
    let with = ["--enable-ssl", "--disable-gssapi", "--disable-curl", "--disable-sasl"];
    step(Command::new("./configure").args(with).current_dir(&part))?;
    step(
        Command::new("make")
            .args(["-j2", "-C", "src", "librdkafka.a"])
            .current_dir(&part),
    )?;
    step(
        Command::new("make")
            .args(["-C", "examples", "rdkafka_performance"])
            .current_dir(&part),
    )?;
    if built.exists() {
        fs::remove_dir_all(built)?;
    }
    fs::rename(&part, built)?;
    Ok(())
}
