use super::*;
use clap::error::ErrorKind;

#[test]
fn it_calls_itself_as_kubectl_calls_it() {
    for (program, name) in [
        ("kubectl-metal", "kubectl metal"),
        ("/usr/local/bin/kubectl-unbounded", "kubectl unbounded"),
        ("something", "kubectl metal"),
    ] {
        let error = parse([program.into(), "--help".into()]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DisplayHelp);
        assert!(error.to_string().contains(&format!("Usage: {name} ")), "{error}");
        let error = parse([program.into(), "machine".into(), "reboot".into()]).unwrap_err();
        assert!(error.to_string().contains(&format!("Usage: {name} machine reboot")), "{error}");
    }
}

#[test]
fn the_command_lines_of_the_peer_are_taken() {
    for line in [
        "machine reboot node-01 --kubeconfig /k",
        "machine repave node-01",
        "machine reboot machine.unbounded-cloud.io/node-01",
        "site deploy-pxe --site=rack-a --image m:1 --kubeconfig=/k",
        "site init rack-a",
        "site serve-pxe --site=rack-a --dhcp-interface=eth0",
        "version",
    ] {
        parsed(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn waiting_can_be_switched_off_and_a_dry_run_sends_nothing_unless_it_says_server() {
    for line in [
        "machine reboot a --wait=false",
        "machine reboot a b --wait --timeout 10m -o json",
        "site deploy-pxe --site a --dry-run -o yaml",
        "site deploy-pxe --site a --dry-run=server",
        "--context c site init a --dry-run=client",
    ] {
        parsed(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    for line in [
        "machine reboot",
        "machine reboot a --timeout 10",
        "machine reboot a --by-hand",
        "site deploy-pxe",
        "site deploy-pxe --site Rack",
        "site deploy-pxe --site a --interface a/b",
        "site init",
        "site init a --dry-run=maybe",
        "machine reboot a -o table",
        "machine reboot a/b",
        "machine repave Node",
        "machine register --pxe A --image i --mac 02:00:00:00:00:01 --ipv4 10.0.0.1/8",
        "machine register --pxe a --image I/i --mac 02:00:00:00:00:01 --ipv4 10.0.0.1/8",
        "machine register --pxe a -n b/c --image i --mac 02:00:00:00:00:01 --ipv4 10.0.0.1/8",
        "machine register --pxe a --image i --mac 02:00:00:00:00:01 --ipv4 10.0.0.1/8 --redfish-url https://b \
         --redfish-username=",
        "site deploy-pxe --site a --image a:b:c",
        "site init a --node b/c",
    ] {
        let error = parsed(line).unwrap_err();
        assert!(error.use_stderr() && error.exit_code() == 2, "{line}: {error}");
    }
}

#[test]
fn the_command_lines_for_rented_servers_are_taken() {
    for line in [
        "ipxe-tokens create myorg --image i --server https://h",
        "ipxe-tokens create myorg/my-host --image i --server https://h --mac 02:00:00:00:00:01",
        "ipxe-tokens list myorg",
        "ipxe-tokens revoke myorg my-host-0a1b2c3d",
        "hosts ipxe create myorg/my-host --image i --server https://h",
        "hosts ipxe list --org myorg",
        "hosts ipxe delete myorg/my-host",
        "hosts list",
        "hosts list --org myorg -o json",
        "hosts get myorg/my-host",
        "hosts create myorg/my-host --public-key-file key.pem",
        "hosts activate myorg/my-host:v1",
        "hosts delete myorg/my-host",
        "releases create myorg/my-host:v1 --image i --config-file config.json --activate",
        "releases start myorg/my-host:v1.2 --image i",
        "releases run config.json --image i",
        "releases list myorg/my-host",
    ] {
        parsed(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn a_name_of_a_rented_server_that_is_none_is_a_wrong_command() {
    for line in [
        "ipxe-tokens create --image i --server https://h",
        "ipxe-tokens create Org --image i --server https://h",
        "ipxe-tokens create org/ --image i --server https://h",
        "ipxe-tokens create org --image i --server https://h --ttl 1m",
        "ipxe-tokens create org --image i --server https://h --mac 02:00",
        "ipxe-tokens list",
        "ipxe-tokens list org/web-1",
        "ipxe-tokens revoke org",
        "ipxe-tokens revoke org ../web-1",
        "ipxe-tokens revoke org/web-1 web-1",
        "hosts ipxe create org --image i --server https://h",
        "hosts ipxe list",
        "hosts ipxe delete org",
        "hosts list org",
        "hosts list --org Org",
        "hosts get org",
        "hosts get a/b/c",
        "hosts get org/web-1:v1",
        "hosts create org/web-1",
        "hosts activate org/web-1",
        "hosts activate org/web-1:V1",
        "hosts delete web-1",
        "releases create org/web-1 --image i",
        "releases create org/web-1:v1",
        "releases start web-1:v1 --image i",
        "releases list org",
    ] {
        let error = parsed(line).unwrap_err();
        assert!(error.use_stderr() && error.exit_code() == 2, "{line}: {error}");
    }
}

#[test]
fn every_command_that_writes_has_a_dry_run() {
    fn look(command: &clap::Command, path: &str, without: &mut Vec<String>) {
        let path = format!("{path} {}", command.get_name());
        let mut below = command.get_subcommands().peekable();
        let has_one = command.get_arguments().any(|arg| arg.get_id() == "dry_run");
        if below.peek().is_none() && !has_one {
            without.push(path.clone());
        }
        below.for_each(|command| look(command, &path, without));
    }
    let mut without = vec![];
    look(&Args::command(), "", &mut without);
    let read = ["site serve-pxe", "ipxe-tokens list", "hosts list", "hosts get", "hosts ipxe list"];
    let read = read.into_iter().chain(["releases list", "version"]);
    let read: Vec<_> = read.map(|command| format!(" kubectl-metal {command}")).collect();
    assert_eq!(without, read);
}

fn parsed(line: &str) -> Result<Args, clap::Error> {
    parse(["kubectl-metal"].into_iter().chain(line.split_whitespace()).map(Into::into))
}
