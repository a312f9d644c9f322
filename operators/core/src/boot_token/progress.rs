//! The reports of an installer.

use super::{Refusal, fetch::is_current, status};
use crate::{
    installation::{SILENT, amount},
    sanitize::line,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{
    BootProgress, BootStep, BootToken, BootTokenPhase, BootTokenStatus,
    installation::{InstallPhase, InstallProgress},
};
use serde::Deserialize;

/// Within this time only a different step is written, because an installer may report as often as it likes.
const SELDOM: SignedDuration = SignedDuration::from_secs(10);

/// After this time even the same step is written: a recent report keeps other machines from beginning their
/// installation ([`super::second_script`]).
const AGAIN: SignedDuration = SignedDuration::from_mins(4);

/// The body of a report.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct InstallReport {
    /// What the installer does.
    pub step: BootStep,
    /// The same in a sentence.
    #[serde(default)]
    pub message: String,
}

impl From<InstallProgress> for InstallReport {
    /// A report of metal-installer.
    fn from(said: InstallProgress) -> Self {
        let (step, message) = match said.phase {
            InstallPhase::Started | InstallPhase::Downloading => (BootStep::Started, said.message),
            InstallPhase::Writing | InstallPhase::Verifying => (BootStep::Writing, written(&said)),
            InstallPhase::Configuring => (BootStep::Configuring, said.message),
            InstallPhase::Done => (BootStep::Done, said.message),
            InstallPhase::Failed if said.message.is_empty() => (BootStep::Failed, SILENT.into()),
            InstallPhase::Failed => (BootStep::Failed, said.message),
        };
        Self { step, message }
    }
}

/// Progress as text, with the reason why it has stopped.
fn written(said: &InstallProgress) -> String {
    let amount = amount(said);
    if said.message.is_empty() { amount } else { format!("{amount}: {}", said.message) }
}

/// The status with this report, by the boot of this number; `None` if it need not be written.
///
/// # Errors
///
/// If the boot is no longer the current one.
pub fn record(
    token: &BootToken,
    attempt: i64,
    report: &InstallReport,
    now: Timestamp,
) -> Result<Option<BootTokenStatus>, Refusal> {
    let old = status(token);
    // The answer to the last report may have been lost.
    let is_done = old.progress.as_ref().is_some_and(|it| it.step == BootStep::Done);
    if is_done && report.step == BootStep::Done && old.attempts == Some(attempt) {
        return Ok(None);
    }
    is_current(token, attempt, now)?;
    let message = line(&report.message);
    if let Some(last) = &old.progress {
        let is_same = last.step == report.step && last.message == message;
        let since = now.duration_since(last.at.0).abs();
        let pause = if is_same { AGAIN } else { SELDOM };
        if last.step == report.step && since < pause {
            return Ok(None);
        }
    }
    let phase = match report.step {
        BootStep::Done => BootTokenPhase::Installed,
        BootStep::Started
        | BootStep::Partitioning
        | BootStep::Writing
        | BootStep::Configuring
        | BootStep::Failed => BootTokenPhase::Installing,
    };
    let progress = BootProgress { step: report.step, message, at: Time(now) };
    Ok(Some(BootTokenStatus { phase: Some(phase), progress: Some(progress), ..old }))
}
