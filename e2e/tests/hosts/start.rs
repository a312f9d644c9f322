//! A release of an image that says what its configuration has to be.

use super::{
    cli::kubectl,
    site::{PATIENCE, Site},
    system::{System, shown},
};
use e2e::{cluster::Cluster, stack::OciRegistry};
use kube::Api;
use metal_api::HostRelease;
use metal_image::testing::archive;
use serde_json::json;
use std::fs;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const SCHEMA: &[u8] = br#"{
  "type": "object",
  "required": ["port"],
  "additionalProperties": false,
  "properties": {"port": {"type": "integer", "maximum": 65535}, "password": {"type": "string"}}
}"#;

#[tokio::test]
async fn a_release_is_started_with_a_configuration_that_fits_its_image_and_with_no_other() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let registry = OciRegistry::start(folder.path()).await.unwrap();
    let template = b"port={{.port}}\npass={{.password}}\n".as_slice();
    let system = archive(&[("usr/bin/web", &[0; 4096])]);
    let config = archive(&[
        ("usr/share/bloomery/config/schema.json", SCHEMA),
        ("usr/share/bloomery/config/templates/etc/web.conf.tmpl", template),
    ]);
    let later = archive(&[("etc/motd", b"welcome")]);
    let layers = [(LAYER, &*system), (LAYER, &*config), (LAYER, &*later)];
    let marker = json!({ "dev.bloomery.configurable": "1" });
    let web = registry.push_annotated("web:1", &marker, &layers).await.unwrap();
    let plain = registry.push_annotated("plain:1", &json!({}), &layers).await.unwrap();
    let empty = registry.push_annotated("empty:1", &marker, &layers[..1]).await.unwrap();

    let (machine, agent) = System::registered(&site, folder.path()).await;
    let target = format!("{}/web-1:v1", site.org);
    let file = folder.path().join("config.yaml");
    let config_file = format!("--config-file={}", file.display());
    let start = async |image: &str, config: &str| {
        fs::write(&file, config).unwrap();
        let image = format!("--image={image}");
        let words = ["releases", "start", &target, &image, &config_file, "--timeout=2m"];
        kubectl(&site, &words).await.map_err(|error| error.to_string())
    };
    let good = "# of web-1\nport: 80\npassword: correct horse\n";
    let missing = format!("{}@sha256:{}", registry.image("web"), "0".repeat(64));
    let tag = registry.image("web:1");
    for (image, config, says) in [
        (&web, "# of web-1\nport: 70000\n", "config.yaml: line 2: /port: must be at most 65535"),
        (&web, "port: 80\npassword: 7\n", "config.yaml: line 2: /password: must be a string"),
        (&web, "port: 80\nother: 7\n", "config.yaml: line 2: /other: this field is not known"),
        (&web, "port: 80\n", "prints a field that the configuration does not have"),
        (&plain, good, "no annotation dev.bloomery.configurable=1"),
        (&empty, good, "the image has no usr/share/bloomery/config/schema.json"),
        (&missing, good, "has no tag or digest"),
    ] {
        let error = start(image, config).await.unwrap_err();
        assert!(error.contains(says), "{says}: {error}");
    }
    let starter = folder.path().join("starter.yaml").display().to_string();
    let begin = ["releases", "start", &starter, &format!("--image={tag}")];
    kubectl(&site, &begin).await.unwrap();
    assert_eq!(fs::read_to_string(&starter).unwrap(), "port: 0\n");
    assert!(kubectl(&site, &begin).await.is_err(), "it is there already");
    // What the tag stands for is kept.
    let printed = start(&tag, good).await.unwrap();
    assert_eq!(printed, "host.bloomery.dev/web-1 runs web-1-v1\n");
    let releases = Api::<HostRelease>::namespaced(site.client.clone(), &site.org);
    assert_eq!(releases.get("web-1-v1").await.unwrap().spec.image, web);
    shown(&site, "Active", "web-1-v1", None).await;
    let rendered = fs::read_to_string(machine.path("files/etc/web.conf")).unwrap();
    assert_eq!(rendered, "port=80\npass=correct horse\n");
    let configuration: serde_json::Value = serde_json::from_str(&machine.configuration()).unwrap();
    assert_eq!(configuration, json!({ "port": 80, "password": "correct horse" }));

    // One that is not healthy, and one that nobody waits for.
    machine.break_with("web-1-v2").unwrap();
    let (image, next) = (format!("--image={web}"), format!("{}/web-1:v2", site.org));
    let words = ["releases", "start", &next, &image, &config_file, "--timeout=2m"];
    let error = kubectl(&site, &words).await.unwrap_err().to_string();
    let is_told = |line: &str| line.starts_with("web-1: ") && line.contains("s: ");
    assert!(error.lines().any(is_told) && error.contains("web-1-v2: RolledBack: "), "{error}");
    let next = format!("{}/web-1:v3", site.org);
    let words = ["releases", "start", &next, &image, &config_file, "--wait=false", "-o=name"];
    assert_eq!(kubectl(&site, &words).await.unwrap(), "host.bloomery.dev/web-1\n");
    shown(&site, "Active", "web-1-v3", None).await;
    agent.terminate(PATIENCE).await.unwrap();
    site.end().await.unwrap();
}
