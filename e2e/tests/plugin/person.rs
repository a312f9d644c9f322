//! What only a person can mend is told at once, and waited for only where that is asked for.

use crate::{
    site::{Site, bmc, resets},
    stopped::{told, waiting},
};
use e2e::stack::{ended, metalman::PASSWORDS};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::DeleteParams};
use metal_simulator::Reset;
use std::{net::Ipv4Addr, time::Duration};
use tokio::time::timeout;

/// Less than what is waited by default, by far.
const SOON: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_missing_password_ends_waiting_and_is_waited_for_where_that_is_said() {
    let site = Site::new().await.unwrap();
    let metalman = site.metalman().await.unwrap();
    let (bmc, address) = (bmc(Ipv4Addr::new(127, 22, 0, 7)).await, Ipv4Addr::new(10, 22, 0, 7));
    let name = site.register(&bmc, address).await.unwrap();
    site.is(&name, "counted", |_, it| it.operations.is_some() && it.redfish.is_some())
        .await
        .unwrap();
    let secrets = Api::<Secret>::namespaced(site.client.clone(), PASSWORDS);
    let machine = site.machines().get(&name).await.unwrap();
    let secret = machine.spec.pxe.unwrap().redfish.unwrap().password_ref.name;
    let mut kept = secrets.get(&secret).await.unwrap();
    secrets.delete(&secret, &DeleteParams::default()).await.unwrap();

    let reboot = ["machine", "reboot", &name];
    let printed = timeout(SOON, site.plugin(&reboot)).await.unwrap().unwrap();
    assert_eq!((printed.code, printed.out.as_str()), (Some(1), ""), "{printed:?}");
    let refusal =
        format!("error: machine {name}: PasswordMissing: spec.pxe.redfish.passwordRef: Secret");
    assert!(
        printed.err.contains(&refusal) && printed.err.contains("--keep-waiting"),
        "{printed:?}"
    );
    assert_eq!(resets(&bmc), []);

    // It goes on by itself, for whoever waits.
    let (child, mut lines) = waiting(site.cluster, &name, &["--keep-waiting"]).await.unwrap();
    told(&mut lines, "PasswordMissing").await.unwrap();
    (kept.metadata.resource_version, kept.metadata.uid) = (None, None);
    secrets.create(&kube::api::PostParams::default(), &kept).await.unwrap();
    let printed = ended(child).await.unwrap();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert_eq!(resets(&bmc), [(Reset::GracefulShutdown, 1), (Reset::On, 1)]);
    metalman.end().await.unwrap();
}
