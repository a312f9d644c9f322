//! Writes that a BMC continues after it has answered.

use crate::{
    bmc::{FakeRedfish, Fault, patient},
    documents::SYSTEM,
};
use metal_bmc::{Bmc, Error, Limits};
use metal_core::redfish::{IndicatorLed, ResetType, Step};
use serde_json::{Value, json};
use std::time::Duration;

const TASK: &str = "/redfish/v1/TaskService/Tasks/1";

#[tokio::test]
async fn a_task_is_followed_to_its_end() {
    let server = FakeRedfish::machine().await;
    let slow = |system: &mut Value| {
        system["Actions"]["#ComputerSystem.Reset"]["target"] = json!("/SlowReset");
    };
    server.edit(SYSTEM, slow);
    server.bmc().perform(SYSTEM, &Step::Reset(ResetType::On)).await.unwrap();
    let looks = server.log().iter().filter(|line| line.contains("/Tasks/1")).count();
    assert_eq!(looks, 3);
}

/// What a step comes to whose task is answered like this, whenever it is looked at.
async fn with_task(task: Value, step: Step) -> Result<(), Error> {
    let server = FakeRedfish::machine().await;
    server.fault(TASK, Fault::Answer(200, task.to_string()));
    server.judge(|_, _, _, _| Some((202, json!({"@odata.id": TASK}))));
    let write = Duration::from_secs(2);
    let (_fleet, bmc) = server.fleet(Limits { write, ..patient() });
    bmc.perform(SYSTEM, &step).await
}

#[tokio::test]
async fn a_task_that_fails_or_never_ends_is_an_error() {
    let exception = json!({"TaskState": "Exception", "Messages": [{"Message": "no power"}]});
    let running = json!({"TaskState": "Running"});
    let lit = Step::IndicatorLed(IndicatorLed::Lit);
    for (task, step, text) in [
        (exception, Step::Reset(ResetType::On), "ended with the state Exception: no power"),
        (running, lit, "did not finish in time"),
    ] {
        match with_task(task, step).await {
            Err(Error::Failed { source, .. }) => {
                assert!(source.to_string().ends_with(text), "{source}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_task_is_read_where_its_monitor_is_not_there_or_cannot_be_read() {
    const MONITOR: &str = "/redfish/v1/TaskService/TaskMonitors/1";
    for status in [404, 400] {
        for (state, is_done) in [("Exception", false), ("Completed", true)] {
            let server = FakeRedfish::machine().await;
            server.fault(MONITOR, Fault::Answer(status, String::new()));
            server.fault(TASK, Fault::Answer(200, json!({"TaskState": state}).to_string()));
            let answer = json!({"@odata.id": TASK, "TaskMonitor": MONITOR});
            server.judge(move |_, _, _, _| Some((202, answer.clone())));
            let done = server.bmc().perform(SYSTEM, &Step::IndicatorLed(IndicatorLed::Lit)).await;
            assert_eq!(done.is_ok(), is_done, "HTTP {status}, {state}: {done:?}");
        }
    }
}

#[tokio::test]
async fn a_task_that_cannot_be_looked_at_for_a_moment_has_not_failed() {
    for (status, fails) in [(500, true), (502, false), (503, false), (504, false), (429, false)] {
        let server = FakeRedfish::machine().await;
        server.fault(TASK, Fault::Answer(status, String::new()));
        server.judge(|_, _, _, _| Some((202, json!({"@odata.id": TASK}))));
        let bmc = server.bmc();
        let looks = || server.log().iter().filter(|line| line.ends_with("/Tasks/1")).count();
        let repaired = async {
            while looks() < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            server.repair();
        };
        let step = Step::IndicatorLed(IndicatorLed::Lit);
        if fails {
            bmc.perform(SYSTEM, &step).await.unwrap_err();
        } else {
            let repaired = tokio::time::timeout(Duration::from_mins(1), repaired);
            let (done, _) = tokio::join!(bmc.perform(SYSTEM, &step), repaired);
            assert!(done.is_ok(), "HTTP {status}: {done:?}");
        }
    }
}

#[tokio::test]
async fn a_reset_whose_task_outlasts_the_call_was_accepted() {
    for reset in [ResetType::GracefulShutdown, ResetType::On] {
        with_task(json!({"TaskState": "Running"}), Step::Reset(reset)).await.unwrap();
    }
}
