//! What a discovery needs: keys, ignition, boot configuration, in this order. The number of the
//! attempt in the last one shows that all of them exist.

use crate::{Context, Error, discovery_login, owned_objects};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, ResourceExt};
use metal_api::{
    LocalObjectReference, Server, ServerBootConfiguration, ServerBootConfigurationSpec, annotation,
};
use metal_core::{
    boot::url,
    capability::{self, Claims, Purpose},
    ownership::owned_by,
    server::boot_id,
};
use metal_ignition::discovery::Variables;
use metal_runtime::Written;
use std::collections::BTreeMap;

/// The longest validity of a registration token. It becomes void earlier, as soon as its boot is
/// over; but a boot may be delayed for days by an image that does not exist yet.
const TOKEN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Creates keys, ignition and boot configuration of one attempt. What an interrupted pass has made
/// is replaced, and has not been used, because nothing boots before the number is written.
///
/// # Errors
///
/// Those of the API server, or a template that cannot be rendered.
pub(super) async fn discovery<C>(
    ctx: &Context<C>,
    server: &Server,
    attempt: u32,
) -> Result<Written, Error> {
    let name = server.name_any();
    let keys = discovery_login::generate(&format!("metal@{name}"))?;
    let registry = registry_url(ctx, server, attempt)?;
    let uuid = server.spec.effective_uuid();
    let uuid = uuid.map(|uuid| uuid.to_string()).unwrap_or_default();
    let ignition = ctx.discovery.template.render(&Variables {
        image: &ctx.discovery.probe_image,
        flags: &format!("--registry-url={registry} --server-uuid={uuid}"),
        ssh_public_key: keys.public.trim(),
        password_hash: &keys.password_hash,
    })?;
    let pair = [("pub", keys.public), ("pem", keys.private), ("password", keys.password)];
    let secrets = Api::<Secret>::namespaced(ctx.client.clone(), &ctx.settings.namespace);
    let ssh = secret(ctx, server, &format!("{name}-ssh"), pair);
    owned_objects::make(&secrets, &ssh, server).await?;
    let document = [("format", "fcos".to_owned()), ("ignition", ignition)];
    let ignition = secret(ctx, server, &name, document);
    owned_objects::make(&secrets, &ignition, server).await?;
    configuration(ctx, server, attempt).await
}

/// The URL of the registry for this boot, with its token as a path segment.
fn registry_url<C>(ctx: &Context<C>, server: &Server, attempt: u32) -> Result<String, Error> {
    let claims = Claims {
        purpose: Purpose::Registration,
        server: server.name_any(),
        boot: boot_id(server, attempt),
        expires: Timestamp::now() + TOKEN,
    };
    let key = ctx.discovery.key.get().ok_or(Error::RegistrationKey)?;
    let token = capability::issue(&key, &claims)?;
    Ok(url::reports(&ctx.discovery.registry_url, token.as_str()))
}

async fn configuration<C>(
    ctx: &Context<C>,
    server: &Server,
    attempt: u32,
) -> Result<Written, Error> {
    let name = server.name_any();
    let spec = ServerBootConfigurationSpec {
        server_ref: LocalObjectReference { name: name.clone() },
        image: Some(ctx.discovery.os_image.clone()),
        ignition_secret_ref: Some(LocalObjectReference { name: name.clone() }),
    };
    let mut configuration = ServerBootConfiguration::new(&name, spec);
    configuration.metadata = metadata(ctx, server, name);
    configuration.metadata.annotations = Some(BTreeMap::from([
        (annotation::TYPE.to_owned(), annotation::INTERNAL.to_owned()),
        (annotation::IS_DEFAULT_OS_IMAGE.to_owned(), annotation::TRUE.to_owned()),
        (annotation::DISCOVERY_ATTEMPT.to_owned(), attempt.to_string()),
    ]));
    let namespace = &ctx.settings.namespace;
    let configurations = ctx.writer_in(&ctx.view.configurations, namespace);
    let applied = configurations.record_spec(&configuration, &[]).await;
    applied.map_err(Error::write("ServerBootConfiguration"))
}

fn secret<C, const N: usize>(
    ctx: &Context<C>,
    server: &Server,
    name: &str,
    values: [(&str, String); N],
) -> Secret {
    let data = values.map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes())));
    Secret {
        metadata: metadata(ctx, server, name.to_owned()),
        data: Some(data.into()),
        ..Secret::default()
    }
}

/// Everything belongs to the server, and is deleted with it.
fn metadata<C>(ctx: &Context<C>, server: &Server, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(ctx.settings.namespace.clone()),
        owner_references: owned_by(server),
        ..ObjectMeta::default()
    }
}
