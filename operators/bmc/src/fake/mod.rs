//! An in-memory machine with a BMC, and faults on demand.
//!
//! For the tests of other crates. It behaves as a good BMC does: a `Once` override is gone after
//! the boot that used it, powering on a host that is on changes nothing, and the power state
//! follows from the last reset. All other behavior has to be requested.

use crate::{
    Bmc, Connect, Error, Permit, Pin, Target,
    transport::{message::Refused, redact::Secret},
};
use http::StatusCode;
use metal_base::Locked;
use metal_core::redfish::{
    BootEnabled, BootSource, Credentials, Inventory, ManagerReading, MediaSlot, PowerState,
    ResetType, Step, SystemReading,
};
use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

/// What can be wrong with a BMC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No call gets an answer.
    Unplugged,
    /// Every call is refused because of its credentials.
    Unauthorized,
    /// Reads work; every write fails with an error.
    Jammed,
    /// Reads work; every write is accepted and has no effect.
    Deaf,
    /// Reads and writes work, but `GracefulShutdown` and `GracefulRestart` have no effect.
    Stubborn,
    /// Reads work; every write has its effect, and is never answered.
    Hanging,
}

/// A machine with a BMC. Clones share the machine.
#[derive(Clone, Debug)]
pub struct FakeBmc {
    state: Arc<Mutex<State>>,
    credentials: Option<Credentials>,
    permit: Permit,
}

#[derive(Debug, Default)]
struct State {
    systems: Vec<SystemReading>,
    inventory: Inventory,
    manager: ManagerReading,
    media: Vec<MediaSlot>,
    accepts: Option<Credentials>,
    fault: Option<Fault>,
    script: VecDeque<Fault>,
    lag: u32,
    pending: Option<(u32, usize, PowerState)>,
    steps: Vec<(String, Step)>,
    manager_resets: Vec<ResetType>,
    calls: u64,
    logins_refused: u64,
    boots: Vec<Option<BootSource>>,
    certificate: Option<Pin>,
    pin: Option<Pin>,
    inventory_takes: Duration,
    left: Vec<(Target, bool)>,
}

impl FakeBmc {
    /// A BMC with one system.
    pub fn new(system: SystemReading) -> Self {
        Self::with_systems(vec![system])
    }

    /// Presents this certificate from now on.
    pub fn show(&self, certificate: Pin) {
        self.with(|state| state.certificate = Some(certificate));
    }

    /// A BMC with several systems, or with none.
    pub fn with_systems(systems: Vec<SystemReading>) -> Self {
        let state = State { systems, ..State::default() };
        let (state, permit) = (Arc::new(Mutex::new(state)), Permit::default());
        Self { state, credentials: None, permit }
    }

    /// Refuses all other credentials from now on.
    pub fn accept_only(&self, credentials: Credentials) {
        self.with(|state| state.accepts = Some(credentials));
    }

    /// Has this fault from now on; `None` repairs it.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.with(|state| state.fault = fault);
    }

    /// Has these faults, one call each, in this order, in preference to the fault of `set_fault`.
    pub fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.with(|state| state.script.extend(faults));
    }

    /// Makes every change of the power state visible only after this many further reads.
    pub fn set_lag(&self, reads: u32) {
        self.with(|state| state.lag = reads);
    }

    /// Changes the first system without the caller's knowledge.
    pub fn edit(&self, edit: impl FnOnce(&mut SystemReading)) {
        self.with(|state| state.systems.first_mut().map(edit));
    }

    /// Every step carried out so far, with its system.
    pub fn steps(&self) -> Vec<(String, Step)> {
        self.with(|state| state.steps.clone())
    }

    /// Reads these parts from now on, and takes this long for it.
    pub fn set_inventory(&self, inventory: Inventory, takes: Duration) {
        self.with(|state| (state.inventory, state.inventory_takes) = (inventory, takes));
    }

    /// What was forgotten or abandoned so far, and whether with a logout.
    pub fn left(&self) -> Vec<(Target, bool)> {
        self.with(|state| state.left.clone())
    }

    /// Every reset of the manager so far.
    pub fn manager_resets(&self) -> Vec<ResetType> {
        self.with(|state| state.manager_resets.clone())
    }

    /// The one-time boot source of every boot so far; `None` for a boot by the boot order.
    pub fn boots(&self) -> Vec<Option<BootSource>> {
        self.with(|state| state.boots.clone())
    }

    /// How many calls were made, including those that failed.
    pub fn calls(&self) -> u64 {
        self.with(|state| state.calls)
    }

    /// How many calls were refused because of their credentials.
    pub fn logins_refused(&self) -> u64 {
        self.with(|state| state.logins_refused)
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.locked())
    }

    fn read<T>(&self, f: impl FnOnce(&State) -> Result<T, Error>) -> Result<T, Error> {
        self.with(|state| {
            state.admit(self.credentials.as_ref())?;
            state.settle();
            f(state)
        })
    }

    fn write(&self, action: &str, f: impl FnOnce(&mut State) -> Option<()>) -> Result<(), Error> {
        let failed = |why: &str| Error::Failed { action: action.to_owned(), source: why.into() };
        self.permit.check().map_err(Error::Withdrawn)?;
        self.with(|state| match state.admit(self.credentials.as_ref())? {
            Some(Fault::Jammed) => Err(failed("jammed")),
            Some(Fault::Deaf) => Ok(()),
            _ => f(state).ok_or_else(|| failed("no such system")),
        })
    }
}

