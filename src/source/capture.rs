//! A snapshot in a file: what was seen, to be looked at later or by somebody else.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::model::{Snapshot, secret};
use crate::source::Error;

/// The version of the envelope. It is raised when an older Azimuth could misread a newer file.
const VERSION: u32 = 1;

/// No capture is larger than this once unpacked; a file that claims more is not one of ours.
const MAX_BYTES: u64 = 1 << 30;

/// The first four bytes of every zstd frame, RFC 8878 §3.1.1.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

#[derive(Serialize)]
struct Envelope<'a> {
    azimuth: u32,
    kind: &'static str,
    snapshot: &'a Snapshot,
}

#[derive(Deserialize)]
struct Head {
    azimuth: u32,
    kind: String,
}

#[derive(Deserialize)]
struct Body {
    snapshot: Snapshot,
}

/// Writes `snapshot` to `path`, without the secrets in it; packed with zstd when the name ends in `.zst`. The file appears
/// whole or not at all.
pub fn save(path: &Path, snapshot: &Snapshot) -> Result<(), Error> {
    let wrong = |what: &str, why: &dyn std::fmt::Display| {
        Error::Local(format!("cannot {what} the capture {}: {why}", path.display()))
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(folder).map_err(|why| wrong("create", &why))?;
    let packed = path.extension().is_some_and(|extension| extension == "zst");
    write(file.as_file(), &secret::without(snapshot), packed).map_err(|why| wrong("write", &why))?;
    file.as_file().sync_all().map_err(|why| wrong("write", &why))?;
    file.persist(path).map_err(|why| wrong("rename", &why.error))?;
    Ok(())
}

fn write(file: &File, snapshot: &Snapshot, packed: bool) -> std::io::Result<()> {
    let envelope = Envelope {
        azimuth: VERSION,
        kind: "capture",
        snapshot,
    };
    let mut out = BufWriter::new(file);
    if packed {
        let mut packer = zstd::Encoder::new(out, 3)?;
        serde_json::to_writer(&mut packer, &envelope)?;
        packer.finish()?.flush()
    } else {
        serde_json::to_writer(&mut out, &envelope)?;
        out.write_all(b"\n")?;
        out.flush()
    }
}

/// Reads a capture, packed or not; which it is, is told by its content.
pub fn load(path: &Path) -> Result<Snapshot, Error> {
    let wrong =
        |why: &dyn std::fmt::Display| Error::Local(format!("cannot read the capture {}: {why}", path.display()));
    let text = read(path).map_err(|why| wrong(&why))?;
    let head: Head =
        serde_json::from_str(&text).map_err(|why| wrong(&format_args!("it is not a capture of Azimuth ({why})")))?;
    if head.kind != "capture" {
        return Err(wrong(&format_args!("it holds a {:?}, not a capture", head.kind)));
    }
    if head.azimuth > VERSION {
        return Err(wrong(&format_args!(
            "it has version {}, and this Azimuth reads up to {VERSION}; use a newer one",
            head.azimuth
        )));
    }
    let body: Body = serde_json::from_str(&text).map_err(|why| wrong(&why))?;
    Ok(body.snapshot)
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut file = BufReader::new(File::open(path)?);
    let mut magic = Vec::with_capacity(4);
    file.by_ref().take(4).read_to_end(&mut magic)?;
    let packed = magic == ZSTD_MAGIC;
    let whole = std::io::Cursor::new(magic).chain(file);
    let mut text = String::new();
    let read = if packed {
        zstd::Decoder::new(whole)?
            .take(MAX_BYTES + 1)
            .read_to_string(&mut text)?
    } else {
        whole.take(MAX_BYTES + 1).read_to_string(&mut text)?
    };
    if read as u64 > MAX_BYTES {
        return Err(std::io::Error::other("it is larger than 1 GiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Observed;
    use crate::model::cluster::Cluster;

    fn snapshot() -> Snapshot {
        let at = "2026-11-23T21:04:00Z".parse().unwrap();
        Snapshot {
            context: "prod-eu".to_owned(),
            taken_at: Some(at),
            cluster: Observed::fresh(
                Cluster {
                    id: "vPeOCWypqUOSepEvx0cbog".to_owned(),
                    ..Cluster::default()
                },
                at,
            ),
            ..Snapshot::default()
        }
    }

    #[test]
    fn what_was_saved_is_loaded_packed_or_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["one.json", "one.json.zst"] {
            let path = folder.path().join(name);
            save(&path, &snapshot()).unwrap();
            assert_eq!(load(&path).unwrap(), snapshot(), "{name}");
        }
        let packed = std::fs::read(folder.path().join("one.json.zst")).unwrap();
        assert_eq!(packed[..4], ZSTD_MAGIC);
    }

    #[test]
    fn a_newer_version_and_a_foreign_file_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("capture.json");
        std::fs::write(&path, r#"{"azimuth":99,"kind":"capture","snapshot":{"strange":1}}"#).unwrap();
        assert!(load(&path).unwrap_err().to_string().contains("use a newer one"));
        std::fs::write(&path, r#"{"azimuth":1,"kind":"broker.list","items":[]}"#).unwrap();
        assert!(load(&path).unwrap_err().to_string().contains("broker.list"));
        std::fs::write(&path, "id,host\n1,a\n").unwrap();
        assert!(load(&path).unwrap_err().to_string().contains("not a capture"));
        assert!(
            load(&folder.path().join("none"))
                .unwrap_err()
                .to_string()
                .contains("none")
        );
    }

    #[test]
    fn a_capture_overwrites_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("capture.json");
        std::fs::write(&path, "x".repeat(1 << 20)).unwrap();
        save(&path, &snapshot()).unwrap();
        assert_eq!(load(&path).unwrap(), snapshot());
    }
}
