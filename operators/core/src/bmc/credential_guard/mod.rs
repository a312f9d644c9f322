//! Whether the password of a BMC may be sent to the address where the BMC is said to be.
//!
//! The address of a BMC is known from DHCP, which proves nothing. So the password of a known BMC is
//! sent to another address only if whoever is there first proves to be that BMC: by the pinned
//! certificate, or by one that an authority vouches for. Plain http allows no such proof, so a
//! person has to decide.
//!
//! What is known is stored in the status of the BMC and with the credentials, whether they are its
//! own or shared, so that it also applies to a BMC object that was deleted and recreated, or restored
//! without its status.

use super::{
    CredentialAnnotations, Destination, Missing, Verification,
    accepted_certificate::{accepted_certificate, annotated},
    credential_notes,
    servers::is_found,
};
use crate::{redfish::Scheme, unanswered::has_answered};
use jiff::{SignedDuration, Timestamp};
use metal_api::{Bmc, BmcSecret, annotation};
use std::{collections::BTreeMap, net::IpAddr};

/// For how long new credentials that nobody has changed yet may follow a BMC that has not answered:
/// when a BMC starts, it may get an address of either IP version first.
const SETTLING: SignedDuration = SignedDuration::from_hours(1);

/// A login to a BMC where it is said to be, with its credentials, if they exist.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a, 'd> {
    /// The BMC.
    pub bmc: &'a Bmc,
    /// Its credentials, with what is stored with them.
    pub secret: Option<&'a BmcSecret>,
    /// Where it is said to be.
    pub at: &'d Destination,
}

impl<'a> Login<'a, '_> {
    /// The certificate that the BMC is pinned to: one that a person accepts; else that in its status;
    /// else that of the BMC its credentials belong to, or that stored for its address. A missing field
    /// is no consent: clients drop fields that they do not know when they write the whole status.
    pub fn certificate(self) -> Option<&'a str> {
        let Self { bmc, secret, at } = self;
        let recorded = || bmc.status.as_ref()?.certificate_fingerprint.as_deref();
        accepted_certificate(&bmc.metadata).or_else(recorded).or_else(|| match own(bmc, secret) {
            Some(own) => noted(own, annotation::KNOWN_CERTIFICATE),
            None => credential_notes::certificate_of(secret?, name(bmc), at),
        })
    }

    /// Whether it is allowed.
    ///
    /// # Errors
    ///
    /// If the BMC was known elsewhere, and cannot prove at its new address that it is the same; or if
    /// it was never known, only DHCP has told of it, and it cannot prove anything although there are
    /// authorities.
    pub fn is_allowed(self, verification: Verification, now: Timestamp) -> Result<(), Missing> {
        let Self { bmc, secret, at } = self;
        let new = at.host.address();
        let Some(known) = known(bmc, secret, now).filter(|known| Some(*known) != new) else {
            return first_password(bmc, at, verification);
        };
        let why = match (at.scheme, verification) {
            _ if new.is_some() && accepted(bmc) == new => return Ok(()),
            (Scheme::Https, Verification::Authorities) => return Ok(()),
            (Scheme::Https, Verification::Pinned) if self.certificate().is_some() => return Ok(()),
            (Scheme::Https, Verification::Pinned) => "no certificate is pinned",
            (Scheme::Https, Verification::Off) => "certificates are not verified",
            (Scheme::Http, _) => "the connection uses plain http",
        };
        let (new, key) = (&at.host, annotation::ACCEPT_ADDRESS);
        let fix = match &bmc.spec.endpoint_ref {
            Some(endpoint) => format!("correct spec.ip of Endpoint {}", endpoint.name),
            None => {
                "delete this BMC with --cascade=orphan, which keeps its servers, and create it \
                     again with the correct address"
                    .to_owned()
            }
        };
        Err(Missing {
            reason: "AddressNotConfirmed",
            message: format!(
                "its address changed from {known} to {new}, but {why}, so the password is not sent \
                 to the new address; if the BMC has moved, annotate this BMC with {key}={new}, \
                 otherwise {fix}"
            ),
        })
    }

    /// What to record with the credentials of a BMC that has answered; `None` if it is up to date.
    pub(super) fn to_note(self) -> Option<CredentialAnnotations> {
        let Self { bmc, secret, at } = self;
        let status = bmc.status.as_ref()?;
        let (ip, certificate) = (status.ip.clone()?, status.certificate_fingerprint.clone());
        let Some(secret) = own(bmc, secret) else {
            let seen = (at, certificate.as_deref());
            return credential_notes::to_keep_of(secret?, name(bmc), &ip, seen);
        };
        let note: CredentialAnnotations = [
            (annotation::KNOWN_ADDRESS.into(), Some(ip)),
            (annotation::KNOWN_CERTIFICATE.into(), certificate),
        ]
        .into();
        (!credential_notes::is_there(secret, &note)).then_some(note)
    }

    /// Why what is known of the BMC is not stored with its credentials; `None` if it is, or will be.
    pub(super) fn unstored(self) -> Option<String> {
        let Self { bmc, secret, at } = self;
        let status = bmc.status.as_ref()?;
        let shared = secret.filter(|_| own(bmc, secret).is_none())?;
        let certificate = status.certificate_fingerprint.as_deref();
        credential_notes::unstored_of(shared, name(bmc), status.ip.as_deref()?, (at, certificate))
    }
}

