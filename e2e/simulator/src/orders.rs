//! What a BMC wants of its virtual machine.

use super::power::Plan;
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};
use tokio::sync::Notify;

/// Orders that wait at a time; a BMC that asks for more is refused.
const WAITING: usize = 8;

/// What is to be done yet, oldest first. There is one keeper who does it.
#[derive(Debug, Default)]
pub(super) struct Orders {
    waiting: Mutex<VecDeque<Plan>>,
    bell: Notify,
}

impl Orders {
    /// Asks for something; whether it is taken.
    pub(super) fn place(&self, plan: Plan) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING {
            return false;
        }
        waiting.push_back(plan);
        self.bell.notify_one();
        true
    }

    /// The next one. Nothing is lost if it is not waited for to the end.
    pub(super) async fn next(&self) -> Plan {
        loop {
            let next = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match next {
                Some(plan) => return plan,
                None => self.bell.notified().await,
            }
        }
    }
}
