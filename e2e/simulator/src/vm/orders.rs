//! What a BMC wants of its virtual machine.

use crate::{life::Outcome, machine::State, power::Plan, power::Power};
use jiff::Timestamp;
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// Orders that wait at a time; a BMC that asks for more is refused.
const WAITING: usize = 8;

/// What is to be done yet, oldest first. There is one keeper who does it.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    waiting: Mutex<VecDeque<Plan>>,
    bell: Notify,
}

impl Orders {
    /// Asks for something, and shows it in the power state.
    pub(crate) fn place(&self, state: &mut State, plan: Plan, takes: Duration) -> Outcome {
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() >= WAITING {
                return Outcome::Refused;
            }
            waiting.push_back(plan);
        }
        self.bell.notify_one();
        state.last_reset = Timestamp::now();
        match plan {
            Plan::SwitchOn => state.power = Power::PoweringOn,
            Plan::CutPower => state.power = Power::PoweringOff,
            // It runs until it does not.
            Plan::ShutDown | Plan::Reboot(_) | Plan::Cycle | Plan::Nothing | Plan::Refused => {}
        }
        Outcome::Takes(takes)
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
