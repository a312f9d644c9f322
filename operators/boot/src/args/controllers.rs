//! Which controllers run, as ironcore's flag `--controllers` says it.

use std::str::FromStr;

/// Which controllers run.
#[expect(clippy::struct_excessive_bools, reason = "each is a name that ironcore's flag takes")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controllers {
    /// `IPXEBootConfig`.
    pub ipxe_config: bool,
    /// `HTTPBootConfig`.
    pub http_config: bool,
    /// `ServerBootConfiguration`, for iPXE.
    pub pxe: bool,
    /// `ServerBootConfiguration`, for UEFI HTTP boot.
    pub http: bool,
}

/// There is no controller with this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown controller {0:?}; use ipxebootconfig, httpbootconfig, serverbootconfigpxe or \
     serverbootconfighttp, with a leading - to disable it, or * for all"
)]
pub struct Unknown(String);

impl Controllers {
    const NONE: Self = Self { ipxe_config: false, http_config: false, pxe: false, http: false };

    /// Whether the URL for iPXE is needed.
    pub(super) fn asks_for_pxe(self) -> bool {
        self.pxe || self.ipxe_config
    }

    fn switch(&mut self, name: &str) -> Option<&mut bool> {
        match name {
            "ipxebootconfig" => Some(&mut self.ipxe_config),
            "httpbootconfig" => Some(&mut self.http_config),
            "serverbootconfigpxe" => Some(&mut self.pxe),
            "serverbootconfighttp" => Some(&mut self.http),
            _ => None,
        }
    }
}

impl FromStr for Controllers {
    type Err = Unknown;

    /// A name without `*` stands for that controller only; one with a leading `-` is excluded,
    /// wherever it is in the list.
    fn from_str(text: &str) -> Result<Self, Unknown> {
        let names = || text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let all = names().any(|name| name == "*");
        let mut controllers = if all {
            Self { ipxe_config: true, http_config: true, pxe: true, http: true }
        } else {
            Self::NONE
        };
        for name in names().filter(|name| *name != "*") {
            let (bare, on) = match name.strip_prefix('-') {
                Some(bare) => (bare, false),
                None => (name, true),
            };
            let switch = controllers.switch(bare).ok_or_else(|| Unknown(name.to_owned()))?;
            *switch = on;
        }
        Ok(controllers)
    }
}
