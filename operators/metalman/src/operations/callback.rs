//! An installer says that it is done.

use crate::Context;
use jiff::Timestamp;
use kube::{ResourceExt, runtime::events::EventType};
use metal_api::Machine;
use metal_core::machine::operations::{Callback, installed};
use std::sync::Arc;

/// How often it is written again because somebody else has written the status meanwhile.
const TRIES: usize = 5;

/// Why it does not count.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// The installer was handed out for an earlier installation.
    #[error("the installer is of an earlier installation")]
    Stale,
    /// The Machine is gone.
    #[error("the Machine is gone")]
    Gone,
    /// The status cannot be written.
    #[error("the end of the installation could not be recorded")]
    Record(#[source] Box<kube::Error>),
    /// Others write the status all the time.
    #[error("the end of the installation could not be recorded, because others write the status")]
    Contended,
}

/// The installer of `machine` says that it is done. `counter` is the repave counter for which it was
/// handed out, where its URL tells that ([`metal_core::machine::operations::installs`]). When this
/// returns, it is written down; what was written down before, or asked for by nobody, is no error.
///
/// # Errors
///
/// It does not count, or is not written down: the installer is to say it again.
pub async fn installer_is_done(
    ctx: &Context,
    mut machine: Arc<Machine>,
    counter: Option<i64>,
) -> Result<(), CallbackError> {
    for _ in 0..TRIES {
        let status = match installed(&machine, counter, Timestamp::now()) {
            Callback::Record(status) => status,
            Callback::Nothing => return Ok(()),
            Callback::Stale => return Err(CallbackError::Stale),
        };
        match ctx.machines().record_status(&machine, &status).await {
            Ok(_) => {
                tracing::info!(machine = machine.name_any(), "installed");
                let note = "the installer says that it is done";
                ctx.tell(&machine, EventType::Normal, "Repaved", note).await;
                return Ok(());
            }
            Err(kube::Error::Api(refusal)) if refusal.is_conflict() => {
                machine = read(ctx, &machine).await?;
            }
            Err(error) => return Err(CallbackError::Record(Box::new(error))),
        }
    }
    Err(CallbackError::Contended)
}

/// The Machine as it is now, if it is still the same.
async fn read(ctx: &Context, old: &Machine) -> Result<Arc<Machine>, CallbackError> {
    let new = ctx.machines().api().get_opt(&old.name_any()).await;
    let new = new.map_err(|error| CallbackError::Record(Box::new(error)))?;
    let same = new.filter(|new| new.metadata.uid == old.metadata.uid);
    Ok(Arc::new(same.ok_or(CallbackError::Gone)?))
}