impl State {
    /// Counts a call. Returns its fault, unless that makes the call fail.
    fn admit(&mut self, credentials: Option<&Credentials>) -> Result<Option<Fault>, Error> {
        self.calls += 1;
        let fault = self.script.pop_front().or(self.fault);
        let foreign = match (&self.accepts, credentials) {
            (Some(good), Some(given)) => good != given,
            (Some(_), None) => true,
            (None, _) => false,
        };
        match fault {
            Some(Fault::Unplugged) => Err(Error::Unreachable("unplugged".into())),
            Some(Fault::Unauthorized) => Err(self.refuse()),
            _ if foreign => Err(self.refuse()),
            other => Ok(other),
        }
    }

    fn refuse(&mut self) -> Error {
        self.logins_refused += 1;
        Error::Unauthorized
    }

    /// Counts one read toward a pending change of the power state.
    fn settle(&mut self) {
        if let Some((left, index, power)) = self.pending.take() {
            match left {
                0 | 1 => self.systems[index].power = power,
                left => self.pending = Some((left - 1, index, power)),
            }
        }
    }

    fn index(&self, uri: &str) -> Option<usize> {
        self.systems.iter().position(|system| system.uri == uri)
    }

    fn carry_out(&mut self, uri: &str, step: &Step) -> Option<()> {
        let index = self.index(uri)?;
        self.steps.push((uri.to_owned(), step.clone()));
        let system = &mut self.systems[index];
        match step {
            Step::BootOnce { source, mode } => {
                system.boot.enabled = BootEnabled::Once;
                system.boot.target = Some(*source);
                system.boot.mode = mode.or(system.boot.mode);
            }
            Step::IndicatorLed(led) => system.indicator_led = Some(*led),
            Step::BootOrder(order) => {
                system.boot.order.clone_from(order);
                system.boot.enabled = BootEnabled::Disabled;
                system.boot.target = Some(BootSource::None);
            }
            Step::Reset(reset) => self.reset(index, *reset),
            Step::InsertMedium { slot, image } => {
                let slot = self.media.iter_mut().find(|it| it.uri == *slot)?;
                (slot.inserted, slot.image) = (true, Some(image.clone()));
            }
            Step::EjectMedium { slot } => {
                let slot = self.media.iter_mut().find(|it| it.uri == *slot)?;
                (slot.inserted, slot.image) = (false, None);
            }
        }
        Some(())
    }

    fn reset(&mut self, index: usize, reset: ResetType) {
        let was = self.systems[index].power;
        match reset {
            ResetType::On | ResetType::ForceOn if was == PowerState::On => {}
            ResetType::On | ResetType::ForceOn => {
                self.boot(index);
                self.switch(index, PowerState::On);
            }
            ResetType::GracefulShutdown | ResetType::GracefulRestart
                if self.fault == Some(Fault::Stubborn) => {}
            ResetType::ForceOff | ResetType::GracefulShutdown => {
                self.switch(index, PowerState::Off);
            }
            ResetType::PushPowerButton | ResetType::Other => {}
            ResetType::GracefulRestart | ResetType::ForceRestart | ResetType::PowerCycle => {
                if was == PowerState::On {
                    self.boot(index);
                }
            }
        }
    }

