//! The kickstart of an installer, rendered from a Go template.

use super::{installer::is_word, login::needs_login};
use crate::template::{self, TemplateError, object, text};
use gtmpl_ng::Value;
use metal_api::BootToken;

/// The template that is used if the operator of the server has provided none of this name.
pub const DEFAULT: &str = include_str!("default.ks.tmpl");
/// Name of the template of tokens that name none.
pub const DEFAULT_NAME: &str = "default";

/// Path of the login for the image, below the URL of the boot.
pub const LOGIN: &str = "auth.json";

/// Variables besides those of the token: `.Base`, `.Server`.
#[derive(Clone, Copy, Debug)]
pub struct Urls<'a> {
    /// URL of this boot: `/credential` and `/progress` are below it.
    pub base: &'a str,
    /// URL of the server.
    pub server: &'a str,
}

/// Renders a kickstart. Variables: `.Host`, `.Namespace`, `.Image`, `.Base`, `.Server`, `.Login` (the URL of the
/// login for the image, or empty), `.Disk`
/// with `.Serial`, `.WWN`, `.MinSizeGiB`, `.MaxSizeGiB` and `.Rotational`: texts, empty where the
/// token says nothing.
///
/// # Errors
///
/// If it is not a template, refers to something that does not exist, or a value would be more than
/// a word.
pub fn render(
    name: &str,
    template: &[u8],
    token: &BootToken,
    urls: Urls<'_>,
) -> Result<String, TemplateError> {
    let namespace = token.metadata.namespace.as_deref().unwrap_or_default();
    let values = [
        ("spec.hostName", token.spec.host_name.as_str()),
        ("spec.image", token.spec.image.as_str()),
        ("metadata.namespace", namespace),
        ("the URL", urls.base),
        ("the URL", urls.server),
    ];
    if let Some((field, _)) = values.iter().find(|(_, value)| !is_word(value)) {
        return Err(TemplateError::Template(format!("{field} is not one word")));
    }
    let login = if needs_login(token) { format!("{}/{LOGIN}", urls.base) } else { String::new() };
    let variables = object([
        ("Host", text(&token.spec.host_name)),
        ("Namespace", text(namespace)),
        ("Image", text(&without_tag(&token.spec.image))),
        ("Base", text(urls.base)),
        ("Server", text(urls.server)),
        ("Login", text(&login)),
        ("Disk", disk(token)),
    ]);
    template::render(name, template, variables)
}

/// An image by its digest alone: what pulls it refuses a reference that has a tag as well
/// (containers/image, `docker/reference`).
fn without_tag(image: &str) -> String {
    let Some((name, digest)) = image.split_once('@') else { return image.to_owned() };
    let (path, last) = name.rsplit_once('/').unwrap_or(("", name));
    let last = last.split_once(':').map_or(last, |(last, _)| last);
    if path.is_empty() { format!("{last}@{digest}") } else { format!("{path}/{last}@{digest}") }
}

/// Commands of a kickstart that name the location of Anaconda's other files.
const SOURCES: [&str; 6] = ["url", "nfs", "cdrom", "harddrive", "hmc", "liveimg"];

/// Whether a kickstart names the location of Anaconda's other files.
pub fn names_installer(kickstart: &str) -> bool {
    let words = kickstart.lines().filter_map(|line| line.split_whitespace().next());
    words.into_iter().any(|word| SOURCES.contains(&word))
}

/// The hints for the disk, each as a text that can stand between single quotation marks.
fn disk(token: &BootToken) -> Value {
    let disk = token.spec.target_disk.clone().unwrap_or_default();
    let quoted = |value: Option<String>| text(&value.unwrap_or_default().replace('\'', "'\\''"));
    let number = |value: Option<i64>| text(&value.map(|it| it.to_string()).unwrap_or_default());
    let rotational = disk.rotational.map(|is| if is { "1" } else { "0" });
    object([
        ("Serial", quoted(disk.serial)),
        ("WWN", quoted(disk.wwn)),
        ("MinSizeGiB", number(disk.min_size_gib)),
        ("MaxSizeGiB", number(disk.max_size_gib)),
        ("Rotational", text(rotational.unwrap_or_default())),
    ])
}
