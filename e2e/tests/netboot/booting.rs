//! What machines boot, with and without an API server.

use crate::{inside::in_a_network_of_its_own, lab::DEFAULT_UKI, lab::Lab};
use anyhow::{Context, Result, ensure};
use e2e::cluster::eventually;
use std::{collections::BTreeSet, time::Duration};

const LIMIT: Duration = Duration::from_mins(3);
const KNOWN: &str = "02:00:00:00:00:01";
const KNOWN_UUID: &str = "33221100-5544-7766-8899-010203040506";
const UKI: &str = "http://10.77.1.1:8082/image/known.efi";
const FRESH: &str = "02:00:00:00:00:02";
const FRESH_UUID: &str = "33221100-5544-7766-8899-0102030405ff";
const PLAIN: &str = "02:00:00:00:00:03";

#[test]
fn without_the_api_server_known_machines_get_address_and_boot_file_and_new_ones_are_served() {
    in_a_network_of_its_own(async |tools| {
        let lab = Lab::start(tools).await;
        make_server(&lab).await.unwrap();
        let mut known = lab.near(KNOWN).boots_by_http(KNOWN_UUID).unwrap();
        // netboot has to see the server first.
        let before = eventually(LIMIT, async || {
            let address = known.reboot().await?;
            ensure!(known.leases()?.contains(UKI), "{}", known.leases()?);
            Ok(address)
        });
        let before = before.await.unwrap();

        let outage = lab.cluster.outage().await.unwrap();
        assert_eq!(known.reset().await.unwrap(), before);
        known.notes(UKI).await.unwrap();
        // The link has a single end, so the previous client must be off.
        drop(known);
        let mut fresh = lab.near(FRESH).boots_by_http(FRESH_UUID).unwrap();
        let second = fresh.reboot().await.unwrap();
        fresh.notes(DEFAULT_UKI).await.unwrap();
        drop(fresh);
        let third = lab.near(PLAIN).reboot().await.unwrap();
        assert_eq!(BTreeSet::from([before, second, third]).len(), 3);
        outage.end().await.unwrap();
    });
}

/// A Server that boots a UKI, as metal-operator and boot-operator leave it.
async fn make_server(lab: &Lab) -> Result<()> {
    let configuration = "apiVersion: metal.ironcore.dev/v1alpha1\n\
                         kind: ServerBootConfiguration\n\
                         metadata: { name: known, namespace: default }\n\
                         spec: { serverRef: { name: known }, image: known }\n";
    lab.cluster.apply(configuration).await?;
    let named = ["serverbootconfiguration", "known", "--namespace=default"];
    let patch =
        ["--subresource=status", "--type=merge", "--patch={\"status\":{\"state\":\"Ready\"}}"];
    lab.cluster.kubectl(&[&["patch"], &named[..], &patch[..]].concat()).await?;
    let uid = ["--output=jsonpath={.metadata.uid}"];
    let uid = lab.cluster.kubectl(&[&["get"], &named[..], &uid[..]].concat()).await?;
    let uid = uid.lines().next().context("no UID")?.trim();
    let others = format!(
        "apiVersion: boot.ironcore.dev/v1alpha1\n\
         kind: HTTPBootConfig\n\
         metadata:\n  name: known\n  namespace: default\n  ownerReferences:\n  \
         - {{ apiVersion: metal.ironcore.dev/v1alpha1, kind: ServerBootConfiguration, \
              name: known, uid: {uid}, controller: true }}\n\
         spec: {{ systemUUID: {KNOWN_UUID}, ukiURL: '{UKI}' }}\n\
         ---\n\
         apiVersion: metal.ironcore.dev/v1alpha1\n\
         kind: Server\n\
         metadata: {{ name: known }}\n\
         spec:\n  systemUUID: {KNOWN_UUID}\n  \
         bootConfigurationRef: {{ namespace: default, name: known }}\n",
    );
    lab.cluster.apply(&others).await.map(drop)
}
