//! Kafka's small text files: a version, a count, then that many lines of fields between blanks.

use std::fmt::Write;
use std::path::Path;

use super::Error;
use crate::env::disk::Disk;

/// The only version there is.
const VERSION: &str = "0";

/// The lines of a checkpoint; none when there is no file.
///
/// # Errors
/// When it cannot be read or is malformed.
pub(super) fn read(disk: &Disk, path: &Path) -> Result<Vec<String>, Error> {
    if !disk.exists(path) {
        return Ok(Vec::new());
    }
    let raw = disk.read(path).map_err(Error::io(path))?;
    let malformed = |why: &str| Error::Malformed {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    let text = String::from_utf8(raw).map_err(|_| malformed("the checkpoint is not text"))?;
    // Without its end the last number may lack digits.
    if !text.ends_with('\n') {
        return Err(malformed("the checkpoint is cut off"));
    }
    let mut lines = text.lines();
    if lines.next() != Some(VERSION) {
        return Err(malformed("the checkpoint does not have version 0"));
    }
    let count: Option<usize> = lines.next().and_then(|count| count.parse().ok());
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if count != Some(lines.len()) {
        return Err(malformed("the checkpoint does not have as many lines as it says"));
    }
    Ok(lines)
}

/// Replaces a checkpoint.
///
/// # Errors
/// When the disk fails.
pub(super) fn write(disk: &Disk, path: &Path, lines: &[String], durable: bool) -> Result<(), Error> {
    let mut text = format!("{VERSION}\n{}\n", lines.len());
    for line in lines {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{line}");
    }
    disk.replace(path, text.as_bytes(), durable).map_err(Error::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recovery-point-offset-checkpoint");
        let disk = Disk::real();
        assert!(read(&disk, &path).unwrap().is_empty());
        let lines = ["orders 0 42".to_owned(), "orders 1 7".to_owned()];
        write(&disk, &path, &lines, true).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "0\n2\norders 0 42\norders 1 7\n"
        );
        assert_eq!(read(&disk, &path).unwrap(), lines);
        for damaged in ["", "1\n0\n", "0\n2\norders 0 42\n", "0\nx\n", "0\n1\norders 0 4"] {
            std::fs::write(&path, damaged).unwrap();
            assert!(
                matches!(read(&disk, &path), Err(Error::Malformed { .. })),
                "{damaged:?}"
            );
        }
    }
}
