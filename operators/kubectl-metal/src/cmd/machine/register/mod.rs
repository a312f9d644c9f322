//! `machine register`

mod bmc;
mod object;
mod password;
mod served;

use crate::{
    Outcome,
    cmd::{names, site},
    connection::Connection,
    operations::{Order, REQUEST, Waiting, carry_out},
    output::{DryRun, DryRunArgs, objects, warn},
};
use anyhow::{Context, Result, bail};
use clap::Args;
use kube::{Api, Client, api::PostParams};
use metal_api::Machine;
use metal_machine::request::{Manual, Request};
use tokio::time::timeout;

/// Which machine it is.
#[derive(Debug, Args)]
pub(crate) struct Register {
    /// Name of the Machine, and of its Node
    #[arg(value_parser = names::object, value_name = "NAME")]
    name: String,
    /// Boot from the network (required by metalman)
    #[arg(long, required = true)]
    pxe: bool,
    /// What it boots.
    #[command(flatten)]
    object: object::ObjectArgs,
    /// Its BMC.
    #[command(flatten)]
    bmc: bmc::BmcArgs,
    /// Site that it belongs to [default: none]
    #[arg(long, value_parser = site::name, value_name = "NAME")]
    site: Option<String>,
    /// Have it installed, as machine repave does
    #[arg(long)]
    install: bool,
    /// With --install: confirm that somebody will power-cycle the machine and boot it from the
    /// network, as it has no BMC
    #[arg(long, requires = "install")]
    by_hand: bool,
    #[command(flatten)]
    dry_run: DryRunArgs,
    /// Whether to wait for the installation.
    #[command(flatten)]
    waiting: Waiting,
}

impl Register {
    /// Creates the Machine, and before it the Secret with the password of its BMC.
    ///
    /// # Errors
    ///
    /// If the Machine is refused; then there is no Secret either.
    pub(crate) async fn run(&self, connection: &Connection) -> Result<Outcome> {
        let machine = self.machine()?;
        if self.install
            && machine.spec.pxe.as_ref().is_some_and(|it| it.redfish.is_none())
            && !self.by_hand
        {
            bail!(
                "without --redfish-url somebody has to switch it on and make it boot from the network: \
                 say --by-hand if somebody will"
            );
        }
        let password = self.bmc.password(self.dry_run.dry_run)?;
        if self.dry_run.dry_run == DryRun::Client {
            self.print(&machine)?;
            return Ok(Outcome::Done);
        }
        let client = connection.client().await?;
        // What is refused leaves no password behind.
        let checked = create(&client, &machine, DryRun::Server).await?;
        if self.dry_run.dry_run == DryRun::Server {
            self.print(&checked)?;
            return Ok(Outcome::Done);
        }
        if let Some(password) = password {
            password.store(&client, self.bmc.namespace(), &self.name).await?;
        }
        let created = create(&client, &machine, DryRun::None).await?;
        self.print(&created)?;
        served::warn_unserved(&client, self.site.as_deref()).await;
        if !self.install {
            return Ok(Outcome::Done);
        }
        let by_hand = if self.by_hand { Manual::Somebody } else { Manual::Nobody };
        let names = [self.name.clone()];
        let order = Order { request: Request::Repave, by_hand, dry_run: DryRun::None };
        carry_out(&names, order, &self.waiting, connection).await
    }

    fn machine(&self) -> Result<Machine> {
        let redfish = self.bmc.redfish(&self.name)?;
        self.object.machine(&self.name, self.site.as_deref(), redfish)
    }

    fn print(&self, machine: &Machine) -> Result<()> {
        if self.dry_run.dry_run != DryRun::None && self.bmc.has_password() {
            let (namespace, name) = (self.bmc.namespace(), &self.name);
            warn(&format!("secret/{name} in {namespace}, which is not printed, would come first"));
        }
        // If it is installed, the outcome is printed in the end.
        let is_last = !self.install || self.dry_run.dry_run != DryRun::None;
        let mut machine = machine.clone();
        machine.metadata.managed_fields = None;
        let format = self.waiting.output.filter(|_| is_last);
        let done = format!("created{}", self.dry_run.dry_run.note());
        if is_last || self.waiting.output.is_none() {
            objects(&[serde_json::to_value(machine)?], format, &done)?;
        }
        Ok(())
    }
}

/// Creates a Machine, or has that checked.
async fn create(client: &Client, machine: &Machine, dry_run: DryRun) -> Result<Machine> {
    let machines = Api::<Machine>::all(client.clone());
    let params = PostParams {
        dry_run: dry_run != DryRun::None,
        field_manager: Some(crate::MANAGER.to_owned()),
    };
    let created = timeout(REQUEST, machines.create(&params, machine)).await;
    Ok(created.context("the API server does not answer; the Machine may be there")??)
}
