use super::*;
use metal_api::{MachinePxe, MachineSpec};

#[test]
fn a_machine_boots_the_image_of_its_architecture() {
    let mut machine = machine(" ghcr.io/a/b:1 ");
    assert_eq!(wanted(&machine), Some(("ghcr.io/a/b:1", "amd64")));
    machine.metadata.labels = Some([(ARCHITECTURE.to_owned(), "arm64".to_owned())].into());
    assert_eq!(wanted(&machine), Some(("ghcr.io/a/b:1", "arm64")));
    assert_eq!(wanted(&self::machine(" ")), None);
    assert_eq!(wanted(&Machine::new("a", MachineSpec::default())), None);
}

#[test]
fn the_condition_says_how_far_the_image_is() {
    let machine = machine("a");
    let mut status = MachineStatus::default();
    let failed =
        ImageState::Failed { reason: "NoDisk", message: "the image has no folder /disk".into() };
    let flaw = ImageState::Ready { digest: "d".into(), flaw: Some("grub.cfg.tmpl:1: no".into()) };
    for (state, expected) in [
        (ImageState::Unknown, None),
        (ImageState::Pulling, Some(("False", "Pulling"))),
        (failed.clone(), Some(("False", "NoDisk"))),
        (ready(), Some(("True", "Pulled"))),
        // Checking whether the tag has moved changes nothing, and neither does a restart.
        (ImageState::Pulling, Some(("True", "Pulled"))),
        (ImageState::Unknown, Some(("True", "Pulled"))),
        (flaw, Some(("False", "TemplateUnusable"))),
    ] {
        record(&mut status, &machine, &state, Timestamp::UNIX_EPOCH);
        let told = status.conditions.iter().find(|it| it.type_ == condition::IMAGE_READY);
        assert_eq!(told.map(|it| (it.status.as_str(), it.reason.as_str())), expected, "{state:?}");
    }
}

#[test]
fn metadata_names_the_loader_and_may_say_more() {
    let name = |text: &str| metadata(text.as_bytes()).map(|it| it.dhcp_boot_image_name);
    for (text, expected) in [
        ("dhcpBootImageName: shimx64.efi\n", Some("shimx64.efi")),
        ("other: [1, {a: b}]\ndhcpBootImageName: \"a/b.efi\"", Some("a/b.efi")),
        ("dhcpBootImageName: ''", None),
        ("other: 1", None),
        ("", None),
        ("# nothing\n", None),
    ] {
        assert_eq!(name(text), Ok(expected.map(str::to_owned)), "{text}");
    }
    let long = format!("dhcpBootImageName: {}", "a".repeat(128));
    for text in ["dhcpBootImageName: [a]", "dhcpBootImageName: \"a\\nb\"", "{", &long, "a: *b"] {
        assert!(name(text).is_err(), "{text}");
    }
    let error = name("dhcpBootImageName: a\nother").unwrap_err().to_string();
    assert!(error.contains("line 2") && !error.contains(char::is_control), "{error:?}");
    assert!(metadata(b"\xff").is_err() && metadata(&vec![b' '; 70_000]).is_err());
}

fn ready() -> ImageState {
    ImageState::Ready { digest: "sha256:0".to_owned(), flaw: None }
}

fn machine(image: &str) -> Machine {
    let pxe = MachinePxe { image: image.to_owned(), ..MachinePxe::default() };
    Machine::new("a", MachineSpec { pxe: Some(pxe), ..MachineSpec::default() })
}
