//! The reports of a host.

use crate::{
    conditions::{self, Fact},
    sanitize::line,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{Host, HostStatus, condition};
use serde::Deserialize;
use std::net::IpAddr;

/// How often `status.lastSeen` is written if nothing else changes.
const SELDOM: SignedDuration = SignedDuration::from_mins(1);

/// The body of a report.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HostReport {
    /// The image that runs.
    #[serde(default)]
    pub image: Option<String>,
    /// The release that runs.
    #[serde(default)]
    pub release: Option<String>,
    /// The outcome of the last activation.
    #[serde(default)]
    pub result: Option<Outcome>,
    /// The release that was to be activated.
    #[serde(default)]
    pub of: Option<String>,
    /// Its UID, because another release may have had its name.
    #[serde(default, rename = "ofUID")]
    pub of_uid: Option<String>,
    /// The outcome in a sentence.
    #[serde(default)]
    pub message: String,
}

/// The outcome of an activation.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, strum::IntoStaticStr)]
pub enum Outcome {
    /// It is in progress.
    Activating,
    /// The release runs, and is healthy.
    Active,
    /// The release cannot be activated; the previous one still runs.
    Failed,
    /// The release was not healthy in time, so the previous one runs again.
    RolledBack,
}

/// The status with this report; `None` if it need not be written.
pub fn record(
    host: &Host,
    report: &HostReport,
    from: Option<IpAddr>,
    now: Timestamp,
) -> Option<HostStatus> {
    let old = host.status.clone().unwrap_or_default();
    let mut new = old.clone();
    let name = |text: &String| line(text);
    new.running_image = report.image.as_ref().map(name).or(new.running_image);
    new.running_release = report.release.as_ref().map(name).or(new.running_release);
    new.address = from.map(|address| address.to_canonical().to_string()).or(new.address);
    if let Some(outcome) = report.result {
        let message = describe(report);
        let fact = Fact {
            type_: condition::RELEASE_ACTIVE,
            holds: outcome == Outcome::Active,
            reason: outcome.into(),
            message: &message,
        };
        conditions::set(&mut new.conditions, fact, host.metadata.generation, now);
        new.reported_release = report.of.as_ref().map(name).filter(|of| !of.is_empty());
        new.reported_release_uid = report.of_uid.as_ref().map(name).filter(|uid| !uid.is_empty());
    }
    let is_old = old.last_seen.as_ref().is_none_or(|at| now.duration_since(at.0).abs() >= SELDOM);
    if new == old && !is_old {
        return None;
    }
    new.last_seen = Some(Time(now));
    Some(new)
}

fn describe(report: &HostReport) -> String {
    let message = line(&report.message);
    match report.of.as_ref().map(|of| line(of)) {
        Some(of) if message.is_empty() => of,
        Some(of) => format!("{of}: {message}"),
        None => message,
    }
}
