//! `ipxe-tokens`

mod binding;
pub(crate) mod create;
mod disk;
mod installer;

use crate::{
    Outcome,
    cmd::{
        lists::all,
        names::{self, parse},
    },
    connection::Connection,
    failure,
    merge::merge_spec,
    operations::REQUEST,
    output::{DryRun, DryRunArgs, Format, listed, shown, table, warn},
};
use anyhow::{Result, anyhow, ensure};
use clap::Subcommand;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client, ResourceExt};
use metal_api::{BootToken, BootTokenPhase};
use metal_core::boot_token::{expiry, phase};
use metal_runtime::clock::of_api_server;
use serde::Serialize;
use tokio::time::timeout;

/// What to do about the tokens that rented servers boot with.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token, and print its URL and nothing else: it is shown once
    Create(Box<create::Create>),
    /// List tokens that are neither consumed nor over
    List {
        /// Organization: a namespace
        #[arg(value_parser = names::label, value_name = "ORG")]
        org: String,
        /// Output format
        #[arg(long, short, value_enum, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Withdraw a token for good
    Revoke {
        /// Organization: a namespace
        #[arg(value_parser = names::label, value_name = "ORG")]
        org: String,
        /// Name of the token, and of the host, for all of its tokens
        #[arg(value_parser = names::object, value_name = "NAME")]
        name: String,
        #[command(flatten)]
        dry_run: DryRunArgs,
        /// Output format
        #[arg(long, short, value_enum, value_name = "FORMAT")]
        output: Option<Format>,
    },
}

/// Does it.
///
/// # Errors
///
/// Those of the API server.
pub(crate) async fn run(command: TokenCommand, connection: &Connection) -> Result<Outcome> {
    match command {
        TokenCommand::Create(create) => create.run(connection).await,
        TokenCommand::List { org, output } => list(connection, &org, output).await,
        TokenCommand::Revoke { org, name, dry_run: DryRunArgs { dry_run }, output } => {
            revoke(connection, (&org, &name), dry_run, output).await
        }
    }
}

/// Lists tokens that are neither consumed nor over.
///
/// # Errors
///
/// Those of the API server.
pub(crate) async fn list(
    connection: &Connection,
    org: &str,
    output: Option<Format>,
) -> Result<Outcome> {
    let (client, org) = (connection.client().await?, parse(org)?);
    let (open, now) = open(&client, org).await?;
    if let Some(format) = output {
        listed(&open, format)?;
        return Ok(Outcome::Done);
    }
    let row = |token: &BootToken| {
        let expires = expiry(token).map_or_else(|| "-".to_owned(), |at| at.to_string());
        let phase = phase(token, now).as_str().to_owned();
        [token.name_any(), phase, token.spec.host_name.clone(), expires]
    };
    let rows: Vec<_> = open.iter().map(row).collect();
    let none = format!("no token is open in {org}");
    table(["NAME", "PHASE", "HOST", "EXPIRES"], &rows, &none)?;
    Ok(Outcome::Done)
}

/// The tokens that are open, and when they were looked at: by the clock of the API server, which servers go by.
///
/// # Errors
///
/// Those of the API server.
pub(crate) async fn open(client: &Client, org: &str) -> Result<(Vec<BootToken>, Timestamp)> {
    let now = timeout(REQUEST, of_api_server(client)).await.ok().flatten();
    let now = now.unwrap_or_else(|| {
        warn("the API server does not say what time it is: the clock of this computer counts");
        Timestamp::now()
    });
    let all = all(&Api::<BootToken>::namespaced(client.clone(), org)).await?;
    Ok((all.into_iter().filter(|it| is_open(it, now)).collect(), now))
}

/// By the time, too: nothing is recorded while no server runs.
fn is_open(token: &BootToken, now: Timestamp) -> bool {
    let over = [BootTokenPhase::Consumed, BootTokenPhase::Expired, BootTokenPhase::Revoked];
    !over.contains(&phase(token, now))
}

async fn revoke(
    connection: &Connection,
    (org, name): (&str, &str),
    dry_run: DryRun,
    output: Option<Format>,
) -> Result<Outcome> {
    let api = Api::<BootToken>::namespaced(connection.client().await?, parse(org)?);
    let found = meant(all(&api).await?, org, name)?;
    let (revoked, outcome) = all_withdrawn(&api, found, org, dry_run).await;
    shown(&revoked, output, &format!("revoked{}", dry_run.note()))?;
    Ok(outcome)
}

/// Withdraws tokens for good. One that cannot be does not keep the others open.
async fn all_withdrawn(
    api: &Api<BootToken>,
    tokens: Vec<BootToken>,
    org: &str,
    dry_run: DryRun,
) -> (Vec<BootToken>, Outcome) {
    let (mut revoked, mut outcome) = (vec![], Outcome::Done);
    for token in tokens {
        let name = token.name_any();
        match withdrawn(api, token, dry_run).await {
            Ok(Ok(token)) => revoked.push(token),
            Ok(Err(Consumed { host })) => {
                warn(&format!(
                    "error: boottoken.bloomery.dev/{name} is consumed: a machine is host {host} by it, which \
                     stays one until you delete that: kubectl metal hosts delete {org}/{host}"
                ));
                outcome = Outcome::Failed;
            }
            Err(error) => outcome = left(error, org, &name, outcome),
        }
    }
    (revoked, outcome)
}

