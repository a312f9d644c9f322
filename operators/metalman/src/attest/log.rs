//! What the event log of a machine explains about the PCRs that its TPM has signed.

use super::received::Sent;
use metal_attest::{EventLog, Pcrs};
use metal_base::hex;
use metal_machine::attest::{Logged, LoggedEvent};
use std::collections::BTreeMap;

/// A received log, in the form that decisions need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Log {
    Missing,
    Unreadable(String),
    Read(BTreeMap<u8, Logged>),
}

impl Log {
    /// Parses a received log, and compares it with the signed values.
    pub(super) fn of(sent: &Sent, signed: &Pcrs) -> Self {
        let octets = match sent {
            Sent::Nothing => return Self::Missing,
            Sent::Broken(why) => return Self::Unreadable((*why).to_owned()),
            Sent::Log(octets) => octets,
        };
        match EventLog::parse(octets) {
            Ok(log) => Self::Read(logged(&log, signed)),
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }

    /// The same, borrowed.
    pub(super) fn lend(&self) -> metal_machine::attest::EventLog<'_> {
        use metal_machine::attest::EventLog;
        match self {
            Self::Missing => EventLog::Missing,
            Self::Unreadable(why) => EventLog::Unreadable(why),
            Self::Read(all) => EventLog::Read(all),
        }
    }
}

fn logged(log: &EventLog, signed: &Pcrs) -> BTreeMap<u8, Logged> {
    let values = log.replay();
    let events = |pcr| {
        let events = log.of(pcr).map(|event| LoggedEvent {
            number: event.number,
            kind: event.kind.to_string(),
            digest: hex(&event.digest),
        });
        events.collect()
    };
    let pcr = |(pcr, value): (&u8, &[u8; 32])| {
        let leads = values.get(pcr) == Some(value);
        (*pcr, Logged { leads, events: if leads { events(*pcr) } else { vec![] } })
    };
    signed.iter().map(pcr).collect()
}
