//! The commands of bootc that make a system run an image.

use super::{
    image::Image,
    status::{Status, is},
};

/// A command of bootc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Fetches the image, which boots next.
    Switch,
    /// Makes the deployment before this one boot next, which needs no registry; or undoes that.
    Rollback,
    /// Makes what was only downloaded boot next.
    Unlock,
}

/// What is done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) commands: Vec<Command>,
    /// Whether the machine is restarted then.
    pub(super) restarts: bool,
}

/// What has to be done until this image runs, and boots next.
pub(super) fn of(status: &Status, wanted: &Image) -> Plan {
    let is_staged = is(status.staged.as_ref(), wanted) && !status.rollback_queued;
    let is_locked = status.staged.as_ref().is_some_and(|it| it.download_only);
    let restarts = !is(status.booted.as_ref(), wanted);
    let commands = if !restarts {
        // Anything that was staged or queued for another release would boot next.
        let queued = status.rollback_queued.then_some(Command::Rollback);
        let is_other = status.staged.is_some() && !is(status.staged.as_ref(), wanted);
        queued.into_iter().chain(is_other.then_some(Command::Switch)).collect()
    } else if is(status.rollback.as_ref(), wanted) {
        // This drops what is staged.
        if status.rollback_queued { vec![] } else { vec![Command::Rollback] }
    } else if is_staged {
        if is_locked { vec![Command::Unlock] } else { vec![] }
    } else {
        vec![Command::Switch]
    };
    Plan { commands, restarts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const REPOSITORY: &str = "quay.io/example/web";

    fn digest(version: &str) -> String {
        format!("sha256:{}", version.repeat(64))
    }

    /// In the order of bootc 1.1, and in that of later ones, which sort names (RFC 8785).
    fn deployments(image: &str, digest: &str) -> [String; 2] {
        [
            format!(
                r#"{{"image":{{"image":{{"image":"{image}","transport":"registry"}},"version":"42","timestamp":null,"imageDigest":"{digest}"}},"cachedUpdate":null,"incompatible":false,"pinned":false,"store":"ostreeContainer","ostree":{{"checksum":"ab","deploySerial":0}}}}"#
            ),
            format!(
                r#"{{"cachedUpdate":null,"composefs":null,"downloadOnly":false,"image":{{"architecture":"amd64","image":{{"image":"{image}","transport":"registry"}},"imageDigest":"{digest}","timestamp":"2026-01-01T00:00:00Z","version":"42"}},"incompatible":false,"ostree":{{"checksum":"ab","deploySerial":0,"stateroot":"default"}},"pinned":false,"softRebootCapable":false,"store":"ostreeContainer"}}"#
            ),
        ]
    }

    fn host(booted: &str, staged: &str, rollback: &str, queued: bool) -> Status {
        let text = format!(
            r#"{{"apiVersion":"org.containers.bootc/v1","kind":"BootcHost","metadata":{{"name":"host"}},"spec":{{"bootOrder":"default","image":null}},"status":{{"booted":{booted},"otherDeployments":[],"rollback":{rollback},"rollbackQueued":{queued},"staged":{staged},"type":"bootcHost"}}}}"#
        );
        let pretty: Value = serde_json::from_str(&text).unwrap();
        Status::parse(format!("{pretty:#}").as_bytes()).unwrap();
        Status::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_system_is_known_by_repository_and_digest_however_bootc_spells_it() {
        let wanted = Image::parse(&format!("{REPOSITORY}:v1@{}", digest("a")));
        for (image, of, holds) in [
            (format!("{REPOSITORY}@{}", digest("a")), digest("a"), true),
            // By the digest of an index, or by a tag.
            (format!("{REPOSITORY}@{}", digest("a")), digest("c"), true),
            (format!("{REPOSITORY}:v1"), digest("a"), true),
            (format!("Quay.io/example/web:other@{}", digest("a")), digest("a"), true),
            (format!("{REPOSITORY}@{}", digest("b")), digest("b"), false),
            (format!("quay.io/example/other@{}", digest("a")), digest("a"), false),
        ] {
            for booted in deployments(&image, &of) {
                let status = host(&booted, "null", "null", false);
                assert_eq!(is(status.booted.as_ref(), &wanted), holds, "{booted}");
                assert_eq!(status.boots_next(&wanted), holds);
                let named = status.booted.unwrap().image().unwrap().to_string();
                assert!(named.contains("@sha256:") && !named.contains(":v1"), "{named}");
            }
        }
        let layered = host(r#"{"image":null,"incompatible":true}"#, "null", "null", false);
        assert!(!is(layered.booted.as_ref(), &wanted));
        assert!(layered.booted.unwrap().image().is_none());
        assert!(Status::parse(b"{}").is_err() && Status::parse(b"No status").is_err());
    }

    #[test]
    fn bootc_is_told_what_it_takes_and_nothing_more() {
        use Command::{Rollback, Switch, Unlock};
        let named = |version: &str| format!("{REPOSITORY}@{}", digest(version));
        let wanted = Image::parse(&named("2"));
        let of = |version: &str| {
            let deployment = |at: usize| deployments(&named(version), &digest(version))[at].clone();
            if version.is_empty() {
                ["null".to_owned(), "null".to_owned()]
            } else {
                [deployment(0), deployment(1)]
            }
        };
        for (booted, staged, rollback, queued, commands, restarts) in [
            ("1", "", "", false, &[Switch][..], true),
            ("1", "2", "", false, &[], true),
            ("1", "3", "", false, &[Switch], true),
            ("1", "", "2", false, &[Rollback], true),
            ("1", "3", "2", false, &[Rollback], true),
            ("1", "", "2", true, &[], true),
            ("1", "", "3", true, &[Switch], true),
            ("2", "", "1", false, &[], false),
            ("2", "2", "1", false, &[], false),
            ("2", "", "1", true, &[Rollback], false),
            ("2", "3", "1", false, &[Switch], false),
            ("", "", "", false, &[Switch], true),
        ] {
            for order in 0..2 {
                let [booted, staged, rollback] =
                    [booted, staged, rollback].map(|it| of(it)[order].clone());
                let plan = super::of(&host(&booted, &staged, &rollback, queued), &wanted);
                let expected = Plan { commands: commands.to_vec(), restarts };
                assert_eq!(plan, expected, "{booted} {staged} {rollback} {queued}");
            }
        }
        // A restart does not apply what was only downloaded.
        let mut locked: Value = serde_json::from_str(&of("2")[1]).unwrap();
        locked["downloadOnly"] = json!(true);
        let status = host(&of("1")[1], &locked.to_string(), "null", false);
        assert_eq!(super::of(&status, &wanted).commands, [Unlock]);
    }
}
