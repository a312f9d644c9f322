//! Reading the parts of a machine, one after the other, within bounds.

use crate::{
    Error,
    redfish::collection::{self, Member},
    transport::{
        call::{Call, is_fatal},
        field,
        message::reason,
        root::Root,
    },
};
use serde_json::Value;
use std::sync::Arc;

/// At most this many unreadable parts are listed.
const NAMED: usize = 32;
/// More parts than any machine has.
const PARTS: usize = 1024;
/// More text than those have: all of it ends up in one object.
const ROOM: usize = 512 << 10;

/// A survey in progress.
pub(crate) struct Survey<'a> {
    call: Call<'a>,
    root: Arc<Root>,
    /// How many more parts may be read.
    parts: usize,
    /// How many more bytes of text may be kept.
    room: usize,
    missing: Vec<String>,
}

impl<'a> Survey<'a> {
    pub(crate) fn new(call: Call<'a>, root: Arc<Root>) -> Self {
        Self { call, root, parts: PARTS, room: ROOM, missing: vec![] }
    }

    /// Reads a collection that a system or a storage links to.
    pub(crate) async fn collection<T>(
        &mut self,
        link: &Value,
        name: &str,
        reading: impl Fn(&str, &Value) -> T,
    ) -> Result<Vec<T>, Error> {
        let Some(uri) = field::link(link) else {
            if !link.is_null() {
                self.missing.push(format!("{name}: invalid link"));
            }
            return Ok(vec![]);
        };
        if self.is_late(&uri) {
            return Ok(vec![]);
        }
        match collection::members(&self.call, &self.root, &uri, &mut self.missing).await {
            Ok(members) => self.read(members, reading).await,
            Err(error) if is_fatal(&error) => Err(error),
            Err(error) => {
                self.note(&uri, &error);
                Ok(vec![])
            }
        }
    }

    /// The members that can be read. Only the values that are used are kept, not the documents.
    pub(crate) async fn read<T>(
        &mut self,
        members: Vec<Member>,
        reading: impl Fn(&str, &Value) -> T,
    ) -> Result<Vec<T>, Error> {
        let mut read = vec![];
        for member in members {
            let uri = member.uri.clone();
            if self.parts == 0 {
                self.missing.push(format!("{uri}: more than {PARTS} parts"));
                break;
            }
            if member.is_link() && self.is_late(&uri) {
                continue;
            }
            match member.read(&self.call).await {
                Ok((uri, body)) => {
                    let weight = weight(&body);
                    if weight > self.room {
                        self.missing.push(format!("{uri}: more than {ROOM} bytes of names"));
                        break;
                    }
                    (self.parts, self.room) = (self.parts - 1, self.room - weight);
                    read.push(reading(&uri, &body));
                }
                Err(error) if is_fatal(&error) => return Err(error),
                Err(error) => self.note(&uri, &error),
            }
        }
        Ok(read)
    }

    fn note(&mut self, uri: &str, error: &Error) {
        self.missing.push(format!("{uri}: {}", reason(error)));
    }

    fn is_late(&mut self, uri: &str) -> bool {
        let is_late = self.call.is_over();
        if is_late {
            self.missing.push(format!("{uri}: not read in time"));
        }
        is_late
    }

    /// What could not be read, and why.
    pub(crate) fn finish(mut self) -> Vec<String> {
        if self.missing.len() > NAMED {
            let rest = self.missing.len() - NAMED;
            self.missing.truncate(NAMED);
            self.missing.push(format!("and {rest} more"));
        }
        self.missing
    }
}

/// How much of a part's text may be kept, in bytes.
fn weight(body: &Value) -> usize {
    let fields = body.as_object().into_iter().flatten();
    let texts = fields.filter_map(|(_, value)| value.as_str());
    texts.map(|text| text.len().min(1024)).sum()
}
