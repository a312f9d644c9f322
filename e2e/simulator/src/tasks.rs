//! Tasks, which a BMC answers resets with if its profile says so (DSP0266, 12.2).

use jiff::Timestamp;
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// The most tasks; the oldest is overwritten.
const KEPT: usize = 8;

/// One task.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// Counted from 1.
    pub(super) id: u32,
    /// What it does.
    pub(super) name: String,
    /// When it began.
    pub(super) started: Timestamp,
    begun: Instant,
    takes: Duration,
}

impl Task {
    /// When it ended; `None` while it runs.
    pub(super) fn ended(&self, now: Instant) -> Option<Timestamp> {
        let is_done = now - self.begun >= self.takes;
        is_done.then(|| self.started.saturating_add(self.takes).unwrap_or(self.started))
    }
}

/// The tasks of one BMC.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    begun: u32,
    kept: VecDeque<Task>,
}

impl Tasks {
    /// Begins a task that takes this long.
    pub(super) fn begin(&mut self, name: String, now: Instant, takes: Duration) -> Task {
        self.begun += 1;
        if self.kept.len() >= KEPT {
            self.kept.pop_front();
        }
        let task = Task { id: self.begun, name, started: Timestamp::now(), begun: now, takes };
        self.kept.push_back(task.clone());
        task
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Task> {
        self.kept.iter()
    }

    /// By its number.
    pub(super) fn find(&self, id: u32) -> Option<&Task> {
        self.kept.iter().find(|task| task.id == id)
    }
}
