//! The signal handler, and the token that everything else watches.

use std::{io, process, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// How long the parts may take to end: longer than requests in progress may, after which sessions of
/// BMCs are closed. Kubernetes kills the process after 30 s.
pub const GRACE: Duration = Duration::from_secs(28);

/// A token that is cancelled on SIGTERM or SIGINT.
///
/// A second signal, or [`GRACE`] without the process having ended, ends the process with code 1.
///
/// # Errors
///
/// If the handlers cannot be installed.
pub fn on_signal() -> io::Result<CancellationToken> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = CancellationToken::new();
    let cancel = token.clone().drop_guard();
    tokio::spawn(async move {
        either(&mut term, &mut int).await;
        tracing::info!("shutting down");
        drop(cancel);
        if timeout(GRACE, either(&mut term, &mut int)).await.is_ok() {
            tracing::warn!("terminated by a second signal");
        } else {
            tracing::error!(grace = ?GRACE, "shutdown took too long");
        }
        process::exit(1);
    });
    Ok(token)
}

async fn either(term: &mut Signal, int: &mut Signal) {
    tokio::select! { _ = term.recv() => {} _ = int.recv() => {} }
}
