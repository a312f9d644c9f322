//! Whether the certificate that a machine asks for is its own.
//!
//! A machine that has attested has the token of a ServiceAccount named like it. With that its kubelet or
//! agent asks for a client certificate, once (Kubernetes, "TLS bootstrapping"), and renews it with the
//! certificate itself. Approved is what a machine asks for about itself in either way, and nothing that says
//! anything else. Nodes that are no Machines are left to `kube-controller-manager`.

mod request;
mod trim;

pub use request::{Request, RequestError};
pub use trim::trim;

use super::operations::{Ownership, ownership};
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition},
        core::v1::Node,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use metal_api::Machine;
use std::collections::BTreeSet;

/// Signer of client certificates of kubelets.
pub const SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// The only organization of nodes, and the group that the API server puts them into.
pub const ORGANIZATION: &str = "system:nodes";
/// Prefix of the user name of a ServiceAccount.
const ACCOUNT: &str = "system:serviceaccount:";
/// Prefix of the user name of a node.
const NODE: &str = "system:node:";
const DIGITAL_SIGNATURE: &str = "digital signature";
const CLIENT_AUTH: &str = "client auth";
/// Also requested by kubelets with RSA keys, and by those before Kubernetes 1.27.
const KEY_ENCIPHERMENT: &str = "key encipherment";

/// The verdict about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It belongs to somebody else, or is decided already.
    Leave,
    /// No Machine of this site has the name of its user: it may be one of another site.
    Unknown,
    /// It is approved.
    Approve,
    /// It is denied, for this reason.
    Deny(Denial),
}

/// Why a request is denied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
pub enum Denial {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] RequestError),
    /// It is for another name.
    #[error("a machine may only request a certificate for its own node")]
    OtherNode,
    /// It is for another organization, or for several.
    #[error("the organization must be exactly system:nodes")]
    OtherOrganization,
    /// There is a Node of that name that is not the machine.
    #[error(
        "a Node of this name exists that has none of the addresses of the Machine: if it is the same \
         machine, delete the Node, or add its address to spec.pxe.dhcpLeases"
    )]
    NodeOfAnother,
    /// It is for usages that a client does not need.
    #[error("the usages must be exactly those of a client certificate")]
    OtherUsages,
}

impl Denial {
    /// A word from a small fixed set.
    pub fn reason(&self) -> &'static str {
        self.into()
    }
}

/// The Machine that a request belongs to, according to its user: a ServiceAccount of that namespace, or a node
/// with its certificate. `None` if it is for somebody else, or for another signer, or decided already.
pub fn whose<'a>(csr: &'a CertificateSigningRequest, namespace: &str) -> Option<&'a str> {
    let user = waiting(csr)?;
    account(user, namespace).or_else(|| node(csr, user))
}

fn account<'a>(user: &'a str, namespace: &str) -> Option<&'a str> {
    user.strip_prefix(ACCOUNT)?.strip_prefix(namespace)?.strip_prefix(':')
}

/// A name alone makes no node: the API server puts those that it knows as nodes into this group.
fn node<'a>(csr: &CertificateSigningRequest, user: &'a str) -> Option<&'a str> {
    let is_node = csr.spec.groups.iter().flatten().any(|group| group == ORGANIZATION);
    user.strip_prefix(NODE).filter(|_| is_node)
}

/// The user who waits for a client certificate of a kubelet, if the request is not decided yet.
pub fn waiting(csr: &CertificateSigningRequest) -> Option<&str> {
    let is_open = csr.spec.signer_name == SIGNER && !is_settled(csr);
    csr.spec.username.as_deref().filter(|_| is_open)
}

/// The user name with which a machine requests its first certificate.
pub fn user(namespace: &str, machine: &str) -> String {
    format!("{ACCOUNT}{namespace}:{machine}")
}

/// The name of the machine that this user may be.
pub fn machine_of(user: &str) -> Option<&str> {
    user.strip_prefix(ACCOUNT)?.split_once(':').map(|(_, machine)| machine)
}

