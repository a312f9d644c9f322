//! BMCs whose answers are too large.

use crate::shared::{pxe, run, settings};
use e2e::{
    cluster::eventually,
    hostile::LongAnswers,
    stack::{Settings, Stack},
};
use metal_api::ServerState;
use std::time::Duration;

const BMCS: u8 = 60;
const LIMIT: Duration = Duration::from_mins(2);
const READY: Duration = Duration::from_mins(2);
/// Memory limit of metal-operator in `bases/`.
const MEMORY: u64 = 512 << 20;

#[test]
fn sixty_bmcs_that_send_too_much_cost_neither_memory_nor_others_nor_a_restart() {
    run(async {
        let stack = Stack::start(Settings { fleets: vec![pxe()], ..settings() }).await.unwrap();
        let hostile = LongAnswers::start().await.unwrap();
        hostile.plug_in(&stack, BMCS).await.unwrap();

        let machine = stack.machine(0, 0).unwrap();
        machine.plug_in().await.unwrap();
        machine.enters(ServerState::Available).await.unwrap();
        eventually(LIMIT, async || hostile.all_misbehave(&stack).await).await.unwrap();
        for moment in ["at first", "after a restart"] {
            let peak = stack.metal.peak_memory().unwrap();
            assert!(peak < MEMORY, "{peak} bytes {moment}");
            stack.metal.kill().await.unwrap();
            stack.metal.start().unwrap();
            stack.metal.ready(READY).await.unwrap();
            let machine = stack.machine(0, u32::from(moment == "at first") + 1).unwrap();
            machine.plug_in().await.unwrap();
            machine.enters(ServerState::Available).await.unwrap();
        }
    });
}
