//! Loads drivers: the kernel names its devices, and the image has the modules for them.
//!
//! `modules.alias` says which module drives which device, `modules.dep` what it depends on. The
//! builder of the image has sorted dependencies, including soft ones, so nothing is resolved here.

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
/// Devices are not nested deeper, however many bridges are in between.
const DEPTH: usize = 24;
/// Drivers reveal devices that need further drivers.
const ROUNDS: usize = 8;

/// The kernel refused a module.
#[derive(Debug, thiserror::Error)]
#[error("could not load the driver {name}")]
pub(super) struct LoadError {
    name: String,
    source: io::Error,
}

/// The modules of the image.
#[derive(Debug, Default)]
pub(super) struct Drivers {
    /// Pattern and module name, in the order of the file.
    aliases: Vec<(String, String)>,
    /// Paths per module, in load order.
    paths: BTreeMap<String, Vec<String>>,
    /// Modules for every machine.
    always: Vec<String>,
    /// Paths already tried: a module that was refused once will be refused again.
    tried: BTreeSet<String>,
    /// Devices already looked at.
    seen: BTreeSet<String>,
}

impl Drivers {
    /// Reads the image's modules for the running kernel.
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

    /// Loads drivers for the devices present; returns the names of the modules loaded.
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

    /// Paths of modules that are needed and were not tried yet, in load order.
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

/// Module names treat `-` and `_` alike.
fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// The kernel's names for its devices, without duplicates.
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
        // Already loaded, or the machine does not have the device.
        Ok(()) | Err(Errno::EEXIST | Errno::ENODEV) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
