//! Attackers who ask for what another machine boots.

use crate::{
    connections::{HONEST, served},
    site::{OPERATORS, Site, Target},
};
use anyhow::{Context, Result, ensure};
use e2e::stack::{PXE_TENANT, claim};
use reqwest::{Client, StatusCode};
use std::time::{Duration, Instant};

/// More requests than one boot may make.
const HEADS: usize = 20;

pub(crate) async fn ask_by_uuid(site: &mut Site) {
    let outcome = by_uuid(site).await;
    let what = "script, ignition and link by UUID, outside of the window";
    site.tell(what, Target::Boot, outcome);
}

async fn by_uuid(site: &mut Site) -> Result<Duration> {
    let machine = site.one_more_server().await?;
    let report = machine.report()?;
    let (uuid, http) = (report.uuid, http()?);
    let host = "198.18.0.1";
    for path in [format!("ipxe/{uuid}"), format!("ignition/{uuid}"), format!("ignition/x/{uuid}")] {
        for from in [None, Some(host)] {
            let (status, text) = get(&http, &path, from).await?;
            ensure!(status.is_client_error(), "{path} of {from:?}: {status}: {text}");
            ensure!(!text.contains("/t/"), "{path} of {from:?} has a token: {text}");
        }
    }
    let own = get(&http, "httpboot", None).await?;
    let in_its_name = get(&http, "httpboot", Some(host)).await?;
    ensure!(own == in_its_name, "a header makes {own:?} to {in_its_name:?}");
    served((OPERATORS, 8082).into(), "/ipxe/", HONEST).await
}

pub(crate) async fn use_up_fetches(site: &mut Site) {
    let outcome = fetches(site).await;
    site.tell(&format!("{HEADS} x HEAD of an ignition"), Target::Boot, outcome);
}

/// A machine within its boot window, so that there is something to steal.
async fn fetches(site: &mut Site) -> Result<Duration> {
    let stranger =
        Client::builder().no_proxy().local_address(Some([127, 0, 1, 9].into())).build()?;
    let http = http()?;
    let url = tenants_ignition(site, &http).await?;
    for _ in 0..HEADS {
        stranger.head(&url).send().await?;
    }
    let asked = Instant::now();
    let answer = http.get(&url).send().await?.error_for_status().context("the machine's fetch")?;
    ensure!(answer.text().await?.contains("3.4.0"), "that is not its ignition");
    Ok(asked.elapsed())
}

/// The ignition path of a machine that was just claimed.
pub(crate) async fn tenants_ignition(site: &mut Site, http: &Client) -> Result<String> {
    let machine = site.one_more_server().await?;
    let uuid = machine.report()?.uuid;
    let index = machine.index();
    let machine = site.stack.machine(0, index)?;
    claim(&site.stack, &machine, &site.stack.registry.image(PXE_TENANT)).await?;
    machine.boots_tenant().await.context("a claimed machine")?;
    ignition_in(&get(http, &format!("ipxe/{uuid}"), None).await?.1)
}

/// The ignition path in a script.
fn ignition_in(script: &str) -> Result<String> {
    let mut words = script.split(|c: char| c.is_whitespace() || c == '=');
    let path = words.find_map(|word| word.strip_prefix("${ipxe-svc}/ignition/"));
    let path = path.with_context(|| format!("no ignition in {script}"))?;
    Ok(format!("http://{OPERATORS}:8082/ignition/{path}"))
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
