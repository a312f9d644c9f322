//! Variables of the firmware in the kernel's efivarfs.

use super::{BootVariables, Change, Loader, load_option, plan};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Of the variables of UEFI itself.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Non-volatile, and accessible both before and after the operating system has started.
const ATTRIBUTES: [u8; 4] = [7, 0, 0, 0];
/// No variable that we need is larger.
const LARGEST: u64 = 64 << 10;

/// Why there is no boot entry.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VariableError {
    /// A variable cannot be read, written or removed.
    #[error("the firmware's variable {0} cannot be {1}")]
    Variable(String, &'static str, #[source] io::Error),
    /// All 65,536 numbers are taken.
    #[error("the firmware has no room for another boot entry")]
    Full,
}

/// Makes a loader what the firmware starts first.
///
/// # Errors
///
/// If the firmware refuses, or `BootOrder` cannot be read. What was there before still boots then.
pub(crate) fn register(
    folder: &Path,
    label: &str,
    loader: Loader<'_>,
) -> Result<(), VariableError> {
    let option = load_option(label, loader);
    let changes = plan(&known(folder)?, label, &option).ok_or(VariableError::Full)?;
    for change in changes {
        apply(folder, &change)?;
    }
    Ok(())
}

fn known(folder: &Path) -> Result<BootVariables, VariableError> {
    let unread = |name: &str| {
        let name = name.to_owned();
        move |error| VariableError::Variable(name, "read", error)
    };
    let mut known = BootVariables::default();
    for entry in fs::read_dir(folder).map_err(unread("BootOrder"))? {
        let name = entry.map_err(unread("BootOrder"))?.file_name().to_string_lossy().into_owned();
        let Some(short) = name.strip_suffix(GLOBAL).and_then(|it| it.strip_suffix('-')) else {
            continue;
        };
        let Some(rest) = short.strip_prefix("Boot") else { continue };
        if rest == "Order" {
            let value = read(&folder.join(&name)).map_err(unread(short))?;
            known.order =
                value.as_chunks().0.iter().map(|number| u16::from_le_bytes(*number)).collect();
        } else if let Some(number) = number(rest) {
            // An option that cannot be read keeps its number and its place; its label is unknown.
            let value = read(&folder.join(&name)).unwrap_or_else(|error| {
                tracing::warn!(variable = short, %error, "a boot entry cannot be read");
                vec![]
            });
            known.options.insert(number, value);
        }
    }
    Ok(known)
}

/// Four hexadecimal digits in capitals.
fn number(text: &str) -> Option<u16> {
    let is_digit = |c: u8| c.is_ascii_digit() || (b'A'..=b'F').contains(&c);
    let is_number = text.len() == 4 && text.bytes().all(is_digit);
    is_number.then(|| u16::from_str_radix(text, 16).ok()).flatten()
}

/// The value, without its attributes.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = vec![];
    File::open(path)?.take(LARGEST).read_to_end(&mut content)?;
    Ok(content.split_off(content.len().min(ATTRIBUTES.len())))
}

fn apply(folder: &Path, change: &Change) -> Result<(), VariableError> {
    let path = |name: &str| folder.join(format!("{name}-{GLOBAL}"));
    let wrong = |name: String, what| move |error| VariableError::Variable(name, what, error);
    match change {
        Change::Option(number, option) => {
            let name = format!("Boot{number:04X}");
            write(path(&name), option).map_err(wrong(name, "written"))
        }
        Change::Order(order) => {
            let value: Vec<u8> = order.iter().flat_map(|number| number.to_le_bytes()).collect();
            write(path("BootOrder"), &value).map_err(wrong("BootOrder".to_owned(), "written"))
        }
        Change::Remove(number) => {
            let name = format!("Boot{number:04X}");
            fs::remove_file(path(&name)).map_err(wrong(name, "removed"))
        }
    }
}

/// The kernel takes a variable in one piece, and knows no truncation.
fn write(path: PathBuf, value: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    let whole = [&ATTRIBUTES, value].concat();
    if file.write(&whole)? == whole.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpt::Partition;

    #[test]
    fn an_entry_is_registered_first_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, value: &[u8]| {
            fs::write(
                folder.path().join(format!("{name}-{GLOBAL}")),
                [&ATTRIBUTES, value].concat(),
            )
            .unwrap();
        };
        put("BootOrder", &[1, 0, 0x0a, 0]);
        put("Boot000A", &[1, 0, 0, 0, 0, 0, b'x', 0, 0, 0]);
        put("Boot0001", &[]);
        put("BootCurrent", &[1, 0]);
        fs::write(folder.path().join("Boot0000-00000000-0000-0000-0000-000000000000"), b"other")
            .unwrap();
        let partition = Partition { number: 1, kind: [0; 16], guid: [1; 16], first: 1, last: 2 };
        let loader = Loader { partition, path: r"\A" };
        for _ in 0..2 {
            register(folder.path(), "node-01", loader).unwrap();
            let known = known(folder.path()).unwrap();
            assert_eq!(known.order, [0, 1, 10]);
            assert_eq!(known.options[&0], load_option("node-01", loader));
            assert_eq!(known.options.len(), 3);
        }
        let raw = fs::read(folder.path().join(format!("BootOrder-{GLOBAL}"))).unwrap();
        assert_eq!(raw, [7, 0, 0, 0, 0, 0, 1, 0, 10, 0]);
    }

    #[test]
    fn an_entry_that_cannot_be_read_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        // A folder is not read.
        fs::create_dir(folder.path().join(format!("Boot0000-{GLOBAL}"))).unwrap();
        let partition = Partition { number: 1, kind: [0; 16], guid: [1; 16], first: 1, last: 2 };
        let loader = Loader { partition, path: r"\A" };
        register(folder.path(), "node-01", loader).unwrap();
        let known = known(folder.path()).unwrap();
        assert_eq!(known.order, [1]);
        assert_eq!(known.options[&1], load_option("node-01", loader));
    }

    #[test]
    fn a_variable_that_cannot_be_read_is_named() {
        let error = register(
            Path::new("/nowhere"),
            "a",
            Loader {
                partition: Partition { number: 1, kind: [0; 16], guid: [0; 16], first: 1, last: 1 },
                path: r"\A",
            },
        );
        assert!(error.unwrap_err().to_string().contains("BootOrder"));
        assert_eq!(number("000A"), Some(10));
        assert!(["000a", "+00A", "0A", "Next"].iter().all(|it| number(it).is_none()));
    }
}
