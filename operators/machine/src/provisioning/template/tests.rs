use super::*;
use metal_api::{MachineOperations, MachinePxe, MachineSpec, MachineStatus, MachineTargetDisk};
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
    assert_eq!(rendered(r"{{ `a\tb` }}").unwrap(), "a\tb", "Go: a\\tb");
    assert!(rendered("{{ with false }}{{ else with true }}{{ . }}{{ end }}").is_err(), "Go: true");
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