/// Who has the name of a machine that makes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// No Machine of this site.
    Nobody,
    /// A Machine, whose Node, if there is one of that name, is its own.
    Machine,
    /// A Machine, and a Node of that name that has reported no address yet.
    UnknownNode,
    /// A Machine, and a Node of that name that is not its own.
    OtherNode,
}

/// Who has a name, given the Machine and the Node of that name.
pub fn holder(machine: Option<&Machine>, node: Option<&Node>) -> Holder {
    let Some(machine) = machine.filter(|machine| counts(machine)) else { return Holder::Nobody };
    match node.map(|node| ownership(machine, node)) {
        None | Some(Ownership::Own) => Holder::Machine,
        Some(Ownership::Unknown) => Holder::UnknownNode,
        Some(Ownership::Another) => Holder::OtherNode,
    }
}

/// Judges a request. `namespace` is that of the ServiceAccounts of machines; `holder` says who has a name.
/// Whoever may create a Machine may call it like a Node that is there: that gives it no credentials of
/// that Node.
pub fn judge(
    csr: &CertificateSigningRequest,
    namespace: &str,
    holder: impl FnOnce(&str) -> Holder,
) -> Verdict {
    let Some(name) = whose(csr, namespace) else { return Verdict::Leave };
    let user = csr.spec.username.as_deref().unwrap_or_default();
    let is_first = account(user, namespace).is_some();
    match (holder(name), is_first) {
        (Holder::Nobody, _) | (Holder::UnknownNode, true) => return Verdict::Unknown,
        (Holder::OtherNode, true) => return Verdict::Deny(Denial::NodeOfAnother),
        (Holder::Machine, _) | (Holder::OtherNode | Holder::UnknownNode, false) => {}
    }
    match check(csr, name) {
        Ok(()) => Verdict::Approve,
        Err(refusal) => Verdict::Deny(refusal),
    }
}

/// Whether a Machine exists, and is not being deleted.
fn counts(machine: &Machine) -> bool {
    machine.metadata.deletion_timestamp.is_none() && machine.spec.pxe.is_some()
}

fn check(csr: &CertificateSigningRequest, name: &str) -> Result<(), Denial> {
    let usages = csr.spec.usages.iter().flatten().map(String::as_str).collect::<BTreeSet<_>>();
    let least: BTreeSet<_> = [DIGITAL_SIGNATURE, CLIENT_AUTH].into();
    let most: BTreeSet<_> = [DIGITAL_SIGNATURE, CLIENT_AUTH, KEY_ENCIPHERMENT].into();
    if usages != least && usages != most {
        return Err(Denial::OtherUsages);
    }
    let request = Request::parse(&csr.spec.request.0)?;
    if request.common_name.strip_prefix(NODE) != Some(name) {
        return Err(Denial::OtherNode);
    }
    if request.organization != ORGANIZATION {
        return Err(Denial::OtherOrganization);
    }
    Ok(())
}

/// Whether it was approved, denied or signed.
fn is_settled(csr: &CertificateSigningRequest) -> bool {
    csr.status.as_ref().is_some_and(|status| {
        status.certificate.is_some() || status.conditions.iter().flatten().next().is_some()
    })
}

/// The condition with the verdict.
pub fn condition(verdict: &Verdict, now: Timestamp) -> Option<CertificateSigningRequestCondition> {
    let (type_, reason, message) = match verdict {
        Verdict::Leave | Verdict::Unknown => return None,
        Verdict::Approve => (
            "Approved",
            "MachineAttested",
            "a machine that has attested asks for its own node".to_owned(),
        ),
        Verdict::Deny(refusal) => ("Denied", refusal.reason(), refusal.to_string()),
    };
    Some(CertificateSigningRequestCondition {
        type_: type_.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    })
}

#[cfg(test)]
mod tests;
