//! A stack that all tests of this binary share, and one that tests which restart operators use in
//! turn; a few tests have one of their own. They run on their own runtime, because their parts belong
//! to the runtime that started them.

use e2e::stack::{Machine, Settings, Stack, quick};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use metal_simulator::{BootTarget, Config, Dialect, Profile};
use std::{
    net::Ipv4Addr,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    runtime::Runtime,
    sync::{Mutex, OnceCell},
    time::timeout,
};

/// How long a test may take; the first one also builds the binaries.
const LIMIT: Duration = Duration::from_mins(40);
/// Machines of each fleet.
const MACHINES: u32 = 24;

/// BMCs that can boot by PXE only.
pub(crate) const PXE: usize = 0;
/// BMCs that can boot by UEFI HTTP only, and have an `HttpBootUri` that leads elsewhere.
pub(crate) const HTTP: usize = 1;

/// BMCs that boot by PXE, with vendors' dialects.
pub(crate) const DIALECTS: [usize; 3] = [2, 3, OLD];
/// Of those, BMCs that clear an override only by the target `None`.
pub(crate) const OLD: usize = 4;
/// BMCs that can boot from a medium only, and neither list their resets nor shut down a system.
pub(crate) const MEDIA: usize = 5;
/// BMCs without systems.
pub(crate) const NO_SYSTEMS: usize = 6;
/// BMCs without a free session.
pub(crate) const SESSIONS_FULL: usize = 7;
/// BMCs that refuse to change where the host boots from.
pub(crate) const BOOT_REFUSED: usize = 8;
/// Of the stack that tests use in turn: machines that are systems of one BMC.
pub(crate) const BLADES: usize = 1;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static SHARED: OnceCell<Stack> = OnceCell::const_new();
static IN_TURN: Mutex<Option<Stack>> = Mutex::const_new(None);

/// Runs a test on the runtime of the stacks.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    RUNTIME.block_on(async { timeout(LIMIT, test).await.unwrap() })
}

/// Runs a test on the shared stack.
pub(crate) fn on_stack(test: impl AsyncFnOnce(&'static Stack)) {
    run(async {
        let settings = || Settings { fleets: fleets(), ..settings() };
        test(SHARED.get_or_try_init(|| Stack::start(settings())).await.unwrap()).await;
    });
}

/// Runs a test on a stack that no other test uses meanwhile. The test leaves its operators running.
pub(crate) fn in_turn(test: impl AsyncFnOnce(&Stack)) {
    run(async {
        let mut kept = IN_TURN.lock().await;
        // Taken out: what a test that fails has left is no other test's.
        let stack = if let Some(stack) = kept.take() {
            stack
        } else {
            let blades = Config { machines: 3, systems: 3, ..fleet(2, pxe().profile.boot_targets) };
            let fleets = vec![pxe(), blades];
            Stack::start(Settings { fleets, ..settings() }).await.unwrap()
        };
        test(&stack).await;
        *kept = Some(stack);
    });
}

/// A machine that no other test uses.
pub(crate) fn machine(stack: &Stack, fleet: usize) -> Machine<'_> {
    static NEXT: [AtomicU32; 9] = [const { AtomicU32::new(0) }; 9];
    stack.machine(fleet, NEXT[fleet].fetch_add(1, Ordering::Relaxed)).unwrap()
}

/// Operators with short intervals, because these machines are fast.
pub(crate) fn settings() -> Settings {
    let metal = vec!["--power-polling-interval=1s".to_owned()];
    Settings { metal, ..Settings::default() }
}

/// Machines that boot by PXE only.
pub(crate) fn pxe() -> Config {
    let targets = vec![BootTarget::None, BootTarget::Pxe, BootTarget::Hdd];
    fleet(1, targets)
}

fn fleets() -> Vec<Config> {
    use Dialect::{
        ActionInfo, BodyEtag, BootRefused, BootSettings, ButtonOnly, ByteOrderMark,
        ClearedByTarget, CutUnauthorized, DeadSettings, GpuBaseboard, Gzip, HostLinks,
        IfMatchRequired, Latin1, LooseJson, MediaParameters, ModeRefused, ModeRequired,
        NamedMembers, NoIfMatch, NoSessions, NoSystems, PagingLoop, SessionsFull, SlashedSessions,
        UnlistedResets, VolatileEtag,
    };
    let ami = vec![BootSettings, IfMatchRequired, VolatileEtag, ModeRequired, ActionInfo, Gzip];
    let mut board = vec![BodyEtag, GpuBaseboard, Latin1, ByteOrderMark, NoSessions];
    board.extend([CutUnauthorized, HostLinks, LooseJson]);
    let mut old = vec![NoIfMatch, ModeRequired, PagingLoop, SlashedSessions];
    old.extend([DeadSettings, NamedMembers, ButtonOnly, ClearedByTarget]);
    let drives = vec![ModeRefused, UnlistedResets, MediaParameters];
    let (pxe, http) = (pxe(), http());
    let targets = || pxe.profile.boot_targets.clone();
    let from_medium = vec![BootTarget::None, BootTarget::Hdd, BootTarget::Cd];
    let speaking = |(number, targets, dialects)| {
        let mut config = Config { machines: 2, ..fleet(number, targets) };
        config.profile.dialects = dialects;
        config
    };
    let dialects = [
        (3, targets(), ami),
        (4, targets(), board),
        (5, targets(), old),
        (6, from_medium, drives),
        (7, targets(), vec![NoSystems]),
        (8, targets(), vec![SessionsFull]),
        (9, targets(), vec![BootRefused]),
    ];
    let dialects = dialects.map(speaking);
    [pxe, http].into_iter().chain(dialects).collect()
}

fn http() -> Config {
    let targets = vec![BootTarget::None, BootTarget::Hdd, BootTarget::UefiHttp];
    let mut config = fleet(2, targets);
    config.profile.dialects = vec![Dialect::LeftBootUri];
    config
}

fn fleet(number: u8, boot_targets: Vec<BootTarget>) -> Config {
    let mut config = Config {
        machines: MACHINES,
        seed: number.into(),
        bmc_base: Ipv4Addr::new(127, 1, number, 1),
        bmc_mac_prefix: format!("23:11:{number:02x}").parse().unwrap(),
        profile: Profile { boot_targets, ..Profile::default() },
        timing: quick(),
        ..Config::default()
    };
    config.boot.host_base = Ipv4Addr::new(198, 18, number, 1);
    config
}

/// Reason and message of a condition, if it is `False`.
pub(crate) fn denied<'a>(conditions: &'a [Condition], type_: &str) -> Option<(&'a str, &'a str)> {
    let found = conditions.iter().find(|condition| condition.type_ == type_)?;
    (found.status == "False").then_some((found.reason.as_str(), found.message.as_str()))
}

/// Whether a condition is `True`.
pub(crate) fn holds(conditions: &[Condition], type_: &str) -> bool {
    conditions.iter().any(|condition| condition.type_ == type_ && condition.status == "True")
}
