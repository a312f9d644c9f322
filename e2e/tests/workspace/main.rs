//! Which crates of this workspace may depend on what. Dependencies on others' crates are checked by
//! deny.toml (`hack/test deny`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod docker;
mod layout;
mod modules;

use e2e::{cluster::workspace, files::files_below};
use serde::Deserialize;
use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

/// Crates that pure code must not depend on: I/O, tasks, randomness.
const IMPURE: &[&str] =
    &["getrandom", "hyper", "kube-client", "kube-runtime", "rand", "reqwest", "rustls", "tokio"];

/// The same without randomness: dhcproto has it, for clients that let it choose their transaction
/// IDs, which metal-wire does not do.
const IMPURE_BUT_DHCPROTO: &[&str] =
    &["hyper", "kube-client", "kube-runtime", "reqwest", "rustls", "tokio"];

/// Crates, and what they must not depend on.
const APART: &[(&str, &[&str])] = &[
    ("metal-api", IMPURE),
    ("metal-attest", &["kube", "k8s-openapi", "metal-api", "tokio"]),
    ("metal-base", &["kube", "k8s-openapi", "metal-api", "tokio"]),
    ("metal-core", IMPURE),
    ("metal-dhcp", IMPURE_BUT_DHCPROTO),
    ("metal-features", IMPURE),
    ("metal-fedhcp", IMPURE_BUT_DHCPROTO),
    ("metal-runtime", &["metal-api", "metal-core", "metal-bmc"]),
    ("metal-bmc", &["kube-client", "kube-runtime"]),
    ("metal-http", &["kube", "k8s-openapi", "metal-api", "metal-core", "reqwest"]),
    ("metal-ignition", &["kube", "k8s-openapi", "metal-api", "tokio"]),
    ("metal-image", &["kube-client", "kube-runtime", "metal-api"]),
    ("metal-machine", IMPURE),
    ("metal-rented", &["kube", "k8s-openapi", "metal-api", "tokio"]),
    ("metal-wire", &["kube", "k8s-openapi", "metal-api", "tokio"]),
    ("metal-text", &["kube", "k8s-openapi", "metal-api", "tokio"]),
    // What decides about a Machine can change without affecting these, and so can DHCP.
    ("metal-operator", &["metal-dhcp", "metal-machine"]),
    ("boot-operator", &["metal-dhcp", "metal-machine"]),
    ("netboot", &["metal-machine"]),
    ("hosts", &["metal-dhcp", "metal-ignition", "metal-machine"]),
    ("metal-agent", &["kube", "k8s-openapi", "metal-api", "metal-core", "reqwest"]),
    ("metal-host", &["kube", "k8s-openapi", "metal-api", "metal-core"]),
    ("metalprobe", &["kube-client", "kube-runtime", "metal-core"]),
    (
        "metal-simulator",
        &["kube-client", "kube-runtime", "metal-bmc", "metal-core", "metal-runtime"],
    ),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    source: Option<String>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
}

#[test]
fn a_crate_does_not_know_what_it_must_not_know() {
    for (name, foreign) in APART {
        let known = tree(&["--package", name, "--edges", "normal"]);
        assert!(known.contains(*name));
        let wrong: Vec<_> = foreign.iter().filter(|foreign| known.contains(**foreign)).collect();
        assert!(
            wrong.is_empty(),
            "{name} depends on {wrong:?}; see `cargo tree -p {name} -i CRATE`"
        );
    }
}

#[test]
fn every_test_that_the_security_page_names_is_there() {
    let page = fs::read_to_string(workspace().join("docs/security.md")).unwrap();
    let sources = sources(&["agent", "crds", "e2e", "operators"].map(|it| workspace().join(it)));
    // Names of tests are sentences in backticks.
    let named = page.split('`').skip(1).step_by(2).filter(|text| text.matches('_').count() > 3);
    let named: BTreeSet<_> = named.collect();
    assert!(named.len() > 20, "{named:?}");
    let missing: Vec<_> =
        named.into_iter().filter(|name| !sources.contains(&format!("fn {name}()"))).collect();
    assert!(missing.is_empty(), "docs/security.md names tests that are not there: {missing:#?}");
}

