//! Virtual media: media that a BMC presents to its host in emulated slots (DSP0268,
//! `VirtualMedia`).

mod insertion;

use crate::{
    Error, quirks,
    redfish::{
        collection::{self, Member},
        forms::{Parameter, Write, set},
    },
    transport::{
        call::{Call, Resource, is_fatal},
        field,
        form::Kind,
        root::Root,
        uri,
    },
};
use http::Method;
use metal_base::Chain;
use metal_core::redfish::{ImageUrl, MediaSlot};
use serde_json::{Value, json};
use std::sync::Arc;

const INSERT: &str = "#VirtualMedia.InsertMedia";
const EJECT: &str = "#VirtualMedia.EjectMedia";
/// Longer than any real URL.
const LONGEST: usize = 2048;
/// How often a slot is looked at again that is ejecting its medium.
const EJECTING: usize = 5;

/// The slots of a system that an image can be inserted into. Newer BMCs have them under the system,
/// others under its managers. A collection or slot that cannot be read does not affect the others;
/// if no slot is left, the reason is returned.
pub(crate) async fn slots(call: &Call<'_>, uri: &str) -> Result<Vec<MediaSlot>, Error> {
    let system = call.get(uri).await?.body;
    let mut search = Search { call, root: call.root().await?, missing: vec![], last: None };
    let at_system: Vec<_> = field::link(&system["VirtualMedia"]).into_iter().collect();
    let mut slots = search.drives(at_system).await?;
    if slots.is_empty() {
        let at_managers = search.of_managers(&system).await?;
        slots = search.drives(at_managers).await?;
    }
    for error in &search.missing {
        tracing::warn!(host = %call.host(), error, "virtual media slot ignored");
    }
    match search.last {
        Some(error) if slots.is_empty() => Err(error),
        Some(_) | None => Ok(slots),
    }
}

/// A search for slots.
struct Search<'a> {
    call: &'a Call<'a>,
    root: Arc<Root>,
    /// What could not be read, and the last reason.
    missing: Vec<String>,
    last: Option<Error>,
}

impl Search<'_> {
    /// What was read; `None` after an error that does not end the search.
    fn found<T>(&mut self, read: Result<T, Error>) -> Result<Option<T>, Error> {
        match read {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_fatal(&error) => Err(error),
            Err(error) => {
                self.missing.push(Chain(&error).to_string());
                self.last = Some(error);
                Ok(None)
            }
        }
    }

    /// The collections of slots of a system's managers, or of all managers if it links to none.
    async fn of_managers(&mut self, system: &Value) -> Result<Vec<String>, Error> {
        let mut managers = Member::list(&system["Links"]["ManagedBy"]);
        if let (true, Some(all)) = (managers.is_empty(), self.root.managers.clone()) {
            let read = collection::members(self.call, &self.root, &all, &mut self.missing).await;
            managers = self.found(read)?.unwrap_or_default();
        }
        let mut collections = vec![];
        for manager in managers {
            let read = manager.read_whole(self.call, |body| body["VirtualMedia"].is_object()).await;
            let drives = self.found(read)?;
            let drives = drives.and_then(|(_, manager)| field::link(&manager.body["VirtualMedia"]));
            collections.extend(drives);
        }
        Ok(collections)
    }

    async fn drives(&mut self, collections: Vec<String>) -> Result<Vec<MediaSlot>, Error> {
        let mut slots = vec![];
        for collection in collections {
            let read =
                collection::members(self.call, &self.root, &collection, &mut self.missing).await;
            for member in self.found(read)?.unwrap_or_default() {
                let read = member.read(self.call).await;
                let Some((uri, body)) = self.found(read)? else { continue };
                slots.extend(slot(uri, &body).map(|slot| (has_action(&body, INSERT), slot)));
            }
        }
        // If any has the action, the others are for what a browser sends.
        if slots.iter().any(|(has_action, _)| *has_action) {
            slots.retain(|(has_action, _)| *has_action);
        }
        slots.sort_by_key(|(_, slot)| quirks::holds_uploads(&slot.uri));
        Ok(slots.into_iter().map(|(_, slot)| slot).collect())
    }
}

