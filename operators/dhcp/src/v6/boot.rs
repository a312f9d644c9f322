//! Boot options in answers (RFC 5970; UEFI 2.10, section 24.7).

use super::{boot_kind::ENTERPRISE, request::Request};
use crate::boot_kind::{BootKind, FirmwareKind};
use metal_wire::v6::{Options, code};
use std::borrow::Cow;

/// Adds the boot options that the client asks for.
pub(super) fn add(request: &Request<'_>, reply: &mut Options) {
    let Some((url, class)) = file(request).filter(|_| request.wants(code::BOOT_FILE)) else {
        return;
    };
    reply.push(code::BOOT_FILE, url.as_bytes());
    // EDK2 accepts the URL of HTTP boot only from an answer with this class. With the class of PXE,
    // it would not load the URL, but ask its host once more, on port 4011 (`PxeBcRetryDhcp6Binl`).
    if let Some(class) = class {
        reply.push(code::VENDOR_CLASS, [&ENTERPRISE[..], &string(class)].concat());
    }
    let parameters = &request.v6().boot.parameters;
    if !parameters.is_empty() && request.wants(code::BOOT_PARAMETERS) {
        let strings = parameters.iter().flat_map(|parameter| string(parameter.as_bytes()));
        reply.push(code::BOOT_PARAMETERS, strings.collect::<Vec<u8>>());
    }
}

/// The URL, and the class that the answer must have.
fn file<'a>(request: &Request<'a>) -> Option<(Cow<'a, str>, Option<&'static [u8]>)> {
    let (urls, boot) = (&request.v6().boot, request.boot());
    match request.booting() {
        BootKind::No => None,
        BootKind::Ipxe => Some((boot.script(urls.ipxe.as_deref())?, None)),
        // PXE firmware loads iPXE, which then asks for its script.
        BootKind::Pxe(machine) => {
            let url = match machine {
                FirmwareKind::X64 => urls.uefi.as_deref(),
                FirmwareKind::Arm64 => urls.arm64.as_deref(),
                // A BIOS does not boot by IPv6.
                FirmwareKind::Bios | FirmwareKind::Other => None,
            };
            Some((url.filter(|_| boot.has_script())?.into(), None))
        }
        BootKind::Http(machine) => {
            let (default, ipxe) = match machine {
                FirmwareKind::X64 => (&urls.http, &urls.uefi_http),
                FirmwareKind::Arm64 => (&urls.http_arm64, &urls.arm64_http),
                FirmwareKind::Bios | FirmwareKind::Other => return None,
            };
            let url = boot.loaded(default.as_deref(), ipxe.as_deref())?;
            Some((url.into(), Some(b"HTTPClient")))
        }
    }
}

fn string(text: &[u8]) -> Vec<u8> {
    let len = u16::try_from(text.len()).unwrap_or_default();
    [&len.to_be_bytes(), &text[..usize::from(len)]].concat()
}
