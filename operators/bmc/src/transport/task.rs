//! Waits for work that a BMC continues after it has responded (DSP0266, section 12).

use crate::{
    Error,
    transport::{
        call::{Call, failed, is_fatal},
        field,
        form::TaskWait,
        json, message,
        request::Request,
        uri,
        wire::Reply,
    },
};
use http::{Method, StatusCode, header};
use metal_base::jitter::{number_of, upper_half};
use serde_json::Value;
use std::time::Duration;

/// The longest pause between two polls that a BMC may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// After this many polls, a running task counts as accepted.
const LOOKS: u32 = 4;

/// Most memory that a task may take.
const TASK: usize = 512 << 10;

/// A task failed or did not end in time.
#[derive(Debug, thiserror::Error)]
enum TaskError {
    #[error("its task {0} ended with the state {1}")]
    Ended(String, String),
    #[error("its task {0} did not finish in time")]
    Unfinished(String),
}

/// The state of a task.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has not started, and may be waiting for something.
    Waits,
    Runs,
    Done,
    /// There is nothing to be read, which says nothing about the task.
    Unknown,
    Failed(String),
}

/// Waits for the task that a response names. A response without one is final: Supermicro accepts
/// resets with 202 and nothing to follow.
pub(crate) async fn finish(
    call: &Call<'_>,
    mut reply: Reply,
    action: String,
    until: TaskWait,
) -> Result<(), Error> {
    if reply.status != StatusCode::ACCEPTED {
        return Ok(());
    }
    let mut others = monitors(&reply).into_iter();
    let Some(mut monitor) = others.next() else { return Ok(()) };
    for look in 0_u32.. {
        let time = pause(call, &reply, until);
        if !call.pause(upper_half(time * 2, number_of(&(&monitor, look)))).await {
            return late(until, action, monitor);
        }
        reply = match call.send(&Request::new(Method::GET, &monitor)).await {
            Ok(reply) => reply,
            Err(error) if is_fatal(&error) => return Err(error),
            Err(_) => continue,
        };
        if reply.status.is_success() {
            others = Vec::new().into_iter();
        }
        match progress(&reply) {
            Progress::Waits if until == TaskWait::Accepted => return Ok(()),
            // Some BMCs report tasks as running that only wait.
            Progress::Runs if until == TaskWait::Accepted && look >= LOOKS => return Ok(()),
            Progress::Waits | Progress::Runs => {}
            Progress::Done => return Ok(()),
            // The caller reads back whether it took effect.
            Progress::Unknown => match others.next() {
                Some(other) => monitor = other,
                None => return Ok(()),
            },
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

/// What to poll, the next one where one cannot be read: the monitor in the header, the monitor of the
/// task in the body, and that task.
fn monitors(reply: &Reply) -> Vec<String> {
    let path = |link: &str| uri::resolved(link, &reply.asked);
    let header = reply.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let body = json::value(&reply.body, TASK).unwrap_or_default();
    let named = [header, body["TaskMonitor"].as_str()].into_iter().flatten().filter_map(path);
    let mut monitors: Vec<_> = named.chain(field::link(&body)).collect();
    monitors.dedup();
    monitors
}

/// What a task comes to for which there is no more time.
fn late(until: TaskWait, action: String, monitor: String) -> Result<(), Error> {
    match until {
        TaskWait::DoneOrLate => Ok(()),
        TaskWait::Done | TaskWait::Accepted => Err(failed(action, TaskError::Unfinished(monitor))),
    }
}

fn pause(call: &Call<'_>, reply: &Reply, until: TaskWait) -> Duration {
    if until == TaskWait::Accepted {
        return call.task_poll();
    }
    let header = reply.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = header.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    seconds.map_or(call.task_poll(), |time| time.max(call.task_poll()).min(LONGEST_PAUSE))
}

fn progress(reply: &Reply) -> Progress {
    match reply.status {
        // A monitor disappears once it has been read, or some time later; some cannot be read.
        StatusCode::NOT_FOUND
        | StatusCode::GONE
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::NOT_IMPLEMENTED => Progress::Unknown,
        StatusCode::ACCEPTED | StatusCode::TOO_MANY_REQUESTS => Progress::Runs,
        // That is about the server that was asked, and not about the task.
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Progress::Runs
        }
        // If it were the final response to the request, it would say why.
        status if status.is_client_error() && !says_why(&reply.body) => Progress::Unknown,
        status if !status.is_success() => Progress::Failed(status.to_string()),
        _ => json::value(&reply.body, TASK).map_or(Progress::Done, |body| of_task(&body)),
    }
}

fn says_why(body: &[u8]) -> bool {
    json::value(body, TASK).is_ok_and(|body| message::messages(&body).is_some())
}

/// The state of a task. A monitor that returns no task returns the final response to the request,
/// so it is done.
pub(crate) fn of_task(task: &Value) -> Progress {
    let state = task["TaskState"].as_str();
    let is_critical = task["TaskStatus"].as_str() == Some("Critical");
    let said =
        || message::messages(&serde_json::json!({"@Message.ExtendedInfo": task["Messages"]}));
    match state {
        None if message::is_failure(task) => {
            Progress::Failed(message::messages(task).unwrap_or_else(|| "Critical".to_owned()))
        }
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
    fn a_monitor_that_cannot_be_read_says_nothing_about_its_task() {
        let why = r#"{"error": {"message": "no power"}}"#;
        for (status, body, expected) in [
            (404, "", Progress::Unknown),
            (404, why, Progress::Unknown),
            (405, why, Progress::Unknown),
            (400, "", Progress::Unknown),
            (400, "<html>Bad Request</html>", Progress::Unknown),
            (400, why, Progress::Failed("400 Bad Request".to_owned())),
            (500, "", Progress::Failed("500 Internal Server Error".to_owned())),
            (202, "", Progress::Runs),
            (204, "", Progress::Done),
        ] {
            let reply = Reply {
                status: StatusCode::from_u16(status).unwrap(),
                headers: http::HeaderMap::new(),
                body: body.into(),
                broken: None,
                asked: String::new(),
            };
            assert_eq!(progress(&reply), expected, "{status} {body}");
        }
    }

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
                json!({"error": {"@Message.ExtendedInfo": [
                    {"Severity": "Critical", "Message": "no power"}]}}),
                Progress::Failed("no power".to_owned()),
            ),
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
