//! What a pass writes.

use crate::{
    Error,
    config_ref::named,
    context::{Context, HTTP_MANAGER, MANAGER},
};
use metal_api::{BootState, ServerBootConfiguration, ServerBootConfigurationStatus};
use metal_core::boot::configuration::{Change, SHARED};
use metal_runtime::Written;

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
    let new = state(Some(status));
    if new == state(configuration.status.as_ref()) {
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
    Ok(written)
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
