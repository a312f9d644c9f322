//! `ipxe-tokens`

mod create;

use crate::{
    Outcome,
    args::Connection,
    cmd::names::parse,
    output::{Format, objects, print},
};
use anyhow::{Context, Result};
use clap::Subcommand;
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use metal_api::{BootToken, BootTokenPhase};
use serde_json::json;

/// What to do about the tokens that rented servers boot with.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token, and print its URL and nothing else: it is shown once
    Create(Box<create::Create>),
    /// List tokens that are neither consumed nor over
    List {
        /// Organization: a namespace
        #[arg(value_name = "ORG")]
        org: String,
        /// How they are printed
        #[arg(long, short, value_enum)]
        output: Option<Format>,
    },
    /// Withdraw a token for good
    Revoke {
        /// Organization: a namespace
        #[arg(value_name = "ORG")]
        org: String,
        /// Name of the token
        #[arg(value_name = "NAME")]
        name: String,
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
        TokenCommand::Revoke { org, name } => revoke(connection, &org, &name).await,
    }
}

async fn list(connection: &Connection, org: &str, output: Option<Format>) -> Result<Outcome> {
    let api = Api::<BootToken>::namespaced(connection.client().await?, parse(org)?);
    let all = api.list(&ListParams::default()).await.context("BootTokens")?;
    let open = all.items.into_iter().filter(is_open).collect::<Vec<_>>();
    if let Some(format) = output {
        let open: Vec<_> = open.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
        objects(&open, Some(format), "")?;
        return Ok(Outcome::Done);
    }
    for token in open {
        let status = token.status.clone().unwrap_or_default();
        let phase = status.phase.map_or("-", BootTokenPhase::as_str);
        let expires = status.expires_at.map_or_else(|| "-".to_owned(), |at| at.0.to_string());
        print(&format!("{} {phase} {} {expires}\n", token.name_any(), token.spec.host_name))?;
    }
    Ok(Outcome::Done)
}

fn is_open(token: &BootToken) -> bool {
    let phase = token.status.as_ref().and_then(|status| status.phase);
    let over = [BootTokenPhase::Consumed, BootTokenPhase::Expired, BootTokenPhase::Revoked];
    !token.spec.revoked && phase.is_none_or(|phase| !over.contains(&phase))
}

async fn revoke(connection: &Connection, org: &str, name: &str) -> Result<Outcome> {
    let api = Api::<BootToken>::namespaced(connection.client().await?, parse(org)?);
    let patch = Patch::Merge(json!({ "spec": { "revoked": true } }));
    let revoked = api.patch(name, &PatchParams::default(), &patch).await;
    revoked.with_context(|| format!("BootToken {name}"))?;
    print(&format!("boottoken.bloomery.dev/{name} revoked\n"))?;
    Ok(Outcome::Done)
}
