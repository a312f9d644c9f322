//! Input that is wrong, and rights that are missing.

use crate::{given_up::pxe, site::Site};
use anyhow::Result;
use e2e::{
    cluster::{Cluster, unique},
    stack::{Printed, ended, plugin, run_plugin},
};
use serde_json::json;

#[tokio::test]
async fn one_wrong_name_does_not_stop_the_others() {
    let site = Site::new().await.unwrap();
    let name = site.create(pxe("10.22.2.1")).await.unwrap();
    let by_hand = site.create(json!({ "image": "i" })).await.unwrap();
    let counted = json!({ "operations": { "rebootCounter": 0, "repaveCounter": 0 } });
    for name in [&name, &by_hand] {
        site.says(name, counted.clone()).await.unwrap();
    }
    // Named twice, it is one reboot.
    let reboot = ["machine", "reboot", "nobody", &by_hand, &name, &name, "--wait=false"];
    let printed = site.plugin(&reboot).await.unwrap();
    assert_eq!(printed.code, Some(1), "{printed:?}");
    assert_eq!(printed.out, format!("machine.unbounded-cloud.io/{name} reboot 1 requested\n"));
    for told in [
        "error: machine nobody: there is no Machine nobody\n".to_owned(),
        format!("error: machine {by_hand}: it has no spec.pxe.redfish: metalman cannot switch it"),
    ] {
        assert!(printed.err.contains(&told), "{printed:?}");
    }
    let repave = site.plugin(&["machine", "repave", &by_hand, "--wait=false"]).await.unwrap();
    assert!(repave.code == Some(1) && repave.err.contains("with --by-hand"), "{repave:?}");
}

#[tokio::test]
async fn a_missing_kubeconfig_or_context_is_named() {
    let printed = alone(&["machine", "reboot", "a"]).await.unwrap();
    assert_eq!((printed.code, printed.out.as_str()), (Some(1), ""));
    assert!(printed.err.contains("no API server configured: set --kubeconfig"), "{printed:?}");
    let missing = ["machine", "reboot", "a", "--kubeconfig", "/nonexistent/k"];
    let printed = alone(&missing).await.unwrap();
    assert!(printed.err.starts_with("error: --kubeconfig /nonexistent/k: invalid"), "{printed:?}");
    let site = Site::new().await.unwrap();
    let printed = site.plugin(&["machine", "reboot", "a", "--context", "rack"]).await.unwrap();
    assert!(printed.err.starts_with("error: --context rack: invalid"), "{printed:?}");
}

#[tokio::test]
async fn a_missing_right_is_named_and_the_role_of_operators_has_it() {
    let site = Site::new().await.unwrap();
    let name = site.create(pxe("10.22.2.2")).await.unwrap();
    let counted = json!({ "operations": { "rebootCounter": 0, "repaveCounter": 0 } });
    site.says(&name, counted).await.unwrap();
    let account = unique("person");
    let cluster = site.cluster;
    cluster.kubectl(&["create", "serviceaccount", &account, "-n", "default"]).await.unwrap();
    let kubeconfig = cluster.service_account_kubeconfig("default", &account).await.unwrap();
    let kubeconfig = kubeconfig.to_str().unwrap();
    let reboot = ["machine", "reboot", &name, "--wait=false", "--kubeconfig", kubeconfig];
    let printed = alone(&reboot).await.unwrap();
    assert_eq!(printed.code, Some(1), "{printed:?}");
    let told = "cannot get resource \"machines\" in API group \"unbounded-cloud.io\"";
    assert!(printed.err.contains(told) && printed.err.contains("metalman-sites.md"), "{printed:?}");

    let bind = |role: &'static str| {
        let (binding, account) = (unique("binding"), format!("--serviceaccount=default:{account}"));
        let role = format!("--clusterrole={role}");
        async move {
            let bind = ["create", "clusterrolebinding", &binding, &role, &account];
            cluster.kubectl(&bind).await.unwrap();
            cluster.rights_count().await.unwrap();
        }
    };
    bind("metal-machine-viewer").await;
    let printed = alone(&reboot).await.unwrap();
    assert!(printed.err.contains("cannot get resource \"nodes\""), "{printed:?}");
    assert_eq!(site.machines().get(&name).await.unwrap().spec.operations, None);
    bind("metal-machine-operator").await;
    let printed = alone(&reboot).await.unwrap();
    assert_eq!(printed.out, format!("machine.unbounded-cloud.io/{name} reboot 1 requested\n"));
}

#[tokio::test]
async fn a_cluster_that_is_not_prepared_is_told_what_to_do() {
    let cluster = Cluster::start().await.unwrap();
    let register = [
        "machine",
        "register",
        "--pxe",
        "a",
        "--image=i",
        "--mac=02:22:00:00:00:01",
        "--ipv4=10.22.2.3/8",
    ];
    for (args, told) in [
        // Nothing is installed then, as the next ones tell.
        (&["site", "init", "a", "--node=nobody"][..], "node nobody: there is no such Node"),
        (
            &["machine", "reboot", "a"],
            "the cluster knows no Machines: run kubectl metal site init first",
        ),
        (&register, "error: the cluster knows no Machines: run kubectl metal site init first"),
        (&["site", "deploy-pxe", "--site=a"], "is missing: run kubectl metal site init a first"),
    ] {
        let printed = run_plugin(&cluster, args, "").await.unwrap();
        assert_eq!(printed.code, Some(1), "{printed:?}");
        assert!(printed.err.contains(told), "{printed:?}");
    }
    let dry = ["site", "init", "a", "--dry-run=server"];
    let printed = run_plugin(&cluster, &dry, "").await.unwrap();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let told = "serviceaccount/metalman-controller: not checked, its namespace is not there yet";
    assert!(printed.err.contains(told), "{printed:?}");
    assert!(
        printed.out.contains("namespace/metalman-bmcs applied (server dry run)"),
        "{printed:?}"
    );
}

/// Runs the plugin with nothing but these arguments.
async fn alone(args: &[&str]) -> Result<Printed> {
    ended(plugin(args).await?.spawn()?).await
}
