//! The two scripts of a boot.

use super::{
    ClientAddress, Failure, PRIVATE, files, install, limited, refuse, settle,
    write::{TRIES, record},
};
use crate::{allowance, context::Context, images::Images, metrics::Answer, view::TokenKey};
use axum::{
    extract::{Path, Query, State},
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use kube::{ResourceExt, runtime::events::EventType};
use metal_api::{BootToken, HostHardware};
use metal_core::{
    boot_token::{
        INSTALLATION, Refusal, binding,
        fetch::{Fetch, claim, fetch, may_install},
        installer::{Source, installer, writes_disk_image},
        only,
        script::{self, Again, Boots, Stage2},
        secret,
    },
    capability::{Claims, Purpose, issue},
};
use serde::Deserialize;
use std::{collections::BTreeSet, sync::Arc};

/// The first script, for whoever has the secret. Everybody else gets one that is the same whatever
/// the reason is.
pub(super) async fn first(
    State(ctx): State<Arc<Context>>,
    asker: ClientAddress,
    Path(secret): Path<String>,
    Query(Tries { tries }): Query<Tries>,
) -> Response {
    let answer = begin(&ctx, &asker, &secret).await;
    let url = format!("{}/api/ipxe/{secret}", ctx.service_url);
    shown(&ctx, &asker, "script", answer, (Again::First(&url), tries))
}

/// How often it could not be answered before.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tries {
    tries: usize,
}

/// What a machine says about itself in a URL, each MAC address once, however it boots; and how often
/// it could not be answered before.
fn said(pairs: &[(String, String)]) -> (HostHardware, usize) {
    let all = |name: &'static str| {
        pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.clone())
    };
    let macs: BTreeSet<_> = all("mac").filter(|mac| !mac.is_empty()).collect();
    let hardware = HostHardware {
        serial: all("serial").next(),
        system_uuid: all("uuid").next(),
        mac_addresses: macs.into_iter().collect(),
    };
    (hardware, all("tries").next().and_then(|tries| tries.parse().ok()).unwrap_or_default())
}

/// The second script, for the machine that the token is bound to.
pub(super) async fn second(
    State(ctx): State<Arc<Context>>,
    asker: ClientAddress,
    Path(cap): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let (hardware, tries) = said(&pairs);
    let answer = boot(&ctx, &cap, &hardware).await;
    let base = format!("{}/c/{cap}", ctx.service_url);
    shown(&ctx, &asker, "boot", answer, (Again::Second(&base), tries))
}

/// What iPXE runs. It would not show the body of a refusal, so it gets a script that does.
fn shown(
    ctx: &Context,
    asker: &ClientAddress,
    what: &'static str,
    answer: Result<String, Failure>,
    (again, tries): (Again<'_>, usize),
) -> Response {
    let script = match answer.map_err(|failure| limited(ctx, asker, failure)) {
        Ok(script) => Ok(script),
        Err(Failure::Refused(refusal, token)) => {
            let script = match &refusal {
                Refusal::Unfit(_) => script::unfit(),
                Refusal::Installed => script::installed(),
                _ => script::refused(),
            };
            let failure = Failure::Refused(refusal, token);
            ctx.answers.get_or_create(&Answer { what, result: failure.word() }).inc();
            drop(refuse(ctx, asker, what, failure));
            return (PRIVATE, plain(script)).into_response();
        }
        Err(Failure::Unusable(why, token)) => {
            drop(refuse(ctx, asker, what, Failure::Unusable(why, token)));
            Ok(script::no_installer())
        }
        Err(failure) => {
            let script = failure.why().and_then(|why| script::later(again, why, tries).ok());
            let Some(script) = script else { return settle(ctx, asker, what, Err(failure)) };
            ctx.answers.get_or_create(&Answer { what, result: failure.word() }).inc();
            drop(refuse(ctx, asker, what, failure));
            return (PRIVATE, plain(script)).into_response();
        }
    };
    settle(ctx, asker, what, script.map(plain))
}

fn plain(script: String) -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=us-ascii")], script).into_response()
}

