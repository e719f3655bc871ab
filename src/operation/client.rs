//! Talking to a running engine from any terminal.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, sleep};

use super::folder::{Folder, START};
use super::journal::Ask;
use super::socket::{self, Request};
use super::status::Status;
use super::{Error, Id, Who};

/// How long an engine may take to answer what it is asked.
const ANSWER: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Looks at an engine that starts or ends until there is something to tell of it; `None` when that takes longer than
/// `patience`. An engine says nothing of either: its process, its socket and its journal do.
pub async fn until<T, E, F>(patience: Duration, mut look: impl FnMut() -> F) -> Result<Option<T>, E>
where
    F: Future<Output = Result<Option<T>, E>>,
{
    let began = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(Some(found));
        }
        if began.elapsed() >= patience {
            return Ok(None);
        }
        sleep(LOOK).await;
    }
}

/// A connection to one operation's engine. Dropping it leaves the operation alone.
#[derive(Debug)]
pub struct Client {
    id: Id,
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
}

impl Client {
    /// An engine that starts is waited for.
    ///
    /// # Errors
    /// [`Error::Dead`] with what the journal says when no engine listens.
    pub async fn connect(folder: &Folder, id: &Id) -> Result<Self, Error> {
        let look = || async {
            if let Some(client) = Self::reach(folder, id).await {
                return Ok(Some(Some(client)));
            }
            let status = folder.status(id)?;
            Ok::<_, Error>((!status.alive || status.phase.is_over()).then_some(None))
        };
        match until(START, look).await?.flatten() {
            Some(client) => Ok(client),
            None => Err(Error::Dead {
                id: id.clone(),
                what: folder.status(id)?.summary(),
            }),
        }
    }

    /// The engine, if it listens.
    pub(super) async fn reach(folder: &Folder, id: &Id) -> Option<Self> {
        let (read, write) = socket::connect(&folder.socket(id)).await.ok()?.into_split();
        Some(Self {
            id: id.clone(),
            lines: BufReader::new(read).lines(),
            write,
        })
    }

    /// The next status; `None` when the engine has gone.
    pub async fn next(&mut self) -> Result<Option<Status>, Error> {
        let line = self
            .lines
            .next_line()
            .await
            .map_err(Error::file(format!("engine of {}", self.id)))?;
        let Some(line) = line else { return Ok(None) };
        let status = serde_json::from_str(&line);
        status
            .map(Some)
            .map_err(|error| Error::Refused(format!("operation {}: its engine speaks otherwise: {error}", self.id)))
    }

    /// Asks, and returns the first status in which the engine has taken note of it or is done.
    pub async fn ask(&mut self, ask: Ask) -> Result<Status, Error> {
        self.ask_against(ask, Vec::new(), None).await
    }

    /// The same, against gates that hold it up.
    pub async fn ask_against(
        &mut self,
        ask: Ask,
        overrides: Vec<String>,
        reason: Option<String>,
    ) -> Result<Status, Error> {
        let request = Request {
            ask,
            by: Who::me(),
            overrides,
            reason,
        };
        let mut line = serde_json::to_vec(&request).map_err(|error| Error::Refused(error.to_string()))?;
        line.push(b'\n');
        let name = format!("engine of {}", self.id);
        self.write.write_all(&line).await.map_err(Error::file(name))?;
        let late = Error::Refused(format!(
            "operation {}: its engine did not answer within {} s",
            self.id,
            ANSWER.as_secs()
        ));
        let taken = async {
            while let Some(status) = self.next().await? {
                let done = match ask {
                    Ask::Pause | Ask::PauseNow => status.phase == super::Phase::Paused,
                    Ask::Resume => status.phase == super::Phase::Running && status.asked.is_none(),
                    Ask::Abort => false,
                };
                if done || status.asked == Some(ask) || status.phase.is_over() {
                    return Ok(status);
                }
            }
            Err(Error::Dead {
                id: self.id.clone(),
                what: "its engine ended while it was asked".to_owned(),
            })
        };
        tokio::time::timeout(ANSWER, taken).await.unwrap_or(Err(late))
    }
}
