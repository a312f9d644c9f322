//! What is given up is told, and by the exit code as well.

use crate::site::Site;
use serde_json::{Value, json};

#[tokio::test]
async fn an_operation_that_was_given_up_ends_with_its_reason_and_an_exit_code() {
    let site = Site::new().await.unwrap();
    let name = site.create(pxe("10.22.1.1")).await.unwrap();
    let counted = json!({ "operations": { "rebootCounter": 0, "repaveCounter": 0 } });
    site.says(&name, counted).await.unwrap();
    // What metalman writes after its last attempt.
    let give_up = async {
        let is_asked = |machine: &metal_api::Machine| machine.metadata.generation == Some(2);
        let machine = site.is(&name, "asked", |machine, _| is_asked(machine)).await.unwrap();
        let current = json!({
            "rebootCounter": 1, "repaveCounter": 1, "step": "Failed", "attempt": 3,
            "since": "2026-01-01T00:00:00Z", "reason": "InstallTimedOut",
            "message": "nothing came from the installer",
        });
        let status = json!({
            "observedGeneration": machine.metadata.generation,
            "phase": "Failed",
            "operations": {
                "rebootCounter": 1, "current": current, "givenUp": { "repaveCounter": 1 },
            },
        });
        site.says(&name, status).await.unwrap();
    };
    let repave = ["machine", "repave", &name, "--timeout", "1m"];
    let (printed, ()) = tokio::join!(site.plugin(&repave), give_up);
    let printed = printed.unwrap();
    assert_eq!((printed.code, printed.out.as_str()), (Some(1), ""), "{printed:?}");
    let told = format!("error: machine {name}: InstallTimedOut: nothing came from the installer");
    assert!(printed.err.contains(&told), "{printed:?}");
}

#[tokio::test]
async fn a_machine_that_nobody_would_act_on_is_not_asked_for_anything() {
    let site = Site::new().await.unwrap();
    let metalman = site.metalman().await.unwrap();
    let (one, other) = (site.create(pxe("10.22.1.2")).await.unwrap(), pxe("10.22.1.2"));
    site.create(other).await.unwrap();
    site.is(&one, "Failed", |_, it| it.phase == Some(metal_api::MachinePhase::Failed))
        .await
        .unwrap();
    let printed = site.plugin(&["machine", "repave", &one, "--wait=false"]).await.unwrap();
    assert_eq!(printed.code, Some(1), "{printed:?}");
    assert!(printed.err.contains("fix this first: Ambiguous"), "{printed:?}");
    assert_eq!(site.machines().get(&one).await.unwrap().spec.operations, None);
    metalman.end().await.unwrap();
}

#[tokio::test]
async fn what_takes_too_long_is_told_and_ends_with_an_exit_code() {
    let site = Site::new().await.unwrap();
    let name = site.create(pxe("10.22.1.3")).await.unwrap();
    let counted = json!({ "operations": { "rebootCounter": 0, "repaveCounter": 0 } });
    site.says(&name, counted).await.unwrap();
    // There is no metalman.
    let printed = site.plugin(&["machine", "reboot", &name, "--timeout", "15s"]).await.unwrap();
    assert_eq!(printed.code, Some(1), "{printed:?}");
    let told = format!(
        "not done within 15 s, and goes on without being waited for: metalman of the site {} has not seen it yet",
        site.name
    );
    assert!(printed.err.contains(&told), "{printed:?}");
}

/// A machine with a BMC that is not there.
pub(crate) fn pxe(address: &str) -> Value {
    let mac = crate::site::mac(address.parse().unwrap());
    json!({
        "image": "i",
        "dhcpLeases": [
            { "ipv4": address, "mac": mac, "subnetMask": "255.0.0.0", "gateway": "" },
        ],
        "redfish": {
            "url": "https://192.0.2.1", "username": "u",
            "passwordRef": { "name": "n", "namespace": "metalman-bmcs", "key": "password" },
        },
    })
}