/// The slot that a `VirtualMedia` describes, if something can be inserted into it.
pub(crate) fn slot(uri: String, body: &Value) -> Option<MediaSlot> {
    let (is_cd, is_usb) = kinds(&uri, body);
    // Older slots have no actions, and take changes of their properties.
    let is_changed = !has_action(body, EJECT) && body.get("Image").is_some();
    let can_insert = has_action(body, INSERT) || is_changed;
    let image = image(body);
    let (inserted, is_applet) = (is_inserted(body), body["ConnectedVia"] == "Applet");
    let image = image.map(ImageUrl::new);
    let slot = MediaSlot { uri, is_cd, is_usb, inserted, is_applet, image };
    (can_insert && (slot.is_cd || slot.is_usb)).then_some(slot)
}

fn has_action(body: &Value, name: &str) -> bool {
    body["Actions"][name].is_object()
}

/// The image in a slot. OpenBMC has its URL in `ImageName`, where others have a name.
fn image(body: &Value) -> Option<&str> {
    let text = |name: &str| body[name].as_str().filter(|it| (1..=LONGEST).contains(&it.len()));
    text("Image").or_else(|| text("ImageName").filter(|name| name.contains("://")))
}

/// Whether something is inserted in a slot: by `Inserted`, else by `ConnectedVia`, else by whether
/// there is an image.
fn is_inserted(body: &Value) -> bool {
    let is_connected = || field::text(&body["ConnectedVia"]).map(|via| via != "NotConnected");
    body["Inserted"].as_bool().or_else(is_connected).unwrap_or(image(body).is_some())
}

/// In which words a slot says that it takes CDs, or USB sticks.
const CD: &[&str] = &["cd", "dvd", "optical", "iso"];
const USB: &[&str] = &["usb", "removable", "stick"];

fn says(word: &str, signs: &[&str]) -> bool {
    let word = word.to_ascii_lowercase();
    signs.iter().any(|sign| word.contains(sign))
}

/// Whether a slot takes CDs, and whether USB sticks: by its `MediaTypes`, in the words of the
/// standard or of older boards, else by its name. A slot that says nothing takes CDs, as all of
/// them do.
fn kinds(uri: &str, body: &Value) -> (bool, bool) {
    let mut words = field::texts(&body["MediaTypes"]);
    words.extend(field::text(&body["MediaTypes"]));
    let is_told = !words.is_empty();
    if !is_told {
        words.extend(uri.trim_end_matches('/').rsplit('/').next().map(str::to_owned));
        words.extend(["Id", "Name"].iter().filter_map(|name| field::text(&body[*name])));
    }
    let has = |signs: &[&str]| words.iter().any(|word| says(word, signs));
    let (is_cd, is_usb) = (has(CD), has(USB));
    let is_other = is_told || has(&["floppy", "sd card", "sdcard"]);
    (is_cd || !(is_usb || is_other), is_usb)
}

/// What an image in a slot is to its host: one of the types that the slot takes, as it spells it.
fn media_type(slot: &Value) -> String {
    let types = field::texts(&slot["MediaTypes"]);
    let cd = types.iter().find(|type_| says(type_, CD));
    let fit = cd.or_else(|| types.iter().find(|type_| says(type_, USB)));
    fit.cloned().unwrap_or_else(|| "CD".to_owned())
}

/// Inserts an image. What is in the slot is ejected first, because BMCs refuse to replace it.
pub(crate) async fn insert(call: &Call<'_>, uri: &str, image: &ImageUrl) -> Result<(), Error> {
    let mut resource = call.get(uri).await?;
    if is_inserted(&resource.body) {
        take_out(call, uri, resource).await?;
        resource = emptied(call, uri).await?;
    }
    put_in(call, uri, resource, image).await
}

/// A slot that was told to eject its medium, once it is empty: Fujitsu iRMC and others take some
/// seconds, and refuse another image until then. Some show one that is gone, so that counts as well
/// after a time.
async fn emptied(call: &Call<'_>, uri: &str) -> Result<Resource, Error> {
    let mut resource = call.get(uri).await?;
    for _ in 0..EJECTING {
        if !is_inserted(&resource.body) || !call.pause(call.task_poll()).await {
            break;
        }
        resource = call.get(uri).await?;
    }
    Ok(resource)
}

async fn put_in(
    call: &Call<'_>,
    uri: &str,
    resource: Resource,
    image: &ImageUrl,
) -> Result<(), Error> {
    let body = json!({"Image": image.as_str()});
    let mut parameters = insertion::parameters(image, media_type(&resource.body));
    let Some((action, target)) = action(&resource, INSERT) else {
        let sets = vec![set(["Inserted"]), set([]), set(["Inserted", "WriteProtected"])];
        let write = Write { parameters, sets, ..change(uri, resource, body) };
        return write.send(call).await;
    };
    let first = insertion::asked_for(&info(call, action).await?, action, &mut parameters);
    let write = Write {
        kind: Kind::Insert,
        method: Method::POST,
        parameters,
        sets: insertion::sets(&first),
        action: format!("insert a medium into {uri}"),
        owner: Some(uri),
        ..change(&target, Resource::default(), body)
    };
    write.send(call).await
}

