//! Writes to the status of a Machine that a machine brings about.

use crate::Context;
use metal_api::{Machine, MachineStatus};
use std::sync::Arc;

/// How often it is tried again because somebody else has written the status meanwhile.
const TRIES: usize = 5;

/// Why it is not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The API server refuses, or is silent.
    #[error("the status could not be written")]
    Write(#[source] Box<kube::Error>),
    /// Others write it all the time.
    #[error("the status could not be written, because others write it")]
    Contended,
    /// The Machine is gone.
    #[error("the Machine is gone")]
    Gone,
}

/// Writes what `next` makes of the Machine as it is, unless that is nothing.
pub(crate) async fn record(
    ctx: &Context,
    machine: &Arc<Machine>,
    next: impl Fn(&Machine) -> Option<MachineStatus>,
) -> Result<(), Error> {
    let mut machine = Arc::clone(machine);
    for _ in 0..TRIES {
        let Some(status) = next(&machine) else { return Ok(()) };
        match ctx.machines().record_status(&machine, &status).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(refusal)) if refusal.is_conflict() => {
                let name = machine.metadata.name.as_deref().unwrap_or_default();
                let new = ctx.machines().api().get_opt(name).await;
                let new = new.map_err(|error| Error::Write(Box::new(error)))?;
                let same = new.filter(|new| new.metadata.uid == machine.metadata.uid);
                machine = Arc::new(same.ok_or(Error::Gone)?);
            }
            Err(error) => return Err(Error::Write(Box::new(error))),
        }
    }
    Err(Error::Contended)
}
