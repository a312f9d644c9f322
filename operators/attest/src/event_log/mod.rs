//! The event log of the firmware: what was measured into the PCRs of a TPM, one by one (TCG PC Client Platform
//! Firmware Profile 1.06, section 10; section numbers here are of it).
//!
//! Nobody signs it: it is as good as the PCRs to which it leads, and a quote says what these are. A log says
//! *why* a PCR has its value; whether that value is allowed is decided without it.

mod banks;
mod kind;
mod read;
#[cfg(test)]
mod tests;

pub use kind::EventType;

use crate::quote::Pcrs;
use banks::Banks;
use read::Reader;
use ring::digest::{Context, SHA256};

/// The longest log that is read, in octets: those of servers have up to 100,000.
pub const MAX_EVENT_LOG: usize = 256 * 1024;

/// The most events of a log: those of servers have up to 300.
const MAX_EVENTS: usize = 2048;
/// PCRs of a PC.
const PCRS: u8 = 24;
/// PCRs that are all ones until a dynamic launch (TCG PC Client Platform TPM Profile 1.05).
const DYNAMIC: std::ops::RangeInclusive<u8> = 17..=22;
/// Signature of a TCG_EfiStartupLocalityEvent (section 10.4.5.3).
const STARTUP_LOCALITY: &[u8; 16] = b"StartupLocality\0";
/// Localities from which a TPM is started; 4 stands for an H-CRTM.
const LOCALITIES: [u8; 3] = [0, 3, 4];

/// Why a log is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EventLogError {
    /// It is too long.
    #[error("it is longer than {MAX_EVENT_LOG} octets")]
    TooLong,
    /// It has too many events.
    #[error("it has more than {MAX_EVENTS} events")]
    TooMany,
    /// It belongs to a TPM 1.2, or to none.
    #[error("it does not begin with the event that says which digests it has")]
    NotAgile,
    /// It has other banks.
    #[error("it has no digests of SHA-256")]
    NoSha256,
    /// An event is malformed; the first is number 0.
    #[error("its event {0} is malformed")]
    Malformed(usize),
}

/// What was measured.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// Its number in the log, in which `tpm2_eventlog` counts from 0 as well.
    pub number: usize,
    /// The PCR that it was measured into.
    pub pcr: u8,
    /// What it is about.
    pub kind: EventType,
    /// By what the PCR was extended, in the bank of SHA-256.
    pub digest: [u8; 32],
}

/// A log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventLog {
    /// The locality from which the TPM was started.
    locality: u8,
    events: Vec<Event>,
}

impl EventLog {
    /// Parses a log, as Linux has it in `binary_bios_measurements`.
    ///
    /// # Errors
    ///
    /// It is not one with digests of SHA-256, or exceeds a limit.
    pub fn parse(octets: &[u8]) -> Result<Self, EventLogError> {
        if octets.len() > MAX_EVENT_LOG {
            return Err(EventLogError::TooLong);
        }
        let mut rest = Reader(octets);
        let banks = Banks::read(&mut rest)?;
        let mut log = Self { locality: 0, events: vec![] };
        let mut is_started = false;
        for number in 1.. {
            if rest.0.is_empty() {
                break;
            }
            if number > MAX_EVENTS {
                return Err(EventLogError::TooMany);
            }
            match read(&mut rest, &banks, number).ok_or(EventLogError::Malformed(number))? {
                Read::Event(event) => log.events.push(event),
                Read::Startup(locality) => {
                    // This is only valid for a PCR into which nothing was measured before.
                    if is_started || log.of(0).next().is_some() {
                        return Err(EventLogError::Malformed(number));
                    }
                    (log.locality, is_started) = (locality, true);
                }
                Read::NoAction => {}
            }
        }
        Ok(log)
    }

    /// The values of all PCRs to which it leads.
    pub fn replay(&self) -> Pcrs {
        let mut values: Pcrs = (0..PCRS).map(|pcr| (pcr, self.initial(pcr))).collect();
        for event in &self.events {
            if let Some(value) = values.get_mut(&event.pcr) {
                let mut extended = Context::new(&SHA256);
                extended.update(value);
                extended.update(&event.digest);
                value.copy_from_slice(extended.finish().as_ref());
            }
        }
        values
    }

    /// What was measured into a PCR.
    pub fn of(&self, pcr: u8) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.pcr == pcr)
    }

    /// The value of a PCR when its TPM was started.
    fn initial(&self, pcr: u8) -> [u8; 32] {
        let mut value = [if DYNAMIC.contains(&pcr) { 0xff } else { 0 }; 32];
        if pcr == 0 {
            value[31] = self.locality;
        }
        value
    }
}

/// What one event is.
enum Read {
    Event(Event),
    /// The TPM was started from this locality.
    Startup(u8),
    /// It tells something else, and nothing was measured.
    NoAction,
}

/// Reads a TCG_PCR_EVENT2 (section 10.2.2); nothing, if it is malformed.
fn read(log: &mut Reader<'_>, banks: &Banks, number: usize) -> Option<Read> {
    let (pcr, kind) = (log.u32()?, EventType(log.u32()?));
    let digest = banks.digest(log).ok()?;
    let content = log.sized()?;
    if kind.is_no_action() {
        return match content.strip_prefix(STARTUP_LOCALITY) {
            Some([locality]) if LOCALITIES.contains(locality) => Some(Read::Startup(*locality)),
            Some(_) => None,
            None => Some(Read::NoAction),
        };
    }
    let pcr = u8::try_from(pcr).ok().filter(|pcr| *pcr < PCRS)?;
    Some(Read::Event(Event { number, pcr, kind, digest: digest? }))
}
