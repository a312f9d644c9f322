//! `ipxe-tokens create`, and `hosts ipxe create`.

use super::{of_host, open};
use crate::{
    Outcome,
    cmd::names,
    connection::Connection,
    image::RegistryArgs,
    output::{print, warn},
};
use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use metal_api::{
    BootBinding, BootInstaller, BootInstallerKind, BootToken, BootTokenSpec, MachineTargetDisk,
};
use metal_base::hex;
use metal_core::boot_token::{expiry, installer::is_word, script::entry, secret};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;

/// A token, and how its URL is printed.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Organization, a namespace; or with the name of the host [default: a new name]
    #[arg(value_name = "ORG[/HOST]")]
    target: String,
    #[command(flatten)]
    install: InstallArgs,
    /// Print a whole iPXE script instead of the URL
    #[arg(long)]
    script: bool,
}

/// What becomes of the machine that boots with it.
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// Bootable container image to install, by its digest or by a tag, in place of which its digest is kept
    #[arg(long, env = "BLOOMERY_HOSTS_IMAGE", value_name = "IMAGE")]
    image: String,
    /// The image has a disk image, which is written as it is, and the installer for that
    #[arg(long, conflicts_with = "template")]
    disk_image: bool,
    /// Where machines reach the server: https:// and its name
    #[arg(long, env = "BLOOMERY_HOSTS_URL", value_name = "URL")]
    server: String,
    /// How long the token is good: 5m to 168h
    #[arg(long, default_value = "24h", value_name = "TIME")]
    ttl: String,
    /// Kickstart template [default: default]
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// Serial number of the disk to install to
    #[arg(long, value_name = "SERIAL")]
    disk_serial: Option<String>,
    /// WWN of the disk to install to
    #[arg(long, value_name = "WWN")]
    disk_wwn: Option<String>,
    /// Least size of the disk to install to, in GiB
    #[arg(long, value_name = "GIB")]
    disk_min_size: Option<i64>,
    /// Only for the machine with this MAC address
    #[arg(long, value_name = "MAC")]
    mac: Option<String>,
    /// Only for the machine with this serial number
    #[arg(long, value_name = "SERIAL")]
    serial: Option<String>,
    /// Only for the machine with this UUID
    #[arg(long, value_name = "UUID")]
    uuid: Option<String>,
    /// Only for the machine whose TPM has the endorsement key with this SHA-256; it has to prove that
    #[arg(long, value_name = "HASH")]
    ek_hash: Option<String>,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl Create {
    /// Prints the URL, or a script that leads to it.
    ///
    /// # Errors
    ///
    /// If the API server refuses it, or there is no randomness.
    pub(crate) async fn run(&self, connection: &Connection) -> Result<Outcome> {
        let (org, host) = self.names()?;
        let url = self.install.make(connection, &org, &host).await?;
        print(&if self.script { entry(&url)? } else { format!("{url}\n") })?;
        Ok(Outcome::Done)
    }

    /// Organization, and name of the host. A name that nobody gave says nothing of the secret.
    fn names(&self) -> Result<(String, String)> {
        if self.target.contains('/') {
            let (org, host) = names::host(&self.target)?;
            return Ok((org.to_owned(), host.to_owned()));
        }
        Ok((names::parse(&self.target)?.to_owned(), format!("host-{}", suffix()?)))
    }
}

/// What makes a name another one.
fn suffix() -> Result<String> {
    let mut random = [0; 4];
    SystemRandom::new().fill(&mut random).map_err(|_| anyhow!("no randomness"))?;
    Ok(hex(&random))
}

impl InstallArgs {
    /// Makes a secret, has its hash kept, and returns the URL. The secret is nowhere else.
    ///
    /// # Errors
    ///
    /// If the API server refuses it, or there is no randomness.
    pub(crate) async fn make(
        &self,
        connection: &Connection,
        org: &str,
        host: &str,
    ) -> Result<String> {
        let server = self.server.trim_end_matches('/');
        let is_url = server.starts_with("https://") || server.starts_with("http://");
        ensure!(is_url && is_word(server), "--server: give a URL like https://hosts.example.org");
        let image = self.registry.pin(&self.image).await?;
        self.registry.look_for(&image).await?;
        let client = connection.client().await?;
        warn_of_others(&client, org, host).await;
        let api = Api::<BootToken>::namespaced(client, org);
        let text = secret::text(org, &random()?);
        let hash = secret::place(&text).context("no secret")?.hash;
        // A host may get another one while the first is still kept, though it is over.
        let name = format!("{host}-{}", suffix()?);
        let token = BootToken::new(&name, self.spec(host, hash, image.to_string()));
        open_token(&api, &token).await.with_context(|| format!("BootToken {org}/{name}"))?;
        warn(&format!("boottoken.bloomery.dev/{name} created; its URL is not shown again"));
        Ok(format!("{server}/api/ipxe/{text}"))
    }

