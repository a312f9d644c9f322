//! Architectures of machines and images, in the Go terms that OCI uses (image-spec 1.1, "Platform
//! Variants").

use std::fmt;

/// An architecture and variant: what an image was built for, or what a machine is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    architecture: String,
    /// `None` means the baseline, which every machine of the architecture runs.
    variant: Option<String>,
}

impl Machine {
    /// An architecture with its variant, in any accepted spelling.
    pub fn new(architecture: &str, variant: Option<&str>) -> Self {
        let architecture = architecture.trim().to_ascii_lowercase();
        let architecture = match architecture.as_str() {
            "x86_64" | "x86-64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let variant = variant.map(|text| text.trim().to_ascii_lowercase());
        let variant = variant.filter(|variant| !is_baseline(architecture, variant));
        Self { architecture: architecture.to_owned(), variant }
    }

    /// A machine as written in a flag: `arm64`, or `arm64/v9`.
    pub fn named(text: &str) -> Self {
        match text.split_once('/') {
            Some((architecture, variant)) => Self::new(architecture, Some(variant)),
            None => Self::new(text, None),
        }
    }

    /// Whether a machine like this runs what was built for `built`. Newer variants run what was
    /// built for older ones; a machine of unknown variant runs only the baseline.
    pub fn runs(&self, built: &Self) -> bool {
        self.architecture == built.architecture
            && match (&self.variant, &built.variant) {
                (_, None) => true,
                (None, Some(_)) => false,
                (Some(has), Some(needs)) => {
                    has == needs || level(needs).is_some_and(|needs| level(has) >= Some(needs))
                }
            }
    }
}

/// Parses a variant such as `v9.2`.
fn level(variant: &str) -> Option<(u32, u32)> {
    let text = variant.strip_prefix('v')?;
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whether every machine of the architecture has at least this variant.
fn is_baseline(architecture: &str, variant: &str) -> bool {
    match architecture {
        "arm64" => matches!(variant, "" | "8" | "v8" | "v8.0"),
        "amd64" => matches!(variant, "" | "1" | "v1"),
        _ => variant.is_empty(),
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_runs_its_variant_and_older_ones() {
        let runs = |machine: &str, architecture: &str, variant| {
            Machine::named(machine).runs(&Machine::new(architecture, variant))
        };
        for baseline in [None, Some(""), Some("v8"), Some("8"), Some("V8")] {
            assert!(runs("arm64", "arm64", baseline), "{baseline:?}");
            assert!(runs("aarch64", "arm64", baseline) && runs("arm64/v8", "aarch64", baseline));
        }
        assert!(!runs("arm64", "arm64", Some("v9")) && !runs("arm64/v8", "arm64", Some("v9")));
        assert!(runs("arm64/v9", "arm64", Some("v9")) && runs("arm64/v9", "arm64", Some("v8")));
        assert!(runs("amd64", "x86_64", Some("v1")) && !runs("amd64", "amd64", Some("v3")));
        assert!(runs("amd64/v3", "amd64", Some("v2")) && !runs("amd64/v2", "amd64", Some("v3")));
        assert!(!runs("amd64", "arm64", None) && !runs("arm64", "unknown", None));
        assert_eq!(Machine::named("ARM64/v9.2").to_string(), "arm64/v9.2");
    }
}
