//! What a stack installs: `config/default`, with the addresses of the stack.

use super::{NAMESPACE, OciRegistry, Overlay, ReservedAddress, image::DISCOVERY};
use anyhow::Result;
use std::{fs, path::Path};

/// The usual ports of the boot server, of images and of reports.
pub(super) const PORTS: [u16; 3] = [BOOT, IMAGE, REPORTS];
pub(super) const BOOT: u16 = 8082;
pub(super) const IMAGE: u16 = 8083;
pub(super) const REPORTS: u16 = 10000;

/// The test starts the processes itself, so there are no pods.
const KUSTOMIZATION: &str = "\
namespace: NAMESPACE
resources: [CONFIG/default]
patches:
  - target: { kind: Deployment }
    patch: '- { op: replace, path: /spec/replicas, value: 0 }'
configMapGenerator:
  - { name: site, behavior: merge, envs: [site.env] }
";

/// Its overlay, which is written to `folder`: machines reach everything at `host`.
pub(super) async fn overlay(
    folder: &Path,
    host: &ReservedAddress,
    registry: &OciRegistry,
) -> Result<Overlay> {
    let url = |port| Ok::<_, anyhow::Error>(format!("http://{}", host.at(port)?));
    let site = [
        ("PROBE_IMAGE", "registry.example/metalprobe:1".to_owned()),
        ("PROBE_OS_IMAGE", registry.image(DISCOVERY)),
        ("REGISTRY_URL", url(REPORTS)?),
        ("IPXE_SERVICE_URL", url(BOOT)?),
        ("IMAGE_SERVER_URL", url(IMAGE)?),
        ("ALLOWED_REGISTRIES", registry.address().to_string()),
    ];
    let site = site.map(|(name, value)| format!("{name}={value}\n")).concat();
    fs::create_dir_all(folder)?;
    let text = KUSTOMIZATION.replace("NAMESPACE", NAMESPACE);
    Overlay::of_site("stack", folder, &text, &[("site.env", &site)]).await
}
