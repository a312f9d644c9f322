use super::*;
use metal_api::{
    MachineInstalledDisk, MachineLease, MachineOperations, MachinePxe, MachineSpec, MachineStatus,
    MachineTargetDisk,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    machine: Machine,
    templates: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    template: String,
    output: Option<String>,
}

/// What grub.cfg of an image that installs contains.
const CHOICE: &str = "{{ if le .Machine.Spec.Operations.RepaveCounter .Machine.Status.Operations.RepaveCounter }}\
     boot{{ else }}install {{ .ServeURL }}{{ end }}";

#[test]
fn templates_become_what_go_makes_of_them() {
    let vectors: Vectors = serde_json::from_str(include_str!("vectors.json")).unwrap();
    assert!(vectors.templates.len() > 85);
    let variables = Variables {
        machine: &vectors.machine,
        installs: Some(3),
        serve_url: "http://192.0.2.1:8880/c/token",
        apiserver_url: "https://api.example:6443",
        agent_config_json: "{}",
    };
    let mut differ = vec![];
    for Vector { template, output } in &vectors.templates {
        let ours = render("x", template.as_bytes(), &variables);
        if ours.as_ref().ok() != output.as_ref() {
            differ.push(format!("{template}\n  Go:   {output:?}\n  ours: {ours:?}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn the_differences_that_are_left_are_known() {
    let machine = machine(None, None);
    let rendered = |text: &str| render("x", text.as_bytes(), &variables(&machine, None));
    assert!(rendered("{{ with false }}{{ else with true }}{{ . }}{{ end }}").is_err(), "Go: true");
    assert!(rendered(r"{{ '\\' }}").is_err(), "Go: 92");
    assert!(rendered(r#"{{ "`\\" }}"#).is_err(), r"Go: `\");
}

#[test]
fn texts_with_backslashes_move_no_error_to_another_line() {
    let machine = machine(None, None);
    let template = "{{ \"\\n\" }}\n{{ `\n\\` }}\n{{ .Nothing }}";
    let error = render("x", template.as_bytes(), &variables(&machine, None)).unwrap_err();
    assert!(error.to_string().contains("x:4"), "{error}");
}

#[test]
fn nothing_is_installed_unless_an_installation_is_due() {
    // Possible specs and statuses, and whether an installation is due.
    for (wanted, done, installs, expected) in [
        (None, None, None, "boot"),
        (Some(0), None, None, "boot"),
        (Some(3), Some(3), None, "boot"),
        (Some(3), Some(5), None, "boot"),
        // Requested, but not due yet or not due any more.
        (Some(3), None, None, "boot"),
        (Some(3), Some(2), None, "boot"),
        (Some(1), None, Some(1), "install u"),
        (Some(3), Some(2), Some(3), "install u"),
        // A status from before a restore.
        (Some(3), Some(7), Some(3), "install u"),
    ] {
        let machine = machine(wanted, done);
        let rendered = render("x", CHOICE.as_bytes(), &variables(&machine, installs));
        assert_eq!(rendered.unwrap(), expected, "{wanted:?} {done:?} {installs:?}");
    }
}

#[test]
fn what_stays_on_a_disk_has_no_token_and_changes_with_each_installation_alone() {
    const TEXT: &str = "{{ .BaseURL }} {{ .Machine.Spec.Operations.RepaveCounter }}";
    let (plain, token) = ("http://192.0.2.1:8880", "http://192.0.2.1:8880/c/token");
    for (wanted, done, installs, url, expected) in [
        (None, None, None, plain, "0"),
        (Some(3), None, None, plain, "3"),
        (Some(4), Some(3), None, plain, "3"),
        (Some(4), Some(3), Some(4), token, "4"),
        (Some(4), Some(4), None, plain, "4"),
    ] {
        let machine = machine(wanted, done);
        let variables = Variables { serve_url: url, ..variables(&machine, installs) };
        let rendered = render("x", TEXT.as_bytes(), &variables).unwrap();
        assert_eq!(rendered, format!("{plain} {expected}"));
    }
}

/// Of our netboot image.
const META_DATA: &str =
    include_str!("../../../../../hack/netboot-image.d/disk/cloud-init/meta-data.tmpl");
const NETWORK_CONFIG: &str =
    include_str!("../../../../../hack/netboot-image.d/disk/cloud-init/network-config.tmpl");
const INSTALL: &str = include_str!("../../../../../hack/netboot-image.d/disk/install.json.tmpl");
const GRUB: &str = include_str!("../../../../../hack/netboot-image.d/disk/grub/grub.cfg.tmpl");

#[test]
fn a_system_is_no_other_instance_before_the_next_one_is_installed() {
    for (wanted, done, installs, expected) in [
        (None, None, None, "0"),
        (Some(4), Some(3), None, "3"),
        // By hand, nobody knows when the machine boots, and what.
        (Some(4), Some(3), Some(4), "3"),
        (Some(4), Some(4), None, "4"),
    ] {
        let machine = machine(wanted, done);
        let rendered = render("x", META_DATA.as_bytes(), &variables(&machine, installs)).unwrap();
        let expected = format!("\ninstance-id: \"a-{expected}\"\n");
        assert!(rendered.contains(&expected), "{rendered}");
    }
}

#[test]
fn a_name_that_looks_like_a_number_is_a_name() {
    let mut machine = machine(None, None);
    machine.metadata.name = Some("000123".to_owned());
    let rendered = render("x", META_DATA.as_bytes(), &variables(&machine, None)).unwrap();
    let read: serde_json::Value =
        metal_text::yaml::read(&rendered, metal_text::yaml::LeadingZero::Octal).unwrap();
    assert_eq!(read["local-hostname"], "000123", "{rendered}");
}

#[test]
fn a_mac_address_is_told_as_everybody_reads_it() {
    for written in ["AA-BB-CC-DD-EE-01", "aa:bb:cc:dd:ee:01"] {
        let lease = MachineLease { mac: written.to_owned(), ..MachineLease::default() };
        let pxe = MachinePxe { dhcp_leases: vec![lease], ..MachinePxe::default() };
        let mut machine = machine(None, None);
        machine.spec.pxe = Some(pxe);
        let rendered = render("x", NETWORK_CONFIG.as_bytes(), &variables(&machine, None)).unwrap();
        assert!(rendered.contains("\"aa:bb:cc:dd:ee:01\""), "{rendered}");
    }
}

#[test]
fn an_interface_with_leases_in_two_subnets_is_configured_once() {
    let lease = |mac: &str| MachineLease { mac: mac.to_owned(), ..MachineLease::default() };
    let dhcp_leases = vec![
        lease("aa:bb:cc:dd:ee:01"),
        lease("AA-BB-CC-DD-EE-01"),
        lease("aa:bb:cc:dd:ee:02"),
        lease("aa:bb:cc:dd:ee:01"),
    ];
    let mut machine = machine(None, None);
    machine.spec.pxe = Some(MachinePxe { dhcp_leases, ..MachinePxe::default() });
    let rendered = render("x", NETWORK_CONFIG.as_bytes(), &variables(&machine, None)).unwrap();
    let (_, ethernets) = rendered.split_once("version: 2\n").unwrap();
    let expected = "ethernets:\n  lease0:\n    match: {macaddress: \"aa:bb:cc:dd:ee:01\"}\n    dhcp4: true\n  \
                    lease2:\n    match: {macaddress: \"aa:bb:cc:dd:ee:02\"}\n    dhcp4: true\n    optional: true\n";
    assert_eq!(ethernets, expected);
}

#[test]
fn a_disk_is_found_by_the_installation_that_its_installer_was_told_of() {
    let told = |wanted, done, installs, template: &str| {
        let mut machine = machine(wanted, done);
        machine.spec.pxe = Some(MachinePxe::default());
        machine.metadata.uid = Some("uid".to_owned());
        render("x", template.as_bytes(), &variables(&machine, installs)).unwrap()
    };
    let order = told(Some(4), Some(3), Some(4), INSTALL);
    assert!(order.contains("\"installation\": \"uid-4\","), "{order}");
    // Before the next one is done, the last one is what is started.
    for (wanted, done) in [(4, 4), (5, 4)] {
        let grub = told(Some(wanted), Some(done), None, GRUB);
        assert!(grub.contains("'/etc/bloomery/installed/uid-4'"), "{grub}");
    }
}

#[test]
fn what_installs_is_asked_for_at_the_url_of_the_installation_and_not_below_where_grub_is() {
    let machine = machine(Some(1), Some(0));
    let variables =
        Variables { serve_url: "http://boot/a/c/token", ..variables(&machine, Some(1)) };
    let rendered = render("x", GRUB.as_bytes(), &variables).unwrap();
    // GRUB itself came from http://boot/a/grubx64.efi, so its prefix has `/a` as well.
    assert!(rendered.contains("set from=\"$server$path\""), "{rendered}");
    assert!(!rendered.contains("$from$path"), "{rendered}");
}

#[test]
fn a_template_is_told_which_disk_to_install_to() {
    const TEXT: &str = "{{ .TargetDiskJSON }}{{ with .Machine.Spec.PXE.TargetDisk }} \
         {{ printf \"%q\" .Serial }} {{ .WWN }} {{ .MinSizeGiB }} {{ .MaxSizeGiB }} \
         {{ if .Rotational }}turns{{ end }}{{ end }}";
    let serial = Some("S4 <&>'1".to_owned());
    let one = |serial, rotational| MachineTargetDisk {
        serial,
        rotational,
        min_size_gib: Some(100),
        ..MachineTargetDisk::default()
    };
    for (disk, expected) in [
        (None, "null"),
        (Some(MachineTargetDisk::default()), "{} \"\"  0 0 "),
        (
            Some(one(serial, Some(false))),
            r#"{"serial":"S4 <&>'1","minSizeGiB":100,"rotational":false} "S4 <&>'1"  100 0 "#,
        ),
        (Some(one(None, Some(true))), r#"{"minSizeGiB":100,"rotational":true} ""  100 0 turns"#),
    ] {
        let mut machine = machine(None, None);
        machine.spec.pxe = Some(MachinePxe { target_disk: disk, ..MachinePxe::default() });
        let rendered = render("x", TEXT.as_bytes(), &variables(&machine, None)).unwrap();
        assert_eq!(rendered, expected);
    }
}

#[test]
fn a_template_is_told_the_disk_of_before_where_nobody_names_one() {
    let mut machine = machine(Some(2), Some(1));
    machine.spec.pxe = Some(MachinePxe::default());
    let rendered = |machine: &Machine| {
        render("x", b"{{ .TargetDiskJSON }}", &variables(machine, Some(2))).unwrap()
    };
    assert_eq!(rendered(&machine), "null", "an older version has recorded none");
    let operations = machine.status.as_mut().unwrap().operations.as_mut().unwrap();
    let serial = Some("SN".to_owned());
    operations.installed_disk =
        Some(MachineInstalledDisk { serial, ..MachineInstalledDisk::default() });
    assert_eq!(rendered(&machine), r#"{"serial":"SN"}"#);
    machine.spec.pxe.as_mut().unwrap().target_disk = Some(MachineTargetDisk::default());
    assert_eq!(rendered(&machine), "{}");
}

#[test]
fn an_error_says_in_which_file_and_line() {
    let machine = machine(None, None);
    for template in
        ["a\n{{ .Machine.Nothing }}", "a\n{{ if }}", "a\n{{ .Nothing }}", "a\n{{ \u{1b}[2J }}"]
    {
        let error = render("grub/grub.cfg.tmpl", template.as_bytes(), &variables(&machine, None));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("grub/grub.cfg.tmpl:2"), "{error}");
        assert!(error.len() <= 512 && !error.contains(char::is_control), "{error:?}");
    }
    let error = render("x", b"\xff", &variables(&machine, None)).unwrap_err();
    assert_eq!(error.to_string(), "x is not UTF-8");
}

#[test]
fn a_template_is_bounded_in_time_and_space() {
    let machine = machine(None, None);
    for template in [
        "{{ range 10000 }}{{ range 10000 }}{{ end }}{{ end }}".to_owned(),
        "{{ range 9000 }}{{ printf \"%1000d\" 1 }}{{ end }}".to_owned(),
        "{{ define \"r\" }}{{ template \"r\" }}{{ end }}{{ template \"r\" }}".to_owned(),
        "{{ if true }}".repeat(20_000),
        "(".repeat(20_000),
    ] {
        let rendered = render("x", template.as_bytes(), &variables(&machine, None));
        assert!(rendered.is_err() || rendered.unwrap().len() <= template::OUTPUT);
    }
}

fn variables(machine: &Machine, installs: Option<i64>) -> Variables<'_> {
    Variables { machine, installs, serve_url: "u", apiserver_url: "", agent_config_json: "" }
}

fn machine(wanted: Option<i64>, done: Option<i64>) -> Machine {
    let operations = wanted.map(|repave| MachineOperations {
        repave_counter: Some(repave),
        ..MachineOperations::default()
    });
    let mut machine = Machine::new("a", MachineSpec { operations, ..MachineSpec::default() });
    if let Some(done) = done {
        let status = machine.status.insert(MachineStatus::default());
        status.operations.get_or_insert_default().repave_counter = Some(done);
    }
    machine
}