/// What becomes of a command of which one token is left: one that was removed meanwhile is as good as withdrawn.
pub(crate) fn left(error: kube::Error, org: &str, name: &str, outcome: Outcome) -> Outcome {
    if matches!(&error, kube::Error::Api(status) if status.is_not_found()) {
        warn(&format!("boottoken.bloomery.dev/{name} is gone"));
        return outcome;
    }
    let error = anyhow!(error).context(format!("BootToken {org}/{name}"));
    warn(&format!("error: {}", failure::chain(&error)));
    Outcome::Failed
}

/// A token with which a machine has registered: there is nothing left to withdraw.
#[derive(Debug, PartialEq, Eq)]
struct Consumed {
    host: String,
}

/// What is written of the spec of a token.
#[derive(Debug, Serialize)]
struct Revoked {
    revoked: bool,
}

/// Withdraws a token for good.
async fn withdrawn(
    api: &Api<BootToken>,
    mut token: BootToken,
    dry_run: DryRun,
) -> Result<Result<BootToken, Consumed>, kube::Error> {
    let is_consumed = |it: &BootToken| phase(it, Timestamp::MIN) == BootTokenPhase::Consumed;
    if !is_consumed(&token) {
        token.spec.revoked = true;
        if dry_run != DryRun::Client {
            // A machine may have registered meanwhile.
            let revoked = Revoked { revoked: true };
            token = merge_spec(api, &token.name_any(), &dry_run.patch(), &revoked).await?;
        }
    }
    Ok(if is_consumed(&token) { Err(Consumed { host: token.spec.host_name }) } else { Ok(token) })
}

/// Whether a token is neither consumed nor revoked: by some clock it is open, maybe.
fn is_in_force(token: &BootToken) -> bool {
    is_open(token, Timestamp::MIN)
}

/// The tokens of the host of this name that are in force. What time it is does not count: of what is to
/// be withdrawn nothing may be left.
///
/// # Errors
///
/// If there is none.
pub(crate) fn of_host(all: Vec<BootToken>, org: &str, host: &str) -> Result<Vec<BootToken>> {
    let found: Vec<_> = all.into_iter().filter(|it| is_of_host(it, host)).collect();
    ensure!(!found.is_empty(), "there is no token in {org} that is open for a host {host}");
    Ok(found)
}

/// The token of this name, and those of the host of this name that are in force: a token may have the
/// name of a host.
fn meant(all: Vec<BootToken>, org: &str, name: &str) -> Result<Vec<BootToken>> {
    let is_meant = |it: &BootToken| it.name_any() == name || is_of_host(it, name);
    let found: Vec<_> = all.into_iter().filter(is_meant).collect();
    ensure!(
        !found.is_empty(),
        "there is no token {name} in {org}, and none that is open for a host {name}"
    );
    Ok(found)
}