    fn spec(&self, host: &str, hash: String, image: String) -> BootTokenSpec {
        let disk = MachineTargetDisk {
            serial: self.disk_serial.clone(),
            wwn: self.disk_wwn.clone(),
            min_size_gib: self.disk_min_size,
            ..MachineTargetDisk::default()
        };
        let binding = BootBinding {
            mac_address: self.mac.clone(),
            serial: self.serial.clone(),
            system_uuid: self.uuid.clone(),
            ek_hash: self.ek_hash.clone(),
        };
        let kind = self.disk_image.then_some(BootInstallerKind::DiskImage);
        BootTokenSpec {
            token_sha256: hash,
            host_name: host.to_owned(),
            ttl: self.ttl.clone(),
            image,
            installer: kind
                .map(|kind| BootInstaller { kind: Some(kind), ..BootInstaller::default() }),
            template: self.template.clone(),
            target_disk: Some(disk).filter(|it| *it != MachineTargetDisk::default()),
            binding: Some(binding).filter(|it| *it != BootBinding::default()),
            ..BootTokenSpec::default()
        }
    }
}

/// Creates a token that ends when it does also if it is restored from a backup, by the clock of the cluster. If
/// that fails, none is left: nobody would have its URL.
async fn open_token(api: &Api<BootToken>, token: &BootToken) -> Result<()> {
    let created = api.create(&PostParams::default(), token).await?;
    let not_after = expiry(&created).map(Time);
    let patch = Patch::Merge(json!({ "spec": { "notAfter": not_after } }));
    let patched = api.patch(&created.name_any(), &PatchParams::default(), &patch).await;
    let Err(error) = patched else { return Ok(()) };
    let error = anyhow!(error).context("spec.notAfter was not written");
    match remove(api, &created).await {
        Ok(()) => Err(error),
        Err(kube::Error::Api(status)) if status.is_not_found() => Err(error),
        Err(left) => {
            let left = format!("it is open, and nobody has its URL: delete it ({left})");
            Err(error.context(left))
        }
    }
}

/// Removes this very token.
async fn remove(api: &Api<BootToken>, token: &BootToken) -> Result<(), kube::Error> {
    let preconditions = Preconditions { uid: token.uid(), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    api.delete(&token.name_any(), &params).await.map(drop)
}

/// Of two machines with a token each for one host, the second clears its disk, and can never register.
async fn warn_of_others(client: &Client, org: &str, host: &str) {
    let others = match open(client, org).await {
        Ok((open, _)) => of_host(open, org, host).unwrap_or_default(),
        Err(error) => return warn(&format!("whether others are open is not known: {error:#}")),
    };
    let names: Vec<_> = others.iter().map(ResourceExt::name_any).collect();
    if !names.is_empty() {
        let open = names.join(", ");
        warn(&format!(
            "host {host} has open tokens already, and only one machine can become it: {open}"
        ));
    }
}

fn random() -> Result<[u8; secret::BYTES]> {
    let mut random = [0; secret::BYTES];
    SystemRandom::new().fill(&mut random).map_err(|_| anyhow!("no randomness"))?;
    Ok(random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Method, Request, Response};
    use kube::client::Body;
    use metal_runtime::testing::ApiServer;
    use std::convert::Infallible;

    /// Namespaced objects of an API server that refuses these requests.
    fn refusing(server: &ApiServer, refused: &'static [Method]) -> Api<BootToken> {
        let inner = server.client("org");
        let service = tower::service_fn(move |request: Request<Body>| {
            let inner = inner.clone();
            async move {
                if !refused.contains(request.method()) {
                    return Ok::<_, Infallible>(inner.send(request).await.unwrap());
                }
                let status = json!({ "status": "Failure", "message": "no", "reason": "Forbidden", "code": 403 });
                let answer = Response::builder().status(403);
                Ok(answer.body(Body::from(status.to_string().into_bytes())).unwrap())
            }
        });
        Api::namespaced(Client::new(service, "org"), "org")
    }

    #[tokio::test]
    async fn a_token_that_could_not_be_finished_is_not_left_open() {
        let spec = BootTokenSpec { ttl: "1h".to_owned(), ..BootTokenSpec::default() };
        let token = BootToken::new("web-1-a", spec);
        let opened = async |refused: &'static [Method]| {
            let server = ApiServer::default();
            let opened = open_token(&refusing(&server, refused), &token).await;
            let is_left = server.object::<BootToken>(Some("org"), "web-1-a").is_some();
            (opened.map_err(|error| format!("{error:#}")), is_left)
        };
        assert_eq!(opened(&[]).await, (Ok(()), true));
        let (error, is_left) = opened(&[Method::PATCH]).await;
        assert!(error.unwrap_err().starts_with("spec.notAfter was not written: ") && !is_left);
        let (error, is_left) = opened(&[Method::PATCH, Method::DELETE]).await;
        assert!(error.unwrap_err().contains("nobody has its URL: delete it") && is_left);
        assert!(opened(&[Method::POST]).await.0.is_err());
    }
}
