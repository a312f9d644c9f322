//! `install.json`: what is to be installed where, as the template of the netboot image says it, or hosts.
//!
//! It may come over plain HTTP, so nothing in it is trusted: paths stay below the URL of this
//! installation, texts are of few letters, and whatever is unknown is an error.

use metal_api::{
    MacAddr,
    installation::{InstallHints, InstallOrder},
};

/// The longest document, in bytes.
pub const LARGEST: usize = 64 << 10;
/// How many network interfaces are accepted.
const MACS: usize = 32;
/// The longest text in it, in bytes.
const TEXT: usize = 253;
/// The longest URL of cloud-init's data, in bytes.
const URL: usize = 1024;

/// What is to be installed, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Name of the machine.
    pub machine: String,
    /// Hardware addresses of the machine: whoever has none of them is another one. Without it nobody knows.
    pub mac: Option<Vec<MacAddr>>,
    /// Path of the disk image, below the URL of the installation.
    pub image: String,
    /// Path of its checksums.
    pub checksums: String,
    /// The target disk.
    pub hints: InstallHints,
    /// Where cloud-init finds its data.
    pub cloud_init: Option<String>,
    /// Path of what the installed system registers with, as `/etc/bloomery/host.json`.
    pub host: Option<String>,
    /// Path of what metal-agent is told, as `/etc/bloomery/agent.json`.
    pub agent: Option<String>,
    /// Name of the installation, which is left to the installed system.
    pub installation: Option<String>,
    /// Name of the boot entry.
    pub label: String,
}

/// Why a document is not an order.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// It is not JSON, or has other fields.
    #[error("install.json cannot be used")]
    Json(#[from] serde_json::Error),
    /// A field has a value that is not allowed.
    #[error("install.json: {field} must be {expected}")]
    Field {
        /// Its name.
        field: &'static str,
        /// The values that are allowed.
        expected: &'static str,
    },
}

/// Reads a document.
///
/// # Errors
///
/// If it is not exactly what is expected; the field is named.
pub fn read(document: &[u8]) -> Result<Order, OrderError> {
    let it: InstallOrder = serde_json::from_slice(document)?;
    let wrong = |field, expected| OrderError::Field { field, expected };
    let name = |text: &str| is_text(text, |c| c.is_ascii_alphanumeric() || "-.".contains(c));
    if !name(&it.machine) {
        return Err(wrong("machine", "the name of a machine"));
    }
    if !is_text(&it.label, |c| c.is_ascii_graphic() || c == ' ') {
        return Err(wrong("label", "printable ASCII, at most 253 letters"));
    }
    let mac = it.mac.map(|mac| {
        let mac: Option<Vec<MacAddr>> = mac.iter().map(|text| text.parse().ok()).collect();
        let mac = mac.filter(|mac| (1..=MACS).contains(&mac.len()));
        mac.ok_or_else(|| wrong("mac", "1 to 32 hardware addresses"))
    });
    let path = |field, path: String| {
        if is_path(&path) {
            Ok(path)
        } else {
            Err(wrong(field, "a path of files, as in a/disk.img.zst"))
        }
    };
    // It is the name of a file as well, before which a dot may come.
    if it.installation.as_deref().is_some_and(|it| !name(it) || it.starts_with('.')) {
        return Err(wrong("installation", "the name of an installation"));
    }
    if it.cloud_init.as_deref().is_some_and(|url| !is_url(url)) {
        return Err(wrong("cloudInit", "a URL of http or https"));
    }
    Ok(Order {
        machine: it.machine,
        mac: mac.transpose()?,
        image: path("disk.url", it.disk.url)?,
        checksums: path("disk.checksums", it.disk.checksums)?,
        hints: hints(it.target_disk.unwrap_or_default())?,
        cloud_init: it.cloud_init.filter(|url| !url.is_empty()),
        host: it.host.map(|host| path("host", host)).transpose()?,
        agent: it.agent.map(|agent| path("agent", agent)).transpose()?,
        installation: it.installation,
        label: it.label,
    })
}

fn hints(hints: InstallHints) -> Result<InstallHints, OrderError> {
    let printable = |text: &String| text.len() <= TEXT && !text.contains(char::is_control);
    if !hints.serial.iter().chain(&hints.wwn).all(printable) {
        let (field, expected) = ("targetDisk", "of printable texts");
        return Err(OrderError::Field { field, expected });
    }
    Ok(InstallHints {
        serial: hints.serial.filter(|it| !it.is_empty()),
        wwn: hints.wwn.filter(|it| !it.is_empty()),
        min_size_gib: hints.min_size_gib.filter(|it| *it > 0),
        max_size_gib: hints.max_size_gib.filter(|it| *it > 0),
        rotational: hints.rotational,
    })
}

fn is_text(text: &str, is_letter: impl Fn(char) -> bool) -> bool {
    (1..=TEXT).contains(&text.len()) && text.chars().all(is_letter)
}

/// Whether it is a relative path whose parts are names of files: it never leaves the folder.
fn is_path(path: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-._+".contains(c))
    };
    path.len() <= TEXT && path.split('/').all(is_part)
}

