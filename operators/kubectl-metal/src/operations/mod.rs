//! Reboots and installations: asked for by a counter, and waited for.

mod raise;
mod results;
mod wait;

use raise::{asked_for, machine_and_node};
use results::Results;

use crate::{
    Outcome,
    connection::Connection,
    failure,
    output::{DryRun, Format, warn},
};
use anyhow::Result;
use clap::{ArgAction, Args};
use kube::Client;
use metal_machine::request::{Manual, Request};
use metal_runtime::args::duration;
use std::time::Duration;
use tokio::time::Instant;

/// How long one request to the API server may take.
pub(crate) const REQUEST: Duration = Duration::from_secs(30);

/// Whether to wait, and how long.
#[derive(Clone, Debug, Args)]
pub(crate) struct Waiting {
    /// Wait until the operation is complete and the Node is ready; --wait=false returns at once
    #[arg(
        long,
        default_value_t = true,
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub(crate) wait: bool,
    /// How long to wait, all together; metalman tries three times, for up to 45 minutes each, or longer
    /// while the installer makes progress
    #[arg(long, default_value = "3h", value_parser = duration, value_name = "DURATION")]
    pub(crate) timeout: Duration,
    /// Keep waiting even if a person must act first, for example accept a changed BMC certificate
    #[arg(long = "keep-waiting")]
    pub(crate) for_people: bool,
    /// Output format [default: a line for each]
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    pub(crate) output: Option<Format>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// The operation.
    pub(crate) request: Request,
    /// Whether somebody does what a BMC would.
    pub(crate) by_hand: Manual,
    /// Whether it is written; nobody waits for what is not.
    pub(crate) dry_run: DryRun,
}

/// Asks for it on each of these Machines, and waits for those that took it.
///
/// # Errors
///
/// If there is no client, or nowhere to print.
pub(crate) async fn carry_out(
    names: &[String],
    order: Order,
    waiting: &Waiting,
    connection: &Connection,
) -> Result<Outcome> {
    let client = connection.client().await?;
    carry_out_by(&client, names, order, waiting).await
}

async fn carry_out_by(
    client: &Client,
    names: &[String],
    order: Order,
    waiting: &Waiting,
) -> Result<Outcome> {
    let begin = Instant::now();
    let mut results = Results::new(waiting.output);
    let (mut asked, mut outcome) = (vec![], Outcome::Done);
    let waits = waiting.wait && order.dry_run == DryRun::None;
    for name in unique(names) {
        // One time for all: each new Machine may take a minute.
        let patience = waiting.timeout.saturating_sub(begin.elapsed());
        match asked_for(client, name, order, patience).await {
            Ok((it, machine)) => {
                if !waits {
                    let done = requested(&it) + order.dry_run.note();
                    results.tell(&machine, &done)?;
                }
                asked.push((name.clone(), it));
            }
            Err(error) => {
                warn(&format!("error: machine {name}: {}", failure::chain(&error)));
                outcome = Outcome::Failed;
            }
        }
    }
    if waits && wait::until_done(client, asked, (begin, waiting), &mut results).await? > 0 {
        outcome = Outcome::Failed;
    }
    results.finish()?;
    Ok(outcome)
}

/// What a line says of a request that nobody waits for.
fn requested(asked: &metal_machine::request::RaisedRequest) -> String {
    let counters = &asked.counters;
    let counter = match asked.request {
        Request::Reboot => counters.reboot_counter,
        Request::Repave => counters.repave_counter,
    };
    format!("{} {} requested", asked.request.name(), counter.unwrap_or_default())
}

/// The names, each once, in their order: two steps of a counter would be two reboots.
fn unique(names: &[String]) -> Vec<&String> {
    let mut seen = vec![];
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::{Machine, MachinePxe, MachineRedfish, MachineSpec};
    use metal_runtime::testing::ApiServer;

    #[tokio::test]
    async fn several_new_machines_share_the_time_that_there_is() {
        let server = ApiServer::default();
        let pxe = MachinePxe { redfish: Some(MachineRedfish::default()), ..MachinePxe::default() };
        let names = ["node-01", "node-02"].map(str::to_owned);
        for name in &names {
            let spec = MachineSpec { pxe: Some(pxe.clone()), ..MachineSpec::default() };
            server.put(&Machine::new(name, spec));
        }
        let order =
            Order { request: Request::Reboot, by_hand: Manual::Nobody, dry_run: DryRun::None };
        let timeout = Duration::from_millis(100);
        let waiting = Waiting { wait: true, timeout, for_people: false, output: None };
        let done = carry_out_by(&server.client("default"), &names, order, &waiting).await;
        assert_eq!(done.unwrap(), Outcome::Failed);
        let sent = server.sent();
        let looks = sent.iter().filter(|it| it.request.ends_with("/machines/node-02"));
        assert_eq!(looks.count(), 1, "the first has taken all of it: {sent:?}");
        assert!(server.written().is_empty());
    }
}
