//! Who resolves what a machine waits for: metalman by retrying, or a person.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use metal_api::condition;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Its power is cycled.
    Reboot,
    /// It is installed anew, and rebooted for that.
    Repave,
}

impl Request {
    /// Its name, as a command.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reboot => "reboot",
            Self::Repave => "repave",
        }
    }
}

/// Who resolves a condition: metalman by retrying, or a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResolvedBy {
    /// metalman, by retrying; it gives up at some time.
    Retry,
    /// A person: nothing happens before that.
    Person,
}
use ResolvedBy::{Person, Retry};

/// What a request needs a condition for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needed {
    /// Every request.
    Always,
    /// An installation.
    ToInstall,
}
use Needed::{Always, ToInstall};

/// Every reason with which a condition of a Machine is `False` while it waits. `Ready` and `TPMVerified`
/// are not here: what they tell ends a request in any case, except of `Ready` what an operation says itself.
type Row = (&'static str, Needed, &'static [(&'static str, ResolvedBy)]);

/// The table.
const TABLE: &[Row] = &[
    (
        condition::BMC_REACHABLE,
        Always,
        &[
            ("InvalidURL", Person),
            ("PlainHTTP", Person),
            ("NameNotConfirmed", Person),
            ("InvalidDeviceID", Person),
            ("NamespaceNotAllowed", Person),
            ("PasswordMissing", Person),
            ("NotPinned", Person),
            ("PinMissing", Person),
            ("CertificateDiffers", Person),
            ("Unauthorized", Person),
            ("SystemAmbiguous", Person),
            ("SystemMissing", Person),
            ("SystemDiffers", Person),
            ("SystemShared", Person),
            // A BMC that restarts does so, too.
            ("NoAnswer", Retry),
            ("SessionsFull", Retry),
            ("Misbehaving", Retry),
            ("PowerUnknown", Retry),
        ],
    ),
    (
        condition::IMAGE_READY,
        ToInstall,
        &[
            ("NoImage", Person),
            ("MalformedReference", Person),
            ("RegistryNotAllowed", Person),
            ("ImageNotFound", Person),
            ("LoginNeeded", Person),
            ("LoginRefused", Person),
            ("LoginMissing", Person),
            ("PullSecretMissing", Person),
            ("PullSecretUnusable", Person),
            ("ArchitectureMissing", Person),
            ("MalformedManifest", Person),
            ("MalformedLayer", Person),
            ("MalformedMetadata", Person),
            ("BootFileMissing", Person),
            ("TooManyTemplates", Person),
            ("FileTooLarge", Person),
            ("NoDisk", Person),
            ("TemplateUnusable", Person),
            ("ClusterUnknown", Person),
            ("CacheFull", Person),
            ("Pulling", Retry),
            ("RegistryFailed", Retry),
            ("CacheFailed", Retry),
            ("PullSecretUnread", Retry),
            ("Shutdown", Retry),
        ],
    ),
    (
        condition::USER_DATA_READY,
        ToInstall,
        &[("NamespaceNotAllowed", Person), ("KeyMissing", Person), ("NotAList", Person)],
    ),
    // It is installed, and then gets no token.
    (condition::NODE_OWNED, ToInstall, &[("NodeOfAnother", Person)]),
    (
        condition::BOOT_VERIFIED,
        ToInstall,
        // A quote is refused as well that has come too late.
        &[("PCRDiffers", Person), ("QuoteMissing", Person), ("QuoteRefused", Retry)],
    ),
    // Three attempts are made in any case, and the installer tries again in each of them.
    (condition::REPAVED, ToInstall, &[("Pending", Retry), ("InstallFailed", Retry)]),
    (condition::BOOT_ORDER_CONFIG_SUPPORTED, Always, &[("NotSupported", Retry)]),
    // The Node is what counts.
    (
        condition::CLOUD_INIT_DONE,
        ToInstall,
        &[("Running", Retry), ("Failed", Retry), ("TimedOut", Retry)],
    ),
    // Somebody does it who was asked to, by hand.
    // What becomes of an image, its own condition says.
    (
        condition::OPERATIONS_DONE,
        Always,
        &[
            ("NoBMC", Retry),
            ("Pending", Retry),
            ("ImageNotReady", Retry),
            ("WaitsForReboot", Person),
            ("OwnHost", Person),
        ],
    ),
];

/// Who resolves a condition, for this request. What another version says is waited for.
fn resolved_by(request: Request, it: &Condition) -> ResolvedBy {
    let row = TABLE.iter().find(|(type_, ..)| *type_ == it.type_);
    let Some((_, needed, reasons)) = row else { return Retry };
    if it.status == "True" || (*needed == ToInstall && request == Request::Reboot) {
        return Retry;
    }
    reasons.iter().find(|(reason, _)| *reason == it.reason).map_or(Retry, |(_, by)| *by)
}

/// Whether a person has to mend what a condition tells of, before a machine is installed.
pub(super) fn needs_person(it: &Condition) -> bool {
    resolved_by(Request::Repave, it) == Person
}

/// The condition for which a person has to do something before the request is carried out. What was not
/// looked at since it was asked for, by the generation of the Machine, may be resolved by now.
pub(super) fn by_a_person(
    request: Request,
    conditions: &[Condition],
    asked: Option<i64>,
) -> Option<&Condition> {
    let is_current = |it: &&Condition| it.observed_generation >= asked;
    conditions.iter().filter(is_current).find(|it| resolved_by(request, it) == Person)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Where reasons of these conditions are written down.
    const SOURCES: [&str; 13] = [
        include_str!("operations/bmc.rs"),
        include_str!("operations/lockout.rs"),
        include_str!("provisioning/image/mod.rs"),
        include_str!("../../core/src/pull_secret.rs"),
        include_str!("../../metalman/src/operations/bmcs.rs"),
        include_str!("../../metalman/src/operations/systems.rs"),
        include_str!("../../metalman/src/images/mod.rs"),
        include_str!("../../metalman/src/image_files/state.rs"),
        include_str!("../../metalman/src/pull/logins.rs"),
        include_str!("../../metalman/src/pull/mod.rs"),
        include_str!("../../image/src/tree/error.rs"),
        include_str!("../../image/src/resolve/error.rs"),
        include_str!("../../image/src/registry/error.rs"),
    ];

    #[test]
    fn every_reason_of_the_code_is_decided() {
        let known: BTreeSet<_> = TABLE
            .iter()
            .flat_map(|(_, _, reasons)| reasons.iter().map(|(reason, _)| *reason))
            .collect();
        for source in SOURCES {
            let code = source.split("#[cfg(test)]").next().unwrap();
            for word in code.split('"').skip(1).step_by(2) {
                let is_reason = word.len() > 5
                    && word.starts_with(|c: char| c.is_ascii_uppercase())
                    && word.chars().all(|c| c.is_ascii_alphanumeric())
                    && word.contains(|c: char| c.is_ascii_lowercase());
                let is_fine = matches!(word, "Pulled" | "Answers");
                assert!(!is_reason || is_fine || known.contains(word), "{word} is not decided");
            }
        }
    }

    /// Reasons that are the names of variants.
    fn variants(source: &str) -> impl Iterator<Item = &str> {
        let (_, after) = source.split_once("strum::IntoStaticStr)]").unwrap();
        let lines = after.split("\n}").next().unwrap().lines();
        let lines = lines.filter_map(|line| line.strip_prefix("    "));
        let variants = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
        variants.map(|line| line.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap())
    }

    #[test]
    fn every_way_in_which_an_image_is_unusable_is_decided() {
        let rows = TABLE.iter().filter(|(type_, ..)| *type_ == condition::IMAGE_READY);
        let known: BTreeSet<_> =
            rows.flat_map(|(_, _, reasons)| reasons.iter().map(|(reason, _)| *reason)).collect();
        let all: Vec<_> = variants(include_str!("../../metalman/src/images/image.rs")).collect();
        assert!(all.len() > 3, "{all:?}");
        for reason in all {
            assert!(known.contains(reason), "{reason} is not decided");
        }
    }

    #[test]
    fn a_reboot_needs_no_image_and_what_is_older_than_the_request_does_not_count() {
        let condition = |type_: &str, reason: &str, generation| Condition {
            type_: type_.to_owned(),
            status: "False".to_owned(),
            reason: reason.to_owned(),
            observed_generation: generation,
            message: String::new(),
            last_transition_time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
                jiff::Timestamp::UNIX_EPOCH,
            ),
        };
        let ends = |request, it: &Condition| {
            by_a_person(request, std::slice::from_ref(it), Some(3)).is_some()
        };
        for (type_, reason, generation, reboot, repave) in [
            ("BMCReachable", "CertificateDiffers", Some(3), true, true),
            ("BMCReachable", "CertificateDiffers", Some(4), true, true),
            ("BMCReachable", "CertificateDiffers", Some(2), false, false),
            ("BMCReachable", "CertificateDiffers", None, false, false),
            ("BMCReachable", "NoAnswer", Some(3), false, false),
            ("BMCReachable", "OfALaterVersion", Some(3), false, false),
            ("ImageReady", "LoginRefused", Some(3), false, true),
            ("ImageReady", "Pulling", Some(3), false, false),
            ("UserDataReady", "KeyMissing", Some(3), false, true),
            ("NodeOwned", "NodeOfAnother", Some(3), false, true),
            ("NodeOwned", "NodeOfAnother", Some(2), false, false),
            ("BootVerified", "PCRDiffers", Some(3), false, true),
            ("BootVerified", "QuoteRefused", Some(3), false, false),
            ("OperationsDone", "NoBMC", Some(3), false, false),
            ("Else", "CertificateDiffers", Some(3), false, false),
        ] {
            let mut it = condition(type_, reason, generation);
            let seen = (ends(Request::Reboot, &it), ends(Request::Repave, &it));
            assert_eq!(seen, (reboot, repave), "{type_} {reason} {generation:?}");
            it.status = "True".to_owned();
            assert!(!ends(Request::Repave, &it), "{type_} {reason} holds");
        }
    }
}