/// The `ActionInfo` of an action, or `Null` if it has none that can be read.
async fn info(call: &Call<'_>, action: &Value) -> Result<Value, Error> {
    let Some(info) = field::action_info(action) else { return Ok(Value::Null) };
    match call.get(info).await {
        Ok(info) => Ok(info.body),
        Err(error) if is_fatal(&error) => Err(error),
        Err(_) => Ok(Value::Null),
    }
}

/// Ejects what is in a slot.
pub(crate) async fn eject(call: &Call<'_>, uri: &str) -> Result<(), Error> {
    let resource = call.get(uri).await?;
    take_out(call, uri, resource).await
}

async fn take_out(call: &Call<'_>, uri: &str, resource: Resource) -> Result<(), Error> {
    if let Some((_, target)) = action(&resource, EJECT) {
        let action = format!("eject the medium of {uri}");
        let write = change(&target, Resource::default(), json!({}));
        let owner = Some(uri);
        let write = Write { kind: Kind::Eject, method: Method::POST, owner, action, ..write };
        return write.send(call).await;
    }
    let parameters = vec![Parameter::new(&["Inserted"], false)];
    let sets = vec![set(["Inserted"]), set([])];
    let write = change(uri, resource, json!({"Image": null}));
    Write { kind: Kind::Eject, parameters, sets, ..write }.send(call).await
}

/// A change of the properties of a slot.
fn change(uri: &str, resource: Resource, body: Value) -> Write<'_> {
    Write {
        kind: Kind::Insert,
        method: Method::PATCH,
        uri,
        etags: resource.etags,
        settings: None,
        settings_etags: None,
        body,
        parameters: vec![],
        sets: vec![set([])],
        present: resource.body,
        unseen: vec![],
        wanted: None,
        owner: None,
        action: format!("change {uri}"),
    }
}

/// An action and its target. On BMCs whose slots have no actions, properties are changed instead.
fn action<'a>(resource: &'a Resource, name: &str) -> Option<(&'a Value, String)> {
    let action = &resource.body["Actions"][name];
    let target = uri::path_of(action["target"].as_str()?)?;
    Some((action, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_told_a_type_of_medium_that_it_takes() {
        for (slot, type_) in [
            (json!({"MediaTypes": ["Floppy", "USBStick", "DVD"]}), "DVD"),
            (json!({"MediaTypes": ["Floppy", "USBStick"]}), "USBStick"),
            (json!({"MediaTypes": ["cd", "dvd"]}), "cd"),
            (json!({"MediaTypes": []}), "CD"),
            (json!({}), "CD"),
        ] {
            assert_eq!(media_type(&slot), type_, "{slot}");
        }
    }

    #[test]
    fn a_drive_is_known_by_its_media_types_in_old_words_and_new_or_by_its_name() {
        for (drive, kinds_of_it) in [
            (json!({"MediaTypes": ["CD", "DVD"]}), (true, false)),
            (json!({"MediaTypes": ["USBStick"]}), (false, true)),
            (json!({"MediaTypes": ["Floppy", "USBStick"]}), (false, true)),
            (json!({"MediaTypes": ["CD/DVD"]}), (true, false)),
            (json!({"MediaTypes": "CD/DVD"}), (true, false)),
            (json!({"MediaTypes": ["Optical"]}), (true, false)),
            (json!({"MediaTypes": ["DVD-ROM"]}), (true, false)),
            (json!({"MediaTypes": ["Removable Media"]}), (false, true)),
            (json!({"MediaTypes": ["Floppy"]}), (false, false)),
            (json!({"MediaTypes": []}), (true, false)),
            (json!({"Id": "RemovableDisk"}), (false, true)),
            (json!({"Name": "Virtual Floppy"}), (false, false)),
            (json!({}), (true, false)),
        ] {
            assert_eq!(
                kinds("/redfish/v1/Managers/1/VirtualMedia/1", &drive),
                kinds_of_it,
                "{drive}"
            );
        }
        assert_eq!(kinds("/VirtualMedia/USB1/", &json!({})), (false, true));
    }
}
