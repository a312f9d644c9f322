//! How far a request is.

use super::{
    super::{is_ready, operations, resolution},
    Request, unusable, whose,
};
use k8s_openapi::{api::core::v1::Node, apimachinery::pkg::apis::meta::v1::Condition};
use metal_api::{Machine, MachineOperations, MachineOperationsStatus, MachineStatus, condition};

/// Conditions that say what a machine waits for; those that change most often come first.
const TOLD: [&str; 8] = [
    condition::REPAVED,
    condition::CLOUD_INIT_DONE,
    condition::BMC_REACHABLE,
    condition::BOOT_ORDER_CONFIG_SUPPORTED,
    condition::IMAGE_READY,
    condition::USER_DATA_READY,
    condition::NODE_OWNED,
    condition::BOOT_VERIFIED,
];
/// Characters of what one condition says: the last of them is to be seen as well.
const MESSAGE: usize = 120;
/// Characters of a line: messages hold what BMCs and registries say.
const LINE: usize = 400;

/// A request that was written, and what was there before.
#[derive(Clone, Debug)]
pub struct RaisedRequest {
    /// What was asked for.
    pub request: Request,
    /// UID of the Machine.
    pub machine: Option<String>,
    /// Its generation since then.
    pub generation: Option<i64>,
    /// Its counters since then.
    pub counters: MachineOperations,
    /// Whether its TPM was refused before.
    pub was_refused: bool,
    /// Its Node before: UID, and ID of its boot.
    pub node: Option<(Option<String>, Option<String>)>,
}

impl RaisedRequest {
    /// What was asked of `raised`, the Machine as it was written, when there was `node`.
    pub fn new(request: Request, raised: &Machine, node: Option<&Node>) -> Self {
        Self {
            request,
            machine: raised.metadata.uid.clone(),
            generation: raised.metadata.generation,
            counters: raised.spec.operations.clone().unwrap_or_default(),
            was_refused: raised.status.as_ref().is_some_and(|it| refused(it).is_some()),
            node: node.map(|node| (node.metadata.uid.clone(), boot(node))),
        }
    }
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not far enough: what there is to say of it, in one line.
    Waits(String),
    /// A person has to do something first; then it goes on.
    NeedsPerson {
        /// Why, in one word.
        reason: String,
        /// The same in one line.
        message: String,
    },
    /// It is done, and the Node is ready again.
    Done,
    /// It will not be done.
    GivenUp {
        /// Why, in one word.
        reason: String,
        /// The same in one line.
        message: String,
    },
}

/// How far a request is. A Node counts if it is ready, and another one than before the installation,
/// or has booted since.
pub fn progress(machine: &Machine, node: Option<&Node>, asked: &RaisedRequest) -> Progress {
    if machine.metadata.uid != asked.machine {
        return given_up("Replaced", "there is another Machine of this name now");
    }
    let unseen = MachineStatus::default();
    let status = machine.status.as_ref().unwrap_or(&unseen);
    if status.observed_generation < asked.generation {
        return Progress::Waits(format!("metalman of {} has not seen it yet", whose(machine)));
    }
    if let Some((reason, message)) = failure(machine, status, asked) {
        return given_up(&reason, &message);
    }
    let operations = status.operations.clone().unwrap_or_default();
    if !is_counted(&operations, asked) || is_under_way(status) {
        return waits(status, asked, None);
    }
    match back(machine, node, asked) {
        Ok(()) => Progress::Done,
        Err(why) => waits(status, asked, Some(why)),
    }
}

/// It is not done, and it either goes on by itself or does not.
fn waits(status: &MachineStatus, asked: &RaisedRequest, node: Option<&str>) -> Progress {
    match resolution::by_a_person(asked.request, &status.conditions, asked.generation) {
        Some(Condition { type_, reason, message, .. }) => {
            let message = if message.is_empty() { type_ } else { message };
            Progress::NeedsPerson { reason: reason.clone(), message: one_line(message) }
        }
        None => Progress::Waits(line(status, node)),
    }
}

fn given_up(reason: &str, message: &str) -> Progress {
    Progress::GivenUp { reason: reason.to_owned(), message: one_line(message) }
}

/// Whether everything was carried out that was asked for.
fn is_counted(done: &MachineOperationsStatus, asked: &RaisedRequest) -> bool {
    let is_repaved = match asked.request {
        Request::Reboot => true,
        Request::Repave => done.repave_counter >= asked.counters.repave_counter,
    };
    is_repaved && done.reboot_counter >= asked.counters.reboot_counter
}

