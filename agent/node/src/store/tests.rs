use super::*;
use crate::testing::Authority;
use serde_json::Value;
use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
};
use tempfile::TempDir;

const NODE: &str = "node-01";

/// A folder, and what is in it.
struct Lab {
    folder: TempDir,
    authority: Authority,
    config: Config,
    store: Store,
}

impl Lab {
    fn new() -> Self {
        let (folder, authority) = (TempDir::new().unwrap(), Authority::new());
        let document = json!({
            "MachineName": NODE,
            "Cluster": {"CaCertBase64": base64(&authority.pem())},
            "Kubelet": {"ApiServer": "https://[fd00::1]:6443"},
            "Attest": {"URL": "http://192.0.2.1:8880"},
        });
        let config = Config::parse(document.to_string().as_bytes()).unwrap();
        let store = Store::new(&folder.path().join("kubelet/kubeconfig")).unwrap();
        Self { folder, authority, config, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("kubelet").join(name)
    }

    /// Keeps a certificate of this node for a new key.
    fn save(&self, until: i32) {
        let key = Key::generate().unwrap();
        let signed = self.authority.signed("system:node:node-01", 2020, until, &key);
        self.store.save(NODE, &signed, &key).unwrap();
    }

    fn until(&self) -> Option<String> {
        self.store.load(NODE).map(|it| it.validity.until.to_string())
    }

    fn kubeconfig(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("kubeconfig")).unwrap()).unwrap()
    }
}

#[test]
fn what_is_kept_is_found_again_and_nobody_else_may_read_it() {
    let lab = Lab::new();
    assert_eq!(lab.until(), None);
    lab.save(2030);
    lab.store.ensure_kubeconfig(&lab.config).unwrap();
    assert_eq!(lab.until().as_deref(), Some("2030-01-01T00:00:00Z"));
    for (name, mode) in [("kubeconfig", 0o600), ("kubeconfig.pem", 0o600), ("", 0o700)] {
        assert_eq!(fs::metadata(lab.path(name)).unwrap().mode() & 0o777, mode, "{name}");
    }
    let kubeconfig = lab.kubeconfig();
    let at = |pointer| kubeconfig.pointer(pointer).unwrap().as_str().unwrap().to_owned();
    assert_eq!(at("/clusters/0/cluster/server"), "https://[fd00::1]:6443");
    let pem = lab.path("kubeconfig.pem").display().to_string();
    assert_eq!(at("/users/0/user/client-certificate"), pem);
    assert_eq!(at("/users/0/user/client-key"), pem);
    let authorities = at("/clusters/0/cluster/certificate-authority-data");
    assert_eq!(authorities, base64(&lab.authority.pem()));
}

#[test]
fn the_kubelet_asks_the_api_server_below_the_path_that_it_has() {
    for (url, expected) in [
        (
            "https://rancher.example/k8s/clusters/c-1",
            "https://rancher.example:443/k8s/clusters/c-1",
        ),
        ("https://[fd00::1]:6443/", "https://[fd00::1]:6443"),
    ] {
        let mut lab = Lab::new();
        lab.config.api = url.parse().unwrap();
        lab.store.ensure_kubeconfig(&lab.config).unwrap();
        assert_eq!(lab.kubeconfig()["clusters"][0]["cluster"]["server"], expected);
    }
}

#[test]
fn a_kubeconfig_that_says_the_same_is_not_written_again() {
    let lab = Lab::new();
    let inode = || {
        lab.store.ensure_kubeconfig(&lab.config).unwrap();
        fs::metadata(lab.path("kubeconfig")).unwrap().ino()
    };
    let first = inode();
    assert_eq!(inode(), first);
    fs::write(lab.path("kubeconfig"), "{}").unwrap();
    inode();
    assert_eq!(lab.kubeconfig()["current-context"], "node");
}

#[test]
fn whatever_is_cut_off_while_files_are_written_is_made_up_for() {
    let lab = Lab::new();
    // Killed while the first file was written: a beginning of it, readable to all.
    fs::create_dir(lab.path("")).unwrap();
    fs::write(lab.path(".kubeconfig.pem.new"), "-----BEGIN CERT").unwrap();
    fs::set_permissions(lab.path(".kubeconfig.pem.new"), Permissions::from_mode(0o644)).unwrap();
    assert_eq!(lab.until(), None);
    lab.save(2030);
    assert_eq!(fs::metadata(lab.path("kubeconfig.pem")).unwrap().mode() & 0o777, 0o600);
    // Killed before the kubeconfig was begun, and while it was written.
    assert!(lab.until().is_some() && !lab.path("kubeconfig").exists());
    fs::write(lab.path(".kubeconfig.new"), "{").unwrap();
    lab.store.ensure_kubeconfig(&lab.config).unwrap();
    assert_eq!(lab.kubeconfig()["kind"], "Config");
    // Killed while a renewal was written: the old certificate is still there.
    fs::write(lab.path(".kubeconfig.pem.new"), "-----BEGIN CERT").unwrap();
    assert_eq!(lab.until().as_deref(), Some("2030-01-01T00:00:00Z"));
    lab.save(2040);
    assert_eq!(lab.until().as_deref(), Some("2040-01-01T00:00:00Z"));
    let mut names: Vec<_> = fs::read_dir(lab.path("")).unwrap().collect();
    assert_eq!(names.drain(..).count(), 2, "nothing is left");
}

#[test]
fn a_certificate_of_another_node_or_for_another_key_is_not_kept() {
    let lab = Lab::new();
    lab.save(2030);
    let [key, other] = [Key::generate().unwrap(), Key::generate().unwrap()];
    let ours = lab.authority.signed("system:node:node-01", 2020, 2040, &key);
    let theirs = lab.authority.signed("system:node:node-02", 2020, 2040, &key);
    for (signed, key, why) in [
        (&*theirs, &key, "of another node"),
        (&*ours, &other, "not for the key"),
        ("", &key, "no certificate in PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &key, "no certificate"),
        ("-----BEGIN CERTIFICATE-----\n?\n", &key, "no certificate in PEM"),
    ] {
        let error = lab.store.save(NODE, signed, key).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    assert_eq!(lab.until().as_deref(), Some("2030-01-01T00:00:00Z"), "the one before");
    assert!(lab.store.load("node-02").is_none(), "the machine has another name now");
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let lab = Lab::new();
    fs::write(lab.folder.path().join("kubelet"), "a file where the folder should be").unwrap();
    let error = lab.store.ensure_kubeconfig(&lab.config).unwrap_err();
    let expected = format!("{} cannot be written", lab.path("kubeconfig").display());
    assert_eq!(error.to_string(), expected);
}
