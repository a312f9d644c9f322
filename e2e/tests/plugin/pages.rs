//! The pages about metalman, followed as they stand: each of their commands is carried out, and each of their
//! documents is taken by the API server. What a reader replaces by something of their own is in a table, and a
//! command that is in none is an error.

use crate::site::Site;
use anyhow::{Context, Result, bail, ensure};
use e2e::{
    cluster::{unique, workspace},
    kubelet::Kubelet,
};
use serde_json::{Value, json};
use std::{fs, net::Ipv4Addr, path::PathBuf};

/// The pages, in the order in which somebody follows them: what removes a machine comes last.
const PAGES: [&str; 6] = [
    "metalman-sites",
    "metalman-first-node",
    "metalman-images",
    "metalman-tpm",
    "metalman-network",
    "metalman-repave",
];
/// Programs that build images or systems, which other tests do.
const ELSEWHERE: [&str; 4] = ["tpm2_pcrread", "docker", "install", "systemctl"];
/// What stands for something that a reader has.
const SHORTENED: [(&str, &str); 3] = [
    ("65caf8dd1e0ea7a6...", "65caf8dd1e0ea7a6c347b635d2b379c93b9a1351edc2afc3ecda700e534eb306"),
    ("5f0c...", "5f0c2b6c1d8d3c7e9a40b1f7c5d6e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"),
    // Nobody installs it.
    (" --install", ""),
];

#[tokio::test]
async fn each_command_and_document_of_the_pages_about_metalman_is_taken_as_it_stands() {
    let reader = Reader::new().await.unwrap();
    let (mut commands, mut documents) = (0, 0);
    for page in PAGES {
        let path = workspace().join(format!("docs/{page}.md"));
        let text = fs::read_to_string(path).unwrap();
        for block in blocks(&text) {
            let done = match block.split_whitespace().next() {
                Some("apiVersion:" | "spec:") => {
                    documents += 1;
                    reader.has_taken(&block).await
                }
                // Overlays are built by the tests of kustomize.
                Some("resources:" | "#") => Ok(()),
                _ => {
                    commands += 1;
                    reader.follow(&block).await
                }
            };
            done.with_context(|| format!("{page}: {block}")).unwrap();
        }
    }
    assert!(commands > 12 && documents > 3, "{commands} {documents}");
}

#[test]
fn every_block_of_the_pages_is_read_as_a_shell_or_a_parser_does() {
    for page in PAGES {
        let path = workspace().join(format!("docs/{page}.md"));
        for block in blocks(&fs::read_to_string(path).unwrap()) {
            if block.starts_with("apiVersion:") || block.starts_with("spec:") {
                serde_saphyr::from_str::<Value>(&block).unwrap();
            } else if !block.starts_with("resources:") && !block.starts_with('#') {
                for words in commands(&block).unwrap() {
                    let is_known = words[0] == "kubectl" || is_elsewhere(&words[0]);
                    assert!(is_known, "{page}: {words:?}");
                }
            }
        }
    }
    let read = commands("a 'b c' \\\n  \"d\"'e'  # f\n\ng=\"h i\"j '' \n").unwrap();
    assert_eq!(read, [vec!["a", "b c", "de"], vec!["g=h ij", ""]]);
    assert!(commands("a 'b\n").is_err());
}

fn is_elsewhere(program: &str) -> bool {
    program.starts_with("hack/") || ELSEWHERE.contains(&program)
}

/// Somebody with a machine, a site, and a node in it.
struct Reader {
    site: Site,
    /// What is theirs, by what the pages say.
    own: Vec<(&'static str, String)>,
    machine: String,
}

impl Reader {
    async fn new() -> Result<Self> {
        let site = Site::new().await?;
        let (machine, worker, name) = (unique("node"), unique("worker"), unique("rack"));
        let password = site.cluster.scratch().join(unique("password"));
        fs::write(&password, "secret\n")?;
        for (name, last) in [(&machine, 1), (&worker, 2)] {
            let address = Ipv4Addr::new(10, 22, 9, last);
            Kubelet::new(name, address.into()).report(&site.client).await?;
        }
        let own = vec![
            ("node-01", machine.clone()),
            ("worker-1", worker),
            ("rack-a", name),
            ("ann-machines", unique("ann-machines")),
            ("ann-passwords", unique("ann-passwords")),
            ("bmc-password", password.display().to_string()),
        ];
        Ok(Self { site, own, machine })
    }

