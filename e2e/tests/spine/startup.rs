//! What an operator prints when it cannot start.

use crate::shared::run;
use e2e::cluster::binary;
use std::{fs, process::Output, time::Duration};
use tokio::{process::Command, time::timeout};

const LIMIT: Duration = Duration::from_mins(3);

#[test]
fn flags_that_contradict_each_other_end_the_start_with_a_message_that_names_them() {
    run(async {
        let metal = ["--probe-image=a", "--probe-os-image=b"];
        let no_registry = said("metal-operator", &metal).await;
        assert!(no_registry.contains("--registry-url"), "{no_registry}");
        let ca = ["--registry-url=http://192.0.2.1", "--skip-cert-validation", "--bmc-ca-file=c"];
        let both = said("metal-operator", &[&metal[..], &ca[..]].concat()).await;
        assert!(both.contains("--skip-cert-validation and --bmc-ca-file"), "{both}");
        let no_url = said("boot-operator", &[]).await;
        assert!(no_url.contains("--ipxe-service-url"), "{no_url}");
    });
}

#[test]
fn a_template_that_does_not_parse_ends_the_start_with_a_message_that_names_it() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (template, kubeconfig) = (folder.path().join("template"), folder.path().join("config"));
        fs::write(&template, "variant: fcos\n{{ .Image\n").unwrap();
        // The template is read before anything is requested from the API server.
        fs::write(&kubeconfig, KUBECONFIG).unwrap();
        let template = format!("--discovery-ignition-path={}", template.display());
        let text = said(
            "metal-operator",
            &[
                "--probe-image=a",
                "--probe-os-image=b",
                "--registry-url=http://192.0.2.1",
                "--metrics-bind-address=0",
                "--health-probe-bind-address=0",
                &format!("--kubeconfig={}", kubeconfig.display()),
                &template,
            ],
        )
        .await;
        assert!(text.contains("--discovery-ignition-path"), "{text}");
        assert!(text.contains("not a Go template"), "{text}");
    });
}

const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
users: [{name: a, user: {}}]
current-context: a
";

/// What it prints before it fails.
async fn said(name: &str, args: &[&str]) -> String {
    let mut command = Command::new(binary(name).await.unwrap());
    command.args(args).kill_on_drop(true);
    command.env_remove("REGISTRY_ADDRESS").env_remove("IPXE_SERVER_ADDRESS");
    let output = timeout(LIMIT, command.output()).await.unwrap().unwrap();
    let Output { status, stdout, stderr } = output;
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(!status.success(), "{text}");
    text
}
