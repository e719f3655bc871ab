//! Where this process runs: the zone of its own instance, from the instance metadata service (IMDSv2; "Instance metadata categories",
//! `placement/availability-zone-id`).

use std::time::Duration;

use aws_config::imds::Client;

/// On a machine that is no instance nobody answers at that address.
const PATIENCE: Duration = Duration::from_secs(1);

const ZONE: &str = "/latest/meta-data/placement/availability-zone-id";

/// The AZ id, for example `euw1-az1`; `None` where it is not told, or where `AWS_EC2_METADATA_DISABLED` says not to ask.
/// `endpoint` instead of the standard one.
pub(super) async fn zone(endpoint: Option<&str>) -> Option<String> {
    let disabled = std::env::var("AWS_EC2_METADATA_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"));
    if disabled && endpoint.is_none() {
        return None;
    }
    let mut client = Client::builder()
        .max_attempts(1)
        .connect_timeout(PATIENCE)
        .read_timeout(PATIENCE);
    if let Some(endpoint) = endpoint {
        client = client.endpoint(endpoint).ok()?;
    }
    let client = client.build();
    // Connecting may need more than one request.
    let told = tokio::time::timeout(PATIENCE * 2, client.get(ZONE)).await.ok()?.ok()?;
    let zone = told.as_ref().trim();
    let looks_right =
        !zone.is_empty() && zone.len() < 40 && zone.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    looks_right.then(|| zone.to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A metadata service that gives a token and then `answer`.
    async fn service(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut heard = vec![0; 4096];
                let mut length = 0;
                while !heard[..length].ends_with(b"\r\n\r\n") {
                    length += stream.read(&mut heard[length..]).await.unwrap();
                }
                let heard = String::from_utf8_lossy(&heard[..length]).to_lowercase();
                let body = match heard.starts_with("put /latest/api/token") {
                    true => "token",
                    false if heard.contains(ZONE) && heard.contains("x-aws-ec2-metadata-token: token") => answer,
                    false => "?",
                };
                let head = "HTTP/1.1 200 OK\r\nx-aws-ec2-metadata-token-ttl-seconds: 60\r\nconnection: close";
                let text = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        });
        format!("http://{address}")
    }

    #[tokio::test]
    async fn an_instance_tells_its_zone() {
        assert_eq!(
            zone(Some(&service("euw1-az1").await)).await.as_deref(),
            Some("euw1-az1")
        );
        assert_eq!(
            zone(Some(&service("<html>").await)).await,
            None,
            "somebody else lives there"
        );
    }

    #[tokio::test]
    async fn nobody_there_is_no_zone() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(zone(Some(&format!("http://{closed}"))).await, None);
    }
}
