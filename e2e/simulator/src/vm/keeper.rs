//! The keeper of a virtual machine: carries out the BMC's orders, and reports the outcome.

use super::{
    firmware::Boot,
    process::{Running, VmError},
    qmp::{Event as Said, QmpError},
};
use crate::{
    boot_settings::{BootEnabled, BootMode, BootTarget},
    fetch::Fetcher,
    fleet::Fleet,
    journal::Event,
    machine::{Host, Machine},
    medium,
    orders::Orders,
    power::{Plan, Power, Warning},
    vm_settings::Vm,
};
use metal_base::Chain;
use std::{path::PathBuf, sync::Arc};
use tokio::fs;

/// Keeps the virtual machine of machine `index` until the fleet stops.
pub(crate) async fn run(fleet: Arc<Fleet>, index: u32) {
    let (Some(machine), Some(vm)) = (fleet.machine(index), fleet.config.vms.get(&index)) else {
        return;
    };
    let Some(orders) = &machine.orders else { return };
    let keeper = Keeper { machine, orders, vm, fetcher: &fleet.fetcher };
    fleet.stop.run_until_cancelled(keeper.keep()).await;
}

struct Keeper<'a> {
    machine: &'a Machine,
    orders: &'a Orders,
    vm: &'a Vm,
    fetcher: &'a Fetcher,
}

/// What follows a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterBoot {
    /// Power off.
    Off,
    /// Another boot.
    Boot,
}

impl Keeper<'_> {
    async fn keep(&self) {
        loop {
            match self.orders.next().await {
                Plan::SwitchOn | Plan::Cycle | Plan::Reboot(_) => self.live().await,
                // It is already off.
                Plan::CutPower | Plan::ShutDown => self.off(),
                Plan::Nothing | Plan::Refused => {}
            }
        }
    }

    /// From power-on to power-off.
    async fn live(&self) {
        loop {
            match self.boot().await {
                Ok(AfterBoot::Boot) => {}
                Ok(AfterBoot::Off) => return self.off(),
                Err(error) => return self.failed(&error),
            }
        }
    }

    /// One boot, until its end.
    async fn boot(&self) -> Result<AfterBoot, VmError> {
        let mut boot = self.next_boot();
        boot.medium = self.medium().await?;
        let mut running = Running::start(self.vm, &self.machine.hardware, &boot).await?;
        self.on(running.id().unwrap_or_default());
        let mut then = AfterBoot::Off;
        loop {
            tokio::select! {
                plan = self.orders.next() => match plan {
                    Plan::CutPower | Plan::Cycle => {
                        running.cut_power().await;
                        return Ok(if plan == Plan::Cycle { AfterBoot::Boot } else { AfterBoot::Off });
                    }
                    Plan::ShutDown => then = ask(running.press_button().await, AfterBoot::Off)?,
                    Plan::Reboot(Warning::Given) => {
                        then = ask(running.press_button().await, AfterBoot::Boot)?;
                    }
                    Plan::Reboot(Warning::None) => then = ask(running.reset().await, AfterBoot::Boot)?,
                    // It is already on.
                    Plan::SwitchOn | Plan::Nothing | Plan::Refused => {}
                },
                said = running.event() => match said? {
                    Some(said) if said.is_reset() => then = AfterBoot::Boot,
                    Some(Said::Shutdown { .. } | Said::Other(_)) => {}
                    None => {
                        running.gone().await;
                        return Ok(then);
                    }
                },
            }
        }
    }

    /// The current boot settings; this consumes a one-time override.
    fn next_boot(&self) -> Boot {
        let mut state = self.machine.lock();
        let (enabled, target, mode) = (state.boot.enabled, state.boot.target, state.boot.mode);
        let detail = format!("override {enabled} {target}, {mode}");
        state.journal.note(Event::BootStarted, detail);
        let is_asked = enabled != BootEnabled::Disabled && target != BootTarget::None;
        let mut sources = state.boot.consume(&[]);
        if self.vm.keeps_variables && mode == BootMode::Uefi && !is_asked {
            sources.clear();
        }
        Boot { mode, sources, medium: None }
    }

    /// A copy of the medium in the virtual drive. A QEMU guest has it from the start: inserting and
    /// ejecting take effect at the next boot.
    async fn medium(&self) -> Result<Option<PathBuf>, VmError> {
        let Some(url) = self.machine.lock().medium.clone() else { return Ok(None) };
        let copy = self.vm.folder.join("medium.iso");
        fs::create_dir_all(&self.vm.folder).await.map_err(VmError::Folder)?;
        let size = medium::copy(self.fetcher, &url, &copy).await?;
        self.machine.lock().journal.note(Event::Medium, format!("{size} bytes"));
        Ok(Some(copy))
    }

    fn on(&self, process: u32) {
        let mut state = self.machine.lock();
        if state.power != Power::On {
            state.power = Power::On;
            state.journal.note(Event::PoweredOn, format!("QEMU is process {process}"));
        }
        state.host = Host::Vm { process, console: self.vm.console() };
    }

    fn off(&self) {
        let mut state = self.machine.lock();
        if state.power != Power::Off {
            state.power_off();
        }
    }

    fn failed(&self, error: &VmError) {
        let reason = Chain(error).to_string();
        self.off();
        let mut state = self.machine.lock();
        state.counters.failed_boots += 1;
        state.journal.note(Event::BootFailed, &reason);
        state.host = Host::Failed { reason };
    }
}

/// The guest was asked; if it has ended meanwhile, the next event says so.
fn ask(asked: Result<(), VmError>, then: AfterBoot) -> Result<AfterBoot, VmError> {
    match asked {
        Ok(()) | Err(VmError::Qmp(QmpError::Closed | QmpError::Io(_))) => Ok(then),
        Err(error) => Err(error),
    }
}
