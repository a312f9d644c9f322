//! The orders of a BMC to its virtual machine.

use super::power::Plan;
use metal_base::Locked;
use std::{collections::VecDeque, sync::Mutex};
use tokio::sync::Notify;

/// How many orders may be pending; further ones are refused.
const WAITING: usize = 8;

/// Pending orders, oldest first, carried out by one keeper.
#[derive(Debug, Default)]
pub(super) struct Orders {
    waiting: Mutex<VecDeque<Plan>>,
    bell: Notify,
}

impl Orders {
    /// Places an order; returns whether it was accepted.
    pub(super) fn place(&self, plan: Plan) -> bool {
        let mut waiting = self.waiting.locked();
        if waiting.len() >= WAITING {
            return false;
        }
        waiting.push_back(plan);
        self.bell.notify_one();
        true
    }

    /// The next order. Cancel safe.
    pub(super) async fn next(&self) -> Plan {
        loop {
            let next = self.waiting.locked().pop_front();
            match next {
                Some(plan) => return plan,
                None => self.bell.notified().await,
            }
        }
    }
}