/// Begins a boot, if the secret is that of a token that is open.
async fn begin(ctx: &Context, asker: &ClientAddress, text: &str) -> Result<String, Failure> {
    if !ctx.view.is_ready() {
        return Err(Failure::Unavailable("not ready yet"));
    }
    let place = secret::place(text);
    let key = place.map(|it| TokenKey::Hash(it.namespace.to_owned(), it.hash));
    let found = key.map(|key| ctx.view.tokens.get(&key)).unwrap_or_default();
    let told = found.first().cloned();
    let mut token = only(&found).cloned().map_err(|refusal| Failure::Refused(refusal, told))?;
    for _ in 0..TRIES {
        let host = ctx.host_of(&token);
        let decided = fetch(&token, host.as_deref(), asker.address, Timestamp::now());
        match decided.map_err(|refusal| Failure::Refused(refusal, Some(Arc::clone(&token))))? {
            Fetch::Answer { attempt } => return answer(ctx, &token, attempt),
            Fetch::Record(status) => {
                let attempt = status.attempts.unwrap_or_default();
                if !ctx.allowances.may_write(token.metadata.uid.as_deref(), allowance::BOOTS) {
                    return Err(Failure::Unavailable("it boots too often"));
                }
                let (new, is_recorded) = record(ctx, &token, &status).await?;
                if is_recorded {
                    let note = format!("boot {attempt}, from {asker}");
                    ctx.notices.publish_event(&*new, EventType::Normal, "Booted", note);
                    return answer(ctx, &new, attempt);
                }
                token = new;
            }
        }
    }
    Err(Failure::Unavailable("others boot with the token all the time"))
}

fn answer(ctx: &Context, token: &Arc<BootToken>, attempt: i64) -> Result<String, Failure> {
    let unusable = |why: String| Failure::Unusable(why, Some(Arc::clone(token)));
    files::source_of(ctx, token)?;
    let base = base(ctx, token, attempt)?;
    script::first(&base, &token.spec.host_name).map_err(|error| unusable(error.to_string()))
}

/// The URL of this boot.
fn base(ctx: &Context, token: &BootToken, attempt: i64) -> Result<String, Failure> {
    let key = ctx.key.get().ok_or(Failure::Unavailable("not ready yet"))?;
    let late = Timestamp::now().checked_add(INSTALLATION).unwrap_or(Timestamp::MAX);
    let claims = Claims {
        purpose: Purpose::Install,
        server: token.uid().unwrap_or_default(),
        boot: attempt.to_string(),
        expires: late,
    };
    let cap = issue(&key, &claims).map_err(|error| Failure::Unusable(error.to_string(), None))?;
    Ok(format!("{}/c/{}", ctx.service_url, cap.as_str()))
}

/// Records which machine the boot is that of, if none was before.
async fn claimed(
    ctx: &Context,
    mut token: Arc<BootToken>,
    attempt: i64,
    hardware: &HostHardware,
) -> Result<Arc<BootToken>, Failure> {
    for _ in 0..TRIES {
        let host = ctx.host_of(&token);
        let decided = may_install(&token, host.as_deref(), attempt, Timestamp::now())
            .and_then(|()| claim(&token, hardware));
        let status =
            decided.map_err(|refusal| Failure::Refused(refusal, Some(Arc::clone(&token))))?;
        let Some(status) = status else { return Ok(token) };
        let (new, is_recorded) = record(ctx, &token, &status).await?;
        if is_recorded {
            return Ok(new);
        }
        token = new;
    }
    Err(Failure::Unavailable("others boot with the token all the time"))
}

async fn boot(ctx: &Context, cap: &str, hardware: &HostHardware) -> Result<String, Failure> {
    let (token, attempt) = install::confirmed(ctx, cap).await?;
    let refused = |refusal| Failure::Refused(refusal, Some(Arc::clone(&token)));
    binding::check(token.spec.binding.as_ref(), hardware).map_err(refused)?;
    let token = claimed(ctx, token, attempt, hardware).await?;
    let arguments = installer(&token, ctx.installer.as_ref()).map(|it| it.arguments.as_slice());
    let base = format!("{}/c/{cap}", ctx.service_url);
    let script = script::second(&base, boots(ctx, &token).await?, arguments.unwrap_or_default());
    script.map_err(|error| Failure::Unusable(error.to_string(), Some(Arc::clone(&token))))
}

/// What the machine boots for. Nothing boots if what it installs is not there.
async fn boots<'a>(ctx: &'a Context, token: &'a Arc<BootToken>) -> Result<Boots<'a>, Failure> {
    let image = match files::source_of(ctx, token)? {
        Source::Mirror { stage2, .. } => {
            return Ok(Boots::Kickstart(stage2.map_or(Stage2::None, Stage2::Url)));
        }
        Source::Image(image) => image,
    };
    let layers = Images::layers(ctx.images.as_ref(), image).await;
    let layers = layers.map_err(|error| files::unfetched(ctx, token, &error))?;
    if writes_disk_image(token, ctx.installer.as_ref()) {
        let disk = Images::disk(ctx.images.as_ref(), &token.spec.image).await;
        disk.map_err(|error| files::no_disk(ctx, token, &error))?;
        return Ok(Boots::DiskImage);
    }
    Ok(Boots::Kickstart(layers.squashfs.map_or(Stage2::None, |_| Stage2::Squashfs)))
}
