//! BMC objects in place of Endpoints: `endpoints: { mode: bmc }`.

use crate::{
    inside::in_a_network_of_its_own,
    lab::{Lab, PASSWORD, REDFISH, USER},
};
use anyhow::{Context, Result, ensure};
use e2e::cluster::eventually;
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams, ValidationDirective},
};
use metal_api::{
    Bmc, BmcSecret, BmcState, InlineAccess, LocalObjectReference, Protocol, ProtocolName, Server,
};
use std::{net::Ipv4Addr, time::Duration};

const LIMIT: Duration = Duration::from_mins(3);
const BMC: &str = "02:bb:cc:00:00:0a";
const HOST: &str = "02:00:00:00:00:0a";
/// The name that netboot gives it: the configured prefix, and the MAC address.
const NAME: &str = "compute-02bbcc00000a";

#[test]
fn a_bmc_with_a_lease_becomes_a_bmc_object_with_its_address_and_the_credentials_of_its_prefix() {
    in_a_network_of_its_own(async |tools| {
        let lab = Lab::start(tools).await;
        lab.record_bmcs("").await.unwrap();
        lab.near(HOST).reboot().await.unwrap();
        let address = lab.near(BMC).reboot().await.unwrap();
        let bmc = only_bmc(&lab, |_| true).await.unwrap();
        assert_eq!(bmc.name_any(), NAME);
        let access =
            InlineAccess { mac_address: Some(BMC.to_owned()), ip: Some(address.to_string()) };
        assert_eq!((&bmc.spec.access, &bmc.spec.endpoint_ref), (&Some(access), &None));
        let Protocol { name, port, .. } = &bmc.spec.protocol;
        assert_eq!((name, *port), (&ProtocolName::Redfish, i32::from(REDFISH)));
        assert_eq!(bmc.spec.bmc_secret_ref, LocalObjectReference { name: NAME.to_owned() });
        has_credentials(&lab).await.unwrap();
        is_strictly_valid(&lab, &bmc).await.unwrap();
        assert_eq!(lab.endpoints().await.unwrap(), [], "it is the one or the other");

        // A restarted netboot finds the existing object.
        lab.restart_netboot().await;
        assert_eq!(lab.near(BMC).reset().await.unwrap(), address);
        let after = only_bmc(&lab, |_| true).await.unwrap();
        assert_eq!((after.uid(), after.resource_version()), (bmc.uid(), bmc.resource_version()));
    });
}

#[test]
fn a_bmc_object_whose_bmc_gets_another_address_stays_and_says_so() {
    in_a_network_of_its_own(async |tools| {
        let lab = Lab::start(tools).await;
        lab.record_bmcs("").await.unwrap();
        let before = lab.near(BMC).reboot().await.unwrap();
        let bmc = only_bmc(&lab, |_| true).await.unwrap();
        let reserved = Ipv4Addr::new(10, 77, 1, 10);
        lab.record_bmcs(&format!("{{ mac: '{BMC}', ip: {reserved} }}")).await.unwrap();
        assert_eq!(lab.near(BMC).reboot().await.unwrap(), reserved);
        let note = moved(&lab).await.unwrap();
        assert!(note.contains("10.77.1.10") && note.contains("delete the object"), "{note}");
        let after = only_bmc(&lab, |_| true).await.unwrap();
        let ip = after.spec.access.as_ref().and_then(|access| access.ip.clone());
        assert_eq!((after.uid(), ip), (bmc.uid(), Some(before.to_string())));

        // The event's advice: it is created again.
        lab.cluster.kubectl(&["delete", "bmc", NAME]).await.unwrap();
        let has_moved = |bmc: &Bmc| {
            bmc.spec.access.as_ref().and_then(|it| it.ip.clone()) == Some(reserved.to_string())
        };
        only_bmc(&lab, has_moved).await.unwrap();
    });
}

#[test]
fn metal_operator_takes_up_a_bmc_object_that_netboot_made() {
    in_a_network_of_its_own(async |tools| {
        let lab = Lab::start(tools).await;
        lab.record_bmcs("").await.unwrap();
        let _operator = lab.metal_operator().await.unwrap();
        let _bmc = lab.simulator().unwrap();
        let is_enabled = |bmc: &Bmc| {
            bmc.status.as_ref().is_some_and(|status| status.state == Some(BmcState::Enabled))
        };
        let bmc = only_bmc(&lab, is_enabled).await.unwrap();
        let servers = Api::<Server>::all(lab.cluster.client().await.unwrap());
        let server = eventually(LIMIT, async || {
            let servers = servers.list(&ListParams::default()).await?.items;
            servers.into_iter().next().context("Server not found")
        });
        let server = server.await.unwrap();
        let of = server.spec.bmc_ref.map(|reference| reference.name);
        assert_eq!(of, Some(bmc.name_any()), "{}", lab.log().unwrap());
    });
}

/// The only BMC object, once it satisfies `is`.
async fn only_bmc(lab: &Lab, is: impl Fn(&Bmc) -> bool) -> Result<Bmc> {
    let api = Api::<Bmc>::all(lab.cluster.client().await?);
    eventually(LIMIT, async || {
        let [bmc] = <[Bmc; 1]>::try_from(api.list(&ListParams::default()).await?.items)
            .map_err(|all| anyhow::anyhow!("{} objects\n{}", all.len(), lab.logs()))?;
        ensure!(is(&bmc), "{:?} {:?}\n{}", bmc.spec, bmc.status, lab.logs());
        Ok(bmc)
    })
    .await
}

async fn has_credentials(lab: &Lab) -> Result<()> {
    let secret = Api::<BmcSecret>::all(lab.cluster.client().await?).get(NAME).await?;
    for (key, expected) in [("username", USER), ("password", PASSWORD)] {
        let data = secret.spec.data.as_ref().context("there is none")?;
        let value = data.get(key).context(key)?;
        ensure!(value.0 == expected.as_bytes(), "{key} is another one");
    }
    Ok(())
}

/// Succeeds if the API server knows every field of it, and accepts every value.
async fn is_strictly_valid(lab: &Lab, bmc: &Bmc) -> Result<()> {
    let api = Api::<Bmc>::all(lab.cluster.client().await?);
    let params = PatchParams {
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply("test").dry_run()
    };
    let copy = Bmc::new("copy", bmc.spec.clone());
    Ok(api.patch("copy", &params, &Patch::Apply(copy)).await.map(drop)?)
}

/// The message of the event about a BMC whose address has changed.
async fn moved(lab: &Lab) -> Result<String> {
    let api = Api::<Event>::all(lab.cluster.client().await?);
    eventually(LIMIT, async || {
        let events = api.list(&ListParams::default()).await?.items;
        let is_about = |event: &&Event| {
            let about = event.regarding.as_ref();
            about.is_some_and(|it| {
                it.kind.as_deref() == Some(&Bmc::kind(&())) && it.name.as_deref() == Some(NAME)
            })
        };
        let event = events.iter().filter(is_about).find(|it| it.reason.as_deref() == Some("Moved"));
        event.and_then(|event| event.note.clone()).context("no event tells")
    })
    .await
}
