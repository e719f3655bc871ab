//! Reading TOML with the line in the error and the nearest name for a typo; writing files that only their owner may read.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use serde::de::DeserializeOwned;

use super::Error;
use crate::model::nearest;

/// The text of a file; `None` when there is no such file.
pub fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(reason) => Err(Error::Read {
            path: path.to_owned(),
            reason,
        }),
    }
}

/// TOML as a value. `T` should deny unknown fields, so that a typo is an error with the nearest name.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, Error> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        Error::Text {
            path: path.to_owned(),
            line: line_of(text, at),
            message: explain(error.message()),
        }
    })
}

/// The line, counted from 1, of a byte offset.
pub fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Replaces `path` in one step with a file of mode 0600; its folder is made with mode 0700 where it is missing.
pub fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let attempt = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut file = tempfile::Builder::new().prefix(".azimuth-").tempfile_in(folder)?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    attempt().map_err(|reason| Error::Write {
        path: path.to_owned(),
        reason,
    })
}

/// serde's message, with the nearest of the names that it expected put first.
fn explain(message: &str) -> String {
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let Some((wrong, known)) = names.split_first().filter(|_| message.starts_with("unknown ")) else {
        return message.trim_end().replace('\n', " ");
    };
    match nearest(wrong, known.iter().copied()) {
        Some(near) => format!("unknown name `{wrong}`; did you mean `{near}`?"),
        None => format!("unknown name `{wrong}`; known are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(rename = "colour")]
        _colour: String,
    }

    #[test]
    fn a_typo_is_named_with_its_line_and_the_nearest_name() {
        let error = parse::<Sample>(Path::new("/etc/a.toml"), "# hello\ncolor = \"red\"\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "/etc/a.toml:2: unknown name `color`; did you mean `colour`?"
        );
    }

    #[test]
    fn a_broken_file_names_the_line() {
        let error = parse::<Sample>(Path::new("a.toml"), "\n\ncolour = red\n").unwrap_err();
        assert!(error.to_string().starts_with("a.toml:3: "), "{error}");
    }

    #[test]
    fn a_written_file_is_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/secret.toml");
        write_private(&path, "x = 1\n").unwrap();
        write_private(&path, "x = 2\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "x = 2\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
}
