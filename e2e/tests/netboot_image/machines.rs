//! Machines of every kind, at every point of an installation.

use metal_api::Machine;
use metal_machine::provisioning::{
    agent::{Cluster, config_json},
    template::{Variables, render},
};
use serde_json::{Value, json};
use std::fs;

/// A Machine, and whether an installation of it is due.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) machine: Machine,
    pub(crate) installs: Option<i64>,
}

impl Case {
    /// What metalman serves in place of a template of our image.
    pub(crate) fn render(&self, file: &str) -> String {
        let name = format!("{file}.tmpl");
        let folder = e2e::cluster::workspace().join("hack/netboot-image.d/disk");
        let text = fs::read_to_string(folder.join(&name)).unwrap();
        let text = text.replace("@CMDLINE@", "console=tty0 panic=60");
        let cluster = Cluster {
            apiserver_url: "https://10.0.0.1:6443".to_owned(),
            authorities: "-----BEGIN CERTIFICATE-----\n".to_owned(),
            dns: "10.96.0.10".to_owned(),
            version: "v1.36.0".to_owned(),
            node_labels: [("a.example/<&>".to_owned(), "b".to_owned())].into(),
        };
        let url = self.url();
        let variables = Variables {
            machine: &self.machine,
            installs: self.installs,
            serve_url: &url,
            apiserver_url: &cluster.apiserver_url,
            agent_config_json: &config_json(&self.machine, &cluster, &url),
        };
        render(&name, text.as_bytes(), &variables).unwrap()
    }

    /// metalman's URL for it.
    pub(crate) fn url(&self) -> String {
        let token = if self.installs.is_some() { "/c/AbCdEfGhIjKlMnOpQrSt-_" } else { "" };
        format!("http://10.0.0.1:8880{token}")
    }

    /// How many network interfaces it has.
    pub(crate) fn leases(&self) -> usize {
        self.machine.spec.pxe.as_ref().map_or(0, |pxe| pxe.dhcp_leases.len())
    }
}

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let lease = |last: u8, gateway: &str| {
        json!({
            "mac": format!("AA:bb:cc:dd:ee:{last:02x}"), "ipv4": format!("10.0.0.{last}"),
            "subnetMask": "255.255.255.0", "gateway": gateway, "dns": ["10.0.0.1"],
        })
    };
    let redfish = json!({
        "url": "https://10.1.0.11", "username": "admin",
        "passwordRef": { "name": "p", "namespace": "metalman-bmcs", "key": "password" },
    });
    let pxes = [
        json!({ "image": "r/i:1", "dhcpLeases": [lease(1, "10.0.0.254")], "redfish": redfish }),
        json!({ "image": "r/i:1", "dhcpLeases": [lease(1, ""), lease(2, "10.0.0.254")] }),
        json!({
            "image": "r/i:1", "dhcpLeases": [],
            "targetDisk": { "serial": "S4 <&>'1", "minSizeGiB": 100, "rotational": false },
        }),
    ];
    let kubernetes = json!({
        "nodeLabels": { "rack": "a", "b.example/c": "<d>" },
        "registerWithTaints": ["gpu=yes:NoSchedule"],
        "bootstrapTokenRef": { "name": "unused" },
    });
    // What was asked for, what was done, and what is due.
    let counters = [(0, None, None), (3, Some(3), None), (4, Some(3), None), (4, Some(3), Some(4))];
    let mut cases = Vec::new();
    for pxe in &pxes {
        for kubernetes in [&Value::Null, &kubernetes] {
            for (wanted, done, installs) in counters {
                let status = done.map(|done| json!({ "operations": { "repaveCounter": done } }));
                let machine = json!({
                    "apiVersion": "unbounded-cloud.io/v1alpha3",
                    "kind": "Machine",
                    "metadata": { "name": "node-01.rack-a", "uid": "u" },
                    "spec": {
                        "pxe": pxe, "kubernetes": kubernetes,
                        "operations": { "repaveCounter": wanted },
                    },
                    "status": status,
                });
                let machine = serde_json::from_value(machine).unwrap();
                cases.push(Case { machine, installs });
            }
        }
    }
    cases
}
