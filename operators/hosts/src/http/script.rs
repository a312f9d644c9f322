//! The two scripts of a boot: whoever has the URL gets the first, and with the second a boot begins.

use super::{
    ClientAddress, Failure, PRIVATE, files, install, limited, refuse, settle,
    write::{TRIES, judged, known_host, live, record},
};
use crate::{allowance, context::Context, images::Images, metrics::Answer, view::TokenKey};
use axum::{
    extract::{Path, Query, State},
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use jiff::{SignedDuration, Timestamp};
use kube::{ResourceExt, runtime::events::EventType};
use metal_api::{BootToken, BootTokenStatus, HostHardware};
use metal_core::{
    boot_token::{
        INSTALLATION, Refusal,
        fetch::{Fetch, fetch},
        installer::{Source, installer, writes_disk_image},
        only,
        script::{self, Again, Boots, Stage2},
        second_script::{Claim, Claimant, claim},
        secret,
    },
    capability::{Claims, Purpose, issue},
};
use serde::Deserialize;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long the second script may be requested with the first: both try for ten minutes while nobody can answer.
const BOOTING: SignedDuration = SignedDuration::from_hours(1);
/// How long the first script waits for its request to be recorded.
const PATIENCE: Duration = Duration::from_secs(2);

/// The first script, for whoever has the secret. Anybody else gets a script that does not depend on the reason.
pub(super) async fn first(
    State(ctx): State<Arc<Context>>,
    asker: ClientAddress,
    Path(secret): Path<String>,
    Query(TriesQuery { tries }): Query<TriesQuery>,
) -> Response {
    let answer = begin(&ctx, &asker, &secret).await;
    let url = format!("{}/api/ipxe/{secret}", ctx.service_url);
    let script = ScriptRequest { what: "script", again: Again::First(&url), tries };
    shown(&ctx, &asker, script, answer)
}

/// How many times it could not be answered before.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TriesQuery {
    tries: usize,
}

/// What a machine says about itself in a URL, with each MAC address once; and how many times it could not be
/// answered before.
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
    let answer = boot(&ctx, &asker, &cap, &hardware).await;
    let base = format!("{}/c/{cap}", ctx.service_url);
    let script = ScriptRequest { what: "boot", again: Again::Second(&base), tries };
    shown(&ctx, &asker, script, answer)
}

/// A script that a machine asks for.
#[derive(Clone, Copy, Debug)]
struct ScriptRequest<'a> {
    /// Its name, for people.
    what: &'static str,
    /// The URL for the next try.
    again: Again<'a>,
    /// How many times it could not be answered before.
    tries: usize,
}

