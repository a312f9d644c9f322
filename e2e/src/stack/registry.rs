//! A registry on loopback: Debian's docker-registry.

use super::ReservedAddress;
use crate::cluster::{Process, eventually, http_client, workspace};
use anyhow::{Context, Result, ensure};
use reqwest::{Client, RequestBuilder, header::LOCATION};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{fs, net::SocketAddr, path::Path, process::Stdio, time::Duration};
use tokio::{process::Command, time::timeout};

const LOOK: Duration = Duration::from_mins(2);
const START: Duration = Duration::from_mins(2);
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const TITLE: &str = "org.opencontainers.image.title";

/// Media type and content of a layer.
pub type Layer<'a> = (&'a str, &'a [u8]);

/// A user name, a password, and its line in a file of htpasswd.
pub type Login = (&'static str, &'static str, &'static str);

/// A running registry.
#[derive(Debug)]
pub struct OciRegistry {
    address: SocketAddr,
    http: Client,
    login: Option<Login>,
    _process: Process,
}

impl OciRegistry {
    /// Starts an empty registry at a free address; all its files are in `scratch`.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn start(scratch: &Path) -> Result<Self> {
        let address = ReservedAddress::reserve(&[5000])?.at(5000)?;
        Self::start_at(address, scratch).await
    }

    /// Like [`start`](Self::start), at this address.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn start_at(address: SocketAddr, scratch: &Path) -> Result<Self> {
        Self::start_for(None, address, scratch).await
    }

    /// Like [`start_at`](Self::start_at), for whoever has this login.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn start_for(
        login: Option<Login>,
        address: SocketAddr,
        scratch: &Path,
    ) -> Result<Self> {
        let binary = binary().await?;
        let config = scratch.join("registry.json");
        let mut settings = json!({
            "version": "0.1",
            "log": { "level": "warn", "accesslog": { "disabled": true } },
            "storage": { "filesystem": { "rootdirectory": scratch.join("registry") } },
            "http": { "addr": address.to_string(), "secret": "for tests" },
        });
        if let Some((.., line)) = login {
            let path = scratch.join("registry.htpasswd");
            fs::write(&path, line)?;
            settings["auth"] = json!({ "htpasswd": { "realm": "tests", "path": path } });
        }
        fs::write(&config, settings.to_string())?;
        let mut command = Command::new(binary);
        command.process_group(0);
        let mut process = Process::start(
            command.arg("serve").arg(&config).stdin(Stdio::null()),
            scratch.join("registry.log"),
        )?;
        let http = http_client()?;
        eventually(START, async || {
            process.check()?;
            let asked = with(login, http.get(format!("http://{address}/v2/")));
            asked.send().await?.error_for_status()?;
            Ok(())
        })
        .await
        .context("registry")?;
        Ok(Self { address, http, login, _process: process })
    }

    /// Host and port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Full name of an image in this registry.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Pushes the image `name`, like `repository:tag`, with these layers.
    ///
    /// # Errors
    ///
    /// If the registry refuses it.
    pub async fn push(&self, name: &str, layers: &[Layer<'_>]) -> Result<()> {
        let (repository, tag) = name.split_once(':').context("a name has a tag")?;
        let manifest = self.manifest(repository, layers).await?;
        self.push_manifest(repository, tag, MANIFEST, &manifest).await
    }

    /// Like [`push`](Self::push), with these annotations; returns its name with its digest.
    ///
    /// # Errors
    ///
    /// If the registry refuses it.
    pub async fn push_annotated(
        &self,
        name: &str,
        annotations: &Value,
        layers: &[Layer<'_>],
    ) -> Result<String> {
        let (repository, tag) = name.split_once(':').context("a name has a tag")?;
        let mut manifest = self.manifest(repository, layers).await?;
        manifest["annotations"] = annotations.clone();
        self.push_manifest(repository, tag, MANIFEST, &manifest).await?;
        let digest = sha256(manifest.to_string().as_bytes());
        Ok(format!("{}@sha256:{digest}", self.image(repository)))
    }

    /// Like [`push`](Self::push), with the name of the file that each layer is.
    ///
    /// # Errors
    ///
    /// If the registry refuses it.
    pub async fn push_files(&self, name: &str, files: &[(&str, Layer<'_>)]) -> Result<()> {
        let (repository, tag) = name.split_once(':').context("a name has a tag")?;
        let layers: Vec<_> = files.iter().map(|(_, layer)| *layer).collect();
        let mut manifest = self.manifest(repository, &layers).await?;
        for (at, (file, _)) in files.iter().enumerate() {
            manifest["layers"][at]["annotations"] = json!({ TITLE: file });
        }
        self.push_manifest(repository, tag, MANIFEST, &manifest).await
    }

    /// Like [`push`](Self::push), as the only image of an index, for this architecture.
    ///
    /// # Errors
    ///
    /// If the registry refuses it.
    pub async fn push_index(
        &self,
        name: &str,
        architecture: &str,
        layers: &[Layer<'_>],
    ) -> Result<()> {
        let (repository, tag) = name.split_once(':').context("a name has a tag")?;
        let manifest = self.manifest(repository, layers).await?;
        let text = manifest.to_string();
        let digest = format!("sha256:{}", sha256(text.as_bytes()));
        self.push_manifest(repository, &digest, MANIFEST, &manifest).await?;
        let index = json!({
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [{
                "mediaType": MANIFEST,
                "digest": digest,
                "size": text.len(),
                "platform": { "os": "linux", "architecture": architecture },
            }],
        });
        self.push_manifest(repository, tag, INDEX, &index).await
    }

    /// Pushes these layers; returns an image manifest with them.
    async fn manifest(&self, repository: &str, layers: &[Layer<'_>]) -> Result<Value> {
        let config = self.push_blob(repository, b"{}").await?;
        let mut descriptors = Vec::new();
        for (media_type, content) in layers {
            let digest = self.push_blob(repository, content).await?;
            let size = content.len();
            descriptors.push(json!({ "mediaType": media_type, "digest": digest, "size": size }));
        }
        Ok(json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": { "mediaType": CONFIG, "digest": config, "size": 2 },
            "layers": descriptors,
        }))
    }

    async fn push_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        manifest: &Value,
    ) -> Result<()> {
        let url = format!("http://{}/v2/{repository}/manifests/{reference}", self.address);
        let put = self.http.put(url).header("content-type", media_type);
        with(self.login, put.body(manifest.to_string())).send().await?.error_for_status()?;
        Ok(())
    }

    async fn push_blob(&self, repository: &str, content: &[u8]) -> Result<String> {
        let digest = format!("sha256:{}", sha256(content));
        let begin = format!("http://{}/v2/{repository}/blobs/uploads/", self.address);
        let upload = with(self.login, self.http.post(begin)).send().await?.error_for_status()?;
        let location = upload.headers().get(LOCATION).context("an upload has a location")?;
        let put: RequestBuilder = self.http.put(location.to_str()?).query(&[("digest", &digest)]);
        with(self.login, put.body(content.to_vec())).send().await?.error_for_status()?;
        Ok(digest)
    }
}

fn with(login: Option<Login>, request: RequestBuilder) -> RequestBuilder {
    match login {
        Some((user, password, _)) => request.basic_auth(user, Some(password)),
        None => request,
    }
}

/// Path of the registry's binary; if it is missing, the error says what to run.
async fn binary() -> Result<String> {
    let script = workspace().join("operators/image/tests/registry.sh");
    let output = timeout(LOOK, Command::new(script).kill_on_drop(true).output()).await??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "no docker-registry: {}", said.trim());
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// SHA-256 in hexadecimal.
pub fn sha256(content: &[u8]) -> String {
    let digits: Vec<_> = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}
