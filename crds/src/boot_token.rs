use crate::{
    MachineTargetDisk,
    schema::{self, immutable, rule},
    text::closed_enum,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A secret URL from which one rented machine installs itself, and becomes the Host that is named
/// here. Only a hash of the secret is kept. What is said here can be withdrawn, but not loosened.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "bloomery.dev",
    version = "v1alpha1",
    kind = "BootToken",
    plural = "boottokens",
    shortname = "bt",
    namespaced,
    doc = "A secret URL from which one rented machine installs itself and becomes a Host.",
    status = "BootTokenStatus",
    derive = "PartialEq",
    printcolumn(name = "Host", type_ = "string", json_path = ".spec.hostName"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Progress", type_ = "string", json_path = ".status.progress.step"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.expiresAt"),
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.image", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(
        "has(self.installer) == has(oldSelf.installer) && (!has(self.installer) || self.installer == oldSelf.installer)",
        "installer is immutable",
    ),
    rule(
        "has(self.template) == has(oldSelf.template) && (!has(self.template) || self.template == oldSelf.template)",
        "template is immutable",
    ),
    rule(
        "has(self.targetDisk) == has(oldSelf.targetDisk) && (!has(self.targetDisk) || self.targetDisk == oldSelf.targetDisk)",
        "targetDisk is immutable",
    ),
    rule(
        "has(self.binding) == has(oldSelf.binding) && (!has(self.binding) || self.binding == oldSelf.binding)",
        "binding is immutable",
    ),
    rule(
        "!has(self.template) || !has(self.installer) || !has(self.installer.kind) || self.installer.kind == 'Kickstart'",
        "template is for an installer of kind Kickstart",
    ),
    rule(
        "!has(oldSelf.revoked) || !oldSelf.revoked || (has(self.revoked) && self.revoked)",
        "a token that is revoked stays revoked: create another one",
    ),
    rule("!has(oldSelf.notAfter) || has(self.notAfter)", "notAfter cannot be taken back"),
]))]
pub struct BootTokenSpec {
    /// SHA-256 of the secret as it stands in the URL, in hexadecimal digits. The
    /// secret itself is never in the cluster: whoever makes the token makes it, and keeps it. It is
    /// `metal_ipxe_NAMESPACE.RANDOM`, and its hash counts in that namespace alone.
    #[serde(rename = "tokenSHA256")]
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"), length(max = 64))]
    #[schemars(extend("x-kubernetes-validations" = immutable("tokenSHA256")))]
    pub token_sha256: String,
    /// Name of the Host that the machine becomes, in the same namespace.
    #[schemars(regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"), length(min = 1, max = 63))]
    #[schemars(extend("x-kubernetes-validations" = immutable("hostName")))]
    pub host_name: String,
    /// How long the token is good, counted from its creation: 5 minutes to 7 days, as a Go
    /// duration.
    #[serde(default = "day")]
    #[schemars(regex(pattern = "^([0-9]+(h|m|s))+$"), length(max = 32))]
    #[schemars(extend("x-kubernetes-validations" = [
        rule(
            "duration(self) >= duration('5m') && duration(self) <= duration('168h')",
            "ttl must be 5m to 168h",
        ),
        rule("duration(self) <= duration(oldSelf)", "ttl can only become shorter"),
    ]))]
    pub ttl: String,
    /// When the token ends at the latest. `ttl` counts from the creation of the object, so it begins
    /// anew with one that is restored from a backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [
        rule("self <= oldSelf", "notAfter can only become earlier"),
    ]))]
    pub not_after: Option<Time>,
    /// What is installed, with its digest: a bootable container image (bootc), or an image with a disk
    /// image if `installer.kind` is `DiskImage`.
    #[schemars(regex(pattern = IMAGE), length(max = 512))]
    #[schemars(extend("x-kubernetes-validations" = immutable("image")))]
    pub image: String,
    /// Secrets of type `kubernetes.io/dockerconfigjson` in the same namespace, with logins for the registries of
    /// `image` and of the installer's image. hosts reads those alone that a Role there lets it read by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub image_pull_secrets: Vec<BootPullSecret>,
    /// The installer that is booted, instead of that of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installer: Option<BootInstaller>,
    /// Name of the kickstart template, which the operator of the server provides [default:
    /// `default`].
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"), length(min = 1, max = 63))]
    pub template: Option<String>,
    /// Which disk is installed to: all that is said here has to hold, and for exactly one disk.
    /// Otherwise nothing is written; without it the machine has to have exactly one disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_disk: Option<MachineTargetDisk>,
    /// What the machine has to say about itself. This keeps machines apart that boot by mistake; it
    /// proves nothing about one that lies, but for `ekHash`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<BootBinding>,
    /// Withdraws the token for good.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
}

