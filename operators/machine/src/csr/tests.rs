use super::*;
use k8s_openapi::{
    ByteString,
    api::{
        certificates::v1::{CertificateSigningRequestSpec, CertificateSigningRequestStatus},
        core::v1::{NodeAddress, NodeStatus},
    },
};
use metal_api::{MachineLease, MachinePxe, MachineSpec};

const OURS: &[u8] = include_bytes!("testdata/p256.pem");
const NAMESPACE: &str = "metalman-machines";
const USAGES: [&str; 2] = [DIGITAL_SIGNATURE, CLIENT_AUTH];

fn csr(request: &[u8]) -> CertificateSigningRequest {
    let spec = CertificateSigningRequestSpec {
        request: ByteString(request.to_vec()),
        signer_name: SIGNER.to_owned(),
        usages: Some(USAGES.map(str::to_owned).into()),
        username: Some(format!("system:serviceaccount:{NAMESPACE}:node-01")),
        ..CertificateSigningRequestSpec::default()
    };
    CertificateSigningRequest { spec, ..CertificateSigningRequest::default() }
}

fn verdict(csr: &CertificateSigningRequest) -> Verdict {
    judge(csr, NAMESPACE, |name| if name == "node-01" { Holder::Machine } else { Holder::Nobody })
}

#[test]
fn a_machine_gets_the_certificate_of_its_own_node() {
    for request in
        [OURS, include_bytes!("testdata/p384.pem"), include_bytes!("testdata/rsa2048.pem")]
    {
        assert_eq!(verdict(&csr(request)), Verdict::Approve);
    }
    let mut older = csr(OURS);
    older.spec.usages.as_mut().unwrap().push(KEY_ENCIPHERMENT.to_owned());
    assert_eq!(verdict(&older), Verdict::Approve);
}

#[test]
fn a_node_that_is_a_machine_renews_its_own_certificate_and_gets_no_other() {
    let mut renewal = csr(OURS);
    renewal.spec.username = Some("system:node:node-01".to_owned());
    assert_eq!(verdict(&renewal), Verdict::Leave, "called like a node, and none");
    renewal.spec.groups = Some(vec!["system:authenticated".to_owned(), ORGANIZATION.to_owned()]);
    assert_eq!(verdict(&renewal), Verdict::Approve);
    assert_eq!(whose(&renewal, NAMESPACE), Some("node-01"));
    // One that is no Machine, or whose Machine is gone.
    assert_eq!(judge(&renewal, NAMESPACE, |_| Holder::Nobody), Verdict::Unknown);
    let mut other = renewal.clone();
    other.spec.request = ByteString(include_bytes!("testdata/other-node.pem").to_vec());
    assert_eq!(verdict(&other), Verdict::Deny(Denial::OtherNode));
    let mut master = renewal;
    master.spec.request = ByteString(include_bytes!("testdata/master.pem").to_vec());
    assert_eq!(verdict(&master), Verdict::Deny(Denial::OtherOrganization));
}

#[test]
fn a_machine_named_like_a_node_that_is_not_its_own_gets_no_certificate() {
    let lease = MachineLease { ipv4: "10.0.0.1".to_owned(), ..MachineLease::default() };
    let pxe = MachinePxe { dhcp_leases: vec![lease], ..MachinePxe::default() };
    let machine = Machine::new("node-01", MachineSpec { pxe: Some(pxe), ..MachineSpec::default() });
    let node = |addresses: &[(&str, &str)]| {
        let address = |(type_, address): &(&str, &str)| NodeAddress {
            type_: (*type_).to_owned(),
            address: (*address).to_owned(),
        };
        let addresses = Some(addresses.iter().map(address).collect());
        Node { status: Some(NodeStatus { addresses, ..NodeStatus::default() }), ..Node::default() }
    };
    let mut renewal = csr(OURS);
    renewal.spec.username = Some("system:node:node-01".to_owned());
    renewal.spec.groups = Some(vec![ORGANIZATION.to_owned()]);
    for (addresses, expected) in [
        (&[("InternalIP", "10.0.0.1")][..], Verdict::Approve),
        (&[("InternalIP", "10.0.0.7")], Verdict::Deny(Denial::NodeOfAnother)),
        (&[("InternalIP", "fd00::7")], Verdict::Deny(Denial::NodeOfAnother)),
        (&[("ExternalIP", "10.0.0.1"), ("Hostname", "node-01")], Verdict::Unknown),
        (&[], Verdict::Unknown),
    ] {
        let node = node(addresses);
        let judged = |csr: &CertificateSigningRequest| {
            judge(csr, NAMESPACE, |_| holder(Some(&machine), Some(&node)))
        };
        assert_eq!(judged(&csr(OURS)), expected, "{addresses:?}");
        assert_eq!(judged(&renewal), Verdict::Approve, "it is that node: {addresses:?}");
    }
    assert_eq!(holder(Some(&machine), None), Holder::Machine);
    assert_eq!(holder(None, Some(&node(&[]))), Holder::Nobody);
}