/// Why it will not be done.
fn failure(
    machine: &Machine,
    status: &MachineStatus,
    asked: &RaisedRequest,
) -> Option<(String, String)> {
    if machine.metadata.deletion_timestamp.is_some() {
        return Some(("Deleted".to_owned(), "the Machine is being deleted".to_owned()));
    }
    let operations = status.operations.as_ref()?;
    if is_given_up(operations, asked) {
        let current = operations.current.clone();
        let why = current.and_then(|it| Some((it.reason?, it.message.unwrap_or_default())));
        let said = || (String::from("OperationFailed"), status.message.clone().unwrap_or_default());
        return Some(why.unwrap_or_else(said));
    }
    let mut adopted = status.conditions.iter().filter(|it| it.type_ == condition::OPERATIONS_DONE);
    let adopted =
        adopted.find(|it| operations::is_adopted(it) && it.observed_generation >= asked.generation);
    if let Some(it) = adopted {
        return Some((it.reason.clone(), it.message.clone()));
    }
    let refused = refused(status).filter(|_| !asked.was_refused);
    let refused = refused.map(|it| (it.reason.clone(), it.message.clone()));
    unusable(machine).or(refused)
}

fn is_given_up(operations: &MachineOperationsStatus, asked: &RaisedRequest) -> bool {
    let Some(given_up) = &operations.given_up else { return false };
    let is_over = |wanted: Option<i64>, given_up: Option<i64>, done: Option<i64>| {
        wanted.is_some() && given_up >= wanted && done < wanted
    };
    let (wanted, done) = (&asked.counters, operations);
    let repave = match asked.request {
        Request::Reboot => false,
        Request::Repave => {
            is_over(wanted.repave_counter, given_up.repave_counter, done.repave_counter)
        }
    };
    repave || is_over(wanted.reboot_counter, given_up.reboot_counter, done.reboot_counter)
}

/// Whether the Node is ready that the machine is now, or what is missing. A machine that was no Node
/// before a reboot needs not be one after it.
fn back(machine: &Machine, node: Option<&Node>, asked: &RaisedRequest) -> Result<(), &'static str> {
    let before = asked.node.as_ref();
    let Some(node) = node else {
        return match (asked.request, before) {
            (Request::Reboot, None) => Ok(()),
            (Request::Reboot | Request::Repave, _) => Err("there is no Node yet"),
        };
    };
    let is_another = before.is_none_or(|(uid, _)| *uid != node.metadata.uid);
    let boots = before.map(|(_, boot_before)| (boot_before.clone(), boot(node)));
    let has_booted = boots.is_some_and(|(before, now)| now.is_some() && before != now);
    // Whose Node has none of its addresses keeps it, and so does one without a BMC.
    let has_bmc = machine.spec.pxe.as_ref().is_some_and(|pxe| pxe.redfish.is_some());
    let keeps_node = !has_bmc || !operations::is_node_of(machine, node);
    let is_known = before.is_some_and(|(_, boot)| boot.is_some());
    let is_new = match asked.request {
        Request::Reboot => is_another || has_booted || !is_known,
        Request::Repave => is_another || (keeps_node && has_booted),
    };
    match (is_new, is_ready(node)) {
        (false, _) => Err("the Node is still the one from before"),
        (true, false) => Err("the Node is not ready yet"),
        (true, true) => Ok(()),
    }
}

/// ID of the boot of a Node, if its kubelet has said one.
fn boot(node: &Node) -> Option<String> {
    let info = node.status.as_ref()?.node_info.as_ref()?;
    Some(info.boot_id.clone()).filter(|id| !id.is_empty())
}

fn refused(status: &MachineStatus) -> Option<&Condition> {
    let is_so = |it: &&Condition| it.type_ == condition::TPM_VERIFIED && it.status == "False";
    status.conditions.iter().find(is_so)
}

/// Whether anything is still to be done. What was given up before is not.
fn is_under_way(status: &MachineStatus) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|it| {
        let is_open = it.type_ == condition::OPERATIONS_DONE && it.status != "True";
        is_open && it.reason != "GivenUp"
    })
}

/// Phase, message, and the conditions that are not as they should be, in one line.
fn line(status: &MachineStatus, node: Option<&str>) -> String {
    let phase = status.phase.as_ref().map_or("Pending", |phase| phase.as_str());
    let message = status.message.as_deref().unwrap_or_default();
    let mut parts = vec![format!("{phase}: {message}")];
    let by_hand = status.conditions.iter().find(|it| {
        it.type_ == condition::OPERATIONS_DONE && it.status != "True" && it.reason == "NoBMC"
    });
    parts.extend(by_hand.map(|it| it.message.clone()));
    for type_ in TOLD {
        let wrong = status.conditions.iter().find(|it| it.type_ == type_ && it.status != "True");
        parts.extend(wrong.map(|it| match it.message.as_str() {
            "" => format!("{type_} {}", it.reason),
            message => {
                let message: String = message.chars().take(MESSAGE).collect();
                format!("{type_} {}: {message}", it.reason)
            }
        }));
    }
    parts.extend(node.map(str::to_owned));
    one_line(&parts.join("; "))
}

/// One line for a terminal, of limited length.
fn one_line(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(LINE).collect()
}
