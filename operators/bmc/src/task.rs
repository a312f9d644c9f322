//! Waiting for what a BMC goes on doing after it has answered (DSP0266, section 12).

use crate::{
    Error,
    call::{Call, failed, is_fatal},
    endpoint::Request,
    field, json, message, uri,
    wire::Reply,
};
use http::{Method, StatusCode, header};
use metal_base::jitter::{number_of, upper_half};
use serde_json::Value;
use std::time::Duration;

/// What a BMC may at most ask for between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// As often is a task looked at that is to be accepted, and runs.
const LOOKS: u32 = 4;

/// Memory that a task may take.
const TASK: usize = 512 << 10;

/// A task did not come to a good end.
#[derive(Debug, thiserror::Error)]
enum TaskError {
    #[error("its task {0} ended as {1}")]
    Ended(String, String),
    #[error("its task {0} is not finished, and no time is left to wait for it")]
    Unfinished(String),
}

/// How long a task is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// To its end.
    Done,
    /// Until it is accepted: it is carried out with the next reset of the host.
    Accepted,
}

/// How far a task is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has not begun: it may wait for something.
    Waits,
    Runs,
    Done,
    Failed(String),
}

/// Waits for the task that an answer names. An answer without one is finished: Supermicro accepts
/// resets with 202 and nothing to follow.
pub(crate) async fn finish(
    call: &Call<'_>,
    mut reply: Reply,
    action: String,
    until: Until,
) -> Result<(), Error> {
    if reply.status != StatusCode::ACCEPTED {
        return Ok(());
    }
    let Some(monitor) = monitor(&reply) else { return Ok(()) };
    for look in 0_u32.. {
        let time = match until {
            Until::Done => pause(call, &reply),
            Until::Accepted => call.task_poll(),
        };
        if !call.pause(upper_half(time * 2, number_of(&(&monitor, look)))).await {
            return Err(failed(action, TaskError::Unfinished(monitor)));
        }
        reply = match call.send(&Request::new(Method::GET, &monitor)).await {
            Ok(reply) => reply,
            Err(error) if is_fatal(&error) => return Err(error),
            Err(_) => continue,
        };
        match progress(&reply) {
            Progress::Waits if until == Until::Accepted => return Ok(()),
            // Some say so while they wait.
            Progress::Runs if until == Until::Accepted && look >= LOOKS => return Ok(()),
            Progress::Waits | Progress::Runs => {}
            Progress::Done => return Ok(()),
            Progress::Failed(_) if !reply.status.is_success() => {
                return Err(call.refusal(&reply, action));
            }
            Progress::Failed(how) => {
                let how = call.redacted(how);
                return Err(failed(action, TaskError::Ended(monitor, how)));
            }
        }
    }
    Ok(())
}

/// Where to look: the monitor that the header names, else the one of the task in the body, else
/// that task.
fn monitor(reply: &Reply) -> Option<String> {
    let path = |link: &str| uri::resolved(link, &reply.asked);
    let header = reply.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    header.and_then(path).or_else(|| {
        let body = json::value(&reply.body, TASK).ok()?;
        body["TaskMonitor"].as_str().and_then(path).or_else(|| field::link(&body))
    })
}

fn pause(call: &Call<'_>, reply: &Reply) -> Duration {
    let header = reply.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = header.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    seconds.map_or(call.task_poll(), |time| time.max(call.task_poll()).min(LONGEST_PAUSE))
}

fn progress(reply: &Reply) -> Progress {
    match reply.status {
        // A monitor is gone once it has been read, or some time later.
        StatusCode::NOT_FOUND | StatusCode::GONE => Progress::Done,
        StatusCode::ACCEPTED | StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            Progress::Runs
        }
        status if !status.is_success() => Progress::Failed(status.to_string()),
        _ => json::value(&reply.body, TASK).map_or(Progress::Done, |body| of_task(&body)),
    }
}

/// A monitor without a task in it gives the answer that the request itself would have got.
pub(crate) fn of_task(task: &Value) -> Progress {
    let state = task["TaskState"].as_str();
    let is_critical = task["TaskStatus"].as_str() == Some("Critical");
    let said =
        || message::messages(&serde_json::json!({"@Message.ExtendedInfo": task["Messages"]}));
    match state {
        None => Progress::Done,
        Some("Completed") if !is_critical => Progress::Done,
        Some(ended @ ("Completed" | "Exception" | "Killed" | "Cancelled" | "Canceled")) => {
            Progress::Failed(said().map_or(ended.to_owned(), |said| format!("{ended}: {said}")))
        }
        Some("New" | "Pending" | "Suspended" | "Service" | "Interrupted") => Progress::Waits,
        Some(_) => Progress::Runs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_task_is_done_when_its_state_says_so() {
        for (task, progress) in [
            (json!({"TaskState": "Running"}), Progress::Runs),
            (json!({"TaskState": "New"}), Progress::Waits),
            (json!({"TaskState": "Suspended"}), Progress::Waits),
            (json!({"TaskState": "Completed", "TaskStatus": "OK"}), Progress::Done),
            (json!({"TaskState": "Completed"}), Progress::Done),
            (json!({"Id": "an answer that is no task"}), Progress::Done),
            (
                json!({"TaskState": "Completed", "TaskStatus": "Critical"}),
                Progress::Failed("Completed".to_owned()),
            ),
            (
                json!({"TaskState": "Exception", "Messages": [{"Message": "no power"}]}),
                Progress::Failed("Exception: no power".to_owned()),
            ),
        ] {
            assert_eq!(of_task(&task), progress, "{task}");
        }
    }
}
