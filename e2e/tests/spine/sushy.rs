//! A BMC by others: sushy-emulator, with its fake driver. It has neither sessions nor processors,
//! ignores `Once`, and takes some seconds for each change of power.

use crate::{
    report::{post, registry_url_of},
    shared::on_stack,
};
use anyhow::{Result, ensure};
use e2e::{
    cluster::{Process, eventually, unique, workspace},
    stack::{Prefix, ReservedAddress, Stack, until},
};
use kube::{Api, api::PostParams};
use metal_api::{
    Endpoint, EndpointSpec, Server, ServerState,
    inventory::{NetworkInterface, Registration, Report},
};
use metal_simulator::{Account, MacPrefix};
use reqwest::{Client, StatusCode};
use serde_json::Value;
use std::{fs, net::SocketAddr, process::Stdio, time::Duration};
use tokio::process::Command;

const START: Duration = Duration::from_mins(2);
/// Each reset takes up to 11 s, and much longer where other programs have the processor.
const RESET: Duration = Duration::from_mins(5);
const UUID: &str = "27946b59-9e44-4fa7-8e91-f3527a1ef094";
const MAC: &str = "52:54:00:00:00:01";
/// User `foo` with password `bar`.
const HTPASSWD: &str = "foo:$2b$04$AFKaunmwmxHlhYgbRmoIYu8axZ86Kvphy3yuerrfV4xOEMW8a04/G\n";

#[test]
fn a_bmc_of_another_maker_is_discovered_inventoried_and_powered() {
    on_stack(async |stack| {
        let emulator = Emulator::start(stack).await;
        let prefix: MacPrefix = "23:11:5a".parse().unwrap();
        let port = emulator.address.port();
        stack.macdb.add(Prefix::new(prefix, port, Account::default())).await.unwrap();
        let name = unique("sushy");
        let spec = EndpointSpec {
            mac_address: Some(prefix.with(1).to_string()),
            ip: Some(emulator.address.ip().to_string()),
        };
        let endpoints = Api::<Endpoint>::all(stack.client.clone());
        endpoints.create(&PostParams::default(), &Endpoint::new(&name, spec)).await.unwrap();

        // There is no host behind it: the test plays the agent.
        let server = format!("{name}-system-0");
        let registry = registry_url_of(stack, &server).await;
        emulator.has_power("On").await;
        // It maps UefiHttp to PXE if there is no URL.
        let system = emulator.system().await.unwrap();
        assert_eq!(system["Boot"]["BootSourceOverrideTarget"], "Pxe");
        assert_eq!(post(&registry, &report()).await, StatusCode::CREATED);
        let servers = Api::<Server>::all(stack.client.clone());
        let available = |server: &Server| {
            let state = server.status.as_ref().and_then(|status| status.state.as_ref());
            state == Some(&ServerState::Available)
        };
        let server = until(&servers, &server, "Available", available).await.unwrap();
        assert_eq!(server.spec.effective_uuid().unwrap().to_string(), UUID);
        let status = server.status.unwrap_or_default();
        assert_eq!(status.manufacturer.as_deref(), Some("Sushy Emulator"));
        let macs: Vec<_> = status.network_interfaces.iter().map(|it| &it.mac_address).collect();
        assert_eq!(macs, [MAC]);
        emulator.has_power("Off").await;
    });
}

struct Emulator {
    address: SocketAddr,
    http: Client,
    _process: Process,
}

impl Emulator {
    async fn start(stack: &Stack) -> Self {
        let scratch = stack.cluster.scratch();
        let (config, accounts) = (scratch.join("sushy.conf"), scratch.join("sushy.htpasswd"));
        let (state, log) = (scratch.join("sushy"), scratch.join("sushy.log"));
        fs::write(&accounts, HTPASSWD).unwrap();
        let text = format!(
            "SUSHY_EMULATOR_FAKE_DRIVER = True\n\
             SUSHY_EMULATOR_STATE_DIR = '{}'\n\
             SUSHY_EMULATOR_AUTH_FILE = '{}'\n\
             SUSHY_EMULATOR_FAKE_SYSTEMS = [{{'uuid': '{UUID}', 'name': 'fake', \
             'power_state': 'Off', 'nics': [{{'mac': '{MAC}', 'ip': '192.0.2.1'}}]}}]\n",
            state.display(),
            accounts.display(),
        );
        fs::write(&config, text).unwrap();
        let host = ReservedAddress::reserve(&[8000]).unwrap();
        let address = host.at(8000).unwrap();
        drop(host);
        let mut command = Command::new(workspace().join("hack/sushy-emulator"));
        command.arg("--config").arg(config).args(["-i", &address.ip().to_string()]);
        command.args(["-p", &address.port().to_string()]).stdin(Stdio::null());
        let mut process = Process::start(&mut command, log).unwrap();
        let http = Client::builder().no_proxy().build().unwrap();
        eventually(START, async || {
            process.check()?;
            let root = format!("http://{address}/redfish/v1");
            http.get(root).send().await?.error_for_status()?;
            Ok(())
        })
        .await
        .unwrap();
        Self { address, http, _process: process }
    }

    async fn system(&self) -> Result<Value> {
        let url = format!("http://{}/redfish/v1/Systems/{UUID}", self.address);
        let answer = self.http.get(url).basic_auth("foo", Some("bar")).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    async fn has_power(&self, state: &str) {
        eventually(RESET, async || {
            let system = self.system().await?;
            ensure!(system["PowerState"] == state, "{system}");
            Ok(())
        })
        .await
        .unwrap();
    }
}

fn report() -> String {
    let interface = NetworkInterface {
        name: "eth0".to_owned(),
        mac_address: MAC.to_owned(),
        ..NetworkInterface::default()
    };
    let data = Report { network_interfaces: vec![interface], ..Report::default() };
    serde_json::to_string(&Registration { system_uuid: UUID.to_owned(), data }).unwrap()
}
