//! Positions in a text.

use super::fault::Step;
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::HashMap, fmt};

/// Names that may appear in paths: all fields of all versions. Anything else may be a value in the
/// wrong place, such as a password.
const NAMES: &[&str] = &[
    "advertisement",
    "append",
    "certificateAuthorities",
    "cex",
    "clevis",
    "compression",
    "config",
    "contents",
    "custom",
    "device",
    "devices",
    "directories",
    "discard",
    "disks",
    "dropins",
    "enabled",
    "files",
    "filesystems",
    "format",
    "gecos",
    "gid",
    "group",
    "groups",
    "guid",
    "hard",
    "hash",
    "homeDir",
    "httpHeaders",
    "httpProxy",
    "httpResponseHeaders",
    "httpTotal",
    "httpsProxy",
    "id",
    "ignition",
    "kernelArguments",
    "keyFile",
    "label",
    "level",
    "links",
    "luks",
    "mask",
    "merge",
    "mode",
    "mountOptions",
    "name",
    "needsNetwork",
    "noCreateHome",
    "noLogInit",
    "noProxy",
    "noUserGroup",
    "number",
    "openOptions",
    "options",
    "overwrite",
    "partitions",
    "passwd",
    "passwordHash",
    "path",
    "pin",
    "primaryGroup",
    "proxy",
    "raid",
    "replace",
    "resize",
    "security",
    "shell",
    "shouldExist",
    "shouldNotExist",
    "sizeMiB",
    "source",
    "spares",
    "sshAuthorizedKeys",
    "startMiB",
    "storage",
    "system",
    "systemd",
    "tang",
    "target",
    "threshold",
    "thumbprint",
    "timeouts",
    "tls",
    "tpm2",
    "typeGuid",
    "uid",
    "units",
    "url",
    "user",
    "users",
    "uuid",
    "value",
    "verification",
    "version",
    "wipeFilesystem",
    "wipePartitionEntry",
    "wipeTable",
    "wipeVolume",
];

/// A path, with the line and column of the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    path: Cow<'static, str>,
    line: usize,
    column: usize,
}

impl Position {
    pub(super) const START: Self = Self { path: Cow::Borrowed("$"), line: 1, column: 1 };

    /// The position of a byte.
    pub(super) fn of(text: &[u8], offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let begin = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line = before.split(|byte| *byte == b'\n').count();
        Self { line, column: before.len() - begin + 1, ..Self::START }
    }

    /// The position of a value in JSON or, if it is missing, of the object that should have it.
    pub(super) fn of_steps(text: &str, steps: &[Step]) -> Self {
        let value = steps.iter().try_fold(text, |value, step| inside(value, *step).ok_or(value));
        let found = value.unwrap_or_else(|last| last);
        // Each is a slice of the text that it was found in.
        let offset = found.as_ptr().addr().saturating_sub(text.as_ptr().addr());
        Self::of(text.as_bytes(), offset).on(steps)
    }

    /// The same position, with this path.
    pub(super) fn on(self, steps: &[Step]) -> Self {
        let mut path = String::from("$");
        for step in steps {
            match step {
                Step::Field(name) => path.extend([".", name]),
                Step::Item(at) => path.extend([".", &at.to_string()]),
            }
        }
        Self { path: path.into(), ..self }
    }

    /// The position reported by a parser.
    pub(super) fn reported(line: usize, column: usize, steps: &[Step]) -> Self {
        Self { line: line.max(1), column: column.max(1), ..Self::START }.on(steps)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: line {}, column {}", self.path, self.line, self.column)
    }
}

/// The name, if Ignition has it.
pub(super) fn known(name: &str) -> Option<&'static str> {
    NAMES.iter().copied().find(|known| *known == name)
}

/// A value within a value, both as they are written.
fn inside(value: &str, step: Step) -> Option<&str> {
    let raw: &RawValue = match step {
        Step::Field(name) => {
            let fields: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(value).ok()?;
            fields.get(name).copied()?
        }
        Step::Item(at) => {
            let items: Vec<&RawValue> = serde_json::from_str(value).ok()?;
            items.get(at).copied()?
        }
    };
    Some(raw.get())
}