#[test]
fn every_row_of_the_security_page_names_a_test() {
    let page = fs::read_to_string(workspace().join("docs/security.md")).unwrap();
    let all: Vec<_> = tables(&page).collect();
    assert!(all.len() > 8 && all.iter().map(Vec::len).sum::<usize>() > 100, "{}", all.len());
    for table in all {
        let (head, rows) = (&table[0], &table[2..]);
        let last = head.last().unwrap();
        assert!(last.starts_with("test"), "a table of docs/security.md without tests: {head:?}");
        for row in rows {
            assert_eq!(row.len(), head.len(), "{row:?}");
            let named = row.last().unwrap();
            assert!(named.matches('_').count() > 3, "no test: {row:?}");
        }
    }
}

/// The tables of a page, each as its rows of cells; the second row is the line below the heads.
fn tables(page: &str) -> impl Iterator<Item = Vec<Vec<&str>>> {
    let mut lines = page.lines().peekable();
    std::iter::from_fn(move || {
        while lines.next_if(|line| !line.starts_with('|')).is_some() {}
        let mut table = vec![];
        while let Some(line) = lines.next_if(|line| line.starts_with('|')) {
            table.push(line.trim_matches('|').split('|').map(str::trim).collect());
        }
        Some(table).filter(|table| !table.is_empty())
    })
}

/// All sources below these folders, concatenated.
fn sources(folders: &[PathBuf]) -> String {
    source_files(folders).iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// All sources below these folders.
fn source_files(folders: &[PathBuf]) -> Vec<PathBuf> {
    let files = folders.iter().flat_map(|folder| files_below(folder).unwrap());
    files.filter(|path| path.extension().is_some_and(|it| it == "rs")).collect()
}

#[test]
fn nothing_but_the_end_to_end_tests_depends_on_a_binary() {
    let binaries = [
        "boot-operator",
        "hosts",
        "kubectl-metal",
        "metal-agent",
        "metal-host",
        "metal-installer",
        "metal-operator",
        "metalman",
        "metalprobe",
        "netboot",
    ];
    let ours = metadata().packages.into_iter().filter(|package| package.source.is_none());
    // What both do as the first process of an image is in the library of the one that came first.
    let shares = |name: &str, with: &str| (name, with) == ("metal-installer", "metalprobe");
    for package in ours.filter(|package| package.name != "e2e") {
        let mut known = package.dependencies.iter().filter(|it| !shares(&package.name, &it.name));
        let wrong = known.find(|it| binaries.contains(&&*it.name));
        assert_eq!(wrong.map(|it| &it.name), None, "of {}", package.name);
    }
}

/// Names of the crates that `cargo tree` lists for this platform.
fn tree(args: &[&str]) -> BTreeSet<String> {
    let printed =
        cargo(&[&["tree", "--locked", "--prefix", "none", "--format", "{p}"], args].concat());
    let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
    printed.lines().filter_map(first).collect()
}

fn metadata() -> Metadata {
    // Crates for other platforms are in the lock file, but in no binary.
    let platform = ["--filter-platform", "x86_64-unknown-linux-gnu"];
    let printed =
        cargo(&[&["metadata", "--locked", "--format-version", "1"], &platform[..]].concat());
    serde_json::from_str(&printed).unwrap()
}

/// The folders of our crates.
fn crates() -> Vec<PathBuf> {
    let printed = cargo(&["metadata", "--locked", "--no-deps", "--format-version", "1"]);
    let metadata: Metadata = serde_json::from_str(&printed).unwrap();
    let folder = |package: &Package| package.manifest_path.parent().unwrap().to_owned();
    let folders: Vec<_> = metadata.packages.iter().map(folder).collect();
    assert!(folders.iter().any(|it| it.ends_with("operators/core")), "{folders:?}");
    folders
}

fn cargo(args: &[&str]) -> String {
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let output = Command::new(cargo).args(args).current_dir(workspace()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
