//! What the pages for users refer to exists.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use e2e::{cluster::workspace, files::files_below};
use regex::Regex;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A page: its path from the root of the repository, and its text.
struct Page {
    path: String,
    text: String,
}

#[test]
fn every_link_of_a_page_leads_to_a_page_and_its_heading() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut wrong = vec![];
    for Page { path, text } in pages() {
        let targets = link.captures_iter(&text).map(|link| link[1].to_owned());
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
            let folder = Path::new(&path).parent().unwrap();
            let file = if file.is_empty() { PathBuf::from(&path) } else { folder.join(file) };
            let text = fs::read_to_string(workspace().join(&file)).unwrap_or_default();
            let is_there = workspace().join(&file).exists();
            if !is_there || !(heading.is_empty() || headings(&text).contains(heading)) {
                wrong.push(format!("{path}: {target}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_metric_and_flag_that_a_page_names_is_in_the_reference() {
    let reference = text_of("docs/reference");
    // Scripts, tools and the simulator have flags that are not the operators'.
    let simulator = text_of("e2e/simulator/src").replace("pub dialect", "--dialect");
    let others = text_of("hack") + &text_of("operators") + &simulator;
    // What runs on machines has no page of its own.
    let agents = text_of("agent");
    let field = |flag: &str| format!("pub {}:", flag.trim_start_matches('-').replace('-', "_"));
    let metric =
        Regex::new(r"\b(?:metal_operator|boot_operator|netboot|metalman)_[a-z0-9_]+").unwrap();
    let flag = Regex::new(r"^--[a-z][a-z0-9-]+").unwrap();
    let mut wrong = vec![];
    for Page { path, text } in pages() {
        for code in inline_code(&text) {
            let metrics = metric.find_iter(code).filter(|_| !is_sentence(code));
            let missing = metrics.filter(|it| !reference.contains(&format!("`{}`", it.as_str())));
            wrong.extend(missing.map(|it| format!("{path}: {}", it.as_str())));
            let named = flag.find(code).map(|it| it.as_str());
            let missing = named.filter(|it| !reference.contains(it) && !others.contains(it));
            let missing = missing.filter(|it| !agents.contains(&field(it)));
            wrong.extend(missing.map(|it| format!("{path}: {it}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_and_annotation_that_a_page_names_is_there() {
    let file =
        Regex::new(r"^(?:operators|agent|crds|e2e|hack|docs|config|bases)/[\w./-]+$").unwrap();
    let annotation = Regex::new(r"\b(?:metal\.ironcore|bloomery)\.dev/[a-z][a-z-]+").unwrap();
    let ours = text_of("crds/src") + &text_of("bases") + &text_of("config");
    let mut wrong = vec![];
    for Page { path, text } in pages() {
        for code in inline_code(&text) {
            if file.is_match(code) && !workspace().join(code).exists() {
                wrong.push(format!("{path}: {code}"));
            }
            let named = annotation.find_iter(code).map(|it| it.as_str());
            // After a group comes its version.
            let named = named.filter(|it| !it.contains("/v1"));
            let missing = named.filter(|it| !ours.contains(it));
            wrong.extend(missing.map(|it| format!("{path}: {it}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_alert_says_what_to_do_and_which_page_has_more() {
    let page = Regex::new(r"\n +docs: (docs/[\w-]+\.md)#([\w-]+)\n").unwrap();
    let config = text_of("config");
    let alerts: Vec<_> = config.split("- alert: ").skip(1).collect();
    assert!(alerts.len() > 20, "{}", alerts.len());
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        assert!(alert.contains("severity: ") && alert.contains("description: "), "{name}");
        let is_there = page.captures(alert).is_some_and(|named| {
            let text = fs::read_to_string(workspace().join(&named[1])).unwrap_or_default();
            headings(&text).contains(&named[2])
        });
        assert!(is_there, "{name}: its page");
    }
}

/// All pages except generated ones.
fn pages() -> Vec<Page> {
    let docs = fs::read_dir(workspace().join("docs")).unwrap();
    let docs = docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().display()));
    let root = ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(str::to_owned);
    let pages: Vec<_> = root
        .into_iter()
        .chain(docs.filter(|path| Path::new(path).extension().is_some_and(|it| it == "md")))
        .map(|path| Page { text: fs::read_to_string(workspace().join(&path)).unwrap(), path })
        .collect();
    assert!(pages.len() > 10);
    pages
}

/// The text between backticks, within a line.
fn inline_code(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter(|line| !line.starts_with("```"));
    lines.flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// Whether it looks like the name of a test.
fn is_sentence(code: &str) -> bool {
    code.split('_').count() > 6 && !code.contains('{')
}

/// The anchors of a page's headings.
fn headings(text: &str) -> BTreeSet<String> {
    let plain = |heading: &str| {
        let kept = heading.trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().replace(' ', "-")
    };
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| plain(line.trim_start_matches('#'))).collect()
}

/// The concatenated files below a folder of the repository.
fn text_of(folder: &str) -> String {
    let files = files_below(&workspace().join(folder)).unwrap();
    files.iter().map(|path| fs::read_to_string(path).unwrap_or_default()).collect()
}
