//! An installer says that it is done.

use crate::{
    Context,
    record::{self, Decision, record},
};
use jiff::Timestamp;
use kube::{ResourceExt, runtime::events::EventType};
use metal_api::Machine;
use metal_core::machine::operations::{Callback, installed};
use std::sync::Arc;

/// Why it does not count.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// The installer was handed out for an earlier installation.
    #[error("the installer belongs to an earlier installation")]
    Stale,
    /// It is not written down.
    #[error("the end of the installation could not be recorded")]
    Record(#[from] record::Error),
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
    machine: Arc<Machine>,
    counter: Option<i64>,
) -> Result<(), CallbackError> {
    let recorded = record(ctx, machine, |machine| {
        let (status, is_stale) = match installed(machine, counter, Timestamp::now()) {
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
        ctx.tell(&recorded.machine, EventType::Normal, "Repaved", note).await;
    }
    Ok(())
}
