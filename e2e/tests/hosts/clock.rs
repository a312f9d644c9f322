//! A machine whose clock is wrong by hours: by it, its token is not yet there, or is over.

use super::{
    machine::Machine,
    site::{PATIENCE, Site},
    system::{System, activate, shown, until},
};
use e2e::cluster::Cluster;
use jiff::Timestamp;
use metal_api::BootTokenPhase;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What the agent is told of the time instead: so many seconds more.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    const char *more = getenv("CLOCK_IS_WRONG_BY");
    if (result == 0 && clock == CLOCK_REALTIME && more) time->tv_sec += atol(more);
    return result;
}
"#;

#[tokio::test]
async fn a_machine_whose_clock_is_wrong_by_hours_registers_and_runs_its_release() {
    for hours in [-12, 12] {
        let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let clock = clock(folder.path());
        // It is good for an hour.
        let url = site.token("web-1", |_| {}).await.unwrap();
        let installed = Machine::new().unwrap().install(&url).await.unwrap();
        let system = System::new(folder.path(), &installed).unwrap();
        system.on("v1", "date +%s > now").unwrap();
        let wrong = |command: &mut tokio::process::Command| {
            command.env("LD_PRELOAD", &clock);
            command.env("CLOCK_IS_WRONG_BY", (hours * 3600).to_string());
        };
        let agent = system.start_with(wrong).await.unwrap();
        site.phase("web-1", BootTokenPhase::Consumed).await.unwrap();
        until("it is not told yes", || Ok(system.host()?["credential"].is_null())).await;
        activate(&site, "v1").await;
        shown(&site, "Active", "v1", None).await;
        agent.terminate(PATIENCE).await.unwrap();
        let told: i64 = fs::read_to_string(system.path("now")).unwrap().trim().parse().unwrap();
        let off = told - Timestamp::now().as_second() - hours * 3600;
        assert!(off.abs() < 1800, "the clock of the machine is right: {told}");
        site.end().await.unwrap();
    }
}

/// A library that is loaded before that of C.
fn clock(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    fs::write(&source, CLOCK).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
    assert!(compiler.status().unwrap().success());
    library
}