    /// The same text about what is theirs.
    fn theirs(&self, text: &str) -> String {
        let shortened =
            SHORTENED.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        self.own.iter().fold(shortened, |text, (from, to)| text.replace(from, to))
    }

    /// Carries out the commands of a block.
    async fn follow(&self, block: &str) -> Result<()> {
        for words in commands(&self.theirs(block))? {
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            match &words[..] {
                ["kubectl", "metal", "machine", verb @ ("reboot" | "repave"), rest @ ..] => {
                    // metalman has counted it.
                    let counted =
                        json!({ "operations": { "rebootCounter": 0, "repaveCounter": 0 } });
                    self.site.says(&self.machine, counted).await?;
                    self.plugin(&[&["machine", verb], rest, &["--wait=false"]].concat()).await?;
                }
                ["kubectl", "metal", rest @ ..] => self.plugin(rest).await?,
                ["kubectl", rest @ ..] => {
                    if let ["create", "secret", "generic", name, "-n", namespace, ..] = rest {
                        // The page is about a machine that was registered without a BMC.
                        let delete =
                            ["-n", namespace, "delete", "secret", name, "--ignore-not-found"];
                        self.site.cluster.kubectl(&delete).await?;
                    }
                    self.site.cluster.kubectl(rest).await?;
                }
                [program, ..] if is_elsewhere(program) => {}
                _ => bail!("{words:?} is a command that nobody has tried"),
            }
        }
        Ok(())
    }

    async fn plugin(&self, args: &[&str]) -> Result<()> {
        let printed = self.site.plugin(args).await?;
        ensure!(printed.code == Some(0), "{printed:?}");
        Ok(())
    }

    /// Has the API server look at a document: a whole object, or what is set in the Machine of the reader.
    async fn has_taken(&self, block: &str) -> Result<()> {
        let mut document: Value = serde_saphyr::from_str(&self.theirs(block))?;
        if let Some(name) = document.pointer_mut("/metadata/name") {
            // One more: the machine of the reader is there by another way.
            *name = json!(unique("page"));
        }
        let file = self.write(&document)?;
        let file = file.to_str().context("no UTF-8")?;
        let args = if document["apiVersion"].is_string() {
            vec!["apply", "--server-side", "--dry-run=server", "-f", file]
        } else {
            vec![
                "patch",
                "machine",
                &self.machine,
                "--type=merge",
                "--dry-run=server",
                "--patch-file",
                file,
            ]
        };
        self.site.cluster.kubectl(&args).await?;
        Ok(())
    }

    fn write(&self, document: &Value) -> Result<PathBuf> {
        let path = self.site.cluster.scratch().join(format!("{}.json", unique("page")));
        fs::write(&path, document.to_string())?;
        Ok(path)
    }
}

/// What a page shows as a block: lines that are indented, or stand between fences.
fn blocks(text: &str) -> Vec<String> {
    let mut all: Vec<Vec<&str>> = vec![vec![]];
    let mut is_fenced = false;
    for line in text.lines() {
        let is_fence = line.starts_with("```");
        is_fenced ^= is_fence;
        let shown = if is_fenced { Some(line) } else { line.strip_prefix("    ") };
        match (shown.filter(|_| !is_fence), all.last_mut()) {
            (Some(line), Some(block)) => block.push(line),
            _ => all.push(vec![]),
        }
    }
    all.retain(|block| !block.is_empty());
    all.into_iter().map(|lines| lines.join("\n") + "\n").collect()
}

/// The words of each command, as a shell reads them, as far as the pages use that: quotes, lines that go on, and
/// comments.
fn commands(block: &str) -> Result<Vec<Vec<String>>> {
    let (mut all, mut words, mut word) = (vec![], vec![], None::<String>);
    let mut quote = None;
    let mut letters = block.chars().peekable();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(end), _) if letter == end => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '\\') if letters.next_if_eq(&'\n').is_some() => {}
            (None, '#') if word.is_none() => while letters.next_if(|it| *it != '\n').is_some() {},
            (None, '\n') => {
                words.extend(word.take());
                all.push(std::mem::take(&mut words));
            }
            (None, _) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    ensure!(quote.is_none(), "a quote has no end");
    all.retain(|words| !words.is_empty());
    Ok(all)
}
