//! Reading the parts of a system. Each part may be missing or broken without costing another.

use crate::{
    Error,
    call::{Call, is_fatal},
    collection::{self, Member},
    field,
    message::reason,
    root::Root,
    storage,
};
use metal_core::redfish::{EthernetInterface, Inventory, Processor};
use serde_json::Value;
use std::sync::Arc;

/// As many things that could not be read are named.
const NAMED: usize = 32;

/// The parts of one system.
pub(crate) async fn inventory(call: Call<'_>, uri: &str) -> Result<Inventory, Error> {
    let root = call.root().await?;
    let system = call.get(uri).await?.body;
    let mut survey = Survey { call, root, missing: vec![] };
    let processors = survey.collection(&system["Processors"], "Processors").await?;
    let storages = storage::storages(&mut survey, &system).await?;
    let interfaces = survey.collection(&system["EthernetInterfaces"], "EthernetInterfaces").await?;
    Ok(Inventory {
        processors: processors.iter().map(|(uri, body)| processor(uri, body)).collect(),
        storages,
        interfaces: interfaces.iter().map(|(uri, body)| interface(uri, body)).collect(),
        missing: survey.finish(),
    })
}

/// A survey under way.
pub(crate) struct Survey<'a> {
    call: Call<'a>,
    root: Arc<Root>,
    missing: Vec<String>,
}

impl Survey<'_> {
    pub(crate) fn call(&self) -> &Call<'_> {
        &self.call
    }

    /// What a system or storage links to as a collection, each member with its URI.
    pub(crate) async fn collection(
        &mut self,
        link: &Value,
        name: &str,
    ) -> Result<Vec<(String, Value)>, Error> {
        let Some(uri) = field::link(link, self.call.address()) else {
            if !link.is_null() {
                self.missing.push(format!("{name}: the link cannot be used"));
            }
            return Ok(vec![]);
        };
        if self.is_late(&uri) {
            return Ok(vec![]);
        }
        match collection::members(&self.call, &self.root, &uri, &mut self.missing).await {
            Ok(members) => self.read(members).await,
            Err(error) if self.ends(&error) => Err(error),
            Err(error) => {
                self.note(&uri, &error);
                Ok(vec![])
            }
        }
    }

    /// Those members that can be read.
    pub(crate) async fn read(
        &mut self,
        members: Vec<Member>,
    ) -> Result<Vec<(String, Value)>, Error> {
        let mut read = vec![];
        for member in members {
            let uri = member.uri.clone();
            if member.body.is_none() && self.is_late(&uri) {
                continue;
            }
            match member.read(&self.call).await {
                Ok(member) => read.push(member),
                Err(error) if self.ends(&error) => return Err(error),
                Err(error) => self.note(&uri, &error),
            }
        }
        Ok(read)
    }

    /// Whether the error ends the survey. That its time is over only ends the reading.
    fn ends(&self, error: &Error) -> bool {
        is_fatal(error) && !self.call.is_over()
    }

    fn note(&mut self, uri: &str, error: &Error) {
        self.missing.push(format!("{uri}: {}", reason(error)));
    }

    fn is_late(&mut self, uri: &str) -> bool {
        let is_late = self.call.is_over();
        if is_late {
            self.missing.push(format!("{uri}: no time was left for it"));
        }
        is_late
    }

    fn finish(mut self) -> Vec<String> {
        if self.missing.len() > NAMED {
            let rest = self.missing.len() - NAMED;
            self.missing.truncate(NAMED);
            self.missing.push(format!("and {rest} more"));
        }
        self.missing
    }
}

/// `Id`, or the last part of the URI in its place.
fn id(uri: &str, body: &Value) -> String {
    field::text(&body["Id"]).unwrap_or_else(|| {
        uri.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
    })
}

fn processor(uri: &str, body: &Value) -> Processor {
    let text = |name: &str| field::text(&body[name]);
    Processor {
        id: id(uri, body),
        type_: text("ProcessorType"),
        architecture: text("ProcessorArchitecture"),
        instruction_set: text("InstructionSet"),
        manufacturer: text("Manufacturer"),
        model: text("Model"),
        max_speed_mhz: field::unsigned32(&body["MaxSpeedMHz"]),
        total_cores: field::unsigned32(&body["TotalCores"]),
        total_threads: field::unsigned32(&body["TotalThreads"]),
    }
}

fn interface(uri: &str, body: &Value) -> EthernetInterface {
    EthernetInterface {
        id: id(uri, body),
        mac_address: field::mac(&body["PermanentMACAddress"])
            .or_else(|| field::mac(&body["MACAddress"])),
        link_status: field::text(&body["LinkStatus"]),
    }
}