/// A reference to an image that has a digest.
pub(crate) const IMAGE: &str = "^[a-zA-Z0-9][a-zA-Z0-9.:_-]*/[a-z0-9][a-z0-9._/-]*(:[A-Za-z0-9_][A-Za-z0-9._-]*)?@sha256:[0-9a-f]{64}$";

/// A URL that is one word of a script.
const URL: &str = r"^https?://[!#%(-:=?-\[\]-_a-z~]+$";
/// One word of a script: printable ASCII without `$"'\|&;<>` and the backtick, `{` and `}`.
const WORD: &str = r"^[!#%(-:=?-\[\]-_a-z~]+$";

fn day() -> String {
    "24h".to_owned()
}

/// A Secret in the namespace of a token.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct BootPullSecret {
    /// Name of the Secret.
    #[schemars(regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"), length(min = 1, max = 253))]
    pub name: String,
}

/// The installer that a machine boots: an image, or files of a mirror.
///
/// One of kind `DiskImage` needs neither: it may be in the image that is installed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[schemars(extend("x-kubernetes-validations" = [
    rule(
        "has(self.image) || (has(self.kind) && self.kind == 'DiskImage') ? !has(self.kernelURL) && !has(self.initrdURL) && !has(self.stage2URL) : has(self.kernelURL) && has(self.initrdURL)",
        "installer must have either an image, or a kernelURL and an initrdURL; of kind DiskImage it has no URL",
    ),
]))]
pub struct BootInstaller {
    /// What it installs from, and so what `image` of the token is [default: `Kickstart`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<BootInstallerKind>,
    /// OCI image with its digest, which has a kernel and an initial RAM disk as layers, and maybe a
    /// root file system (squashfs). The server fetches it, and verifies every layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = IMAGE), length(max = 512))]
    pub image: Option<String>,
    /// URL of its kernel.
    #[serde(rename = "kernelURL", skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = URL), length(max = 2048))]
    pub kernel_url: Option<String>,
    /// URL of its initial RAM disk.
    #[serde(rename = "initrdURL", skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = URL), length(max = 2048))]
    pub initrd_url: Option<String>,
    /// URL of what Anaconda loads then (`inst.stage2`).
    #[serde(rename = "stage2URL", skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = URL), length(max = 2048))]
    pub stage2_url: Option<String>,
    /// Further arguments of its kernel, such as `console=ttyS0`. They are on a command line that
    /// everybody on the machine can read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), schema_with = "arguments")]
    pub arguments: Vec<String>,
}

impl BootInstaller {
    /// Whether a disk image is written, as it is.
    pub fn writes_disk_image(&self) -> bool {
        self.kind == Some(BootInstallerKind::DiskImage)
    }
}

closed_enum! {
    /// What an installer installs from.
    BootInstallerKind {
        /// Anaconda, by a kickstart.
        Kickstart = "Kickstart",
        /// metal-installer, which writes a raw image of a whole disk: the layer of the image that has
        /// the media type `application/vnd.bloomery.image.disk`.
        DiskImage = "DiskImage",
    }
}

