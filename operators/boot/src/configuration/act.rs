//! What a pass writes.

use crate::{
    Error, Next,
    context::{ConfigRef, Context, HTTP_MANAGER, Kind, MANAGER, named},
};
use kube::{
    Api, Resource,
    api::{DeleteParams, Preconditions},
};
use metal_api::{
    BootState, HttpBootConfig, IpxeBootConfig, ServerBootConfiguration,
    ServerBootConfigurationStatus,
};
use metal_core::boot::configuration::{Decision, Step};
use metal_runtime::{apply, apply_status};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, time::Duration};

/// When to look again after a write, should no watch tell of it.
const FALLBACK: Duration = Duration::from_mins(1);

pub(super) async fn act(
    ctx: &Context,
    configuration: &ServerBootConfiguration,
    decision: Decision,
) -> Result<Next, Error> {
    match decision {
        Decision::Record(status) => record(ctx, configuration, &status).await?,
        Decision::Act(step) => carry_out(ctx, configuration, step).await?,
        Decision::Rest(time) => {
            return Ok(Next::After(time.try_into().unwrap_or(FALLBACK)));
        }
    }
    Ok(Next::After(FALLBACK))
}

async fn record(
    ctx: &Context,
    configuration: &ServerBootConfiguration,
    status: &ServerBootConfigurationStatus,
) -> Result<(), Error> {
    let (namespace, name) = named(configuration);
    let api = Api::<ServerBootConfiguration>::namespaced(ctx.client.clone(), &namespace);
    let written = apply_status(&api, configuration, status, MANAGER).await;
    written.map_err(Error::write("status of the ServerBootConfiguration"))?;
    let state = |status: Option<&ServerBootConfigurationStatus>| status?.state.clone();
    let new = state(Some(status));
    if new == state(configuration.status.as_ref()) {
        return Ok(());
    }
    let shown = new.as_ref().map_or("", BootState::as_str);
    tracing::info!(namespace, name, state = shown, "boot configuration");
    if new == Some(BootState::Error) {
        let failed = status.conditions.iter().filter(|condition| condition.status == "False");
        for condition in failed.take(1) {
            ctx.warn(configuration, &condition.type_, &condition.message).await;
        }
    }
    Ok(())
}

async fn carry_out(
    ctx: &Context,
    configuration: &ServerBootConfiguration,
    step: Step,
) -> Result<(), Error> {
    let (namespace, name) = named(configuration);
    let client = || ctx.client.clone();
    let kind = match step {
        Step::ApplyIpxe(_) | Step::DeleteIpxe => Kind::Ipxe,
        Step::ApplyHttp(_) | Step::DeleteHttp => Kind::Http,
    };
    let config = ConfigRef::new(kind, (namespace.clone(), name.clone()));
    let shown = ctx.shown(&config);
    match step {
        Step::ApplyIpxe(config) => {
            let api = Api::<IpxeBootConfig>::namespaced(client(), &namespace);
            apply(&api, &*config, MANAGER).await.map_err(Error::write("IPXEBootConfig"))?;
        }
        Step::ApplyHttp(config) => {
            let api = Api::<HttpBootConfig>::namespaced(client(), &namespace);
            apply(&api, &*config, HTTP_MANAGER).await.map_err(Error::write("HTTPBootConfig"))?;
        }
        Step::DeleteIpxe => {
            let there = ctx.view.ipxe.named(Some(&namespace), &name);
            let api = Api::<IpxeBootConfig>::namespaced(client(), &namespace);
            delete(&api, there.as_deref(), "IPXEBootConfig").await?;
        }
        Step::DeleteHttp => {
            let there = ctx.view.http.named(Some(&namespace), &name);
            let api = Api::<HttpBootConfig>::namespaced(client(), &namespace);
            delete(&api, there.as_deref(), "HTTPBootConfig").await?;
        }
    }
    ctx.unseen.note(config, shown.as_deref());
    Ok(())
}

/// Deletes the object that was seen, and not one that has taken its name since.
async fn delete<K>(api: &Api<K>, there: Option<&K>, what: &'static str) -> Result<(), Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let Some(there) = there else { return Ok(()) };
    let preconditions = Preconditions { uid: there.meta().uid.clone(), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    let name = there.meta().name.as_deref().unwrap_or_default();
    match api.delete(name, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(Error::write(what)(error)),
    }
}
