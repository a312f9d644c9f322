//! Reads the files of a FeDHCP configuration.

use anyhow::{Context, Result, bail};
use metal_fedhcp::{Conversion, File, Main, SubnetArgument, TargetPaths};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

/// The name of the main file in a folder.
const MAIN: &[&str] = &["config.yaml", "config.yml"];
/// Largest file that is read.
const LARGEST: u64 = 1 << 20;

/// Reads the main file, or the one in a folder, and the files that it refers to, and converts them.
pub(super) fn convert(
    path: &Path,
    interfaces: Vec<String>,
    subnets: Vec<SubnetArgument>,
) -> Result<Conversion> {
    let path = main_file(path)?;
    let main = Main::parse(&path.display().to_string(), &read(&path)?)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files = Vec::new();
    for name in main.files() {
        // A missing file is reported with the line that names it.
        if let Some(path) = find(folder, name) {
            files.push(File { name: name.to_owned(), text: read(&path)? });
        }
    }
    Ok(metal_fedhcp::convert(&main, &files, &TargetPaths { interfaces, subnets })?)
}

fn main_file(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    match MAIN.iter().map(|name| path.join(name)).find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!(
            "{}: contains no {}; specify the main file",
            path.display(),
            MAIN.join(" and no ")
        ),
    }
}

/// The path in the main file; if that was copied from elsewhere, the file is most likely next to
/// it.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let beside = Path::new(name).file_name().map(|name| folder.join(name));
    let candidates = [Some(folder.join(name)), beside];
    candidates.into_iter().flatten().find(|path| path.is_file())
}

fn read(path: &Path) -> Result<String> {
    let mut text = String::new();
    let file = fs::File::open(path).with_context(|| format!("{}: not readable", path.display()))?;
    file.take(LARGEST + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("{}: not a text file", path.display()))?;
    if text.len() as u64 > LARGEST {
        bail!("{}: larger than 1 MiB; specify a configuration file of FeDHCP", path.display());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_dhcp::config::Config;

    #[test]
    fn files_are_found_where_they_are_named_or_beside_the_main_file() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let plugins = "- ntp: /etc/fedhcp/ntp.yaml\n  - leases: sub/leases.yaml\n";
        let main = format!("server4:\n  listen: '%eth1'\n  plugins:\n  {plugins}");
        write("config.yml", &main);
        write("ntp.yaml", "servers: [10.0.0.5]\n");
        let subnets = || vec!["10.0.0.0/24=10.0.0.10-10.0.0.20".parse().unwrap()];
        let missing = convert(folder.path(), vec![], subnets()).unwrap_err().to_string();
        assert!(
            missing.contains("line 5: server4.leases: its file `sub/leases.yaml`"),
            "{missing}"
        );
        fs::create_dir(folder.path().join("sub")).unwrap();
        write("sub/leases.yaml", "namespace: a\n");
        let Conversion { yaml, notes } = convert(folder.path(), vec![], subnets()).unwrap();
        let config = Config::parse(&yaml).unwrap();
        assert_eq!((config.interfaces, config.subnets[0].ntp.len()), (vec!["eth1".to_owned()], 1));
        assert_eq!(notes.len(), 1);
    }

    #[test]
    fn what_is_no_configuration_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = |path: &Path| format!("{:#}", convert(path, vec![], vec![]).unwrap_err());
        assert!(
            error(folder.path())
                .ends_with("contains no config.yaml and no config.yml; specify the main file")
        );
        assert!(error(&folder.path().join("a")).contains("/a: not readable: "));
        let large = folder.path().join("large");
        fs::File::create(&large).unwrap().set_len(2 * LARGEST).unwrap();
        assert!(error(&large).contains("larger than 1 MiB"));
    }
}
