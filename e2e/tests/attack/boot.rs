//! Attackers who ask for what another machine boots, and speak with what it was given.

use crate::{
    connections::{HONEST, served},
    ports::{self, Target},
    site::{OPERATORS, Site, soon},
};
use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::eventually,
    stack::{Claimed, HTTP_TENANT, PXE_TENANT, Stack, claim, deleted},
};
use futures::future::try_join_all;
use jiff::Timestamp;
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use metal_api::{HttpBootConfig, Server, ServerClaim, inventory::BootStateReport};
use reqwest::{Client, StatusCode};
use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

/// More requests than one boot may make.
const HEADS: usize = 20;
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 9);
/// How soon a claim that was deleted is over.
const OVER: Duration = Duration::from_mins(1);

/// What a claimed machine was given in its window.
struct Given {
    /// Number of the machine.
    index: u32,
    claim: Claimed,
    uuid: String,
    token: String,
    /// Every URL of it that gives something in the window.
    paths: Vec<String>,
}

/// Asks for everything while the claims live, and after that speaks with their tokens.
pub(crate) async fn ask_outside_of_the_window(site: &Site) {
    let given = Box::pin(given(site)).await;
    let outcome = match &given {
        Ok(given) => outside(site, given).await,
        Err(error) => Err(anyhow::anyhow!("no machine has booted: {error:#}")),
    };
    let what = "script, ignition and UKI of live claims, outside of the window";
    site.tell(what, Target::Boot, outcome);
    let outcome = match given {
        Ok(given) => ended(site, given).await,
        Err(error) => Err(error.context("no machine has booted")),
    };
    site.tell("tokens of boots that have ended", Target::Metal, outcome);
}

/// Claims a machine for each kind of boot, and asks for what it gets in its window.
async fn given(site: &Site) -> Result<[Given; 2]> {
    let http = http()?;
    let (index, claim, uuid) = claimed(site, PXE_TENANT).await?;
    site.stack.machine(0, index)?.boots_tenant().await.context("a claimed machine")?;
    let (_, script) = get(&http, &format!("ipxe/{uuid}"), None).await?;
    let ignition = ignition_in(&script)?;
    let paths = vec![format!("ipxe/{uuid}"), ignition];
    let pxe = Given { index, claim, token: token_in(&paths[1])?, uuid, paths };

    let (index, claim, uuid) = claimed(site, HTTP_TENANT).await?;
    let uki = soon(async || uki_of(&site.stack, &uuid).await).await?;
    let token = token_in(&uki)?;
    let bare = uki.replace(&format!("t/{token}/"), "");
    let paths = vec![uki, bare, format!("ignition/t/{token}/{uuid}")];
    let uki = Given { index, claim, uuid, token, paths };

    for path in [&pxe, &uki].into_iter().flat_map(|given| &given.paths) {
        let open = async || {
            let (status, _) = get(&http, path, None).await?;
            ensure!(status.is_success(), "{path}, in the window: {status}");
            Ok(())
        };
        soon(open).await?;
    }
    Ok([pxe, uki])
}

/// A server that was claimed with this image: number and UUID of the machine.
async fn claimed(site: &Site, image: &str) -> Result<(u32, Claimed, String)> {
    let machine = site.admitted_server().await?;
    let index = machine.index();
    let claim = claim(&site.stack, &machine, &site.stack.registry.image(image)).await?;
    Ok((index, claim, machine.report()?.uuid.to_string()))
}

/// Path of the UKI that a machine boots, as netboot learns it.
async fn uki_of(stack: &Stack, uuid: &str) -> Result<String> {
    let configs = Api::<HttpBootConfig>::all(stack.client.clone());
    let all = configs.list(&ListParams::default()).await?;
    let is_its = |it: &HttpBootConfig| it.spec.system_uuid.as_deref() == Some(uuid);
    let found = all.items.into_iter().find(is_its).context("no HTTPBootConfig")?;
    let url = found.spec.uki_url.context("no URL of a UKI yet")?;
    let (_, path) = url.split_once("/httpboot/").context(url.clone())?;
    Ok(format!("httpboot/{path}"))
}

async fn outside(site: &Site, given: &[Given]) -> Result<Duration> {
    for it in given {
        let status = says_that_it_is_up(it).await?;
        ensure!(status.is_success(), "the machine's own report: {status}");
        let servers = Api::<Server>::all(site.stack.client.clone());
        let name = site.stack.machine(0, it.index)?.server_name();
        let is_closed = async || {
            let window = servers.get(&name).await?.status.and_then(|status| status.boot_window);
            let is_over = window.is_none_or(|window| window.closes.0 <= Timestamp::now());
            ensure!(is_over, "{name} is still in its window");
            Ok(())
        };
        eventually(OVER, is_closed).await?;
    }
    let mut asked = vec![];
    for Given { uuid, token, paths, .. } in given {
        let by_uuid = [
            format!("ipxe/{uuid}"),
            format!("ignition/{uuid}"),
            format!("ignition/x/{uuid}"),
            format!("ignition/t/x/{uuid}"),
            format!("ignition/t/{token}/{uuid}"),
        ];
        asked.extend(by_uuid.into_iter().chain(paths.iter().cloned()));
    }
    // The machine's own address, and that of others, with and without its name on it.
    let own = site.stack.machine(0, given[0].index)?.report()?.host_address;
    let own = own.context("the machine has no address")?.to_string();
    let (here, stranger) = (client(HONEST)?, client(STRANGER)?);
    let froms = [(&here, None), (&here, Some(&*own)), (&stranger, None), (&stranger, Some(&*own))];
    let asked = asked.iter().flat_map(|path| froms.map(|(http, from)| (http, path, from)));
    try_join_all(asked.map(|(http, path, from)| async move {
        let (status, text) = get(http, path, from).await?;
        ensure!(status.is_client_error(), "{path} of {from:?}: {status}: {text}");
        ensure!(!text.contains("/t/"), "{path} of {from:?} has a token: {text}");
        anyhow::Ok(())
    }))
    .await?;
    let own = get(&stranger, "httpboot", None).await?;
    for it in given {
        let report = site.stack.machine(0, it.index)?.report()?;
        let (address, mac) = (report.host_address, report.nic_macs.first());
        let names = [address.map(|it| it.to_string()), mac.map(ToString::to_string)];
        for name in names.into_iter().flatten() {
            let in_its_name = get(&stranger, "httpboot", Some(&name)).await?;
            ensure!(own == in_its_name, "{name} in a header makes {own:?} to {in_its_name:?}");
        }
    }
    served(&ports::boot(), HONEST).await
}

