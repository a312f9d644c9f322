//! What a pass observes.

use crate::{Error, config_ref::named, context::Context, notices::NoticeKind, view};
use jiff::{SignedDuration, Timestamp};
use metal_api::{HttpBootConfig, IpxeBootConfig, Server, ServerBootConfiguration};
use metal_core::{
    boot::{
        Ignition, Unavailable,
        configuration::{BootConfigs, Image, Observation, PxeUrls, Uki, needs_image},
        url,
    },
    capability::{Claims, Purpose, Token, issue_short},
};
use metal_image::{
    manifest::Descriptor,
    resolve::{self, Missing},
};
use metal_runtime::report::Chain;
use std::sync::Arc;

/// The longest validity of a UKI's URL: longer than any server lives.
const LINK: SignedDuration = SignedDuration::from_hours(20 * 365 * 24);

/// An observation that owns its data.
pub(crate) struct OwnedObservation {
    configuration: Arc<ServerBootConfiguration>,
    server: Option<Arc<Server>>,
    image: Image,
    uki_token: Option<Token>,
    ignition: Ignition,
    ipxe: Option<Arc<IpxeBootConfig>>,
    http: Option<Arc<HttpBootConfig>>,
}

impl OwnedObservation {
    pub(super) fn as_observation(&self) -> Observation<'_> {
        Observation {
            configuration: &self.configuration,
            server: self.server.as_deref(),
            image: self.image.clone(),
            uki_token: self.uki_token.as_ref().map(Token::as_str),
            ignition: self.ignition.clone(),
            there: BootConfigs { ipxe: self.ipxe.as_deref(), http: self.http.as_deref() },
            now: Timestamp::now(),
        }
    }
}

pub(super) async fn observe(
    ctx: &Context,
    configuration: &Arc<ServerBootConfiguration>,
) -> Result<OwnedObservation, Error> {
    let (namespace, name) = named(&**configuration);
    let server = ctx.view.servers.named(None, &configuration.spec.server_ref.name);
    let ipxe = ctx.view.ipxe.named(Some(&namespace), &name);
    let http = ctx.view.http.named(Some(&namespace), &name);
    let secret = view::named(configuration.spec.ignition_secret_ref.as_ref());
    let ignition = ctx.secrets.ignition(&namespace, secret).await;
    let ignition = ignition.map_err(|error| Error::Secret(Box::new(error)))?;
    let untranslated = ctx.secrets.untranslated(&namespace, secret).await;
    ctx.tell_once(&**configuration, NoticeKind::Untranslated, untranslated).await;
    let (service, images) = bases(ctx);
    let there = BootConfigs { ipxe: ipxe.as_deref(), http: http.as_deref() };
    let is_open = needs_image(configuration, there, ctx.modes, (service, images));
    // Without a server nothing boots it, whatever the image offers.
    let image =
        if is_open && server.is_some() { image(ctx, configuration).await } else { Image::Settled };
    let uki_token = uki_token(ctx, configuration);
    let configuration = Arc::clone(configuration);
    Ok(OwnedObservation { configuration, server, image, uki_token, ignition, ipxe, http })
}

/// The token in the URL of a boot configuration's UKI. It is the same for the lifetime of the boot
/// configuration, because the URL is stored in an object; the boot window limits when it can be
/// used.
fn uki_token(ctx: &Context, configuration: &ServerBootConfiguration) -> Option<Token> {
    let created = configuration.metadata.creation_timestamp.as_ref()?;
    let claims = Claims {
        purpose: Purpose::Uki,
        server: configuration.spec.server_ref.name.clone(),
        boot: configuration.metadata.uid.clone()?,
        expires: created.0 + LINK,
    };
    issue_short(&ctx.key.get()?, &claims).ok()
}

/// The URLs at which machines reach this process. One that is not configured is never written to a
/// boot config.
fn bases(ctx: &Context) -> (&str, &str) {
    let (service, images) = (ctx.urls.service.as_deref(), ctx.urls.images.as_deref());
    (service.unwrap_or_default(), images.unwrap_or_default())
}

async fn image(ctx: &Context, configuration: &ServerBootConfiguration) -> Image {
    let text = configuration.spec.image.as_deref().unwrap_or_default();
    let logins = ctx.logins.get().await;
    match ctx.images.resolve_as(text, &ctx.architecture, &logins).await {
        Ok(image) => offers(ctx, &image),
        Err(error) => {
            let hint = match &error {
                resolve::Error::Registry(error) => ctx.logins.hint(error).await,
                _ => String::new(),
            };
            let message = format!("spec.image {text:?}: {}{hint}", Chain(&error));
            Image::Failed(Unavailable { reason: error.reason(), message })
        }
    }
}

fn offers(ctx: &Context, image: &resolve::Image) -> Image {
    let (service, images) = bases(ctx);
    let (name, version) = (image.name.to_string(), image.version.to_string());
    let layer = |descriptor: &Descriptor| {
        url::layer(service, &name, &descriptor.digest.to_string(), &version)
    };
    let pxe = image.pxe.as_ref().map(|layers| PxeUrls {
        kernel: layer(&layers.kernel),
        initrd: layer(&layers.initrd),
        squashfs: layers.squashfs.as_ref().map(layer),
    });
    let uki = image.uki.as_ref().map(|uki| Uki {
        url: url::uki(images, &name, &uki.digest.to_string()),
        manifest: Some(image.manifest.to_string()),
    });
    Image::Offers { pxe: pxe.map_err(unavailable), uki: uki.map_err(unavailable) }
}

fn unavailable(missing: &Missing) -> Unavailable {
    let reason = match missing {
        Missing::Architecture { .. } => "ArchitectureMissing",
        Missing::Layer { .. } => "LayerMissing",
        Missing::Unusable { .. } => "MalformedManifest",
    };
    Unavailable { reason, message: missing.to_string() }
}
