//! Event logs, as firmware writes them.

#![expect(clippy::unwrap_used, reason = "for tests, which fail by panicking")]

use ring::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

/// A log that grows: of a TPM with the banks of SHA-1 and SHA-256.
#[derive(Clone, Debug)]
pub struct FirmwareLog(Vec<u8>);

const BANKS: [(u16, &Algorithm); 2] = [(0x0004, &SHA1_FOR_LEGACY_USE_ONLY), (0x000b, &SHA256)];

impl Default for FirmwareLog {
    fn default() -> Self {
        let mut spec_id =
            [&b"Spec ID Event03\0"[..], &[0, 0, 0, 0, 0, 2, 0, 2, 2, 0, 0, 0]].concat();
        for (id, algorithm) in BANKS {
            spec_id.extend(id.to_le_bytes());
            spec_id.extend(u16::try_from(algorithm.output_len()).unwrap().to_le_bytes());
        }
        spec_id.push(0);
        let head = [&[0, 0, 0, 0, 3, 0, 0, 0][..], &[0; 20]].concat();
        Self(head).sized(&spec_id)
    }
}

impl FirmwareLog {
    /// Its octets.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// Adds what is measured into a PCR, which is extended by the digest of its content.
    #[must_use]
    pub fn measured(self, pcr: u32, kind: u32, content: &[u8]) -> Self {
        self.event(pcr, kind, |algorithm| digest(algorithm, content).as_ref().to_vec(), content)
    }

    /// Adds an event by which nothing is measured.
    #[must_use]
    pub fn no_action(self, pcr: u32, content: &[u8]) -> Self {
        self.event(pcr, 3, |algorithm| vec![0; algorithm.output_len()], content)
    }

    /// Adds the locality from which the TPM was started.
    #[must_use]
    pub fn startup(self, locality: u8) -> Self {
        self.no_action(0, &[&b"StartupLocality\0"[..], &[locality]].concat())
    }

    fn event(
        mut self,
        pcr: u32,
        kind: u32,
        digest: impl Fn(&'static Algorithm) -> Vec<u8>,
        content: &[u8],
    ) -> Self {
        for field in [pcr, kind, 2] {
            self.0.extend(field.to_le_bytes());
        }
        for (id, algorithm) in BANKS {
            self.0.extend(id.to_le_bytes());
            self.0.extend(digest(algorithm));
        }
        self.sized(content)
    }

    fn sized(mut self, content: &[u8]) -> Self {
        self.0.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
        self.0.extend(content);
        self
    }
}