/// The script for iPXE. iPXE does not show the body of a refusal, so a refusal is a script that shows it.
fn shown(
    ctx: &Context,
    asker: &ClientAddress,
    ScriptRequest { what, again, tries }: ScriptRequest<'_>,
    answer: Result<String, Failure>,
) -> Response {
    let script = match answer.map_err(|failure| limited(ctx, asker, what, failure)) {
        Ok(script) => Ok(script),
        Err(Failure::Refused(refusal, token)) => {
            let script = match &refusal {
                Refusal::Unfit(_) => script::unfit(),
                Refusal::InUse(_) => script::in_use(),
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

/// The first script, if this is the secret of an open token. It does not begin a boot.
async fn begin(ctx: &Context, asker: &ClientAddress, text: &str) -> Result<String, Failure> {
    if !ctx.view.is_ready() {
        return Err(Failure::Unavailable("not ready yet"));
    }
    let place = secret::place(text);
    let key = place.map(|it| TokenKey::Hash(it.namespace.to_owned(), it.hash));
    let found = key.map(|key| ctx.view.tokens.get(&key)).unwrap_or_default();
    let told = found.first().cloned();
    let token = only(&found).cloned().map_err(|refusal| Failure::Refused(refusal, told))?;
    let (token, Fetch { proposal, opened }) =
        judged(ctx, token, |token, host| fetch(token, host, asker.address, ctx.now())).await?;
    if let Some(status) = opened {
        tell_opened(ctx, asker, &token, &status).await;
    }
    files::source_of(ctx, &token)?;
    let base = base(ctx, &token, (Purpose::Boot, BOOTING), proposal)?;
    let script = script::first(&base, &token.spec.host_name);
    script.map_err(|error| Failure::Unusable(error.to_string(), Some(Arc::clone(&token))))
}

/// Records for people that the URL was opened. The machine boots even if that fails.
async fn tell_opened(
    ctx: &Context,
    asker: &ClientAddress,
    token: &Arc<BootToken>,
    status: &BootTokenStatus,
) {
    if !ctx.allowances.may(&**token, allowance::OPENINGS) {
        return;
    }
    if let Ok(Ok((new, true))) = timeout(PATIENCE, record(ctx, token, status)).await {
        let note = format!("the URL was opened from {asker}");
        ctx.notices.publish_event(&*new, EventType::Normal, "Opened", note);
    }
}

/// The URL of what a boot may do, for so long.
fn base(
    ctx: &Context,
    token: &BootToken,
    (purpose, good): (Purpose, SignedDuration),
    number: i64,
) -> Result<String, Failure> {
    let key = ctx.key.get().ok_or(Failure::Unavailable("not ready yet"))?;
    let claims = Claims {
        purpose,
        server: token.uid().unwrap_or_default(),
        boot: number.to_string(),
        expires: ctx.now().checked_add(good).unwrap_or(Timestamp::MAX),
    };
    let cap = issue(&key, &claims).map_err(|error| Failure::Unusable(error.to_string(), None))?;
    Ok(format!("{}/c/{}", ctx.service_url, cap.as_str()))
}

/// Begins a boot of the machine that asks, unless it has begun: what it installs is there, and it is
/// recorded which machine it is.
async fn boot(
    ctx: &Context,
    asker: &ClientAddress,
    cap: &str,
    said: &HostHardware,
) -> Result<String, Failure> {
    let (token, proposal) = install::claimed(ctx, cap, Purpose::Boot).await?;
    let (mut token, mut host) = live(ctx, &token).await?;
    let claimant = Claimant { proposal, said, from: asker.address };
    for _ in 0..TRIES {
        let decided = claim(&token, host.as_deref(), &claimant, ctx.now());
        let decided =
            decided.map_err(|refusal| Failure::Refused(refusal, Some(Arc::clone(&token))))?;
        let script = |attempt| installs(ctx, &token, attempt);
        match decided {
            Claim::Answer { attempt } => return script(attempt).await,
            Claim::Record(status) => {
                // Nothing is ended by a boot that cannot go on.
                let script = script(proposal).await?;
                if !ctx.allowances.may(&*token, allowance::BOOTS) {
                    return Err(Failure::Unavailable("it boots too often"));
                }
                let (new, is_recorded) = record(ctx, &token, &status).await?;
                if is_recorded {
                    let note = format!("boot {proposal}, from {asker}");
                    ctx.notices.publish_event(&*new, EventType::Normal, "Booted", note);
                    return Ok(script);
                }
                host = known_host(ctx, &new)?;
                token = new;
            }
        }
    }
    Err(Failure::Unavailable("others boot with the token all the time"))
}

/// The second script of the boot of this number.
async fn installs(ctx: &Context, token: &Arc<BootToken>, attempt: i64) -> Result<String, Failure> {
    let arguments = installer(token, ctx.installer.as_ref()).map(|it| it.arguments.as_slice());
    let boots = boots(ctx, token).await?;
    let base = base(ctx, token, (Purpose::Install, INSTALLATION), attempt)?;
    let script = script::second(&base, boots, arguments.unwrap_or_default());
    script.map_err(|error| Failure::Unusable(error.to_string(), Some(Arc::clone(token))))
}

/// What the machine boots for. Nothing boots if what it installs is not there.
async fn boots<'a>(ctx: &'a Context, token: &'a Arc<BootToken>) -> Result<Boots<'a>, Failure> {
    let disk = files::pull(ctx, token, &token.spec.image).await?;
    let image = match files::source_of(ctx, token)? {
        Source::Mirror { stage2, .. } => {
            return Ok(Boots::Kickstart(stage2.map_or(Stage2::None, Stage2::Url)));
        }
        Source::Image(image) => image,
    };
    let pull = files::pull(ctx, token, image).await?;
    let layers = Images::layers(ctx.images.as_ref(), &pull).await;
    let layers = layers.map_err(|error| files::unfetched(ctx, token, &error))?;
    if writes_disk_image(token, ctx.installer.as_ref()) {
        let disk = Images::disk(ctx.images.as_ref(), &disk).await;
        disk.map_err(|error| files::no_disk(ctx, token, &error))?;
        return Ok(Boots::DiskImage);
    }
    Ok(Boots::Kickstart(layers.squashfs.map_or(Stage2::None, |_| Stage2::Squashfs)))
}
