//! The fields of Butane, their names in Ignition, and the versions that introduced them.

use super::{
    check,
    since::{ALWAYS, Since},
};
use crate::validation::{
    check::{self as ignition, Check},
    unit,
};

/// A field of Butane.
pub(super) struct Field {
    /// Its name in Butane.
    pub(super) name: &'static str,
    /// Its name in Ignition.
    pub(super) becomes: &'static str,
    pub(super) shape: Shape,
    pub(super) need: Need,
    pub(super) since: Since,
}

/// The type of a field.
pub(super) enum Shape {
    Text,
    /// A string with further restrictions in Ignition.
    Checked(Check),
    Bool,
    Int,
    /// Permissions, at most 07777, or 0777 in older versions.
    Mode,
    /// A list of distinct strings.
    Texts,
    Object(&'static [Field]),
    /// A list of objects.
    Objects(Entries),
    /// Inline content, or a URL.
    Resource(&'static [Field]),
    Resources(&'static [Field]),
    /// Known, but not supported; what to do instead.
    Refused(&'static str),
}

/// The objects of a list.
pub(super) struct Entries {
    pub(super) fields: &'static [Field],
    /// The field of Ignition in which they differ.
    pub(super) unique: &'static str,
}

#[derive(PartialEq, Eq)]
pub(super) enum Need {
    Required,
    Optional,
}

const LOCAL: Shape = Shape::Refused("local files are not available; use inline contents");

const fn field(name: &'static str, becomes: &'static str, shape: Shape) -> Field {
    Field { name, becomes, shape, need: Need::Optional, since: ALWAYS }
}

const fn same(name: &'static str, shape: Shape) -> Field {
    field(name, name, shape)
}

const fn objects(fields: &'static [Field], unique: &'static str) -> Shape {
    Shape::Objects(Entries { fields, unique })
}

impl Field {
    const fn required(self) -> Self {
        Self { need: Need::Required, ..self }
    }

    const fn since(self, ignition: u8, butane: &'static str) -> Self {
        Self { since: (ignition, butane), ..self }
    }
}

pub(super) const DOCUMENT: &[Field] = &[
    same("ignition", Shape::Object(IGNITION)),
    same("passwd", Shape::Object(PASSWD)),
    same("storage", Shape::Object(STORAGE)),
    same("systemd", Shape::Object(SYSTEMD)),
];

const IGNITION: &[Field] = &[same("config", Shape::Object(CONFIG))];

const CONFIG: &[Field] =
    &[same("merge", Shape::Resources(REFERENCE)), same("replace", Shape::Resource(REFERENCE))];

/// The content of a file.
const RESOURCE: &[Field] = &resource(ALWAYS);
/// A further configuration.
const REFERENCE: &[Field] = &resource((1, "1.1.0"));

/// Content. Older versions do not decompress it everywhere.
const fn resource(compression: Since) -> [Field; 6] {
    [
        same("source", Shape::Text),
        same("inline", Shape::Text),
        same("local", LOCAL),
        same("compression", Shape::Checked(ignition::compression))
            .since(compression.0, compression.1),
        field("http_headers", "httpHeaders", objects(HEADER, "name")).since(1, "1.1.0"),
        same("verification", Shape::Object(VERIFICATION)),
    ]
}

const HEADER: &[Field] = &[same("name", Shape::Text).required(), same("value", Shape::Text)];

const VERIFICATION: &[Field] = &[same("hash", Shape::Checked(ignition::hash))];

const PASSWD: &[Field] =
    &[same("groups", objects(GROUP, "name")), same("users", objects(USER, "name"))];

const GROUP: &[Field] = &[
    same("name", Shape::Text).required(),
    same("gid", Shape::Int),
    field("password_hash", "passwordHash", Shape::Text),
    field("should_exist", "shouldExist", Shape::Bool).since(2, "1.2.0"),
    same("system", Shape::Bool),
];

const USER: &[Field] = &[
    same("name", Shape::Text).required(),
    field("password_hash", "passwordHash", Shape::Text),
    field("ssh_authorized_keys", "sshAuthorizedKeys", Shape::Texts),
    field("ssh_authorized_keys_local", "", LOCAL),
    same("uid", Shape::Int),
    same("gecos", Shape::Text),
    field("home_dir", "homeDir", Shape::Text),
    field("no_create_home", "noCreateHome", Shape::Bool),
    field("primary_group", "primaryGroup", Shape::Text),
    same("groups", Shape::Texts),
    field("no_user_group", "noUserGroup", Shape::Bool),
    field("no_log_init", "noLogInit", Shape::Bool),
    same("shell", Shape::Text),
    field("should_exist", "shouldExist", Shape::Bool).since(2, "1.2.0"),
    same("system", Shape::Bool),
];

const STORAGE: &[Field] = &[
    same("directories", objects(DIRECTORY, "path")),
    same("files", objects(FILE, "path")),
    same("links", objects(LINK, "path")),
];

const DIRECTORY: &[Field] = &[
    same("path", Shape::Checked(ignition::path)).required(),
    same("overwrite", Shape::Bool),
    same("user", Shape::Object(OWNER)),
    same("group", Shape::Object(OWNER)),
    same("mode", Shape::Mode),
];

const FILE: &[Field] = &[
    same("path", Shape::Checked(ignition::path)).required(),
    same("overwrite", Shape::Bool),
    same("user", Shape::Object(OWNER)),
    same("group", Shape::Object(OWNER)),
    same("mode", Shape::Mode),
    same("contents", Shape::Resource(RESOURCE)),
    same("append", Shape::Resources(RESOURCE)),
];

const LINK: &[Field] = &[
    same("path", Shape::Checked(ignition::path)).required(),
    same("target", Shape::Text).required(),
    same("hard", Shape::Bool),
    same("overwrite", Shape::Bool),
    same("user", Shape::Object(OWNER)),
    same("group", Shape::Object(OWNER)),
];

const OWNER: &[Field] = &[same("id", Shape::Int), same("name", Shape::Text)];

const SYSTEMD: &[Field] = &[same("units", objects(UNIT, "name"))];

const UNIT: &[Field] = &[
    same("name", Shape::Checked(check::unit_name)).required(),
    same("enabled", Shape::Bool),
    same("mask", Shape::Bool),
    same("contents", Shape::Checked(unit::check)),
    field("contents_local", "", LOCAL),
    same("dropins", objects(DROPIN, "name")),
];

const DROPIN: &[Field] = &[
    same("name", Shape::Checked(check::dropin_name)).required(),
    same("contents", Shape::Checked(unit::check)),
    field("contents_local", "", LOCAL),
];
