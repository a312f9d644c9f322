//! Raises a counter.

use super::REQUEST;
use crate::{MANAGER, output::warn};
use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client};
use metal_api::{Machine, MachineOperations};
use metal_machine::request::{Asked, ByHand, Refusal, Request, is_busy, raised};
use metal_runtime::patch_spec;
use serde::Serialize;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long metalman has to count a new Machine.
const COUNTED: Duration = Duration::from_mins(1);
/// How soon to look again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often it is written again because somebody else has written the Machine meanwhile.
const TRIES: usize = 20;

/// What is written of the spec.
#[derive(Debug, Serialize)]
struct Counters {
    operations: MachineOperations,
}

/// Asks for it, based on the Machine as it is now, and returns what was asked and the Machine as written.
///
/// # Errors
///
/// If it is refused by [`raised`] or by the API server, or others write the Machine all the time.
pub(crate) async fn asked_for(
    client: &Client,
    name: &str,
    request: Request,
    by_hand: ByHand,
) -> Result<(Asked, Machine)> {
    let machines = Api::<Machine>::all(client.clone());
    let deadline = Instant::now() + COUNTED;
    let (mut tries, mut is_told) = (0, false);
    loop {
        let (machine, node) = machine_and_node(client, name).await?;
        let machine = machine.with_context(|| format!("there is no Machine {name}"))?;
        let operations = match raised(&machine, request, by_hand) {
            Ok(operations) => operations,
            Err(refusal @ Refusal::NotCounted(_)) => {
                if Instant::now() >= deadline {
                    return Err(refusal.into());
                }
                if !is_told {
                    warn(&format!("{name}: waiting until metalman has counted it"));
                    is_told = true;
                }
                sleep(AGAIN).await;
                continue;
            }
            Err(refusal) => return Err(refusal.into()),
        };
        let (is_busy, spec) = (is_busy(&machine), Counters { operations });
        let written = timeout(REQUEST, patch_spec(&machines, &machine, &spec, MANAGER)).await;
        match written.context("the API server does not answer; the counter may be raised")? {
            Ok(written) => {
                if is_busy {
                    warn(&format!("{name}: something that was asked for before is not done yet"));
                }
                return Ok((Asked::new(request, &written, node.as_ref()), written));
            }
            Err(kube::Error::Api(refusal)) if refusal.is_conflict() => tries += 1,
            Err(error) => return Err(error.into()),
        }
        if tries >= TRIES {
            bail!("others write it all the time: nothing was asked for, try again");
        }
    }
}

/// A Machine and the Node of its name, as they are now.
///
/// # Errors
///
/// If one cannot be read.
pub(crate) async fn machine_and_node(
    client: &Client,
    name: &str,
) -> Result<(Option<Machine>, Option<Node>)> {
    let read = async {
        let machine = Api::<Machine>::all(client.clone()).get_opt(name).await?;
        let node = Api::<Node>::all(client.clone()).get_opt(name).await?;
        Ok::<_, kube::Error>((machine, node))
    };
    let read = timeout(REQUEST, read).await.context("the API server does not answer")?;
    Ok(read?)
}
