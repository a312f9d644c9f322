//! `VirtualMedia`: the only virtual drive of the BMC.

use super::{
    problem::Problem,
    reply::Reply,
    service::Request,
    view::{View, enabled},
};
use crate::journal::Event;
use serde_json::{Value, json};
use url::Url;

const URI: &str = "/redfish/v1/Managers/BMC/VirtualMedia/CD";
const INSERT: &str = "VirtualMedia.InsertMedia";
const PROTOCOLS: [&str; 2] = ["HTTP", "HTTPS"];
const METHODS: [&str; 1] = ["Stream"];
const TYPES: [&str; 2] = ["CD", "DVD"];

impl View<'_> {
    pub(super) fn virtual_cd(&self) -> Value {
        let medium = self.state.medium.as_deref();
        let name = medium.and_then(|url| url.rsplit('/').next());
        json!({
            "@odata.id": URI,
            "@odata.type": "#VirtualMedia.v1_6_0.VirtualMedia",
            "Id": "CD",
            "Name": "Virtual CD",
            "MediaTypes": TYPES,
            "Image": medium,
            "ImageName": name,
            "Inserted": medium.is_some(),
            "WriteProtected": true,
            "ConnectedVia": if medium.is_some() { "URI" } else { "NotConnected" },
            "Status": enabled(),
            "Actions": {
                "#VirtualMedia.InsertMedia": {
                    "target": format!("{URI}/Actions/{INSERT}"),
                    "TransferProtocolType@Redfish.AllowableValues": PROTOCOLS,
                    "TransferMethod@Redfish.AllowableValues": METHODS,
                },
                "#VirtualMedia.EjectMedia": {
                    "target": format!("{URI}/Actions/VirtualMedia.EjectMedia"),
                },
            },
        })
    }
}

impl Request<'_> {
    /// `VirtualMedia.InsertMedia`. An inserted medium has to be ejected first.
    pub(super) fn insert_medium(&self) -> Result<Reply, Problem> {
        let body = self.object()?;
        let mut url = None;
        for (name, value) in &body {
            let text = || value.as_str().ok_or_else(|| Problem::value_type(value, name));
            let one_of = |words: &[&str]| {
                let word = text()?;
                let known = words.contains(&word);
                known
                    .then_some(())
                    .ok_or_else(|| Problem::parameter_not_in_list(word, name, INSERT))
            };
            match name.as_str() {
                "Image" => url = Some(image(text()?)?),
                "TransferProtocolType" => one_of(&PROTOCOLS)?,
                "TransferMethod" => one_of(&METHODS)?,
                "MediaType" => one_of(&TYPES)?,
                "Inserted" | "WriteProtected" if *value == Value::Bool(true) => {}
                "Inserted" | "WriteProtected" => {
                    return Err(Problem::parameter_not_in_list(&value.to_string(), name, INSERT));
                }
                _ => return Err(Problem::parameter_unknown(INSERT, name)),
            }
        }
        let url = url.ok_or_else(|| Problem::parameter_missing(INSERT, "Image"))?;
        let mut state = self.machine.lock();
        if state.medium.is_some() {
            return Err(Problem::in_use());
        }
        state.journal.note(Event::MediumInserted, url.rsplit('/').next().unwrap_or_default());
        state.medium = Some(url);
        Ok(Reply::empty())
    }

    /// `VirtualMedia.EjectMedia`.
    pub(super) fn eject_medium(&self) -> Result<Reply, Problem> {
        if let Some((name, _)) = self.object()?.iter().next() {
            return Err(Problem::parameter_unknown("VirtualMedia.EjectMedia", name));
        }
        let mut state = self.machine.lock();
        if state.medium.take().is_some() {
            state.journal.note(Event::MediumEjected, "");
        }
        Ok(Reply::empty())
    }
}

/// A URL with a protocol that the BMC supports.
fn image(text: &str) -> Result<String, Problem> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(text.to_owned()),
        _ => Err(Problem::value_format(text, "Image")),
    }
}
