//! What Ignition refuses about disks, and what is made on them.

use super::{
    check::path,
    fault::{Fault, Requirement, Step},
};
use serde_json::Value;
use std::collections::HashSet;

/// Levels of RAID that have spares.
const WITH_SPARES: [&str; 11] =
    ["raid1", "1", "mirror", "raid4", "4", "raid5", "5", "raid6", "6", "raid10", "10"];
/// Levels of RAID that have none.
const WITHOUT_SPARES: [&str; 4] = ["linear", "raid0", "0", "stripe"];
/// Formats of file systems, in the newest version, and the longest label of each, in bytes.
const FORMATS: [(&str, usize); 7] = [
    ("ext4", 16),
    ("btrfs", 256),
    ("xfs", 12),
    ("swap", 15),
    ("vfat", 11),
    ("none", usize::MAX),
    (TAGGED, 0),
];
/// The format whose device is a tag, and no path.
const TAGGED: &str = "virtiofs";
/// Longest label of a partition, in bytes.
const PARTITION_LABEL: usize = 36;
/// Longest label of a LUKS volume, in bytes.
const LUKS_LABEL: usize = 47;
/// Minor version of Ignition 3 since which an array needs devices.
const ARRAYS_HAVE_DEVICES: u8 = 1;

/// An object of a list.
struct Entry<'a> {
    at: Vec<Step>,
    value: &'a Value,
}

impl<'a> Entry<'a> {
    fn text(&self, field: &str) -> &'a str {
        self.value.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    fn number(&self, field: &str) -> i64 {
        self.value.get(field).and_then(Value::as_i64).unwrap_or_default()
    }

    fn has(&self, field: &str) -> bool {
        self.value.get(field).is_some_and(|value| !value.is_null())
    }

    fn is(&self, field: &str, value: bool) -> bool {
        self.value.get(field) == Some(&Value::Bool(value))
    }

    fn require(
        &self,
        holds: bool,
        field: &'static str,
        expected: &'static str,
    ) -> Result<(), Fault> {
        let must = Requirement::Be(expected);
        if holds { Ok(()) } else { Err(Fault::of(&self.at, &[field], must)) }
    }

    fn path(&self, field: &'static str) -> Result<(), Fault> {
        let must = |expected| Fault::of(&self.at, &[field], Requirement::Be(expected));
        path(self.text(field)).map_err(must)
    }
}

/// Checks a configuration of version 3.`minor`.
pub(super) fn check(document: &Value, minor: u8) -> Result<(), Fault> {
    let Some(storage) = document.get("storage") else { return Ok(()) };
    let at = [Step::Field("storage")];
    entries(storage, &at, "disks").iter().try_for_each(partitions)?;
    entries(storage, &at, "raid").iter().try_for_each(|it| array(it, minor))?;
    entries(storage, &at, "luks").iter().try_for_each(volume)?;
    entries(storage, &at, "filesystems").iter().try_for_each(file_system)
}

fn entries<'a>(of: &'a Value, at: &[Step], list: &'static str) -> Vec<Entry<'a>> {
    let place = |number| [Step::Field(list), Step::Item(number)];
    let all = items(of, list).iter().enumerate();
    all.map(|(number, value)| Entry {
        at: at.iter().copied().chain(place(number)).collect(),
        value,
    })
    .collect()
}

fn items<'a>(of: &'a Value, list: &str) -> &'a [Value] {
    of.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The partitions of a disk: each by itself, and beside the others.
fn partitions(disk: &Entry<'_>) -> Result<(), Fault> {
    let all = entries(disk.value, &disk.at, "partitions");
    all.iter().try_for_each(partition)?;
    let (mut numbers, mut labels) = (HashSet::new(), HashSet::new());
    for it in &all {
        let (number, label) = (it.number("number"), it.text("label"));
        if number != 0 && !numbers.insert(number) {
            return Err(Fault::of(&it.at, &["number"], Requirement::BeOnce(number.to_string())));
        }
        if it.has("label") && !labels.insert(label) {
            return Err(Fault::of(&it.at, &["label"], Requirement::BeOnce(label.to_owned())));
        }
    }
    let is_mixed = all.iter().any(|it| it.is("shouldExist", false))
        && all.iter().any(|it| it.number("number") == 0);
    disk.require(!is_mixed, "partitions", "numbered, because some of them are not to exist")?;
    beside_each_other(&all)
}

