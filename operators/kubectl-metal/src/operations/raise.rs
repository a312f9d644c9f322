//! Raises a counter.

use super::{Order, REQUEST};
use crate::{
    MANAGER,
    output::{DryRun, warn},
};
use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client, ResourceExt,
    api::{ObjectMeta, Patch, PatchParams},
};
use metal_api::{Machine, MachineOperations};
use metal_machine::request::{RaisedRequest, Refusal, is_busy, raised};
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

/// The same as a patch, on the condition that this is the version of the Machine.
#[derive(Debug, Serialize)]
struct CountersPatch<'a> {
    metadata: ObjectMeta,
    spec: &'a Counters,
}

/// Asks for it, based on the Machine as it is now, and returns what was asked and the Machine as written, or as
/// it would be. A new Machine is given a minute to be counted, or `patience` if that is shorter.
///
/// # Errors
///
/// If it is refused by [`raised`] or by the API server, or others write the Machine all the time.
pub(crate) async fn asked_for(
    client: &Client,
    name: &str,
    order: Order,
    patience: Duration,
) -> Result<(RaisedRequest, Machine)> {
    let machines = Api::<Machine>::all(client.clone());
    let deadline = Instant::now() + COUNTED.min(patience);
    let (mut tries, mut is_told) = (0, false);
    loop {
        let (machine, node) = machine_and_node(client, name).await?;
        let machine = machine.with_context(|| format!("there is no Machine {name}"))?;
        let operations = match raised(&machine, order.request, order.by_hand) {
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
        let written = timeout(REQUEST, write(&machines, &machine, &spec, order.dry_run)).await;
        match written.context("the API server does not answer; the counter may be raised")? {
            Ok(written) => {
                if is_busy {
                    warn(&format!("{name}: something that was asked for before is not done yet"));
                }
                return Ok((RaisedRequest::new(order.request, &written, node.as_ref()), written));
            }
            Err(kube::Error::Api(refusal)) if refusal.is_conflict() => tries += 1,
            Err(error) => return Err(error.into()),
        }
        if tries >= TRIES {
            bail!("others write it all the time: nothing was asked for, try again");
        }
    }
}

/// Writes the counters on the condition that nobody has written the Machine since.
async fn write(
    machines: &Api<Machine>,
    machine: &Machine,
    spec: &Counters,
    dry_run: DryRun,
) -> Result<Machine, kube::Error> {
    match dry_run {
        DryRun::None => patch_spec(machines, machine, spec, MANAGER).await,
        DryRun::Client => {
            let mut machine = machine.clone();
            machine.spec.operations = Some(spec.operations.clone());
            Ok(machine)
        }
        DryRun::Server => {
            let resource_version = machine.metadata.resource_version.clone();
            let metadata = ObjectMeta { resource_version, ..ObjectMeta::default() };
            let patch = CountersPatch { metadata, spec };
            let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..dry_run.patch() };
            machines.patch(&machine.name_any(), &params, &Patch::Merge(patch)).await
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

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::{MachinePxe, MachineRedfish, MachineSpec};
    use metal_machine::request::{Manual, Request};
    use metal_runtime::testing::ApiServer;

    #[tokio::test]
    async fn nobody_waits_longer_for_metalman_than_was_asked_for() {
        let server = ApiServer::default();
        let redfish = Some(MachineRedfish::default());
        let pxe = Some(MachinePxe { redfish, ..MachinePxe::default() });
        server.put(&Machine::new("node-01", MachineSpec { pxe, ..MachineSpec::default() }));
        let order =
            Order { request: Request::Reboot, by_hand: Manual::Nobody, dry_run: DryRun::None };
        let client = server.client("default");
        let asked = asked_for(&client, "node-01", order, Duration::ZERO);
        let asked = timeout(Duration::from_secs(10), asked).await.unwrap();
        assert!(asked.unwrap_err().to_string().contains("metalman has not seen it yet"));
        assert!(server.written().is_empty());
    }

    #[tokio::test]
    async fn a_dry_run_raises_no_counter_and_says_what_it_would_be() {
        let server = ApiServer::default();
        server.put(&Machine::new("node-01", MachineSpec::default()));
        let machines = Api::<Machine>::all(server.client("default"));
        let machine = machines.get("node-01").await.unwrap();
        let operations = MachineOperations { reboot_counter: Some(3), repave_counter: None };
        let spec = Counters { operations: operations.clone() };
        for (dry_run, is_checked) in [(DryRun::Client, None), (DryRun::Server, Some(true))] {
            server.forget();
            let written = write(&machines, &machine, &spec, dry_run).await.unwrap();
            assert_eq!(written.spec.operations.as_ref(), Some(&operations));
            let sent = server.written();
            let queries = sent.iter().map(|sent| sent.query.contains("dryRun=All"));
            assert_eq!(queries.collect::<Vec<_>>(), Vec::from_iter(is_checked), "{dry_run:?}");
        }
    }
}
