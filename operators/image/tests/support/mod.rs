//! A real registry (Debian's docker-registry) with images; it ends when it is dropped.

use metal_image::Digest;
use reqwest::{Client, RequestBuilder, Response, header::LOCATION};
use serde_json::{Value, json};
use std::{path::Path, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

const LOOK: Duration = Duration::from_mins(1);
const START: Duration = Duration::from_mins(1);

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A user name, a password, and its line in a file of htpasswd.
pub(crate) type Login = (&'static str, &'static str, &'static str);

/// A registry on a free port of the loopback interface.
pub(crate) struct TestRegistry {
    /// Host and port.
    pub(crate) address: String,
    http: Client,
    login: Option<Login>,
    _child: Child,
    _stderr: BufReader<ChildStderr>,
    _dir: tempfile::TempDir,
}

impl TestRegistry {
    /// Starts an empty registry.
    pub(crate) async fn start() -> Self {
        Self::start_for(None).await
    }

    /// The same, for whoever has this login.
    pub(crate) async fn start_for(login: Option<Login>) -> Self {
        let binary = binary().await;
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config.json");
        let root = dir.path().join("blobs");
        let mut settings = json!({
            "version": "0.1",
            "log": {"level": "info", "accesslog": {"disabled": true}},
            "storage": {"filesystem": {"rootdirectory": root}},
            "http": {"addr": "127.0.0.1:0", "secret": "for tests"},
        });
        if let Some((.., line)) = login {
            let file = dir.path().join("htpasswd");
            std::fs::write(&file, line).unwrap();
            settings["auth"] = json!({"htpasswd": {"realm": "tests", "path": file}});
        }
        std::fs::write(&config, settings.to_string()).unwrap();
        // The kernel ends it even if the test is killed.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", &binary, "serve"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let address = timeout(START, address(&mut stderr)).await.unwrap();
        Self { address, http: client(), login, _child: child, _stderr: stderr, _dir: dir }
    }

    async fn sent(&self, mut request: RequestBuilder) -> Response {
        if let Some((user, password, _)) = self.login {
            request = request.basic_auth(user, Some(password));
        }
        succeeded(request.send().await.unwrap()).await
    }

    /// The full name of an image here.
    pub(crate) fn image(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    /// Pushes a blob.
    pub(crate) async fn push_blob(&self, repository: &str, content: &[u8]) -> Digest {
        let digest = Digest::of(content);
        let begin = format!("http://{}/v2/{repository}/blobs/uploads/", self.address);
        let upload = self.sent(self.http.post(begin)).await;
        let location = upload.headers()[LOCATION].to_str().unwrap();
        let put = self.http.put(location).query(&[("digest", digest.to_string())]);
        self.sent(put.body(content.to_vec())).await;
        digest
    }

    /// Pushes a manifest under a tag, and returns its digest.
    pub(crate) async fn push_manifest(
        &self,
        repository: &str,
        tag: &str,
        media_type: &str,
        manifest: &Value,
    ) -> Digest {
        let body = manifest.to_string();
        let digest = Digest::of(body.as_bytes());
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.address);
        let put = self.http.put(url).header("content-type", media_type).body(body);
        self.sent(put).await;
        digest
    }

    /// Pushes an image with these layers (media type, content), and returns its digest.
    pub(crate) async fn push_image(
        &self,
        repository: &str,
        tag: &str,
        media_type: &str,
        layers: &[(&str, &[u8])],
    ) -> Digest {
        let config = self.push_blob(repository, b"{}").await;
        let mut descriptors = vec![];
        for (layer, content) in layers {
            let digest = self.push_blob(repository, content).await.to_string();
            let size = content.len();
            descriptors.push(json!({"mediaType": layer, "digest": digest, "size": size}));
        }
        let config_type = match media_type {
            DOCKER_MANIFEST => "application/vnd.docker.container.image.v1+json",
            _ => "application/vnd.oci.image.config.v1+json",
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {"mediaType": config_type, "digest": config.to_string(), "size": 2},
            "layers": descriptors,
        });
        self.push_manifest(repository, tag, media_type, &manifest).await
    }

    /// Pushes an index of images (architecture, digest of the manifest).
    pub(crate) async fn push_index(
        &self,
        repository: &str,
        tag: &str,
        media_type: &str,
        images: &[(&str, &Digest)],
    ) -> Digest {
        let manifest_type = match media_type {
            DOCKER_LIST => DOCKER_MANIFEST,
            _ => OCI_MANIFEST,
        };
        let entry = |(architecture, digest): &(&str, &Digest)| {
            json!({
                "mediaType": manifest_type, "digest": digest.to_string(), "size": 1,
                "platform": {"architecture": architecture, "os": "linux"},
            })
        };
        let manifests: Vec<Value> = images.iter().map(entry).collect();
        let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
        self.push_manifest(repository, tag, media_type, &index).await
    }
}

/// An HTTP client that uses no proxy.
pub(crate) fn client() -> Client {
    // An error means that it is installed already.
    rustls::crypto::ring::default_provider().install_default().ok();
    Client::builder().no_proxy().timeout(START).build().unwrap()
}

async fn succeeded(response: Response) -> Response {
    let status = response.status();
    assert!(status.is_success(), "{status} {}", response.text().await.unwrap());
    response
}

async fn binary() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../image/tests/registry.sh");
    let output = timeout(LOOK, Command::new(script).kill_on_drop(true).output());
    let output = output.await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The address that the registry logs at its start.
async fn address(stderr: &mut BufReader<ChildStderr>) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(stderr.read_line(&mut line).await.unwrap() > 0, "registry ended");
        if let Some((_, rest)) = line.split_once("listening on ") {
            return rest.split(['"', ',', ' ', '\n']).next().unwrap().to_owned();
        }
    }
}
