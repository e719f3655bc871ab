//! What a service manager is told and asks for: sd_notify(3), and an end that is orderly within a deadline.

use std::future::Future;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Tells systemd how the service is; does nothing where nobody asked for it (`NOTIFY_SOCKET`).
pub fn notify(state: State<'_>) {
    let Ok(socket) = std::env::var("NOTIFY_SOCKET") else {
        return;
    };
    if let Err(error) = send(&socket, &state.text()) {
        tracing::warn!("the service manager at {socket} is not told how this is: {error}");
    }
}

/// What there is to tell, with a sentence for people.
pub enum State<'a> {
    /// It starts.
    Starting(&'a str),
    /// It serves.
    Ready(&'a str),
    /// It was asked to stop, and does.
    Stopping(&'a str),
}

impl State<'_> {
    fn text(&self) -> String {
        // One line for each; a line feed in the sentence would begin another.
        let status = |sentence: &str| format!("STATUS={}", sentence.replace('\n', " "));
        match self {
            Self::Starting(sentence) => status(sentence),
            Self::Ready(sentence) => format!("READY=1\n{}", status(sentence)),
            Self::Stopping(sentence) => format!("STOPPING=1\n{}", status(sentence)),
        }
    }
}

fn send(socket: &str, text: &str) -> io::Result<()> {
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address)?;
    Ok(())
}

/// Waits for an orderly end; for at most `deadline`, and not when it is asked to stop once more.
///
/// # Errors
/// A sentence: it was not orderly.
pub async fn within(
    deadline: Duration,
    orderly: impl Future<Output = ()>,
    again: impl Future<Output = ()>,
) -> Result<(), String> {
    let cost = "the logs are recovered at the next start";
    tokio::select! {
        () = orderly => Ok(()),
        () = tokio::time::sleep(deadline) => Err(format!(
            "it did not stop within {} s and ends as it is; {cost}",
            deadline.as_secs()
        )),
        () = again => Err(format!("it was asked to stop once more and ends as it is; {cost}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_gets_one_datagram_by_path_and_by_abstract_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).expect("binds");
        let name = format!("azimuth-test-{}", std::process::id());
        let abstracted = SocketAddr::from_abstract_name(&name).expect("a name");
        let by_name = UnixDatagram::bind_addr(&abstracted).expect("binds");
        let text = State::Ready("serves\non 127.0.0.1:9092").text();
        for (socket, listener) in [(path.display().to_string(), by_path), (format!("@{name}"), by_name)] {
            send(&socket, &text).expect("sends");
            let mut into = [0; 100];
            let length = listener.recv(&mut into).expect("receives");
            assert_eq!(&into[..length], b"READY=1\nSTATUS=serves on 127.0.0.1:9092");
        }
        assert!(send("/nowhere/notify", &text).is_err());
    }

    #[tokio::test]
    async fn an_end_is_orderly_or_says_why_not() {
        let never = std::future::pending::<()>;
        let long = Duration::from_secs(60);
        assert_eq!(within(long, async {}, never()).await, Ok(()));
        let late = within(Duration::ZERO, never(), never()).await.expect_err("late");
        assert!(late.contains("within 0 s"), "{late}");
        let asked = within(long, never(), async {}).await.expect_err("asked");
        assert!(asked.contains("once more"), "{asked}");
    }
}