/// Whether it can stand in a YAML document and a command line without any quoting being wrong.
fn is_url(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let is_letter = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]%".contains(c);
    let is_rest =
        |rest: &str| !rest.is_empty() && !rest.starts_with('/') && rest.chars().all(is_letter);
    url.is_empty() || (url.len() <= URL && rest.is_some_and(is_rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_whole_document_and_a_small_one_are_read() {
        let mut document = document();
        document["targetDisk"] = json!({ "serial": "S 1", "minSizeGiB": 5, "rotational": false });
        document["cloudInit"] = json!("http://10.0.0.1:8880/cloud-init/");
        document["host"] = json!("credential");
        document["agent"] = json!("agent.json");
        document["installation"] = json!("uid-4");
        let order = from(&document).unwrap();
        assert_eq!(order.installation.as_deref(), Some("uid-4"));
        assert_eq!(order.host.as_deref(), Some("credential"));
        assert_eq!(order.agent.as_deref(), Some("agent.json"));
        assert_eq!((&*order.image, &*order.checksums), ("a/disk.img.zst", "disk.sha256"));
        assert_eq!(order.mac, Some(vec!["aa:bb:cc:dd:ee:01".parse().unwrap()]));
        assert_eq!(order.hints.serial.as_deref(), Some("S 1"));
        assert_eq!((order.hints.min_size_gib, order.hints.rotational), (Some(5), Some(false)));
        assert_eq!(order.cloud_init.as_deref(), Some("http://10.0.0.1:8880/cloud-init/"));
        let mut document = self::document();
        document.as_object_mut().unwrap().remove("mac");
        let small = from(&document).unwrap();
        assert_eq!((small.hints, small.cloud_init), (InstallHints::default(), None));
        assert_eq!((small.mac, small.host, small.agent), (None, None, None));
        assert_eq!(small.installation, None);
    }

    #[test]
    fn what_a_template_writes_for_nothing_says_nothing() {
        let mut document = document();
        document["targetDisk"] =
            json!({ "serial": "", "wwn": "", "minSizeGiB": 0, "maxSizeGiB": 0 });
        document["cloudInit"] = json!("");
        let order = from(&document).unwrap();
        assert_eq!((order.hints, order.cloud_init), (InstallHints::default(), None));
        document["targetDisk"] = Value::Null;
        document["cloudInit"] = Value::Null;
        assert_eq!(from(&document).unwrap().hints, InstallHints::default());
    }

    #[test]
    fn a_field_that_is_wrong_is_named() {
        let long = "a".repeat(254);
        for (field, value) in [
            ("machine", json!("a b")),
            ("machine", json!("")),
            ("label", json!("a\nb")),
            ("label", json!(long)),
            ("mac", json!([])),
            ("mac", json!(["aa:bb"])),
            ("mac", json!(vec!["aa:bb:cc:dd:ee:01"; 33])),
            ("installation", json!("")),
            ("installation", json!("..")),
            ("installation", json!("a/b")),
            ("cloudInit", json!("ftp://a/")),
            ("cloudInit", json!("http://a/'x")),
            ("cloudInit", json!("http:///x")),
            ("cloudInit", json!("http://u@h/")),
            ("targetDisk", json!({ "serial": "a\u{1b}[2J" })),
        ] {
            let mut document = document();
            document[field] = value.clone();
            let error = from(&document).unwrap_err().to_string();
            assert!(error.starts_with(&format!("install.json: {field}")), "{value}: {error}");
        }
    }

    #[test]
    fn no_path_leaves_the_folder_of_the_installation() {
        for path in
            ["", "/a", "a//b", "../a", "a/../b", "a/.b", "http://h/a", "a?b", "a%2e", "a\\b", "a/"]
        {
            let mut document = document();
            document["host"] = json!(path);
            let error = from(&document).unwrap_err().to_string();
            assert!(error.contains("install.json: host"), "{path}: {error}");
            for (field, other) in [("url", "checksums"), ("checksums", "url")] {
                let mut document = self::document();
                document["disk"] = json!({ field: path, other: "a" });
                let error = from(&document).unwrap_err().to_string();
                assert!(error.contains(&format!("disk.{field}")), "{path}: {error}");
            }
        }
    }

    #[test]
    fn unknown_fields_are_errors_everywhere() {
        for at in ["", "/disk", "/targetDisk"] {
            let mut document = document();
            document["targetDisk"] = json!({});
            document.pointer_mut(at).unwrap()["size"] = json!(1);
            assert!(matches!(from(&document), Err(OrderError::Json(_))), "{at}");
        }
        for text in ["", "[]", "null", "{}"] {
            assert!(read(text.as_bytes()).is_err());
        }
    }

    fn from(document: &Value) -> Result<Order, OrderError> {
        read(document.to_string().as_bytes())
    }

    fn document() -> Value {
        json!({
            "machine": "node-01", "mac": ["aa:bb:cc:dd:ee:01"], "label": "node-01",
            "disk": { "url": "a/disk.img.zst", "checksums": "disk.sha256" },
        })
    }
}
