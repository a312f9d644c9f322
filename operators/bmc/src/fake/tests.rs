use super::*;
use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

const URI: &str = "/redfish/v1/Systems/1";

/// The result of a future that is ready at once, as all of these are.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a fake waited"),
    }
}

fn machine() -> FakeBmc {
    let power = PowerState::Off;
    FakeBmc::new(SystemReading { uri: URI.to_owned(), power, ..Default::default() })
}

#[test]
fn an_override_counts_for_one_boot() {
    let bmc = machine();
    let once = Step::BootOnce { source: BootSource::Pxe, mode: None };
    now(bmc.perform(URI, &once)).unwrap();
    now(bmc.perform(URI, &Step::Reset(ResetType::On))).unwrap();
    now(bmc.perform(URI, &Step::Reset(ResetType::On))).unwrap();
    now(bmc.perform(URI, &Step::Reset(ResetType::PowerCycle))).unwrap();
    assert_eq!(bmc.boots(), [Some(BootSource::Pxe), None]);
    assert_eq!(now(bmc.system(URI)).unwrap().power, PowerState::On);
}

#[test]
fn power_lags_by_as_many_reads_as_asked() {
    let bmc = machine();
    bmc.set_lag(2);
    now(bmc.perform(URI, &Step::Reset(ResetType::On))).unwrap();
    assert_eq!(now(bmc.system(URI)).unwrap().power, PowerState::Off);
    assert_eq!(now(bmc.system(URI)).unwrap().power, PowerState::On);
}

#[test]
fn scripted_faults_come_first_and_go_by() {
    let bmc = machine();
    bmc.script([Fault::Unplugged, Fault::Jammed]);
    assert!(matches!(now(bmc.systems()), Err(Error::Unreachable(_))));
    let refused = now(bmc.perform(URI, &Step::Reset(ResetType::On)));
    assert!(matches!(refused, Err(Error::Failed { .. })));
    assert_eq!(now(bmc.systems()).unwrap().len(), 1);
    assert_eq!(bmc.steps(), []);
}

#[test]
fn other_credentials_are_refused_and_counted() {
    let good = Credentials { username: "a".into(), password: "b".into() };
    let bad = Credentials { username: "a".into(), password: "c".into() };
    let (fleet, bmc) = (FakeFleet::default(), machine());
    bmc.accept_only(good.clone());
    let address = IpAddr::from([127, 0, 0, 1]);
    fleet.plug_in(address, 443, &bmc);
    let target =
        Target { scheme: metal_core::redfish::Scheme::Https, host: address.into(), port: 443 };
    assert!(matches!(now(fleet.connect(&target, &bad).systems()), Err(Error::Unauthorized)));
    assert!(now(fleet.connect(&target, &good).systems()).is_ok());
    assert_eq!(bmc.logins_refused(), 1);
    let nowhere = Target { port: 1, ..target };
    assert!(matches!(now(fleet.connect(&nowhere, &good).systems()), Err(Error::Unreachable(_))));
}
