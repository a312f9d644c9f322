//! `TaskService` and its tasks.

use super::view::{View, collection, link};
use crate::tasks::Task;
use serde_json::{Value, json};
use tokio::time::Instant;

const URI: &str = "/redfish/v1/TaskService";

pub(super) fn service() -> Value {
    json!({
        "@odata.id": URI,
        "@odata.type": "#TaskService.v1_2_0.TaskService",
        "Id": "TaskService",
        "Name": "Task Service",
        "ServiceEnabled": true,
        "CompletedTaskOverWritePolicy": "Oldest",
        "LifeCycleEventOnTaskStateChange": false,
        "Tasks": link(format!("{URI}/Tasks")),
    })
}

/// Path of a task's monitor.
pub(super) fn monitor(task: &Task) -> String {
    format!("{URI}/TaskMonitors/{}", task.id)
}

impl View<'_> {
    pub(super) fn tasks(&self) -> Value {
        let ids = self.state.tasks.iter().map(|task| task.id);
        collection("Tasks", "Task", &format!("{URI}/Tasks"), ids)
    }

    pub(super) fn task(&self, id: u32) -> Option<Value> {
        self.state.tasks.find(id).map(|task| render(task, self.now))
    }
}

/// The task as a resource.
pub(super) fn render(task: &Task, now: Instant) -> Value {
    let mut value = json!({
        "@odata.id": format!("{URI}/Tasks/{}", task.id),
        "@odata.type": "#Task.v1_7_0.Task",
        "Id": task.id.to_string(),
        "Name": task.name,
        "StartTime": task.started,
        "TaskState": "Running",
        "TaskStatus": "OK",
        "PercentComplete": 0,
        "HidePayload": true,
        "TaskMonitor": monitor(task),
        "Messages": [],
    });
    if let Some(ended) = task.ended(now) {
        value["TaskState"] = json!("Completed");
        value["PercentComplete"] = json!(100);
        value["EndTime"] = json!(ended);
    }
    value
}
