//! The report of an installer that it is done.

use crate::{
    Context,
    status_writes::{self, Decision, record},
};
use kube::{ResourceExt, runtime::events::EventType};
use metal_api::{Machine, MachineInstalledDisk};
use metal_machine::operations::{Callback, installed};
use std::sync::Arc;

/// Why the report is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallbackError {
    /// The installer belongs to an earlier installation.
    #[error("the installer belongs to an earlier installation")]
    Stale,
    /// The status could not be written.
    #[error("the end of the installation could not be recorded")]
    Record(#[from] status_writes::Error),
}

/// The installer of `machine` reports that it is done. `counter` is the repave counter that it was
/// booted for, if its URL contains it ([`metal_machine::operations::installs`]), and `disk` the one
/// that it says it has installed to. When this returns, that is recorded. It is not an error if it
/// was recorded before, or if no installation was requested.
///
/// # Errors
///
/// If the report is refused, or could not be recorded: the installer has to repeat it.
pub(crate) async fn installer_is_done(
    ctx: &Context,
    machine: Arc<Machine>,
    counter: Option<i64>,
    disk: Option<MachineInstalledDisk>,
) -> Result<(), CallbackError> {
    let recorded = record(ctx, machine, |machine| {
        let (status, is_stale) = match installed(machine, counter, disk.clone(), ctx.now()) {
            Callback::Record(status) => (Some(status), false),
            Callback::Nothing => (None, false),
            Callback::Stale => (None, true),
        };
        Decision { status, result: is_stale }
    });
    let recorded = recorded.await?;
    if recorded.result {
        return Err(CallbackError::Stale);
    }
    if recorded.is_news {
        tracing::info!(machine = recorded.machine.name_any(), "installed");
        let note = "the installer reported that it is done";
        ctx.publish_event(&recorded.machine, EventType::Normal, "Repaved", note).await;
    }
    Ok(())
}
