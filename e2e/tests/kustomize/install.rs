//! The site of docs/install.md: with every component, and what a change of its files replaces.

use crate::{OVERLAYS, parts::site};
use e2e::{cluster::workspace, stack::Overlay};
use futures::future::{join, join_all};
use serde_json::Value;
use std::fs;

/// Components that need no more than a line in the site.
const COMPONENTS: &str = "components: [CONFIG/https, CONFIG/secret-watch, CONFIG/boot-urls]\n";

/// The files of a site; the pods read all of them again but the last one, which has their flags.
const CHANGED: [&str; 3] = ["netboot.yaml", "macdb.yaml", "site.env"];
/// The files of a site, by their names.
type Files = [(&'static str, String); 3];

#[tokio::test]
async fn the_site_of_the_page_takes_components_with_objects_in_other_namespaces() {
    for overlay in OVERLAYS {
        let site = built(&(page(overlay) + COMPONENTS), &files(overlay)).await;
        let role = site.named("Role", "netboot-boot-urls").unwrap();
        assert_eq!(role["metadata"]["namespace"], "netboot-boot-urls", "{overlay}");
    }
}

#[tokio::test]
async fn a_change_of_a_file_that_is_read_again_replaces_no_pod() {
    for overlay in OVERLAYS {
        let (page, before) = (page(overlay), files(overlay));
        let after = CHANGED.map(|file| changed(&before, file));
        let after = join_all(after.iter().map(|files| built(&page, files)));
        let (first, after) = join(built(&page, &before), after).await;
        for (file, second) in CHANGED.iter().zip(&after) {
            assert_ne!(first.yaml, second.yaml, "{overlay}: {file} is installed");
            let are_kept = deployments(&first) == deployments(second);
            assert_eq!(are_kept, *file != "site.env", "{overlay}: {file}: flags need a new pod");
        }
    }
}

/// The site that the page shows, on this overlay.
fn page(overlay: &str) -> String {
    let page = fs::read_to_string(workspace().join("docs/install.md")).unwrap();
    let mut blocks = page.split("```yaml\n").filter_map(|block| Some(block.split_once("```")?.0));
    let site = blocks.find(|block| block.starts_with("apiVersion: kustomize.config")).unwrap();
    site.replace("../config/default", &format!("CONFIG/{overlay}"))
}

fn files(overlay: &str) -> Files {
    let folder = workspace().join("config").join(overlay);
    CHANGED.map(|file| (file, fs::read_to_string(folder.join(file)).unwrap()))
}

/// The same, with another line in one of them.
fn changed(files: &Files, changed: &str) -> Files {
    let mut files = files.clone();
    let (_, text) = files.iter_mut().find(|(file, _)| *file == changed).unwrap();
    text.push_str(if changed == "site.env" { "ANOTHER=1\n" } else { "# another line\n" });
    files
}

async fn built(text: &str, files: &Files) -> Overlay {
    site(text, &files.each_ref().map(|(file, text)| (*file, text.as_str()))).await
}

fn deployments(overlay: &Overlay) -> Vec<&Value> {
    overlay.of("Deployment").collect()
}
