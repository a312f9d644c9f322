//! Machines are registered.

use crate::site::Site;
use e2e::{cluster::unique, stack::run_plugin};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::DeleteParams};
use serde_json::{Value, json};

const BMC: [&str; 5] = [
    "--redfish-url=https://10.1.0.11",
    "--redfish-username=admin",
    "--redfish-device-id=System.Embedded.1",
    "--redfish-password-stdin",
    "--arch=arm64",
];

#[tokio::test]
async fn a_machine_is_registered_with_its_password_in_a_secret_of_its_own() {
    let site = Site::new().await.unwrap();
    let name = unique("node");
    let mut args = of(&name, &site.name);
    args.extend(BMC);
    let dry = [&args[..], &["--dry-run=client", "-o", "yaml"]].concat();
    let printed = site.plugin(&dry).await.unwrap();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let machine: Value = serde_saphyr::from_str(&printed.out).unwrap();
    let lease = json!({
        "mac": "02:22:03:00:00:01", "ipv4": "10.22.3.1", "subnetMask": "255.255.255.0",
        "gateway": "10.22.3.254", "dns": ["10.22.3.2", "10.22.3.3"],
    });
    let redfish = json!({
        "url": "https://10.1.0.11", "username": "admin", "deviceID": "System.Embedded.1",
        "passwordRef": { "name": name, "namespace": "metalman-bmcs", "key": "password" },
    });
    let pxe = json!({ "image": "registry/image:1", "dhcpLeases": [lease], "redfish": redfish });
    assert_eq!(machine["spec"], json!({ "pxe": pxe }));
    let labels = json!({ "unbounded-cloud.io/site": site.name, "kubernetes.io/arch": "arm64" });
    assert_eq!(machine["metadata"], json!({ "name": name, "labels": labels }));
    let checked = site.plugin(&[&args[..], &["--dry-run=server"]].concat()).await.unwrap();
    assert_eq!(
        checked.out,
        format!("machine.unbounded-cloud.io/{name} created (server dry run)\n")
    );
    assert!(site.machines().get_opt(&name).await.unwrap().is_none());

    let printed = run_plugin(site.cluster, &args, "s3cret\n").await.unwrap();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(!format!("{printed:?}").contains("s3cret"));
    let secrets = Api::<Secret>::namespaced(site.client.clone(), "metalman-bmcs");
    let secret = secrets.get(&name).await.unwrap();
    assert_eq!(secret.data.unwrap()["password"].0, b"s3cret");
    let created = site.machines().get(&name).await.unwrap();
    assert_eq!(serde_json::to_value(created.spec).unwrap(), json!({ "pxe": pxe }));

    // A second time it is refused, and the password stays.
    let printed = run_plugin(site.cluster, &args, "other\n").await.unwrap();
    assert!(printed.code == Some(1) && printed.err.contains("already exists"), "{printed:?}");
    assert_eq!(secrets.get(&name).await.unwrap().data.unwrap()["password"].0, b"s3cret");
    // One that somebody else has stored is not overwritten.
    site.machines().delete(&name, &DeleteParams::default()).await.unwrap();
    secrets.delete(&name, &DeleteParams::default()).await.unwrap();
    let store = [
        "create",
        "secret",
        "generic",
        &name,
        "-n",
        "metalman-bmcs",
        "--from-literal=password=theirs",
    ];
    site.cluster.kubectl(&store).await.unwrap();
    let printed = run_plugin(site.cluster, &args, "s3cret\n").await.unwrap();
    assert!(printed.code == Some(1) && printed.err.contains("somebody else"), "{printed:?}");
    assert!(site.machines().get_opt(&name).await.unwrap().is_none());
}

#[tokio::test]
async fn what_cannot_be_registered_leaves_nothing_behind() {
    let site = Site::new().await.unwrap();
    let name = unique("node");
    for (more, why) in [
        (
            &["--redfish-url=https://10.1.0.11", "--redfish-username=a"][..],
            "--redfish-password-file",
        ),
        (&["--redfish-url=ftp://10.1.0.11", "--redfish-username=a"], "--redfish-url: spec.pxe"),
        (&["--install"], "--by-hand"),
    ] {
        let args = [&of(&name, &site.name)[..], more].concat();
        let printed = site.plugin(&args).await.unwrap();
        assert!(printed.code == Some(1) && printed.err.contains(why), "{more:?}: {printed:?}");
    }
    // The API server knows what no flag says.
    let long = format!("--redfish-username={}", "a".repeat(1025));
    let bmc = ["--redfish-url=https://10.1.0.11", &long, "--redfish-password-stdin"];
    let args = [&of(&name, &site.name)[..], &bmc].concat();
    let printed = run_plugin(site.cluster, &args, "s3cret\n").await.unwrap();
    assert_eq!(printed.code, Some(1), "{printed:?}");
    assert!(printed.err.contains("spec.pxe.redfish.username"), "{printed:?}");
    let secrets = Api::<Secret>::namespaced(site.client.clone(), "metalman-bmcs");
    assert!(secrets.get_opt(&name).await.unwrap().is_none());
    assert!(site.machines().get_opt(&name).await.unwrap().is_none());
}

fn of<'a>(name: &'a str, site: &'a str) -> Vec<&'a str> {
    vec![
        "machine",
        "register",
        "--pxe",
        name,
        "--image=registry/image:1",
        "--mac=02:22:03:00:00:01",
        "--ipv4=10.22.3.1",
        "--subnet-mask=255.255.255.0",
        "--gateway=10.22.3.254",
        "--dns=10.22.3.2",
        "--dns=10.22.3.3",
        "--site",
        site,
    ]
}
