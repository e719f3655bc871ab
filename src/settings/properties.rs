//! Client properties, in Java's or librdkafka's names, as one description of a connection that both clients follow.
//!
//! What cannot be honoured is an error that names the place and the key: a connection that is quietly less
//! secure than its file says would be worse than none.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Error;
use super::secret::Secret;

mod jaas;
mod java;
mod known;
mod security;
mod store;

use known::Effect;
pub use security::{Identity, Mechanism, Sasl, Security, Tls, TokenEndpoint, Trust};

/// How to connect, for the control plane and for librdkafka alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connection {
    pub security: Security,
    /// `client.id`; `None` leaves it to us.
    pub client_id: Option<String>,
    /// The deadline of one request, where the files set one.
    pub request_timeout: Option<Duration>,
    /// The rest in librdkafka's names, without `bootstrap.servers`.
    pub rdkafka: BTreeMap<String, String>,
    /// What was read and has no effect here, one sentence each.
    pub notes: Vec<String>,
}

/// One property and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    pub key: String,
    pub value: Secret,
    pub place: Place,
}

/// Where a property was written; errors point there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Line { path: PathBuf, line: usize },
    Context { path: PathBuf, name: String },
    Argument,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { path, line } => write!(formatter, "{}:{line}", path.display()),
            Self::Context { path, name } => write!(formatter, "{} [context.{name}.properties]", path.display()),
            Self::Argument => formatter.write_str("-X"),
        }
    }
}

/// The properties of a Java client properties file, `--command-config`.
pub fn read(path: &Path) -> Result<Vec<Property>, Error> {
    let bytes = fs::read(path).map_err(|reason| Error::Read {
        path: path.to_owned(),
        reason,
    })?;
    // Java reads Latin-1; files that are valid UTF-8 were meant as such.
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| error.as_bytes().iter().map(|byte| char::from(*byte)).collect());
    java::parse(path, &text)
}

/// One `-X key=value`.
pub fn argument(text: &str) -> Result<Property, Error> {
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.trim().is_empty())
        .ok_or_else(|| Error::Usage(format!("-X {text}: write -X key=value, for example -X client.id=me")))?;
    Ok(Property {
        key: key.trim().to_owned(),
        value: Secret::text(value),
        place: Place::Argument,
    })
}

/// One `-X key=value` as it may be shown or kept: a secret's value is left out.
pub fn public(text: &str) -> String {
    match text.split_once('=') {
        Some((key, _)) if known::effect(key.trim()) == Effect::Secret => format!("{}=…", key.trim()),
        _ => text.to_owned(),
    }
}

impl Connection {
    /// What a list of properties asks for; of two with one name the later wins. All faults are told at once.
    pub fn of(properties: &[Property]) -> Result<Self, Error> {
        let mut last = BTreeMap::new();
        for property in properties {
            last.insert(property.key.as_str(), property);
        }
        let mut connection = Self::default();
        let mut bag = security::Bag::default();
        let mut faults = Vec::new();
        for property in properties {
            let is_last = last.get(property.key.as_str());
            if is_last.is_some_and(|last| std::ptr::eq(*last, property)) {
                faults.extend(connection.take(property, &mut bag).err());
            }
        }
        let (security, insecure, notes) = bag.security();
        faults.extend(insecure);
        connection.security = security;
        connection.notes.extend(notes);
        if faults.is_empty() {
            Ok(connection)
        } else {
            Err(Error::Properties(faults))
        }
    }

