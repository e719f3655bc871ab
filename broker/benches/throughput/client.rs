//! `rdkafka_performance`, built once outside the tree from the librdkafka that rdkafka-sys carries.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::Failure;
use super::topic::PARTITIONS;

/// The size of a record's value.
pub const RECORD_BYTES: u64 = 1024;

/// The client.
pub struct Tool {
    program: PathBuf,
}

/// A run of the client that has ended and is not reaped, so that its processor time can still be read.
pub struct Ended {
    child: Child,
    output: PathBuf,
}

/// What the client measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    pub records: u64,
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
        let built = cache()?.join(format!("librdkafka-{version}"));
        let program = built.join("examples/rdkafka_performance");
        if !program.exists() {
            println!("building rdkafka_performance {version} in {}", built.display());
            build(&source, &built)?;
        }
        Ok(Self { program })
    }

    /// Produces `records` records and waits until it has ended.
    pub fn produce(&self, bootstrap: &str, topic: &str, acks: &str, records: u64) -> Result<Ended, Failure> {
        let size = RECORD_BYTES.to_string();
        self.run(&[
            "-P",
            "-t",
            topic,
            "-b",
            bootstrap,
            "-s",
            &size,
            "-c",
            &records.to_string(),
            "-a",
            acks,
        ])
    }

    /// Reads `records` records from the beginning of all partitions and waits until it has ended.
    pub fn consume(&self, bootstrap: &str, topic: &str, records: u64) -> Result<Ended, Failure> {
        let partitions: Vec<String> = (0..PARTITIONS).map(|partition| partition.to_string()).collect();
        let count = records.to_string();
        let mut arguments = vec!["-C", "-t", topic, "-b", bootstrap, "-o", "beginning", "-c", &count];
        for partition in &partitions {
            arguments.extend(["-p", partition]);
        }
        self.run(&arguments)
    }

    fn run(&self, arguments: &[&str]) -> Result<Ended, Failure> {
        let output = tempfile::NamedTempFile::new()?.into_temp_path().keep()?;
        let file = File::create(&output)?;
        let child = Command::new(&self.program)
            .args(arguments)
            .args(["-q", "-X", "linger.ms=5", "-X", "batch.size=65536"])
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        super::cpu::until_ended(&child)?;
        Ok(Ended { child, output })
    }
}

impl Ended {
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Reaps it and reads its summary.
    pub fn measured(mut self) -> Result<Measured, Failure> {
        let status = self.child.wait()?;
        let text = fs::read_to_string(&self.output)?;
        fs::remove_file(&self.output)?;
        // A partition that got nothing may be read slowly to its end; everything that was produced is counted.
        text.lines()
            .filter_map(summary)
            .next_back()
            .filter(|_| status.success())
            .ok_or_else(|| format!("rdkafka_performance ended with {status}: {text}").into())
    }
}

/// `% N messages produced (B bytes), D delivered (offset O, F failed) in Tms: …` or
/// `% N messages (B bytes) consumed in Tms: …`.
fn summary(line: &str) -> Option<Measured> {
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
    Some(Measured { records, milliseconds })
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
    let without = ["--disable-gssapi", "--disable-ssl", "--disable-curl", "--disable-sasl"];
    step(Command::new("./configure").args(without).current_dir(&part))?;
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
