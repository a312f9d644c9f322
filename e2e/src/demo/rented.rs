//! A rented server: from its iPXE script to a release that runs.
//!
//! Nothing boots here. What iPXE and the installer would ask for is asked for by this program; the agent is
//! the real one, with a hook and a health command that are scripts.

use super::{Demo, screen::INDENT};
use crate::{
    cluster::{Process, binary},
    stack::{
        OciRegistry,
        rented::{Hosts, Machine},
        run_plugin,
    },
};
use anyhow::{Context, Result, ensure};
use metal_base::testing::script;
use metal_image::testing::archive;
use serde_json::json;
use std::{fs, path::Path};
use tokio::process::Command;

const NAME: &str = "default/demo-rented";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const SCHEMA: &str = r#"{
  "type": "object",
  "required": ["greeting"],
  "additionalProperties": false,
  "properties": {"greeting": {"type": "string", "maxLength": 80}}
}
"#;
const TEMPLATE: &str = "{{.greeting}}, from a template of the image\n";

/// The server, and the agent of the machine.
pub(super) struct Rented {
    _hosts: Hosts,
    _agent: Process,
}

impl Demo<'_> {
    /// Makes a machine a Host, and has it run a release.
    pub(super) async fn server_is_rented(&self, registry: &OciRegistry) -> Result<Rented> {
        let since = self.screen.begin();
        let hosts = Hosts::start(self.cluster, &binary("hosts").await?).await?;
        self.screen
            .done(since, "config/hosts is installed, and hosts runs under its ServiceAccount");

        let since = self.screen.begin();
        let image = push(registry).await?;
        let (server, image_flag) = (format!("--server=http://{}", hosts.address), flag(&image));
        let script = self.plugin(&["hosts", "ipxe", "create", NAME, &image_flag, &server]).await?;
        let chain = script.lines().find_map(|it| it.strip_prefix("chain --replace --autofree "));
        let url = chain.and_then(|chain| chain.split(' ').next());
        let installed = Machine::new()?.install(url.context("a script leads on")?).await?;
        let what = format!("{NAME} has its script, and what its installation leaves");
        self.screen.done(since, &what);

        let since = self.screen.begin();
        let folder = self.cluster.scratch().join("rented");
        fs::create_dir(&folder)?;
        fs::write(folder.join("host.json"), installed.to_string())?;
        let agent = self.agent(&folder).await?;
        let is_there = async |_| {
            let left = fs::read_to_string(folder.join("host.json"))?;
            ensure!(!left.contains("credential"), "it is not registered");
            Ok(())
        };
        self.wait(60, "the agent registers", is_there).await?;
        self.screen.done(since, &format!("{NAME} has registered a key that it has made itself"));

        let since = self.screen.begin();
        fs::write(folder.join("config.yaml"), "greeting: hello\n")?;
        let config = format!("--config-file={}", folder.join("config.yaml").display());
        let release = format!("{NAME}:v1");
        self.plugin(&["releases", "start", &release, &image_flag, &config, "--timeout=2m"]).await?;
        let greeting = fs::read_to_string(folder.join("greeting"))?;
        ensure!(greeting == "hello, from a template of the image\n", "{greeting:?}");
        let what =
            format!("{NAME} runs its release, with a configuration that it alone could read");
        self.screen.done(since, &what);
        let shown = self.cluster.kubectl(&["get", "hosts.bloomery.dev,hostreleases,boottokens"]);
        shown.await?.lines().for_each(|line| self.screen.tell(&format!("{INDENT}{line}")));
        Ok(Rented { _hosts: hosts, _agent: agent })
    }

    async fn plugin(&self, words: &[&str]) -> Result<String> {
        let printed = run_plugin(self.cluster, words, "").await?;
        ensure!(printed.code == Some(0), "kubectl metal {}: {}", words.join(" "), printed.err);
        Ok(printed.out)
    }

    async fn agent(&self, folder: &Path) -> Result<Process> {
        let hook = "cat \"$BLOOMERY_FILES\"/etc/greeting > greeting";
        for (name, body) in [("hook", hook), ("healthy", "test -s greeting")] {
            script(&folder.join(name), &format!("cd {}\n{body}", folder.display()))?;
        }
        let mut command = Command::new(binary("metal-host").await?);
        command.arg("--config").arg(folder.join("host.json"));
        command.arg("--state-dir").arg(folder.join("state"));
        command.arg("--hook").arg(folder.join("hook"));
        command.arg("--health-command").arg(folder.join("healthy")).arg("--key=file");
        Process::start(&mut command, self.cluster.scratch().join("metal-host.log"))
    }
}

fn flag(image: &str) -> String {
    format!("--image={image}")
}

/// Pushes an image that says what its configuration has to be.
async fn push(registry: &OciRegistry) -> Result<String> {
    let system = archive(&[("usr/lib/os-release", b"NAME=demo\n")]);
    let config = archive(&[
        ("usr/share/bloomery/config/schema.json", SCHEMA.as_bytes()),
        ("usr/share/bloomery/config/templates/etc/greeting.tmpl", TEMPLATE.as_bytes()),
    ]);
    let marker = json!({ "dev.bloomery.configurable": "1" });
    registry.push_annotated("rented:1", &marker, &[(LAYER, &system), (LAYER, &config)]).await
}
