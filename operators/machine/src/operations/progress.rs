//! The progress that an installer reports, in the condition `Repaved`.

use super::{
    Clocks, installs,
    report::{INSTALL_FAILED, installing},
};
use crate::installed_disk;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{
    Machine, MachineInstallProgress, MachineStatus,
    installation::{InstallPhase, InstallProgress},
};
use metal_core::{
    conditions::cut,
    installation::{SILENT, amount, size},
};

/// The longest message of an installer, in bytes.
const TEXT: usize = 512;

/// The status after the installer of installation `repave` has said so; `None` if nothing changes, or
/// it is not the installation that is due.
pub fn reported(
    machine: &Machine,
    repave: i64,
    progress: &InstallProgress,
    now: Clocks,
) -> Option<MachineStatus> {
    if installs(machine, now) != Some(repave) {
        return None;
    }
    let old = machine.status.clone().unwrap_or_default();
    let mut new = old.clone();
    let told = describe(progress);
    let (reason, message) = if progress.phase == InstallPhase::Failed {
        (INSTALL_FAILED, installed_disk::explained(machine, told))
    } else {
        ("Pending", told)
    };
    installing(&mut new, machine, (reason, &message), now.wall);
    let operations = new.operations.get_or_insert_default();
    advance(
        operations.current.as_mut().map_or(&mut operations.by_hand, |it| &mut it.progress),
        progress,
        now.wall,
    );
    (new != old).then_some(new)
}

/// Whether the installer of the pending installation has reported, or fetched something.
pub fn is_heard(machine: &Machine) -> bool {
    let none = MachineStatus::default();
    let status = machine.status.as_ref().unwrap_or(&none);
    status.operations.as_ref().is_some_and(|operations| {
        let by_hand = operations.by_hand.as_ref();
        operations.current.as_ref().map_or(by_hand, |it| it.progress.as_ref()).is_some()
    })
}

/// Since when the installer has written to the disk, if it has said so: what is there is no longer what was
/// there before. An older version has recorded only how far it was.
pub(super) fn writing_since(furthest: Option<&MachineInstallProgress>) -> Option<Timestamp> {
    let furthest = furthest?;
    let writes = furthest.phase.parse::<InstallPhase>().is_ok_and(|it| it >= InstallPhase::Writing);
    furthest.writing_since.as_ref().or(writes.then_some(&furthest.at)).map(|since| since.0)
}

/// Remembers progress that exceeds all earlier progress of this attempt. An installer that begins again and
/// again makes none in this sense.
fn advance(
    furthest: &mut Option<MachineInstallProgress>,
    progress: &InstallProgress,
    now: Timestamp,
) {
    if progress.phase == InstallPhase::Failed {
        return;
    }
    let written = i64::try_from(progress.written).unwrap_or(i64::MAX);
    // An unknown phase, of another version, counts for less than any known one.
    let rank =
        |last: &MachineInstallProgress| (last.phase.parse::<InstallPhase>().ok(), last.written);
    if furthest.as_ref().is_some_and(|last| rank(last) >= (Some(progress.phase), written)) {
        return;
    }
    let phase: &str = progress.phase.into();
    let at = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
    let writes = (progress.phase >= InstallPhase::Writing).then(|| at.clone());
    let (writing_since, node_uid) =
        furthest.take().map_or((None, None), |it| (it.writing_since, it.node_uid));
    *furthest = Some(MachineInstallProgress {
        phase: phase.to_owned(),
        written,
        at,
        writing_since: writing_since.or(writes),
        node_uid,
    });
}

/// The furthest progress of an installer, in words.
pub(super) fn furthest(last: &MachineInstallProgress) -> String {
    match u64::try_from(last.written) {
        Ok(written) if written > 0 => format!("{} ({})", last.phase, size(written)),
        _ => last.phase.clone(),
    }
}

