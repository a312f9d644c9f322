//! Writes to the status of a Machine that a machine brings about.

use crate::Context;
use kube::ResourceExt;
use metal_api::{Machine, MachineStatus};
use std::sync::Arc;

/// How often it is tried again because somebody else has written the status meanwhile.
const TRIES: usize = 5;

/// Why it is not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refuses, or is silent.
    #[error("the status could not be written")]
    Write(#[source] Box<kube::Error>),
    /// Others write it all the time.
    #[error("the status could not be written because of conflicting updates")]
    Contended,
    /// The Machine is gone.
    #[error("the Machine was deleted")]
    Gone,
}

/// What is decided of a Machine: what its status is to say, if that is news, and what comes of it.
#[derive(Clone, Debug)]
pub(crate) struct Decision<T> {
    /// The status to write, unless it says so already.
    pub(crate) status: Option<Box<MachineStatus>>,
    /// What holds as soon as that is written.
    pub(crate) result: T,
}

/// Something was decided of a Machine, and is written down.
#[derive(Clone, Debug)]
pub(crate) struct Recorded<T> {
    /// The Machine of which it was decided.
    pub(crate) machine: Arc<Machine>,
    /// What was decided.
    pub(crate) result: T,
    /// Whether the status was written: it did not say so before.
    pub(crate) is_news: bool,
}

/// Decides of a Machine, and writes the status that comes of it; decides anew of what the Machine is
/// meanwhile where somebody else was faster. Nothing holds that is not written down.
///
/// # Errors
///
/// It is not.
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
            Ok(_) => return Ok(Recorded { machine, result, is_news: true }),
            Err(kube::Error::Api(refusal)) if refusal.is_conflict() => {
                let new = ctx.machines().api().get_opt(&machine.name_any()).await;
                let new = new.map_err(|error| Error::Write(Box::new(error)))?;
                let same = new.filter(|new| new.metadata.uid == machine.metadata.uid);
                machine = Arc::new(same.ok_or(Error::Gone)?);
            }
            Err(error) => return Err(Error::Write(Box::new(error))),
        }
    }
    Err(Error::Contended)
}
