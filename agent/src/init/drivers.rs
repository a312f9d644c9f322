//! Drivers: the kernel names its devices, and the image carries modules that know them.
//!
//! `modules.alias` says which module is for which device, `modules.dep` what it needs. The image's
//! builder puts dependencies in order, soft ones included, so that nothing is resolved here.

mod alias;

use crate::root::Root;
use alias::matches;
use nix::{
    errno::Errno,
    kmod::{ModuleInitFlags, finit_module},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
};

const DEVICES: &str = "/sys/devices";
const MODULES: &str = "/lib/modules";
/// No device is deeper, however many bridges it is behind.
const DEPTH: usize = 24;
/// A driver finds devices that need drivers that find devices.
const ROUNDS: usize = 8;

/// A module that the kernel does not take.
#[derive(Debug, thiserror::Error)]
#[error("driver {name} cannot be loaded")]
pub(super) struct LoadError {
    name: String,
    source: io::Error,
}

/// The modules of the image.
#[derive(Debug, Default)]
pub(super) struct Drivers {
    /// Pattern and name, in the order of the file.
    aliases: Vec<(String, String)>,
    /// Name to paths, in the order in which they are loaded.
    paths: BTreeMap<String, Vec<String>>,
    /// Names that every machine gets.
    always: Vec<String>,
    /// What was tried: a module that was refused once is refused again.
    tried: BTreeSet<String>,
    /// Names of devices that were looked at.
    seen: BTreeSet<String>,
}

impl Drivers {
    /// Reads what the image has for the kernel that runs.
    pub(super) fn read(root: &Root) -> Self {
        let release = root.word("/proc/sys/kernel/osrelease").unwrap_or_default();
        let file = |name: &str| format!("{MODULES}/{release}/{name}");
        let text = |name: &str| root.text(&file(name)).unwrap_or_default();
        let folder = format!("{MODULES}/{release}");
        Self {
            aliases: text("modules.alias").lines().filter_map(alias_line).collect(),
            paths: text("modules.dep").lines().filter_map(|it| path_line(&folder, it)).collect(),
            always: text("modules.always").split_whitespace().map(str::to_owned).collect(),
            ..Self::default()
        }
    }

    /// Loads what the devices need that are there now; returns the names of what was loaded.
    pub(super) fn load(&mut self, root: &Root) -> (Vec<String>, Vec<LoadError>) {
        let (mut loaded, mut errors) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let wanted = self.wanted(root);
            if wanted.is_empty() {
                break;
            }
            for path in wanted {
                match insert(root, &path) {
                    Ok(()) => loaded.push(stem(&path)),
                    Err(source) => errors.push(LoadError { name: stem(&path), source }),
                }
            }
        }
        (loaded, errors)
    }

    /// Paths of modules that are wanted and were not tried yet, in order.
    fn wanted(&mut self, root: &Root) -> Vec<String> {
        let mut names = std::mem::take(&mut self.always);
        for device in devices(root) {
            if self.seen.insert(device.clone()) {
                let known = self.aliases.iter().filter(|(pattern, _)| matches(pattern, &device));
                names.extend(known.map(|(_, name)| name.clone()));
            }
        }
        let paths = names.iter().filter_map(|name| self.paths.get(name)).flatten();
        paths.filter(|path| self.tried.insert((*path).clone())).cloned().collect()
    }
}

/// `alias PATTERN NAME`.
fn alias_line(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    let (Some("alias"), Some(pattern), Some(name)) = (words.next(), words.next(), words.next())
    else {
        return None;
    };
    Some((pattern.to_owned(), canonical(name)))
}

/// `PATH: PATH..`, of which the last is loaded first.
fn path_line(folder: &str, line: &str) -> Option<(String, Vec<String>)> {
    let (path, needs) = line.split_once(':')?;
    let order = needs.split_whitespace().rev().chain([path]);
    Some((stem(path), order.map(|path| format!("{folder}/{path}")).collect()))
}

/// Name of the module in a file.
fn stem(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    canonical(name.split('.').next().unwrap_or(name))
}

/// Modules are called by either sign.
fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// What the kernel calls its devices, once each.
fn devices(root: &Root) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![(DEVICES.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        found.extend(root.word(&format!("{folder}/modalias")));
        if depth < DEPTH {
            let inner = root.folders(&folder).into_iter();
            folders.extend(inner.map(|name| (format!("{folder}/{name}"), depth + 1)));
        }
    }
    found
}

fn insert(root: &Root, path: &str) -> io::Result<()> {
    let module = File::open(root.below(path))?;
    match finit_module(module, c"", ModuleInitFlags::empty()) {
        // There already, or a driver whose device this machine does not have.
        Ok(()) | Err(Errno::EEXIST | Errno::ENODEV) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
