//! What the cluster keeps of its users' passwords: enough to check them with SCRAM, not enough to log in with.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Image;
use crate::wire::sasl::Scram;

/// One user's credential for one hash function (RFC 5802). Its Debug output holds none of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScramCredential {
    #[serde(with = "base64")]
    pub salt: Vec<u8>,
    #[serde(with = "base64")]
    pub stored_key: Vec<u8>,
    #[serde(with = "base64")]
    pub server_key: Vec<u8>,
    pub iterations: i32,
}

impl fmt::Debug for ScramCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramCredential([hidden])")
    }
}

impl Image {
    pub fn scram_credential(&self, user: &str, scram: Scram) -> Option<&ScramCredential> {
        self.scram.get(user)?.get(&scram)
    }

    /// All credentials, by user.
    pub fn scram_credentials(&self) -> impl Iterator<Item = (&str, Scram, &ScramCredential)> {
        self.scram.iter().flat_map(|(user, credentials)| {
            credentials
                .iter()
                .map(move |(scram, credential)| (user.as_str(), *scram, credential))
        })
    }
}

mod base64 {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::wire::sasl::scram::{decoded, encoded};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encoded(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        decoded(&text).ok_or_else(|| D::Error::custom("it is no base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Record;

    fn record(credential: Option<ScramCredential>) -> Record {
        Record::Scram {
            user: "alice".to_owned(),
            mechanism: Scram::Sha512,
            credential,
        }
    }

    #[test]
    fn a_credential_is_kept_replayed_and_removed() {
        let credential = ScramCredential {
            salt: vec![0, 255],
            stored_key: vec![1; 64],
            server_key: vec![2; 64],
            iterations: 4096,
        };
        let kept = record(Some(credential.clone()));
        let text = serde_json::to_string(&kept).unwrap();
        assert!(
            text.contains("\"salt\":\"AP8=\"") && text.contains("SCRAM-SHA-512"),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), kept);
        assert!(!format!("{kept:?}").contains("255"));

        let mut image = Image::empty();
        image.apply(&kept, 0, 1);
        assert_eq!(image.scram_credential("alice", Scram::Sha512), Some(&credential));
        assert_eq!(image.scram_credential("alice", Scram::Sha256), None);
        image.apply(&record(None), 1, 1);
        assert_eq!(image.scram_credentials().count(), 0);
        assert!(image.scram.is_empty());
    }
}
