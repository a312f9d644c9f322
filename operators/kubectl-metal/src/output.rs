//! What is printed.

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use kube::api::{DeleteParams, PatchParams, PostParams};
use serde::Serialize;
use serde_json::Value;
use std::io::{self, Write};

/// How objects are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON object, or a List.
    Json,
    /// YAML documents.
    Yaml,
    /// Kind and name.
    Name,
    /// Kind and name, and what else a person wants to know.
    Wide,
}

/// Whether anything is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    /// It is.
    #[default]
    None,
    /// Nothing is written.
    Client,
    /// The API server checks it, and keeps nothing.
    Server,
}

/// Whether anything is written.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct DryRunArgs {
    /// Print what would be written: client writes nothing, server has it checked
    #[arg(
        long,
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_value = "none",
        default_missing_value = "client"
    )]
    pub(crate) dry_run: DryRun,
}

impl DryRun {
    /// How something is created that way, unless nothing is sent.
    pub(crate) fn post(self) -> PostParams {
        PostParams { dry_run: self == Self::Server, ..PostParams::default() }
    }

    /// The same for something that is changed.
    pub(crate) fn patch(self) -> PatchParams {
        PatchParams { dry_run: self == Self::Server, ..PatchParams::default() }
    }

    /// The same for something that is deleted.
    pub(crate) fn delete(self) -> DeleteParams {
        DeleteParams { dry_run: self == Self::Server, ..DeleteParams::default() }
    }

    /// What a line about it ends with.
    pub(crate) fn note(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Client => " (dry run)",
            Self::Server => " (server dry run)",
        }
    }
}

/// Prints objects, or in the absence of a format the line `done` for each.
///
/// # Errors
///
/// If standard output is closed.
pub(crate) fn objects(all: &[Value], format: Option<Format>, done: &str) -> Result<()> {
    let text = match format {
        Some(Format::Json) => json(all)?,
        Some(Format::Yaml) => yaml(all)?,
        Some(Format::Name) => all.iter().map(|it| name(it) + "\n").collect(),
        Some(Format::Wide) => all.iter().map(|it| wide(it, done)).collect(),
        None => all.iter().map(|it| name(it) + " " + done + "\n").collect(),
    };
    print(&text)
}

/// The same for objects of one type.
///
/// # Errors
///
/// If standard output is closed.
pub(crate) fn shown<T: Serialize>(all: &[T], format: Option<Format>, done: &str) -> Result<()> {
    objects(&values(all)?, format, done)
}

fn values<T: Serialize>(all: &[T]) -> Result<Vec<Value>> {
    let mut all = all.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    for metadata in all.iter_mut().filter_map(|it| it["metadata"].as_object_mut()) {
        metadata.remove("managedFields");
    }
    Ok(all)
}

/// Prints what a command has listed: a List in JSON, however many objects there are.
///
/// # Errors
///
/// If standard output is closed.
pub(crate) fn listed<T: Serialize>(all: &[T], format: Format) -> Result<()> {
    if format != Format::Json {
        return shown(all, Some(format), "");
    }
    print(&list(&values(all)?)?)
}

/// Prints text to standard output.
///
/// # Errors
///
/// If it is closed.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output")
}

/// Whether an error is that nobody reads standard output any more, as after `| head`.
pub(crate) fn is_closed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|it| it.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints a table as kubectl does: a line of names, and one for each row; for no rows, nothing, and on standard
/// error that there is `none`.
///
/// # Errors
///
/// If standard output is closed.
pub(crate) fn table<const COLUMNS: usize>(
    names: [&str; COLUMNS],
    rows: &[[String; COLUMNS]],
    none: &str,
) -> Result<()> {
    if rows.is_empty() {
        warn(none);
    }
    print(&aligned(names, rows))
}

fn aligned<const COLUMNS: usize>(names: [&str; COLUMNS], rows: &[[String; COLUMNS]]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let names = names.map(str::to_owned);
    let all: Vec<_> = [&names].into_iter().chain(rows).collect();
    let widths: Vec<_> = (0..COLUMNS)
        .map(|at| all.iter().map(|row| row[at].chars().count()).max().unwrap_or_default())
        .collect();
    let line = |row: &&[String; COLUMNS]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("   ").trim_end().to_owned() + "\n"
    };
    all.iter().map(line).collect()
}

/// Says something to the person, on standard error.
pub(crate) fn warn(text: &str) {
    // Where nobody reads it, nobody misses it.
    writeln!(io::stderr().lock(), "{text}").ok();
}

fn json(all: &[Value]) -> Result<String> {
    match all {
        [one] => Ok(serde_json::to_string_pretty(one)? + "\n"),
        many => list(many),
    }
}

fn list(all: &[Value]) -> Result<String> {
    let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": all });
    Ok(serde_json::to_string_pretty(&list)? + "\n")
}

fn yaml(all: &[Value]) -> Result<String> {
    let documents: Vec<_> =
        all.iter().map(serde_saphyr::to_string).collect::<Result<_, _>>().context("YAML")?;
    Ok(documents.join("---\n"))
}

/// `machine.unbounded-cloud.io/node-01`.
pub(crate) fn name(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&object["kind"]).to_lowercase();
    let version = text(&object["apiVersion"]);
    let group = version.split_once('/').map(|(group, _)| format!(".{group}")).unwrap_or_default();
    format!("{kind}{group}/{}", text(&object["metadata"]["name"]))
}