fn partition(it: &Entry<'_>) -> Result<(), Fault> {
    let is_described = ["label", "startMiB", "sizeMiB"].into_iter().any(|field| it.has(field))
        || ["guid", "typeGuid"].into_iter().any(|field| !it.text(field).is_empty());
    let is_absent = it.is("shouldExist", false);
    let expected = "true, because other fields say what the partition is like";
    it.require(!is_absent || !is_described, "shouldExist", expected)?;
    let is_known = it.number("number") != 0 || it.has("label");
    it.require(is_known, "number", "given and not 0, or else the label")?;
    let label = it.text("label");
    let is_label = label.len() <= PARTITION_LABEL && !label.contains(':');
    it.require(is_label, "label", "at most 36 bytes without a colon")?;
    for field in ["guid", "typeGuid"] {
        it.require(is_guid(it.text(field)), field, "a GUID")?;
    }
    Ok(())
}

fn is_guid(text: &str) -> bool {
    let is_part = |(part, length): (&str, usize)| {
        part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let lengths = [8, 4, 4, 4, 12];
    text.is_empty()
        || (text.split('-').count() == lengths.len() && text.split('-').zip(lengths).all(is_part))
}

/// Partitions whose place and size are given do not overlap. One of size 0 takes what is free.
fn beside_each_other(all: &[Entry<'_>]) -> Result<(), Fault> {
    let span = |it: &Entry<'_>| {
        let (start, size) = (it.number("startMiB"), it.number("sizeMiB"));
        (start > 0 && size >= 0 && it.has("sizeMiB"))
            .then(|| (start, start.saturating_add(size.max(1) - 1)))
    };
    let spans = all.iter().enumerate().filter_map(|(number, it)| Some((span(it)?, number)));
    let mut spans: Vec<((i64, i64), usize)> = spans.collect();
    spans.sort_unstable();
    let mut taken = 0;
    for ((start, end), number) in spans {
        if let Some(it) = all.get(number).filter(|_| start <= taken) {
            it.require(false, "startMiB", "where no other partition is")?;
        }
        taken = taken.max(end);
    }
    Ok(())
}

fn array(it: &Entry<'_>, minor: u8) -> Result<(), Fault> {
    let level = it.text("level");
    let has_none = WITHOUT_SPARES.contains(&level);
    let is_level = has_none || WITH_SPARES.contains(&level);
    it.require(is_level, "level", "a level of RAID, such as raid1")?;
    let is_right = it.number("spares") == 0 || !has_none;
    it.require(is_right, "spares", "0, because this level has none")?;
    let has_devices = !items(it.value, "devices").is_empty() || minor < ARRAYS_HAVE_DEVICES;
    it.require(has_devices, "devices", "given: the array is made of them")
}

fn volume(it: &Entry<'_>) -> Result<(), Fault> {
    it.require(!it.text("name").contains('/'), "name", "a name without a slash")?;
    it.require(it.text("label").len() <= LUKS_LABEL, "label", "at most 47 bytes")?;
    it.path("device")
}

fn file_system(it: &Entry<'_>) -> Result<(), Fault> {
    let format = it.text("format");
    let is_described = ["path", "label", "uuid"]
        .into_iter()
        .any(|field| !it.text(field).is_empty())
        || ["options", "mountOptions"].into_iter().any(|list| !items(it.value, list).is_empty())
        || it.is("wipeFilesystem", true);
    let needs_none = !format.is_empty() || !is_described;
    it.require(needs_none, "format", "given, because other fields need it")?;
    let known = FORMATS.into_iter().find(|(name, _)| *name == format);
    let is_format = format.is_empty() || known.is_some();
    it.require(is_format, "format", "ext4, btrfs, xfs, swap, vfat, none or virtiofs")?;
    let longest = known.map_or(usize::MAX, |(_, longest)| longest);
    let is_short = it.text("label").len() <= longest;
    it.require(is_short, "label", "as short as this format needs it")?;
    if !it.text("path").is_empty() {
        it.path("path")?;
    }
    if format == TAGGED { Ok(()) } else { it.path("device") }
}

#[cfg(test)]
mod tests {
    use crate::validation::{Content, check};

    /// What is said of a document of version 3.`minor` with this storage.
    fn said(minor: u8, storage: &str) -> String {
        let text = format!(r#"{{"ignition":{{"version":"3.{minor}.0"}},"storage":{{{storage}}}}}"#);
        match check(text.as_bytes()) {
            Ok(Content::Valid) => "Valid".to_owned(),
            Ok(other) => format!("{other:?}"),
            Err(error) => error.to_string(),
        }
    }

    /// Each of these is refused at this field, or not at all.
    fn all_are(list: &str, cases: &[(&str, Option<&str>)]) {
        for (entry, field) in cases {
            let said = said(4, &list.replace("ENTRY", entry));
            match field {
                Some(field) => {
                    assert!(said.contains(&format!("{field}: line ")), "{entry}: {said}");
                }
                None => assert_eq!(said, "Valid", "{entry}"),
            }
        }
    }

    #[test]
    fn partitions_that_ignition_refuses_are_told_with_their_place() {
        let guid = r#"{"number":1,"guid":"4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709","typeGuid":""}"#;
        let long = format!(r#"{{"label":"{}"}}"#, "a".repeat(37));
        all_are(
            r#""disks":[{"device":"/dev/sda","partitions":[ENTRY]}]"#,
            &[
                (guid, None),
                (r#"{"label":"a"},{"number":0,"label":"b"}"#, None),
                (r#"{"number":1,"shouldExist":false}"#, None),
                (
                    r#"{"number":1,"startMiB":1,"sizeMiB":9},{"number":2,"startMiB":10,"sizeMiB":0}"#,
                    None,
                ),
                (r#"{"number":1,"startMiB":0,"sizeMiB":9},{"number":2,"startMiB":5}"#, None),
                ("{}", Some("partitions.0.number")),
                (r#"{"number":1},{"number":1}"#, Some("partitions.1.number")),
                (r#"{"label":"a"},{"number":1,"label":"a"}"#, Some("partitions.1.label")),
                (r#"{"label":"a:b"}"#, Some("partitions.0.label")),
                (&long, Some("partitions.0.label")),
                (r#"{"number":1,"guid":"4F68BCE3"}"#, Some("partitions.0.guid")),
                (r#"{"number":1,"typeGuid":"x"}"#, Some("partitions.0.typeGuid")),
                (
                    r#"{"number":1,"label":"a","shouldExist":false}"#,
                    Some("partitions.0.shouldExist"),
                ),
                (r#"{"label":"a"},{"number":1,"shouldExist":false}"#, Some("disks.0.partitions")),
                (
                    r#"{"number":1,"startMiB":5,"sizeMiB":5},{"number":2,"startMiB":1,"sizeMiB":5}"#,
                    Some("partitions.0.startMiB"),
                ),
            ],
        );
    }

    #[test]
    fn arrays_volumes_and_file_systems_that_ignition_refuses_are_told_with_their_place() {
        all_are(
            r#""raid":[ENTRY]"#,
            &[
                (r#"{"name":"a","level":"raid1","devices":["/a"],"spares":1}"#, None),
                (r#"{"name":"a","level":"stripe","devices":["/a"],"spares":0}"#, None),
                (r#"{"name":"a","level":"raid0","devices":["/a"],"spares":1}"#, Some("spares")),
                (r#"{"name":"a","level":"raid7","devices":["/a"]}"#, Some("level")),
                (r#"{"name":"a","devices":["/a"]}"#, Some("level")),
                (r#"{"name":"a","level":"raid1","devices":[]}"#, Some("devices")),
                (r#"{"name":"a","level":"raid1","devices":["sda"]}"#, Some("devices.0")),
            ],
        );
        let long = format!(r#"{{"name":"a","device":"/a","label":"{}"}}"#, "a".repeat(48));
        all_are(
            r#""luks":[ENTRY]"#,
            &[
                (r#"{"name":"a","device":"/dev/sda"}"#, None),
                (r#"{"name":"a/b","device":"/dev/sda"}"#, Some("name")),
                (r#"{"name":"a"}"#, Some("device")),
                (&long, Some("label")),
            ],
        );
        all_are(
            r#""filesystems":[ENTRY]"#,
            &[
                (r#"{"device":"/a","format":"vfat","label":"EFI-SYSTEM","path":"/boot"}"#, None),
                (r#"{"device":"/a"}"#, None),
                (r#"{"device":"tag","format":"virtiofs","path":"/a"}"#, None),
                (r#"{"device":"a","format":"ext4"}"#, Some("device")),
                (r#"{"device":"/a","format":"ext3"}"#, Some("format")),
                (r#"{"device":"/a","path":"/b"}"#, Some("format")),
                (r#"{"device":"/a","wipeFilesystem":true}"#, Some("format")),
                (r#"{"device":"/a","format":"xfs","label":"thirteenbytes"}"#, Some("label")),
                (r#"{"device":"/a","format":"xfs","path":"b"}"#, Some("path")),
            ],
        );
        assert_eq!(said(0, r#""raid":[{"name":"a","level":"raid1","devices":[]}]"#), "Valid");
    }
}
