//! The TPM of this machine, for agents: [`Held`] has its keys, and answers what was sealed for them;
//! [`HostKey`] is one that signs. To whom that is shown is left to them.

mod async_key;
mod certificates;
mod host_key;
mod keys;
mod kind;
mod place;
mod transport;

pub use async_key::Held;
pub use host_key::HostKey;
pub use keys::Keys;
pub use kind::EkType;
pub use place::TpmLocation;

use metal_attest::client::{BuildError, Rc, ResponseError};
use metal_base::backoff::Backoff;
use std::{
    io,
    thread::sleep,
    time::{Duration, Instant},
};
use tokio::task::JoinError;
use transport::Transport;

/// For how long the TPM may be busy: self-tests take seconds.
const BUSY: Duration = Duration::from_mins(1);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why a call of the TPM has failed.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// There is no TPM, or we may not open it.
    #[error("TPM {0} cannot be opened")]
    Open(TpmLocation, #[source] io::Error),
    /// It does not answer.
    #[error("the TPM does not answer")]
    Exchange(#[from] io::Error),
    /// It was busy for too long.
    #[error("the TPM has been busy for {limit} s: it answered {0}", limit = BUSY.as_secs())]
    Busy(Rc),
    /// A hierarchy has a password, which we do not know.
    #[error(
        "the {0} hierarchy of the TPM has a password: remove it with `tpm2_changeauth -c {0}`, or clear the TPM in the firmware's setup"
    )]
    Password(&'static str),
    /// A hierarchy cannot be used.
    #[error("the {0} hierarchy of the TPM is disabled: enable it in the firmware's setup")]
    Disabled(&'static str),
    /// A key is not the one that it was before.
    #[error(
        "the TPM no longer has the key that this machine is known by: it was cleared, or is another one"
    )]
    Cleared,
    /// It refused the command for another reason.
    #[error(transparent)]
    Response(#[from] ResponseError),
    /// The command cannot be encoded.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// There is no randomness.
    #[error("the system has no randomness")]
    Random,
    /// Its thread has panicked.
    #[error("the TPM could not be waited for")]
    Thread(#[from] JoinError),
}

/// A TPM that was opened. Its calls block: for seconds, where a key is created.
#[derive(Debug)]
pub struct Tpm(Transport);

impl Tpm {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// If there is none, or it may not be used.
    pub fn open(place: &TpmLocation) -> Result<Self, TpmError> {
        let opened = Transport::open(place);
        opened.map(Self).map_err(|error| TpmError::Open(place.clone(), error))
    }

    /// Sends a command, repeats it while the TPM is busy, and parses its response.
    #[expect(clippy::disallowed_methods, reason = "it runs on a thread that may wait")]
    fn run<T>(
        &mut self,
        command: &[u8],
        read: impl Fn(&[u8]) -> Result<T, ResponseError>,
    ) -> Result<T, TpmError> {
        let begun = Instant::now();
        let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let response = self.0.exchange(command)?;
            match read(&response) {
                Err(ResponseError::Refused(rc)) if rc.is_busy() => {
                    if begun.elapsed() > BUSY {
                        return Err(TpmError::Busy(rc));
                    }
                    sleep(pauses.pause());
                }
                other => return Ok(other?),
            }
        }
    }
}

/// What a refusal means that is about a hierarchy.
fn of_hierarchy(hierarchy: &'static str) -> impl Fn(TpmError) -> TpmError {
    move |error| match error {
        TpmError::Response(ResponseError::Refused(rc)) if rc.is_password() => {
            TpmError::Password(hierarchy)
        }
        TpmError::Response(ResponseError::Refused(rc)) if rc.is_disabled() => {
            TpmError::Disabled(hierarchy)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
