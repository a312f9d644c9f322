//! What a pass writes.

use crate::{
    Error,
    config_ref::named,
    context::{Context, HTTP_MANAGER, MANAGER},
};
use jiff::Timestamp;
use metal_api::{BootState, ServerBootConfiguration, ServerBootConfigurationStatus};
use metal_core::boot::{
    configuration::{Change, SHARED},
    window,
};
use metal_runtime::Written;

/// What is said of a boot configuration whose host is on its way.
const IN_WINDOW: &str = "is no longer Ready, and its host was powered on to boot it: iPXE waits for it, but \
                         firmware that boots by UEFI HTTP goes on to its next boot option after a minute, \
                         which may be the disk; unless the host has booted this already, set spec.power \
                         of its claim to Off, and to On when this is Ready";

pub(super) async fn record(
    ctx: &Context,
    configuration: &ServerBootConfiguration,
    status: &ServerBootConfigurationStatus,
) -> Result<Written, Error> {
    let (namespace, name) = named(configuration);
    let configurations = ctx.writer(&ctx.view.configurations, &namespace, MANAGER);
    let written = configurations.apply_status(configuration, status).await;
    let written = written.map_err(Error::write("status of the ServerBootConfiguration"))?;
    let state = |status: Option<&ServerBootConfigurationStatus>| status?.state.clone();
    let (old, new) = (state(configuration.status.as_ref()), state(Some(status)));
    if new == old {
        return Ok(written);
    }
    let shown = new.as_ref().map_or("", BootState::as_str);
    tracing::info!(namespace, name, state = shown, "boot configuration");
    if new == Some(BootState::Error) {
        let failed = status.conditions.iter().filter(|condition| condition.status == "False");
        for condition in failed.take(1) {
            ctx.warn(configuration, &condition.type_, &condition.message).await;
        }
    }
    if old == Some(BootState::Ready) && is_booting(ctx, configuration) {
        ctx.warn(configuration, "NotReadyInBootWindow", IN_WINDOW).await;
    }
    Ok(written)
}

/// Whether the host was powered on to boot it, and may not have done so yet.
fn is_booting(ctx: &Context, configuration: &ServerBootConfiguration) -> bool {
    let server = ctx.view.servers.named(None, &configuration.spec.server_ref.name);
    let closes = server.and_then(|it| window::closes(&it, configuration, Timestamp::now()));
    closes.is_some()
}

pub(super) async fn carry_out(
    ctx: &Context,
    configuration: &ServerBootConfiguration,
    change: Change,
) -> Result<Written, Error> {
    let (namespace, name) = named(configuration);
    let ipxe = ctx.writer(&ctx.view.ipxe, &namespace, MANAGER);
    let http = ctx.writer(&ctx.view.http, &namespace, HTTP_MANAGER);
    // Only the object that was observed is deleted, not one that has taken its name since.
    match change {
        Change::ApplyIpxe(config) => {
            ipxe.record_spec(&config, &SHARED).await.map_err(Error::write("IPXEBootConfig"))
        }
        Change::ApplyHttp(config) => {
            http.record_spec(&config, &[]).await.map_err(Error::write("HTTPBootConfig"))
        }
        Change::DeleteIpxe => match ctx.view.ipxe.named(Some(&namespace), &name) {
            Some(there) => {
                ipxe.delete(&there.metadata).await.map_err(Error::write("IPXEBootConfig"))
            }
            None => Ok(Written::Gone),
        },
        Change::DeleteHttp => match ctx.view.http.named(Some(&namespace), &name) {
            Some(there) => {
                http.delete(&there.metadata).await.map_err(Error::write("HTTPBootConfig"))
            }
            None => Ok(Written::Gone),
        },
    }
}
