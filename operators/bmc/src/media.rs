//! Virtual media: drives that a BMC emulates for its host (DSP0268, `VirtualMedia`).

use crate::{
    Error,
    call::{Call, Resource, failed, is_fatal},
    collection::{self, Member},
    endpoint::Request,
    field,
    message::chain,
    patch::patch,
    task, uri,
};
use http::Method;
use metal_core::redfish::{ImageUrl, MediaSlot};
use serde_json::{Value, json};

const INSERT: &str = "#VirtualMedia.InsertMedia";
const EJECT: &str = "#VirtualMedia.EjectMedia";
/// Longer URLs are nobody's.
const LONGEST: usize = 2048;

/// A BMC said something about an image that must not be repeated.
#[derive(Debug, thiserror::Error)]
#[error("what it said has the URL of the image in it, and is not repeated here")]
struct Unspeakable;

/// The drives of a system that an image can be inserted into. Newer BMCs have them at the system,
/// others at its managers.
pub(crate) async fn slots(call: &Call<'_>, uri: &str) -> Result<Vec<MediaSlot>, Error> {
    let system = call.get(uri).await?.body;
    let root = call.root().await?;
    let mut missing = vec![];
    let mut collections: Vec<_> =
        field::link(&system["VirtualMedia"], call.address()).into_iter().collect();
    if collections.is_empty() {
        let mut managers = Member::list(&system["Links"]["ManagedBy"], call);
        if let (true, Some(all)) = (managers.is_empty(), &root.managers) {
            managers = collection::members(call, &root, all, &mut missing).await?;
        }
        for manager in managers {
            match manager.read(call).await {
                Ok((_, body)) => {
                    collections.extend(field::link(&body["VirtualMedia"], call.address()));
                }
                Err(error) if is_fatal(&error) => return Err(error),
                Err(error) => missing.push(chain(&error)),
            }
        }
    }
    let mut slots = vec![];
    for collection in collections {
        for member in collection::members(call, &root, &collection, &mut missing).await? {
            match member.read(call).await {
                Ok((uri, body)) => slots.extend(slot(uri, &body)),
                Err(error) if is_fatal(&error) => return Err(error),
                Err(error) => missing.push(chain(&error)),
            }
        }
    }
    for error in missing {
        tracing::warn!(address = %call.address(), error, "virtual drive left out");
    }
    Ok(slots)
}

/// What a `VirtualMedia` says, if it can be told to insert something.
fn slot(uri: String, body: &Value) -> Option<MediaSlot> {
    let types = field::texts(&body["MediaTypes"]);
    let has = |word: &str| types.iter().any(|it| it.eq_ignore_ascii_case(word));
    let can_insert = body["Actions"][INSERT].is_object() || body.get("Image").is_some();
    let image = body["Image"].as_str().filter(|url| !url.is_empty() && url.len() <= LONGEST);
    let slot = MediaSlot {
        uri,
        is_cd: has("CD") || has("DVD"),
        is_usb: has("USBStick"),
        inserted: body["Inserted"].as_bool().unwrap_or(image.is_some()),
        image: image.map(ImageUrl::new),
    };
    (can_insert && (slot.is_cd || slot.is_usb)).then_some(slot)
}

/// Inserts an image; what is in the drive is taken out first, because BMCs refuse to replace it.
pub(crate) async fn insert(call: &Call<'_>, uri: &str, image: &ImageUrl) -> Result<(), Error> {
    let mut resource = call.get(uri).await?;
    if resource.body["Inserted"] == Value::Bool(true) {
        take_out(call, uri, &resource).await?;
        resource = call.get(uri).await?;
    }
    let put_in = async {
        let Some((action, target)) = action(call, &resource, INSERT) else {
            let change = json!({"Image": image.as_str(), "Inserted": true});
            return patch(call, uri, &resource, &change).await;
        };
        let mut parameters = json!({"Image": image.as_str()});
        let allows = |name: &str, word: &str| {
            field::texts(&action[format!("{name}@Redfish.AllowableValues")])
                .iter()
                .any(|allowed| allowed == word)
        };
        let scheme = image.as_str().split(':').next().unwrap_or_default().to_ascii_uppercase();
        for (name, word) in
            [("TransferProtocolType", scheme.as_str()), ("TransferMethod", "Stream")]
        {
            if allows(name, word) {
                parameters[name] = Value::from(word);
            }
        }
        post(call, &target, &parameters, format!("insert a medium into {uri}")).await
    };
    put_in.await.map_err(|error| discreet(error, image))
}

/// Takes out what is in a drive.
pub(crate) async fn eject(call: &Call<'_>, uri: &str) -> Result<(), Error> {
    let resource = call.get(uri).await?;
    take_out(call, uri, &resource).await
}

async fn take_out(call: &Call<'_>, uri: &str, resource: &Resource) -> Result<(), Error> {
    match action(call, resource, EJECT) {
        Some((_, target)) => {
            post(call, &target, &json!({}), format!("eject the medium of {uri}")).await
        }
        None => patch(call, uri, resource, &json!({"Image": null, "Inserted": false})).await,
    }
}

/// An action with its target. BMCs whose drives have none take changes of the properties.
fn action<'a>(call: &Call<'_>, resource: &'a Resource, name: &str) -> Option<(&'a Value, String)> {
    let action = &resource.body["Actions"][name];
    let target = uri::path_of(action["target"].as_str()?, call.address())?;
    Some((action, target))
}

async fn post(
    call: &Call<'_>,
    target: &str,
    parameters: &Value,
    what: String,
) -> Result<(), Error> {
    let reply = call.send(&Request::new(Method::POST, target).json(parameters)).await?;
    call.succeed(&reply, || what.clone())?;
    task::finish(call, reply, what).await
}

/// An error without the URL of the image, which BMCs like to repeat.
fn discreet(error: Error, image: &ImageUrl) -> Error {
    let says = chain(&error);
    match error {
        Error::Failed { action, .. }
            if [image.as_str(), image.file()].iter().any(|it| says.contains(it)) =>
        {
            failed(action, Unspeakable)
        }
        other => other,
    }
}