    fn boot(&mut self, index: usize) {
        let boot = &mut self.systems[index].boot;
        let source = (boot.enabled != BootEnabled::Disabled).then_some(boot.target).flatten();
        self.boots.push(source);
        if boot.enabled == BootEnabled::Once {
            boot.enabled = BootEnabled::Disabled;
            boot.target = Some(BootSource::None);
        }
    }

    fn switch(&mut self, index: usize, power: PowerState) {
        match self.lag {
            0 => self.systems[index].power = power,
            lag => self.pending = Some((lag, index, power)),
        }
    }
}

fn unknown(uri: &str) -> Error {
    let source = Refused::new(StatusCode::NOT_FOUND, b"no such resource", &Secret::new(""));
    Error::Failed { action: format!("get {uri}"), source: source.into() }
}

impl Bmc for FakeBmc {
    fn permitted(self, permit: Permit) -> Self {
        Self { permit, ..self }
    }

    async fn systems_with(&self, _: &mut Vec<String>) -> Result<Vec<SystemReading>, Error> {
        self.read(|state| Ok(state.systems.clone()))
    }

    async fn system(&self, uri: &str) -> Result<SystemReading, Error> {
        self.read(|state| {
            let index = state.index(uri).ok_or_else(|| unknown(uri))?;
            Ok(state.systems[index].clone())
        })
    }

    async fn inventory(&self, uri: &str) -> Result<Inventory, Error> {
        let takes = self.with(|state| state.inventory_takes);
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        self.read(|state| {
            state.index(uri).ok_or_else(|| unknown(uri))?;
            Ok(state.inventory.clone())
        })
    }

    async fn manager(&self, uuid: Option<&str>) -> Result<ManagerReading, Error> {
        self.read(|state| match uuid {
            Some(uuid) if state.manager.uuid.as_deref() != Some(uuid) => Err(unknown("Managers")),
            _ => Ok(state.manager.clone()),
        })
    }

    async fn media(&self, uri: &str) -> Result<Vec<MediaSlot>, Error> {
        self.read(|state| {
            state.index(uri).ok_or_else(|| unknown(uri))?;
            Ok(state.media.clone())
        })
    }

    async fn perform(&self, uri: &str, step: &Step) -> Result<(), Error> {
        let done = self.write(&format!("change {uri}"), |state| state.carry_out(uri, step));
        if self.with(|state| state.fault == Some(Fault::Hanging)) {
            std::future::pending::<()>().await;
        }
        done
    }

    async fn reset_manager(&self, uri: &str, reset: ResetType) -> Result<(), Error> {
        self.write(&format!("reset {uri}"), |state| {
            state.manager_resets.push(reset);
            Some(())
        })
    }
}

/// The same machine, whatever the target is.
impl Connect for FakeBmc {
    type Bmc = Self;

    fn connect(&self, _: &Target, credentials: &Credentials) -> Self {
        let (state, permit) = (Arc::clone(&self.state), Permit::default());
        Self { state, credentials: Some(credentials.clone()), permit }
    }

    fn pin(&self, _: &Target) -> Option<Pin> {
        self.with(|state| state.pin.or(state.certificate))
    }

    fn set_pin(&self, _: &Target, pin: Option<Pin>) {
        self.with(|state| state.pin = pin);
    }

    async fn forget(&self, target: &Target) {
        self.with(|state| state.left.push((target.clone(), true)));
    }

    fn abandon(&self, target: &Target) {
        self.with(|state| state.left.push((target.clone(), false)));
    }
}

/// Machines by address. At any other address nothing answers.
#[derive(Clone, Debug, Default)]
pub struct FakeFleet(Arc<Mutex<BTreeMap<SocketAddr, FakeBmc>>>);

impl FakeFleet {
    /// Places a machine at an address.
    pub fn plug_in(&self, address: IpAddr, port: u16, bmc: &FakeBmc) {
        let mut machines = self.0.locked();
        machines.insert(SocketAddr::new(address, port), bmc.clone());
    }
}

impl Connect for FakeFleet {
    type Bmc = FakeBmc;

    fn connect(&self, target: &Target, credentials: &Credentials) -> FakeBmc {
        let machines = self.0.locked();
        let place = target.host.address().map(|address| SocketAddr::new(address, target.port));
        if let Some(bmc) = place.and_then(|place| machines.get(&place)) {
            return bmc.connect(target, credentials);
        }
        let nobody = FakeBmc::with_systems(vec![]);
        nobody.set_fault(Some(Fault::Unplugged));
        nobody
    }
}

#[cfg(test)]
mod tests;
