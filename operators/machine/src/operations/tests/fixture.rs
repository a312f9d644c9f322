//! A Machine with a BMC, and what one process remembers of it.

use super::super::{
    super::{Observation, decide},
    *,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus};
use metal_api::{
    Machine, MachineLease, MachineOperation, MachineOperations, MachineOperationsStatus,
    MachinePxe, MachineRedfish, MachineRedfishStatus, MachineSpec, MachineStatus,
};
use metal_core::redfish::{BootReading, BootSource, PowerState, ResetType, SystemReading};

pub(super) const PINNED: &str = "00:01";

/// Everything that a decision is taken on.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) machine: Machine,
    pub(super) node: Option<Node>,
    pub(super) reading: Option<(SignedDuration, Reading)>,
    pub(super) certificate: Option<Certificate>,
    pub(super) pods: Option<usize>,
    pub(super) left: Vec<String>,
    pub(super) done: Done,
    pub(super) sharing: Vec<String>,
    pub(super) lacks_image: bool,
    pub(super) runs_on: Option<&'static str>,
    pub(super) limits: Limits,
    pub(super) now: Timestamp,
    /// By how much the clock on the wall was set.
    pub(super) set: SignedDuration,
}

impl Scene {
    /// A machine that is on, whose BMC is known, with these counters.
    pub(super) fn asks(reboot: i64, repave: i64) -> Self {
        let mut scene = Self {
            machine: machine(),
            node: None,
            reading: Some((SignedDuration::ZERO, Ok(system(PowerState::On)))),
            certificate: None,
            pods: None,
            left: vec![],
            done: Done::default(),
            sharing: vec![],
            lacks_image: false,
            runs_on: None,
            limits: Limits::default(),
            now: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1),
            set: SignedDuration::ZERO,
        };
        let (reboot_counter, repave_counter) = (Some(reboot), Some(repave));
        scene.machine.spec.operations = Some(MachineOperations { reboot_counter, repave_counter });
        scene
    }

    /// The same at this step.
    pub(super) fn at(mut self, step: MachineOperationStep) -> Self {
        let wanted = self.machine.spec.operations.clone().unwrap();
        let positive = |counter: Option<i64>| counter.filter(|counter| *counter > 0);
        let current = MachineOperation {
            reboot_counter: positive(wanted.reboot_counter),
            repave_counter: positive(wanted.repave_counter),
            step,
            attempt: 1,
            since: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(self.now),
            progress: None,
            boot_override: false,
            reason: None,
            message: None,
        };
        self.status().operations.get_or_insert_default().current = Some(current);
        self
    }

    pub(super) fn status(&mut self) -> &mut MachineStatus {
        self.machine.status.as_mut().unwrap()
    }

    pub(super) fn current(&self) -> Option<&MachineOperation> {
        self.machine.status.as_ref()?.operations.as_ref()?.current.as_ref()
    }

    pub(super) fn step(&self) -> Option<&str> {
        self.current().map(|current| current.step.as_str())
    }

    pub(super) fn sees(&mut self, power: PowerState) {
        self.reading = Some((SignedDuration::ZERO, Ok(system(power))));
    }

    pub(super) fn reason(&self, type_: &str) -> Option<&str> {
        let all = &self.machine.status.as_ref()?.conditions;
        all.iter().find(|it| it.type_ == type_).map(|it| it.reason.as_str())
    }

    pub(super) fn decide(&self) -> Decision {
        decide(&Observation {
            machine: &self.machine,
            twins: &[],
            node: self.node.as_ref(),
            known: Known {
                reading: self.reading.as_ref().map(|(age, reading)| (*age, reading)),
                certificate: self.certificate.as_ref(),
                pods: self.pods,
                left: &self.left,
                done: self.done,
                sharing: &self.sharing,
                asks: false,
                lacks_image: self.lacks_image,
                runs_on: self.runs_on,
                plain_http: false,
                limits: self.limits,
            },
            now: self.now + self.set,
            steady: self.now,
        })
    }

    /// Writes down whatever is to be, and returns what is to be done then.
    pub(super) fn settle(&mut self) -> Decision {
        for _ in 0..8 {
            let decision = self.decide();
            let Decision::Record(status) = decision else { return decision };
            self.machine.status = Some(*status);
        }
        unreachable!("it is written again and again: {:?}", self.machine.status)
    }
}

pub(super) fn machine() -> Machine {
    let redfish = MachineRedfish {
        url: "https://192.0.2.9".to_owned(),
        username: "admin".to_owned(),
        ..MachineRedfish::default()
    };
    let lease = MachineLease {
        ipv4: "10.0.0.1".to_owned(),
        mac: "02:00:00:00:00:01".to_owned(),
        subnet_mask: "255.255.255.0".to_owned(),
        ..MachineLease::default()
    };
    let pxe = MachinePxe {
        image: "registry/image:1".to_owned(),
        dhcp_leases: vec![lease],
        redfish: Some(redfish),
        ..MachinePxe::default()
    };
    let mut machine = Machine::new("a", MachineSpec { pxe: Some(pxe), ..MachineSpec::default() });
    machine.metadata.uid = Some("uid".to_owned());
    let redfish = Some(MachineRedfishStatus {
        cert_fingerprint: Some(PINNED.to_owned()),
        ..MachineRedfishStatus::default()
    });
    let operations = Some(MachineOperationsStatus::default());
    machine.status = Some(MachineStatus { redfish, operations, ..MachineStatus::default() });
    machine
}

pub(super) fn system(power: PowerState) -> SystemReading {
    SystemReading {
        uri: "/redfish/v1/Systems/1".to_owned(),
        power,
        boot: BootReading { allowable: vec![BootSource::Pxe], ..BootReading::default() },
        reset_types: vec![ResetType::On, ResetType::ForceOff, ResetType::GracefulShutdown],
        ..SystemReading::default()
    }
}

/// A Node that is ready, with an address.
pub(super) fn node(ip: &str) -> Node {
    let ready = NodeCondition {
        type_: "Ready".to_owned(),
        status: "True".to_owned(),
        ..NodeCondition::default()
    };
    let address = NodeAddress { address: ip.to_owned(), type_: "InternalIP".to_owned() };
    let status = NodeStatus {
        conditions: Some(vec![ready]),
        addresses: Some(vec![address]),
        ..NodeStatus::default()
    };
    let mut node = Node { status: Some(status), ..Node::default() };
    node.metadata.name = Some("a".to_owned());
    node
}

pub(super) fn cordoned(mut node: Node, by_us: bool) -> Node {
    node.spec = Some(NodeSpec { unschedulable: Some(true), ..NodeSpec::default() });
    if by_us {
        node.metadata.annotations = Some([(CORDONED_FOR.to_owned(), "uid".to_owned())].into());
    }
    node
}
