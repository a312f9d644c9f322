//! Writes to the status of a Machine on behalf of requests of the machine.

use crate::Context;
use kube::ResourceExt;
use metal_api::{Machine, MachineStatus};
use metal_runtime::OkIf;
use std::sync::Arc;

/// How many times a conflicting write is retried.
const TRIES: usize = 5;

/// Why the status is not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The API server refused, or is unreachable.
    #[error("the status could not be written")]
    Write(#[source] Box<kube::Error>),
    /// There were too many conflicting writes.
    #[error("the status could not be written because of conflicting updates")]
    Contended,
    /// The Machine was deleted.
    #[error("the Machine was deleted")]
    Gone,
}

/// A decision about a Machine: its new status, if that changes, and the result.
#[derive(Clone, Debug)]
pub(crate) struct Decision<T> {
    /// The status to write, if it changes.
    pub(crate) status: Option<Box<MachineStatus>>,
    /// The result, valid once the status is written.
    pub(crate) result: T,
}

/// A recorded decision about a Machine.
#[derive(Clone, Debug)]
pub(crate) struct Recorded<T> {
    /// The Machine.
    pub(crate) machine: Arc<Machine>,
    /// The result.
    pub(crate) result: T,
    /// Whether the status was written, because it has changed.
    pub(crate) is_news: bool,
}

/// Makes a decision about a Machine, and writes its status; after a conflict, decides again with
/// the current Machine. A decision is valid only once it is written.
///
/// # Errors
///
/// If the status was not written.
pub(crate) async fn record<T>(
    ctx: &Context,
    machine: Arc<Machine>,
    decide: impl Fn(&Machine) -> Decision<T>,
) -> Result<Recorded<T>, Error> {
    let mut machine = machine;
    for _ in 0..TRIES {
        let Decision { status, result } = decide(&machine);
        let Some(status) = status else { return Ok(Recorded { machine, result, is_news: false }) };
        match ctx.machines().record_status(&machine, &status).await {
            Ok(_) => {
                ctx.live.forget(&machine.name_any());
                return Ok(Recorded { machine, result, is_news: true });
            }
            Err(kube::Error::Api(refusal)) if refusal.is_conflict() => {
                let new = ctx.machines().api().get(&machine.name_any()).await;
                let new = new.ok_if_not_found().map_err(|error| Error::Write(Box::new(error)))?;
                let same = new.filter(|new| new.metadata.uid == machine.metadata.uid);
                machine = Arc::new(same.ok_or(Error::Gone)?);
            }
            Err(error) => return Err(Error::Write(Box::new(error))),
        }
    }
    Err(Error::Contended)
}
