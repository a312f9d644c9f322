//! `releases start`

use super::{
    new_release::{CreatedRelease, ImageRequirement, ReleaseArgs},
    progress::{Progress, progress},
    starter,
};
use crate::{
    Outcome,
    cmd::{hosts, names},
    connection::Connection,
    failure,
    output::{DryRun, DryRunArgs, Format, shown, warn},
};
use anyhow::{Result, ensure};
use clap::{ArgAction, Args};
use kube::{Api, ResourceExt};
use metal_api::{Host, HostRelease};
use metal_base::jittered;
use metal_runtime::args::duration;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How often to look, by name: that takes no right to watch, and outlives any connection.
const POLL: Duration = Duration::from_secs(2);

/// Which release, and how long it is waited for.
#[derive(Debug, Args)]
pub(crate) struct Start {
    #[command(flatten)]
    what: ReleaseArgs,
    /// Wait until the host runs it; --wait=false returns at once
    #[arg(
        long,
        default_value_t = true,
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    wait: bool,
    /// How long to wait
    #[arg(long, default_value = "1h", value_parser = duration, value_name = "DURATION")]
    timeout: Duration,
    #[command(flatten)]
    dry_run: DryRunArgs,
    /// Output format
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

impl Start {
    pub(super) async fn run(&self, connection: &Connection) -> Result<Outcome> {
        let DryRunArgs { dry_run } = self.dry_run;
        if names::is_file(&self.what.release) {
            ensure!(
                dry_run == DryRun::None,
                "--dry-run is for a release: give - in place of the file, to have it printed"
            );
            return starter::write(&self.what).await;
        }
        let made = self.what.make(connection, ImageRequirement::HasMarker, dry_run).await?;
        let (name, note) = (made.release.name_any(), dry_run.note());
        warn(&format!("hostrelease.bloomery.dev/{name} created{note}"));
        let target = (made.org.as_str(), made.host.as_str());
        let host = hosts::activate(made.client.clone(), target, &name, dry_run).await?;
        if !self.wait || dry_run != DryRun::None {
            shown(&[host], self.output, &format!("is to run {name}{note}"))?;
            return Ok(Outcome::Done);
        }
        let api = Api::<Host>::namespaced(made.client.clone(), &made.org);
        self.waited(&api, &made, &name).await
    }

    /// Says what the host reports until it is done with the release.
    async fn waited(&self, api: &Api<Host>, made: &CreatedRelease, name: &str) -> Result<Outcome> {
        let begin = Instant::now();
        let mut said = String::new();
        loop {
            let look = timeout_at(begin + self.timeout, look(api, made)).await;
            let line = match look {
                Ok(Look::Waits(line)) => line,
                Ok(Look::Active(host)) => {
                    shown(&[*host], self.output, &format!("runs {name}"))?;
                    return Ok(Outcome::Done);
                }
                Ok(Look::Failed(why)) => {
                    warn(&format!("error: host {}: {name}: {why}", made.host));
                    return Ok(Outcome::Failed);
                }
                Err(_) => return Ok(self.late(made, &said)),
            };
            if line != said {
                let seconds = begin.elapsed().as_secs();
                warn(&format!("{}: {seconds}s: {line}", made.host));
                said = line;
            }
            if timeout_at(begin + self.timeout, sleep(jittered(POLL))).await.is_err() {
                return Ok(self.late(made, &said));
            }
        }
    }

    fn late(&self, made: &CreatedRelease, said: &str) -> Outcome {
        let within = self.timeout.as_secs();
        let last = if said.is_empty() { "nothing was seen of it" } else { said };
        warn(&format!(
            "error: host {}: not done within {within} s, and goes on without being waited for: {last}",
            made.host
        ));
        Outcome::Failed
    }
}

enum Look {
    Waits(String),
    Active(Box<Host>),
    Failed(String),
}

async fn look(api: &Api<Host>, made: &CreatedRelease) -> Look {
    match api.get_opt(&made.host).await {
        Ok(Some(host)) => match progress(&host, &made.release) {
            Progress::Waits(line) => Look::Waits(line),
            Progress::Active => Look::Active(Box::new(host)),
            Progress::Missing(why) => {
                let line = "the server has not heard of the release yet".to_owned();
                if is_there(made).await { Look::Waits(line) } else { Look::Failed(why) }
            }
            Progress::Failed(why) => Look::Failed(why),
        },
        Ok(None) => Look::Failed("the Host is gone".to_owned()),
        Err(error) => {
            let (is_passing, why) = (failure::is_passing(&error), failure::chain(&error.into()));
            if is_passing { Look::Waits(format!("{why}; still trying")) } else { Look::Failed(why) }
        }
    }
}

/// Whether the release is there: the server may hear first of what the host is to run.
async fn is_there(made: &CreatedRelease) -> bool {
    let api = Api::<HostRelease>::namespaced(made.client.clone(), &made.org);
    match api.get_opt(&made.release.name_any()).await {
        Ok(found) => found.is_some_and(|it| it.metadata.uid == made.release.metadata.uid),
        // Nobody can say.
        Err(error) => failure::is_passing(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::{
        apimachinery::pkg::apis::meta::v1::{Condition, Time},
        jiff::Timestamp,
    };
    use metal_api::{HostReleaseSpec, HostSpec, HostStatus, condition};
    use metal_runtime::testing::ApiServer;

    #[tokio::test]
    async fn a_release_that_the_server_has_not_heard_of_yet_is_waited_for_while_it_is_there() {
        let server = ApiServer::default();
        let active_release = Some("web-1-v1".to_owned());
        let mut host = Host::new("web-1", HostSpec { public_key: String::new(), active_release });
        host.metadata.namespace = Some("org".to_owned());
        let not_found = Condition {
            type_: condition::RELEASE_FOUND.to_owned(),
            status: "False".to_owned(),
            reason: "NotFound".to_owned(),
            message: "there is none".to_owned(),
            last_transition_time: Time(Timestamp::now()),
            observed_generation: None,
        };
        host.status = Some(HostStatus {
            requested_release: Some("web-1-v1".to_owned()),
            conditions: vec![not_found],
            ..HostStatus::default()
        });
        server.put(&host);
        let mut release = HostRelease::new("web-1-v1", HostReleaseSpec::default());
        release.metadata.namespace = Some("org".to_owned());
        release.metadata.uid = Some("uid".to_owned());
        server.put(&release);
        let client = server.client("org");
        let hosts = Api::namespaced(client.clone(), "org");
        let [org, host] = ["org", "web-1"].map(str::to_owned);
        let made = CreatedRelease { client, org, host, release };
        assert!(matches!(look(&hosts, &made).await, Look::Waits(_)));
        server.remove::<HostRelease>(Some("org"), "web-1-v1");
        let look = look(&hosts, &made).await;
        assert!(matches!(look, Look::Failed(why) if why == "NotFound: there is none"));
    }
}
