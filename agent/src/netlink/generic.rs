//! Generic netlink: families are looked up by name, then called by number.

use super::{
    message,
    socket::{Netlink, NetlinkError},
};
use std::io;

/// `GENL_ID_CTRL`, the family that knows the others (`linux/genetlink.h`).
const CONTROL: u16 = 16;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
const VERSION: u8 = 1;
const HEADER: usize = 4;

pub(super) struct Generic(Netlink);

impl Generic {
    pub(super) fn new(netlink: Netlink) -> Self {
        Self(netlink)
    }

    /// Calls a command of a family; returns the attributes of each reply.
    pub(super) fn call(
        &mut self,
        family: &str,
        command: u8,
        attributes: &[u8],
    ) -> Result<Vec<Vec<u8>>, NetlinkError> {
        let number = self.family(family)?;
        self.raw_call(number, command, attributes)
    }

    fn family(&mut self, name: &str) -> Result<u16, NetlinkError> {
        let answer = self.raw_call(CONTROL, GET_FAMILY, &message::text(FAMILY_NAME, name))?;
        let number = answer.iter().find_map(|attributes| {
            message::find(attributes, FAMILY_ID).and_then(|value| message::u16_at(value, 0))
        });
        number.ok_or_else(|| NetlinkError::Refused(io::ErrorKind::NotFound.into()))
    }

    fn raw_call(
        &mut self,
        family: u16,
        command: u8,
        attributes: &[u8],
    ) -> Result<Vec<Vec<u8>>, NetlinkError> {
        let payload = [&[command, VERSION, 0, 0], attributes].concat();
        let answer = self.0.call(family, &payload)?;
        Ok(answer.iter().filter_map(|payload| Some(payload.get(HEADER..)?.to_vec())).collect())
    }
}