/// Whether a password may be sent to a BMC that has not answered yet: where authorities vouch for
/// BMCs, not by plain http to whatever has a MAC address with the prefix of a BMC.
fn first_password(bmc: &Bmc, at: &Destination, verification: Verification) -> Result<(), Missing> {
    let is_open = at.scheme == Scheme::Http && verification == Verification::Authorities;
    let is_accepted = at.host.address().is_some_and(|address| accepted(bmc) == Some(address));
    if !is_open || !is_found(bmc) || has_answered(bmc) || is_accepted {
        return Ok(());
    }
    let (host, key) = (&at.host, annotation::ACCEPT_ADDRESS);
    Err(Missing {
        reason: "AddressNotConfirmed",
        message: format!(
            "it has not answered yet, only DHCP tells that it is at {host}, and the connection uses \
             plain http, where --bmc-ca-file has no effect: so no password is sent; if the BMC \
             supports https, set spec.protocol.scheme https here and protocolScheme https for its \
             MAC prefix; if not, and that is its address, annotate this BMC with {key}={host}"
        ),
    })
}

/// The last known address of the BMC.
fn known(bmc: &Bmc, secret: Option<&BmcSecret>, now: Timestamp) -> Option<IpAddr> {
    let answered = bmc.status.as_ref().and_then(|status| status.ip.as_deref());
    if let Some(ip) = answered.and_then(|ip| ip.parse().ok()) {
        return Some(ip);
    }
    let Some(secret) = own(bmc, secret) else {
        return credential_notes::address_of(secret?, name(bmc))?.parse().ok();
    };
    let since = noted(secret, annotation::KNOWN_SINCE).and_then(|at| at.parse::<Timestamp>().ok());
    let is_new = since.is_some_and(|since| {
        let age = now.duration_since(since);
        !age.is_negative() && age < SETTLING
    });
    noted(secret, annotation::KNOWN_ADDRESS)?.parse().ok().filter(|_| !is_new)
}

/// The address that a person vouches for.
pub(super) fn accepted(bmc: &Bmc) -> Option<IpAddr> {
    annotated(&bmc.metadata, annotation::ACCEPT_ADDRESS)?.trim().parse().ok()
}

/// Credentials with the name of their BMC belong to it alone, and record its identity. Others may
/// be shared.
fn own<'a>(bmc: &Bmc, secret: Option<&'a BmcSecret>) -> Option<&'a BmcSecret> {
    let name = bmc.metadata.name.as_deref();
    secret.filter(|secret| name.is_some() && secret.metadata.name.as_deref() == name)
}

fn name(bmc: &Bmc) -> &str {
    bmc.metadata.name.as_deref().unwrap_or_default()
}

/// The annotations of new credentials about the BMC that they are made for.
pub(crate) fn note_of_new(ip: IpAddr, now: Timestamp) -> BTreeMap<String, String> {
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let note =
        [(annotation::KNOWN_ADDRESS, ip.to_string()), (annotation::KNOWN_SINCE, now.to_string())];
    note.map(|(key, value)| (key.to_owned(), value)).into()
}

fn noted<'a>(secret: &'a BmcSecret, key: &str) -> Option<&'a str> {
    annotated(&secret.metadata, key)
}

#[cfg(test)]
mod tests;
