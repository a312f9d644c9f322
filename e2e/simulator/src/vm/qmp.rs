//! QEMU's machine protocol: JSON in lines, over a socket (QEMU's `docs/interop/qmp-spec`).

use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::VecDeque, io, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Take},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

/// The longest line.
const LINE: u64 = 64 << 10;
/// How long QEMU may take to start or to answer on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Why QEMU does not do as it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum QmpError {
    /// The connection broke.
    #[error("no connection to QEMU")]
    Io(#[from] io::Error),
    /// QEMU closed the connection.
    #[error("QEMU has closed the connection")]
    Closed,
    /// Not JSON, or not of this protocol.
    #[error("QEMU says what is not of its protocol: {0}")]
    Garbage(String),
    /// QEMU refuses a command.
    #[error("QEMU refuses {command}: {description}")]
    Refused {
        /// The command.
        command: &'static str,
        /// QEMU's reason.
        description: String,
    },
    /// QEMU does not answer.
    #[error("QEMU is silent")]
    Silent,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The machine is off, or would have reset.
    Shutdown {
        /// `ShutdownCause`, as in `guest-shutdown`.
        reason: String,
    },
    /// Another event, by its name.
    Other(String),
}

impl Event {
    /// Whether the machine would have rebooted, had QEMU not been started with -no-reboot.
    pub(super) fn is_reset(&self) -> bool {
        matches!(self, Self::Shutdown { reason } if reason.ends_with("-reset"))
    }
}

#[derive(Deserialize)]
struct Message {
    event: Option<String>,
    #[serde(default)]
    data: Value,
    error: Option<Failure>,
    #[serde(rename = "return")]
    answer: Option<Value>,
    #[serde(rename = "QMP")]
    greeting: Option<Value>,
}

#[derive(Deserialize)]
struct Failure {
    desc: String,
}

/// A connection to a QEMU process.
#[derive(Debug)]
pub(super) struct Qmp {
    reader: Take<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
    /// What was received of the current line.
    line: Vec<u8>,
    /// Events that arrived while waiting for an answer.
    events: VecDeque<Event>,
}

impl Qmp {
    /// Waits until QEMU connects and is ready for commands.
    pub(super) async fn accept(listener: &UnixListener) -> Result<Self, QmpError> {
        let accept = async {
            let (stream, _) = listener.accept().await?;
            let mut qmp = Self::new(stream);
            let greeting = qmp.message().await?.ok_or(QmpError::Closed)?;
            if greeting.greeting.is_none() {
                return Err(QmpError::Garbage("no greeting".to_owned()));
            }
            qmp.execute("qmp_capabilities").await?;
            Ok(qmp)
        };
        timeout(PATIENCE, accept).await.map_err(|_| QmpError::Silent)?
    }

    fn new(stream: UnixStream) -> Self {
        let (reader, writer) = stream.into_split();
        let reader = BufReader::new(reader).take(LINE);
        Self { reader, writer, line: Vec::new(), events: VecDeque::new() }
    }

    /// Runs a command, and returns the answer.
    pub(super) async fn execute(&mut self, command: &'static str) -> Result<Value, QmpError> {
        timeout(PATIENCE, self.ask(command)).await.map_err(|_| QmpError::Silent)?
    }

    async fn ask(&mut self, command: &'static str) -> Result<Value, QmpError> {
        let line = format!("{}\n", json!({ "execute": command }));
        self.writer.write_all(line.as_bytes()).await?;
        loop {
            let message = self.message().await?.ok_or(QmpError::Closed)?;
            if let Some(failure) = message.error {
                return Err(QmpError::Refused { command, description: failure.desc });
            }
            if let Some(answer) = message.answer {
                return Ok(answer);
            }
            self.events.extend(event(message));
        }
    }

    /// The next event; `None` once QEMU has exited. Cancel safe.
    pub(super) async fn event(&mut self) -> Result<Option<Event>, QmpError> {
        if let Some(event) = self.events.pop_front() {
            return Ok(Some(event));
        }
        loop {
            let Some(message) = self.message().await? else { return Ok(None) };
            if let Some(event) = event(message) {
                return Ok(Some(event));
            }
        }
    }

    async fn message(&mut self) -> Result<Option<Message>, QmpError> {
        match self.reader.read_until(b'\n', &mut self.line).await {
            Ok(_) => {}
            // A killed process resets the connection.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let is_cut = self.reader.limit() == 0;
        self.reader.set_limit(LINE);
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return Ok(None);
        }
        let garbage =
            || QmpError::Garbage(String::from_utf8_lossy(&line).chars().take(200).collect());
        if is_cut && !line.ends_with(b"\n") {
            return Err(garbage());
        }
        serde_json::from_slice(&line).map(Some).map_err(|_| garbage())
    }
}

fn event(message: Message) -> Option<Event> {
    let name = message.event?;
    Some(match name.as_str() {
        "SHUTDOWN" => {
            let reason = message.data["reason"].as_str().unwrap_or_default().to_owned();
            Event::Shutdown { reason }
        }
        _ => Event::Other(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A QEMU that sends this text.
    async fn saying(text: &str) -> (Qmp, UnixStream) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(text.as_bytes()).await.unwrap();
        (Qmp::new(ours), theirs)
    }

    #[tokio::test]
    async fn events_between_a_command_and_its_answer_are_kept() {
        let (mut qmp, mut theirs) = saying(
            "{\"event\": \"RESUME\", \"timestamp\": {}}\n\
             {\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}\n\
             {\"return\": {\"status\": \"running\"}}\n",
        )
        .await;
        assert_eq!(qmp.execute("query-status").await.unwrap()["status"], "running");
        let mut sent = String::new();
        BufReader::new(&mut theirs).read_line(&mut sent).await.unwrap();
        assert_eq!(sent, "{\"execute\":\"query-status\"}\n");
        drop(theirs);
        assert_eq!(qmp.event().await.unwrap(), Some(Event::Other("RESUME".to_owned())));
        assert!(qmp.event().await.unwrap().unwrap().is_reset());
        assert_eq!(qmp.event().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_refusal_an_end_and_garbage_are_told_apart() {
        let endless = "x".repeat(usize::try_from(LINE).unwrap() + 1);
        let (mut qmp, _theirs) =
            saying("{\"error\": {\"class\": \"C\", \"desc\": \"no\"}}\n").await;
        let refused = qmp.execute("stop").await.unwrap_err();
        assert_eq!(refused.to_string(), "QEMU refuses stop: no");
        for garbage in ["hello\n", "[]\n", &endless] {
            let (mut qmp, _theirs) = saying(garbage).await;
            assert!(matches!(qmp.execute("stop").await, Err(QmpError::Garbage(_))));
        }
        let (mut qmp, theirs) = saying("").await;
        drop(theirs);
        assert!(matches!(qmp.execute("stop").await, Err(QmpError::Closed | QmpError::Io(_))));
    }
}