#[test]
fn a_request_for_anything_else_is_denied() {
    use RequestError::{Attributes, Key, Subject};
    let unreadable = Denial::Unreadable;
    for (request, refusal) in [
        (&include_bytes!("testdata/other-node.pem")[..], Denial::OtherNode),
        (include_bytes!("testdata/master.pem"), Denial::OtherOrganization),
        (include_bytes!("testdata/two-organizations.pem"), unreadable(Subject)),
        (include_bytes!("testdata/two-names.pem"), unreadable(Subject)),
        (include_bytes!("testdata/no-organization.pem"), unreadable(Subject)),
        (include_bytes!("testdata/unit.pem"), unreadable(Subject)),
        (include_bytes!("testdata/other-names.pem"), unreadable(Attributes)),
        (include_bytes!("testdata/p521.pem"), unreadable(Key)),
        (include_bytes!("testdata/rsa1024.pem"), unreadable(Key)),
        (include_bytes!("testdata/ed25519.pem"), unreadable(Key)),
    ] {
        assert_eq!(verdict(&csr(request)), Verdict::Deny(refusal));
    }
    // Machines of other sites are not known here.
    assert_eq!(judge(&csr(OURS), NAMESPACE, |_| Holder::Nobody), Verdict::Unknown);
}

#[test]
fn the_usages_are_those_of_a_client_and_no_others() {
    for usages in [
        &[][..],
        &[CLIENT_AUTH],
        &[DIGITAL_SIGNATURE],
        &[DIGITAL_SIGNATURE, CLIENT_AUTH, "server auth"],
        &[DIGITAL_SIGNATURE, CLIENT_AUTH, KEY_ENCIPHERMENT, "cert sign"],
        &["any"],
    ] {
        let mut csr = csr(OURS);
        csr.spec.usages = Some(usages.iter().map(|it| (*it).to_owned()).collect());
        assert_eq!(verdict(&csr), Verdict::Deny(Denial::OtherUsages), "{usages:?}");
    }
}

#[test]
fn what_is_of_somebody_else_or_settled_is_left_alone() {
    for user in [
        "system:serviceaccount:metalman-machines-2:node-01",
        "system:serviceaccount:kube-system:node-01",
        "system:node:node-01",
        "metalman-machines:node-01",
        "",
    ] {
        let mut csr = csr(OURS);
        csr.spec.username = Some(user.to_owned());
        assert_eq!(verdict(&csr), Verdict::Leave, "{user}");
    }
    let mut serving = csr(OURS);
    serving.spec.signer_name = "kubernetes.io/kubelet-serving".to_owned();
    assert_eq!(verdict(&serving), Verdict::Leave);
    for type_ in ["Approved", "Denied", "Failed"] {
        let mut settled = csr(OURS);
        let mut condition = condition(&Verdict::Approve, Timestamp::UNIX_EPOCH).unwrap();
        condition.type_ = type_.to_owned();
        let conditions = Some(vec![condition]);
        let status = CertificateSigningRequestStatus { conditions, certificate: None };
        settled.status = Some(status);
        assert_eq!(verdict(&settled), Verdict::Leave, "{type_}");
    }
}

#[test]
fn what_is_no_request_is_denied_and_nothing_worse() {
    let text = std::str::from_utf8(OURS).unwrap();
    let cut = text.replacen("MIHw", "MIHx", 1);
    for request in ["", "x", &text[1..], &format!("{text}{text}"), &cut, &"A".repeat(1 << 20)] {
        let verdict = verdict(&csr(request.as_bytes()));
        assert!(matches!(verdict, Verdict::Deny(Denial::Unreadable(_))), "{verdict:?}");
    }
    // Every byte of it changed, one after the other.
    for at in 0..OURS.len() {
        for byte in [0, b'A', b'/', 0xff] {
            let mut request = OURS.to_vec();
            request[at] = byte;
            if let Ok(read) = Request::parse(&request) {
                assert!(read.common_name.len() <= OURS.len(), "at {at}");
            }
        }
    }
}

#[test]
fn a_request_of_any_size_costs_little_memory_and_is_judged_as_before() {
    let size = |csr: &CertificateSigningRequest| serde_json::to_vec(csr).unwrap().len();
    let trimmed = |mut csr: CertificateSigningRequest| {
        trim(&mut csr);
        assert!(size(&csr) < 2 * (16 << 10), "{}", size(&csr));
        csr
    };
    let long = || "x".repeat(1 << 20);
    let judged = verdict(&csr(OURS));
    let mut padded = csr(OURS);
    padded.metadata.annotations = Some([("a".to_owned(), long())].into());
    padded.metadata.labels = Some([("a".to_owned(), long())].into());
    padded.metadata.finalizers = Some(vec![long()]);
    padded.metadata.resource_version = Some("7".to_owned());
    padded.spec.extra = Some([("a".to_owned(), vec![long()])].into());
    padded.spec.groups = Some(vec![long(), ORGANIZATION.to_owned(), ORGANIZATION.to_owned()]);
    let padded = trimmed(padded);
    assert_eq!((verdict(&padded), &padded.metadata.resource_version), (judged, &Some("7".into())));
    // Nothing that is too long is approved.
    let mut long_request = csr(OURS);
    long_request.spec.request.0.extend(long().into_bytes());
    let refusal = Verdict::Deny(Denial::Unreadable(RequestError::Pem));
    assert_eq!(verdict(&trimmed(long_request)), refusal);
    let mut many_usages = csr(OURS);
    many_usages.spec.usages.as_mut().unwrap().extend((0..10_000).map(|_| CLIENT_AUTH.to_owned()));
    assert_eq!(verdict(&trimmed(many_usages)), Verdict::Deny(Denial::OtherUsages));
    // One that is settled stays settled.
    let mut settled = csr(&long().into_bytes());
    let certificate = Some(ByteString(long().into_bytes()));
    settled.status = Some(CertificateSigningRequestStatus { certificate, ..Default::default() });
    assert_eq!(verdict(&trimmed(settled)), Verdict::Leave);
}