/// The progress as one line.
fn describe(progress: &InstallProgress) -> String {
    let text = progress.message.replace(char::is_control, " ");
    let text = cut(text.trim(), TEXT);
    let phase: &str = progress.phase.into();
    if progress.phase == InstallPhase::Failed {
        return if text.is_empty() { SILENT.into() } else { text.into() };
    }
    let mut line = phase.to_owned();
    if progress.phase == InstallPhase::Writing {
        line = format!("{line}: {}", amount(progress));
    }
    if text.is_empty() { line } else { format!("{line}: {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::{MachineOperations, MachinePxe, MachineSpec, condition};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn progress_is_told_in_one_line() {
        let line = |json| describe(&serde_json::from_str(json).unwrap());
        for (json, expected) in [
            (r#"{"phase":"downloading"}"#, "downloading"),
            (r#"{"phase":"writing","written":0,"total":null}"#, "writing: 0 MiB"),
            (r#"{"phase":"writing","written":10,"total":0}"#, "writing: 0 MiB"),
            (
                r#"{"phase":"writing","written":1290000000,"total":3000000000}"#,
                "writing: 43 %, 1.2 GiB",
            ),
            (
                r#"{"phase":"writing","written":18446744073709551615,"total":18446744073709551615}"#,
                "writing: 100 %, 17179869183.9 GiB",
            ),
            (
                r#"{"phase":"writing","written":9,"total":3,"message":"again"}"#,
                "writing: 100 %, 0 MiB: again",
            ),
            (r#"{"phase":"configuring","message":"a\nb\u001b[2J"}"#, "configuring: a b [2J"),
            (r#"{"phase":"failed","message":"no disk"}"#, "no disk"),
            (r#"{"phase":"failed"}"#, "the installer does not say why"),
        ] {
            assert_eq!(line(json), expected, "{json}");
        }
        let long = format!(r#"{{"phase":"failed","message":"{}"}}"#, "é".repeat(2000));
        assert!(line(&long).len() <= TEXT);
    }

    #[test]
    fn what_is_no_progress_is_refused() {
        for json in [
            "",
            "{}",
            "[]",
            r#"{"phase":"x"}"#,
            r#"{"phase":"done","more":1}"#,
            r#"{"phase":"writing","written":-1}"#,
            r#"{"phase":"Done"}"#,
        ] {
            assert!(serde_json::from_str::<InstallProgress>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn only_the_installation_that_is_due_tells_of_itself() {
        let progress = |json| serde_json::from_str::<InstallProgress>(json).unwrap();
        let writing = progress(r#"{"phase":"writing"}"#);
        let machine = machine(Some(3), Some(2));
        let told = reported(&machine, 3, &writing, NOW.into()).unwrap();
        assert_eq!(repaved(&told), ("False", "Pending", "writing: 0 MiB"));
        for (wanted, done, repave) in
            [(Some(3), Some(3), 3), (Some(3), Some(2), 2), (None, Some(0), 0), (Some(3), None, 3)]
        {
            let machine = self::machine(wanted, done);
            assert_eq!(
                reported(&machine, repave, &writing, NOW.into()),
                None,
                "{wanted:?} {done:?}"
            );
        }
    }

    #[test]
    fn a_failure_shows_and_what_follows_shows_again_and_nothing_else_changes() {
        let mut machine = machine(Some(3), Some(2));
        let before = machine.status.clone().unwrap();
        for (json, expected) in [
            (r#"{"phase":"failed","message":"no disk"}"#, ("False", "InstallFailed", "no disk")),
            (r#"{"phase":"downloading"}"#, ("False", "Pending", "downloading")),
        ] {
            let progress = serde_json::from_str(json).unwrap();
            let mut told = reported(&machine, 3, &progress, NOW.into()).unwrap();
            assert_eq!(repaved(&told), expected);
            machine.status = Some(told.clone());
            assert_eq!(reported(&machine, 3, &progress, NOW.into()), None, "said again");
            told.conditions.retain(|it| it.type_ != condition::REPAVED);
            told.operations.as_mut().unwrap().by_hand = None;
            assert_eq!(told, before);
        }
    }

    fn repaved(status: &MachineStatus) -> (&str, &str, &str) {
        let it = status.conditions.iter().find(|it| it.type_ == condition::REPAVED).unwrap();
        (&it.status, &it.reason, &it.message)
    }

    /// One without a BMC, of which installations were asked for, and done.
    fn machine(wanted: Option<i64>, done: Option<i64>) -> Machine {
        let operations = MachineOperations { repave_counter: wanted, ..Default::default() };
        let spec = MachineSpec {
            pxe: Some(MachinePxe::default()),
            operations: Some(operations),
            ..MachineSpec::default()
        };
        let mut machine = Machine::new("a", spec);
        let status = machine.status.insert(MachineStatus::default());
        if let Some(done) = done {
            status.operations.get_or_insert_default().repave_counter = Some(done);
        }
        let ready = metal_core::conditions::Fact {
            type_: condition::READY,
            holds: true,
            reason: "X",
            message: "",
        };
        metal_core::conditions::set(&mut status.conditions, ready, None, NOW);
        machine
    }
}