fn is_of_host(token: &BootToken, host: &str) -> bool {
    token.spec.host_name == host && is_in_force(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response, header::DATE};
    use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::SignedDuration};
    use kube::client::Body;
    use metal_api::{BootRegistration, BootTokenSpec, BootTokenStatus, HostHardware};
    use metal_runtime::testing::ApiServer;
    use serde_json::json;
    use std::convert::Infallible;

    fn all() -> Vec<BootToken> {
        let open = ["web-1", "web-1-a", "web-1-c"].map(|name| token(name, true));
        open.into_iter().chain([token("web-1-b", false)]).collect()
    }

    #[test]
    fn what_is_revoked_is_the_token_of_a_name_and_all_of_the_host_of_that_name() {
        let names = |name| {
            let found = meant(all(), "org", name).map_err(|error| error.to_string())?;
            Ok::<_, String>(found.iter().map(ResourceExt::name_any).collect::<Vec<_>>())
        };
        assert_eq!(names("web-1").unwrap(), ["web-1", "web-1-a", "web-1-c"]);
        assert_eq!(names("web-1-b").unwrap(), ["web-1-b"], "by its name also when it is over");
        assert!(names("web-2").unwrap_err().contains("no token web-2 in org"));
    }

    #[test]
    fn the_scripts_of_a_host_are_all_its_open_tokens_and_no_token_by_its_name() {
        let found = of_host(all(), "org", "web-1").unwrap();
        let names: Vec<_> = found.iter().map(ResourceExt::name_any).collect();
        assert_eq!(names, ["web-1", "web-1-a", "web-1-c"]);
        let error = of_host(all(), "org", "web-1-a").unwrap_err().to_string();
        assert!(error.contains("open for a host web-1-a"), "{error}");
    }

    #[test]
    fn a_token_is_over_by_its_time_also_while_nobody_records_that() {
        let (token, now) = (token("web-1-a", true), Timestamp::now());
        assert!(is_open(&token, now));
        assert!(!is_open(&token, now + SignedDuration::from_hours(2)));
        let mut revoked = token;
        revoked.spec.revoked = true;
        assert!(!is_open(&revoked, now));
    }

    #[test]
    fn what_a_host_has_is_withdrawn_also_if_it_is_over_by_a_clock() {
        let mut old = token("web-1-a", true);
        let issued = Timestamp::now() - SignedDuration::from_hours(99);
        old.metadata.creation_timestamp = Some(Time(issued));
        assert!(!is_open(&old, Timestamp::now()));
        assert_eq!(of_host(vec![old.clone()], "org", "web-1").unwrap().len(), 1);
        assert_eq!(meant(vec![old.clone()], "org", "web-1").unwrap().len(), 1);
        old.spec.revoked = true;
        assert!(of_host(vec![old, token("web-1-b", false)], "org", "web-1").is_err());
    }

    #[tokio::test]
    async fn what_is_open_is_told_by_the_clock_of_the_api_server() {
        let mut token = token("web-1-a", true);
        token.metadata.creation_timestamp = Some(Time("2026-01-01T11:30:00Z".parse().unwrap()));
        let open_at = async |date: &'static str| {
            let token = token.clone();
            let service = tower::service_fn(move |_: Request<Body>| {
                let list = json!({ "metadata": {}, "items": [token] }).to_string();
                let answer = Response::builder().header(DATE, date);
                let answer = answer.body(Body::from(list.into_bytes())).unwrap();
                async move { Ok::<_, Infallible>(answer) }
            });
            open(&Client::new(service, "default"), "org").await.unwrap()
        };
        let (open, now) = open_at("Thu, 01 Jan 2026 12:00:00 GMT").await;
        assert_eq!((open.len(), now.to_string().as_str()), (1, "2026-01-01T12:00:00Z"));
        assert!(open_at("Thu, 01 Jan 2026 12:31:00 GMT").await.0.is_empty());
    }

    #[tokio::test]
    async fn a_token_that_is_consumed_is_not_said_to_be_revoked() {
        let server = ApiServer::default();
        let api = Api::namespaced(server.client("org"), "org");
        let put = |mut token: BootToken| {
            token.metadata.namespace = Some("org".to_owned());
            server.put(&token);
        };
        put(token("web-1-a", true));
        let would = withdrawn(&api, token("web-1-a", true), DryRun::Client).await.unwrap();
        let there = api.get("web-1-a").await.unwrap();
        assert!(would.unwrap().spec.revoked && !there.spec.revoked, "nothing is written");
        let revoked = withdrawn(&api, token("web-1-a", true), DryRun::None).await.unwrap();
        assert!(revoked.unwrap().spec.revoked);
        let consumed = Consumed { host: "web-1".to_owned() };
        let registration = BootRegistration {
            public_key: String::new(),
            at: Time(Timestamp::now()),
            address: None,
            hardware: HostHardware::default(),
            host_uid: None,
        };
        let mut registered = token("web-1-b", false);
        registered.status.as_mut().unwrap().registration = Some(registration);
        put(registered);
        let told = withdrawn(&api, token("web-1-b", false), DryRun::None).await.unwrap();
        assert_eq!(told.unwrap_err(), consumed);
        // Since it was listed.
        let told = withdrawn(&api, token("web-1-b", true), DryRun::None).await.unwrap();
        assert_eq!(told.unwrap_err(), consumed);
    }

    #[tokio::test]
    async fn a_token_that_is_gone_or_refused_keeps_no_other_one_open() {
        let server = ApiServer::default();
        let api = Api::namespaced(server.client("org"), "org");
        for name in ["web-1-a", "web-1-c"] {
            let mut token = token(name, true);
            token.metadata.namespace = Some("org".to_owned());
            server.put(&token);
        }
        let tokens = || ["web-1-a", "web-1-b", "web-1-c"].map(|name| token(name, true)).to_vec();
        let (revoked, outcome) = all_withdrawn(&api, tokens(), "org", DryRun::None).await;
        let revoked: Vec<_> = revoked.iter().map(ResourceExt::name_any).collect();
        assert_eq!(revoked, ["web-1-a", "web-1-c"]);
        assert_eq!(outcome, Outcome::Done);
        server.fail(Some(http::StatusCode::FORBIDDEN));
        server.forget();
        let (revoked, outcome) = all_withdrawn(&api, tokens(), "org", DryRun::None).await;
        assert_eq!((revoked.len(), outcome), (0, Outcome::Failed));
        assert_eq!(server.written().len(), 3, "each was tried");
    }

    fn token(name: &str, is_open: bool) -> BootToken {
        let (host_name, ttl) = ("web-1".to_owned(), "1h".to_owned());
        let mut token =
            BootToken::new(name, BootTokenSpec { host_name, ttl, ..BootTokenSpec::default() });
        token.metadata.creation_timestamp = Some(Time(Timestamp::now()));
        let phase = if is_open { BootTokenPhase::Fetched } else { BootTokenPhase::Consumed };
        token.status = Some(BootTokenStatus { phase: Some(phase), ..BootTokenStatus::default() });
        token
    }
}