    fn take<'a>(&mut self, property: &'a Property, bag: &mut security::Bag<'a>) -> Result<(), String> {
        let Property { key, value, place } = property;
        let fault = |message: String| Err(format!("{place}: {key}: {message}"));
        let effect = known::effect(key);
        let Some(written) = value.written() else {
            if effect == Effect::Secret {
                bag.put(property);
                return Ok(());
            }
            return fault(
                "only a secret may come from a file, the environment or a command; write the value".to_owned(),
            );
        };
        if written.starts_with("${") {
            return fault(
                "values from a config provider cannot be read; write the value itself in a file that only you may read, \
                 or in the context as { file = \"…\" }, { env = \"…\" } or { command = \"…\" }"
                    .to_owned(),
            );
        }
        match effect {
            Effect::Security | Effect::Secret => {
                bag.put(property);
                Ok(())
            }
            Effect::Refused(why) => fault(why.to_owned()),
            Effect::Ignored(why) => {
                self.notes.push(format!("{place}: {key} has no effect here: {why}"));
                Ok(())
            }
            Effect::Text(name) => {
                self.keep(name, written);
                Ok(())
            }
            Effect::Number(name) => match written.trim().parse::<u64>() {
                Ok(_) => {
                    self.keep(name, written);
                    Ok(())
                }
                Err(_) => fault(format!("`{written}` is not a whole number of at least 0")),
            },
            Effect::Unknown(Some(near)) => fault(format!("unknown property; did you mean {near}?")),
            Effect::Unknown(None) if key.starts_with("ssl.") || key.starts_with("sasl.") => {
                fault("unknown property, and it is about security: leave it out to go on without it".to_owned())
            }
            Effect::Unknown(None) => {
                self.notes.push(format!(
                    "{place}: {key} is no property of Kafka's clients that is known here; it has no effect"
                ));
                Ok(())
            }
        }
    }

    fn keep(&mut self, name: &str, value: &str) {
        let value = value.trim();
        match name {
            "client.id" => self.client_id = Some(value.to_owned()),
            "socket.timeout.ms" => self.request_timeout = value.parse().ok().map(Duration::from_millis),
            _ => {}
        }
        self.rdkafka.insert(name.to_owned(), value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(lines: &str) -> Result<Connection, Error> {
        Connection::of(&java::parse(Path::new("client.properties"), lines)?)
    }

    #[test]
    fn java_names_become_librdkafkas() {
        let connection = connection(
            "client.id=me\nrequest.timeout.ms=5000\nsend.buffer.bytes = 65536\nsecurity.protocol=PLAINTEXT\n",
        )
        .unwrap();
        assert_eq!(connection.client_id.as_deref(), Some("me"));
        assert_eq!(connection.request_timeout, Some(Duration::from_secs(5)));
        assert_eq!(connection.rdkafka["socket.timeout.ms"], "5000");
        assert_eq!(connection.rdkafka["socket.send.buffer.bytes"], "65536");
        assert!(connection.notes.is_empty());
    }

    #[test]
    fn the_later_of_two_wins() {
        let mut properties = java::parse(Path::new("f"), "client.id=a\nsecurity.protocol=SSL\n").unwrap();
        properties.push(argument("client.id=b").unwrap());
        properties.push(argument("security.protocol=plaintext").unwrap());
        assert_eq!(Connection::of(&properties).unwrap().client_id.as_deref(), Some("b"));
    }

    #[test]
    fn a_secret_of_the_command_line_is_not_shown() {
        assert_eq!(public("sasl.password=hunter2=x"), "sasl.password=…");
        assert_eq!(public(" ssl.key.password =hunter2"), "ssl.key.password=…");
        assert_eq!(public("client.id=me"), "client.id=me");
    }

    #[test]
    fn every_fault_is_named_with_its_line() {
        let text = "# secure\nsecurity.protocol=SASL\nsasl.mechanism=GSSAPI\nclient.idd=x\nrequest.timeout.ms=soon\nsasl.password=${file:/a:b}\nconfig.providers=file\n";
        let error = connection(text).unwrap_err().to_string();
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(lines.len(), 6, "{error}");
        for (line, wanted) in lines.iter().zip([
            "client.properties:4: client.idd: unknown property; did you mean client.id?",
            "client.properties:5: request.timeout.ms: `soon` is not a whole number",
            "client.properties:6: sasl.password: values from a config provider",
            "client.properties:7: config.providers: ",
            "client.properties:2: security.protocol: `SASL` is not one of PLAINTEXT, SSL",
            "client.properties:3: sasl.mechanism: GSSAPI (Kerberos) is deliberately not supported",
        ]) {
            assert!(line.starts_with(wanted), "{line}\nwanted {wanted}");
        }
    }

    #[test]
    fn a_jks_store_is_told_by_content_and_refused_with_the_keytool_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trust.p12");
        fs::write(&path, [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2]).unwrap();
        let error = connection(&format!("ssl.truststore.location={}\n", path.display()))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("is a JKS store") && error.contains("keytool -importkeystore"),
            "{error}"
        );
    }

    #[test]
    fn keys_of_producers_and_strangers_are_noted_not_obeyed() {
        let connection = connection("acks=all\nmy.company.interceptor.colour=red\n").unwrap();
        assert_eq!(connection.notes.len(), 2);
        assert!(connection.rdkafka.is_empty());
    }
}
