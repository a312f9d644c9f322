//! Resources of BMCs: within the memory that they may take, and what is made of them within bounds.
#![no_main]

use bloomery_fuzz::{grow, same, told};
use libfuzzer_sys::fuzz_target;
use metal_bmc::fuzzing as bmc;
use serde_json::Value;
use std::sync::LazyLock;

const LIMIT: usize = 6 << 10;
/// With all that JSON, HTML and people write differently.
const PASSWORD: &str = "p\"w\\d  é7";
static HIDDEN: LazyLock<bmc::Password> = LazyLock::new(|| bmc::Password::new(PASSWORD));
/// A text of a field has at most so many characters.
const TEXT: usize = 256;

fuzz_target!(|body: &[u8]| {
    told(&bmc::refusal(body, &HIDDEN), 1300);
    hidden(&bmc::refusal(body, &HIDDEN));
    let mut value = match bmc::value(body, LIMIT) {
        Ok(value) => value,
        Err(error) => return told(&error, 200),
    };
    assert!(weight(&value) <= LIMIT, "{} bytes are kept", weight(&value));
    let again = bmc::value(value.to_string().as_bytes(), 2 * LIMIT).expect("it is JSON now");
    assert!(same(&value, &again), "{value} {again}");
    grow(&mut value);
    whole(&value);
    parts(&value);
    told_of(&value);
});

/// A system and a manager, and what leads to them.
fn whole(value: &Value) {
    let system = bmc::system(value);
    let texts = [
        &system.serial_number,
        &system.manufacturer,
        &system.model,
        &system.sku,
        &system.bios_version,
    ];
    texts.into_iter().for_each(short);
    assert!(system.boot.order.len() <= 128 && system.boot.allowable.len() <= TEXT);
    assert!(system.boot.order.iter().all(|entry| entry.chars().count() <= 64));
    let manager = bmc::manager(value);
    [&manager.uuid, &manager.model, &manager.firmware_version, &manager.state]
        .into_iter()
        .for_each(short);
    for uuid in system.uuid.map(|uuid| uuid.to_string()).into_iter().chain(manager.uuid) {
        assert_eq!(uuid.len(), 36);
    }
    bmc::root(value).iter().for_each(|link| led(link));
    if let Some(slot) = bmc::slot(value) {
        assert!(slot.is_cd || slot.is_usb);
        assert!(!format!("{slot:?}").contains("token="), "an image's URL is not shown");
    }
}

fn parts(value: &Value) {
    let storage = bmc::simple_storage(value);
    assert!(storage.drives.len() <= 512);
    storage.drives.iter().filter(|drive| !drive.name.is_empty()).for_each(|drive| {
        short(&Some(drive.name.clone()));
    });
    short(&Some(storage.name));
    short(&storage.state);
    let (drive, volume, processor) = bmc::parts(value);
    let texts = [&drive.model, &drive.vendor, &drive.media_type, &volume.raid_type, &volume.usage];
    texts.into_iter().for_each(short);
    [&processor.type_, &processor.model, &Some(processor.id)].into_iter().for_each(short);
    assert!(bmc::named(value).len() <= 128);
}

/// Errors and tasks.
fn told_of(value: &Value) {
    let said = bmc::refusal(value.to_string().as_bytes(), &HIDDEN);
    told(&said, 1300);
    hidden(&said);
    if let Some(said) = bmc::task(value, &HIDDEN) {
        told(&said, 1300);
        hidden(&said);
    }
}

fn short(text: &Option<String>) {
    if let Some(text) = text {
        assert!(!text.is_empty() && text.chars().count() <= TEXT, "{text:?}");
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}

/// A path on the BMC itself, as it can be sent.
fn led(link: &str) {
    assert!(link.starts_with('/') && !link.starts_with("//"), "{link:?}");
    assert!(link.bytes().all(|byte| byte.is_ascii_graphic()) && link.len() <= 4096, "{link:?}");
}

fn hidden(text: &str) {
    let escaped = Value::from(PASSWORD).to_string();
    let one_line = PASSWORD.replace("  ", " ");
    for secret in [PASSWORD, escaped.trim_matches('"'), &one_line] {
        assert!(!text.contains(secret), "{text:?} has the password in it");
    }
}

/// At least what a value takes.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(|value| 64 + weight(value)).sum(),
        Value::Object(fields) if fields.is_empty() => 0,
        Value::Object(fields) => {
            let of = |(name, value): (&String, &Value)| 64 + name.len() + weight(value);
            640 + fields.iter().map(of).sum::<usize>()
        }
        _ => 0,
    }
}