fn arguments(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "maxItems": 32,
        "items": { "type": "string", "maxLength": 256, "pattern": WORD }
    })
}

/// What a machine has to say about itself, or to prove; all that is given has to fit.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(
        "has(self.macAddress) || has(self.serial) || has(self.systemUUID) || has(self.ekHash)",
        "binding must name a macAddress, a serial, a systemUUID or an ekHash",
    ),
]))]
pub struct BootBinding {
    /// MAC address of one of its interfaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$"), length(max = 17))]
    pub mac_address: Option<String>,
    /// Serial number of the system (SMBIOS 3.7, section 7.2). One that many boards are shipped with, such
    /// as `To be filled by O.E.M.`, fits none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "[!-~]"), length(min = 1, max = 128))]
    pub serial: Option<String>,
    /// UUID of the system (SMBIOS 3.7, section 7.2.1). One that many boards are shipped with fits none.
    #[serde(rename = "systemUUID", skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"))]
    #[schemars(length(max = 36))]
    pub system_uuid: Option<String>,
    /// SHA-256 of the endorsement key of its TPM (its SubjectPublicKeyInfo in DER), in hexadecimal digits.
    /// This is proved: the installed system registers only with the TPM that has this key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9A-Fa-f]{64}$"), length(max = 64))]
    pub ek_hash: Option<String>,
}

/// How far the machine is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BootTokenStatus {
    /// How far the machine is, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<BootTokenPhase>,
    /// When no machine can begin to boot with the token any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// How many times a machine has booted with the token; what an earlier boot was given is void.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i64>,
    /// When that was the last time; before the first, when somebody opened its URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetched_at: Option<Time>,
    /// The address from which it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetched_from: Option<String>,
    /// What the machine of that boot said about itself. Another one is refused while that boot is heard of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<HostHardware>,
    /// What the installer reported last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<BootProgress>,
    /// The machine that the token was consumed by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<BootRegistration>,
    /// Standard conditions, one per type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

closed_enum! {
    /// How far the machine is.
    BootTokenPhase {
        /// Nothing has booted with it.
        Issued = "Issued",
        /// Somebody has opened its URL, or a machine has booted with it: then `attempts` is there.
        Fetched = "Fetched",
        /// The installer reports.
        Installing = "Installing",
        /// The installer has reported that it is done. Only the installed system is answered.
        Installed = "Installed",
        /// The machine is a Host.
        Consumed = "Consumed",
        /// Its time is over.
        Expired = "Expired",
        /// A person has withdrawn it.
        Revoked = "Revoked",
    }
}

closed_enum! {
    /// What an installer does.
    BootStep {
        /// It has begun.
        Started = "Started",
        /// It prepares the disk.
        Partitioning = "Partitioning",
        /// It writes the image.
        Writing = "Writing",
        /// It sets up what was written.
        Configuring = "Configuring",
        /// It is done, and restarts the machine.
        Done = "Done",
        /// It has given up.
        Failed = "Failed",
    }
}

/// What an installer reported.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct BootProgress {
    /// What it does.
    pub step: BootStep,
    /// The same in a sentence, as far as there is more to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it reported that.
    pub at: Time,
}

/// A machine that has registered. Recorded before the Host is created, so that whoever continues
/// after a crash creates the same one.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BootRegistration {
    /// Its public key.
    pub public_key: String,
    /// When it registered.
    pub at: Time,
    /// The address from which it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What it said about itself.
    #[serde(default)]
    pub hardware: HostHardware,
    /// `metadata.uid` of its Host, as soon as that is created. It is never created again.
    #[serde(rename = "hostUID", skip_serializing_if = "Option::is_none")]
    pub host_uid: Option<String>,
}

/// What a machine says about itself. It proves nothing.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HostHardware {
    /// Serial number of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// UUID of the system.
    #[serde(rename = "systemUUID", skip_serializing_if = "Option::is_none")]
    pub system_uuid: Option<String>,
    /// MAC addresses of its interfaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mac_addresses: Vec<String>,
}