/// A report of the machine's system, with the token of its boot.
async fn says_that_it_is_up(given: &Given) -> Result<StatusCode> {
    let report = BootStateReport { system_uuid: given.uuid.clone(), booted: true };
    let url = format!("http://{OPERATORS}:10000/t/{}/bootstate", given.token);
    Ok(http()?.post(url).json(&report).send().await?.status())
}

/// The claims end, and their machines speak on.
async fn ended(site: &Site, given: [Given; 2]) -> Result<Duration> {
    for it in &given {
        let api_server = site.stack.client.clone();
        let claims = Api::<ServerClaim>::namespaced(api_server, &it.claim.namespace);
        claims.delete(&it.claim.name, &DeleteParams::default()).await?;
        deleted(&claims, &it.claim.name).await?;
        // metal-operator learns of the end a moment later.
        let refused = async || {
            let status = says_that_it_is_up(it).await?;
            ensure!(
                status.is_client_error(),
                "/bootstate with the token of an ended claim: {status}"
            );
            Ok(())
        };
        eventually(OVER, refused).await?;
        for path in &it.paths {
            let (status, _) = get(&client(STRANGER)?, path, None).await?;
            ensure!(status.is_client_error(), "{path} after the claim: {status}");
        }
    }
    served(&ports::registry(), HONEST).await
}

pub(crate) async fn use_up_fetches(site: &Site) {
    let outcome = fetches(site).await;
    site.tell(&format!("{HEADS} x HEAD of an ignition"), Target::Boot, outcome);
}

/// A machine within its boot window, so that there is something to steal.
async fn fetches(site: &Site) -> Result<Duration> {
    let (stranger, http) = (client(STRANGER)?, http()?);
    let url = tenants_ignition(site, &http).await?;
    for _ in 0..HEADS {
        stranger.head(&url).send().await?;
    }
    let asked = Instant::now();
    let answer = http.get(&url).send().await?.error_for_status().context("the machine's fetch")?;
    ensure!(answer.text().await?.contains("3.4.0"), "that is not its ignition");
    Ok(asked.elapsed())
}

/// The URL of the ignition of a machine that was just claimed.
pub(crate) async fn tenants_ignition(site: &Site, http: &Client) -> Result<String> {
    let (index, _, uuid) = claimed(site, PXE_TENANT).await?;
    site.stack.machine(0, index)?.boots_tenant().await.context("a claimed machine")?;
    let path = ignition_in(&get(http, &format!("ipxe/{uuid}"), None).await?.1)?;
    Ok(format!("http://{OPERATORS}:8082/{path}"))
}

/// The path of the ignition in a script.
fn ignition_in(script: &str) -> Result<String> {
    let mut words = script.split(|c: char| c.is_whitespace() || c == '=');
    let path = words.find_map(|word| word.strip_prefix("${ipxe-svc}/ignition/"));
    let path = path.with_context(|| format!("no ignition in {script}"))?;
    Ok(format!("ignition/{path}"))
}

/// The token in a path.
fn token_in(path: &str) -> Result<String> {
    let (_, rest) = path.split_once("/t/").with_context(|| format!("no token in {path}"))?;
    Ok(rest.split('/').next().unwrap_or_default().to_owned())
}

/// The boot port's answer to a client that claims to ask on behalf of another address.
pub(crate) async fn get(
    http: &Client,
    path: &str,
    forwarded: Option<&str>,
) -> Result<(StatusCode, String)> {
    let request = http.get(format!("http://{OPERATORS}:8082/{path}"));
    let request = match forwarded {
        Some(forwarded) => request.header("x-forwarded-for", forwarded),
        None => request,
    };
    let answer = request.send().await?;
    Ok((answer.status(), answer.text().await?))
}

pub(crate) fn http() -> Result<Client> {
    let policy = reqwest::redirect::Policy::none();
    Ok(Client::builder().no_proxy().redirect(policy).timeout(Duration::from_secs(5)).build()?)
}

/// A client at this address, which waits for refusals that are delayed.
fn client(from: Ipv4Addr) -> Result<Client> {
    let policy = reqwest::redirect::Policy::none();
    let http = Client::builder().no_proxy().redirect(policy).local_address(Some(from.into()));
    Ok(http.timeout(Duration::from_mins(1)).build()?)
}