fn wide(object: &Value, done: &str) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| "-".to_owned(), str::to_owned);
    let mut words = vec![name(object)];
    words.extend(Some(done.to_owned()).filter(|done| !done.is_empty()));
    if let Some(namespace) = object["metadata"]["namespace"].as_str() {
        words.push(format!("namespace={namespace}"));
    }
    let pxe = &object["spec"]["pxe"];
    if pxe.is_object() {
        let labels = &object["metadata"]["labels"];
        let leases = pxe["dhcpLeases"].as_array().into_iter().flatten();
        let addresses: Vec<_> = leases.map(|lease| text(&lease["ipv4"])).collect();
        words.extend([
            format!("site={}", text(&labels[metal_machine::site::LABEL])),
            format!("phase={}", text(&object["status"]["phase"])),
            format!("addresses={}", addresses.join(",")),
            format!("bmc={}", text(&pxe["redfish"]["url"])),
            format!("image={}", text(&pxe["image"])),
        ]);
    }
    words.extend(said(object).iter().map(|(name, pointer)| {
        format!("{name}={}", object.pointer(pointer).map_or_else(|| "-".to_owned(), text))
    }));
    words.join(" ") + "\n"
}

/// What a person wants to know of rented servers, by kind.
fn said(object: &Value) -> &'static [(&'static str, &'static str)] {
    match object["kind"].as_str() {
        Some("Host") => &[
            ("release", "/spec/activeRelease"),
            ("running", "/status/runningRelease"),
            ("image", "/status/runningImage"),
            ("address", "/status/address"),
            ("seen", "/status/lastSeen"),
        ],
        Some("HostRelease") => &[("host", "/spec/hostName"), ("image", "/spec/image")],
        Some("BootToken") => &[
            ("host", "/spec/hostName"),
            ("phase", "/status/phase"),
            ("expires", "/status/expiresAt"),
            ("image", "/spec/image"),
        ],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_is_named_as_kubectl_names_it() {
        let machine = json!({"apiVersion": "unbounded-cloud.io/v1alpha3", "kind": "Machine",
            "metadata": {"name": "node-01"}});
        assert_eq!(name(&machine), "machine.unbounded-cloud.io/node-01");
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}});
        assert_eq!(name(&secret), "secret/a");
    }

    #[test]
    fn several_objects_are_a_list_in_json_and_documents_in_yaml() {
        let all = [json!({"kind": "A"}), json!({"kind": "B"})];
        let list: Value = serde_json::from_str(&json(&all).unwrap()).unwrap();
        assert_eq!((list["kind"].as_str(), &list["items"]), (Some("List"), &json!(all)));
        assert_eq!(yaml(&all).unwrap(), "kind: A\n---\nkind: B\n");
        assert!(json(&all[..1]).unwrap().starts_with("{\n  \"kind\": \"A\""));
    }

    #[test]
    fn a_wide_line_says_what_a_rented_server_runs() {
        let host = json!({
            "apiVersion": "bloomery.dev/v1alpha1", "kind": "Host",
            "metadata": {"name": "web-1", "namespace": "org"},
            "spec": {"activeRelease": "web-1-v2"}, "status": {"runningRelease": "web-1-v1"},
        });
        let line = "host.bloomery.dev/web-1 created namespace=org release=web-1-v2 running=web-1-v1 \
                    image=- address=- seen=-\n";
        assert_eq!(wide(&host, "created"), line);
        assert_eq!(wide(&host, ""), line.replace(" created", ""), "of a list nothing is done");
    }

    #[test]
    fn a_table_has_a_line_of_names_unless_it_is_empty() {
        let rows = [["web-1", "-"], ["web-10", "v1"]].map(|row| row.map(str::to_owned));
        let table = "NAME     RELEASE\nweb-1    -\nweb-10   v1\n";
        assert_eq!(aligned(["NAME", "RELEASE"], &rows), table);
        assert_eq!(aligned(["NAME", "RELEASE"], &[]), "");
    }

    #[test]
    fn a_reader_that_has_gone_is_told_from_other_errors() {
        let error = |kind: io::ErrorKind| anyhow::Error::from(io::Error::from(kind));
        assert!(is_closed(&error(io::ErrorKind::BrokenPipe).context("standard output")));
        assert!(!is_closed(&error(io::ErrorKind::StorageFull).context("standard output")));
        assert!(!is_closed(&anyhow::anyhow!("broken pipe")));
    }

    #[test]
    fn a_list_of_one_is_a_list() {
        for all in [vec![], vec![json!({"kind": "A"})]] {
            let said: Value = serde_json::from_str(&list(&all).unwrap()).unwrap();
            assert_eq!((said["kind"].as_str(), &said["items"]), (Some("List"), &json!(all)));
        }
    }

    #[test]
    fn a_wide_line_says_where_a_machine_is() {
        let machine = json!({
            "apiVersion": "unbounded-cloud.io/v1alpha3", "kind": "Machine",
            "metadata": {"name": "a", "labels": {"unbounded-cloud.io/site": "rack-a"}},
            "spec": {"pxe": {"image": "i", "dhcpLeases": [{"ipv4": "10.0.0.1"}]}},
        });
        let line = "machine.unbounded-cloud.io/a created site=rack-a phase=- addresses=10.0.0.1 bmc=- \
                    image=i\n";
        assert_eq!(wide(&machine, "created"), line);
    }
}
