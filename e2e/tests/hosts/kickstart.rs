//! The shell of the built-in kickstart, with disks that are made up.

use metal_api::{BootPullSecret, BootToken, BootTokenSpec};
use metal_base::testing::script;
use metal_core::boot_token::kickstart::{DEFAULT, Urls, render};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

/// Name, and what lsblk says: SIZE, RO, TRAN, RM, SERIAL, WWN, ROTA.
type Disk = (&'static str, [&'static str; 7]);

const SMALL: Disk = ("sda", ["107374182400", "0", "sata", "0", "S-1", "0x5000C500A", "1"]);
const LARGE: Disk = ("nvme0n1", ["1073741824000", "0", "nvme", "0", "S 2", "eui.00A1", "0"]);
const STICK: Disk = ("sdb", ["107374182400", "0", "usb", "1", "S-3", "", "0"]);
const EMPTY: Disk = ("sdc", ["0", "0", "sata", "0", "S-4", "", "0"]);
/// Others may use it as well.
const LUN: Disk = ("sdd", ["10737418240000", "0", "fc", "0", "S-5", "0x600A0B80", "1"]);
const PATH: Disk = ("sde", ["10737418240000", "0", "fc", "0", "S-5", "naa.600a:0b80", "1"]);
const FAR: Disk = ("nvme1n1", ["1073741824000", "0", "nvme", "0", "S-6", "uuid.00-A2", "0"]);

/// What there is in place of the programs of the installer.
struct World<'a> {
    disks: &'a [Disk],
    /// Body of `curl`.
    curl: &'a str,
    /// Body of `skopeo`.
    skopeo: &'a str,
}

const fn disks(disks: &[Disk]) -> World<'_> {
    World { disks, curl: "printf 204", skopeo: "exit 0" }
}

#[test]
fn an_installer_takes_the_one_disk_that_fits_and_refuses_to_choose() {
    let none = ("serial=''", "serial=''");
    assert_eq!(chosen(none, &disks(&[SMALL, STICK, EMPTY])).unwrap(), "sda");
    for found in [&[SMALL, LARGE][..], &[], &[STICK], &[EMPTY]] {
        let told = chosen(none, &disks(found)).unwrap_err();
        assert!(told.contains("disk"), "{told}");
    }
    let hints = [
        (("serial=''", "serial='S 2'"), "nvme0n1"),
        (("wwn=''", "wwn='naa.5000c500a'"), "sda"),
        (("wwn=''", "wwn='5000:c5:00a'"), "sda"),
        (("min=''", "min='500'"), "nvme0n1"),
        (("max=''", "max='500'"), "sda"),
        (("rotational=''", "rotational='1'"), "sda"),
    ];
    for (hint, disk) in hints {
        assert_eq!(chosen(hint, &disks(&[SMALL, LARGE, STICK])).unwrap(), disk, "{hint:?}");
    }
    assert!(chosen(("serial=''", "serial='S'"), &disks(&[SMALL, LARGE])).is_err());
    // Names of disks and what they say of themselves are not run.
    let odd: Disk = ("sda", ["1073741824000", "0", "sata", "0", "$(touch /tmp/x)`id`", "", "0"]);
    assert_eq!(chosen(none, &disks(&[odd])).unwrap(), "sda");
    // A name that says nothing is that of no disk.
    let bare: Disk = ("sda", ["1073741824000", "0", "sata", "0", "", "", "0"]);
    for nothing in ["naa.", "0x0000", ":-"] {
        let hint = format!("wwn='{nothing}'");
        assert!(chosen(("wwn=''", &hint), &disks(&[bare])).is_err(), "{nothing}");
    }
}

#[test]
fn a_disk_on_a_network_is_installed_to_only_if_it_is_named_and_by_one_path() {
    let none = ("serial=''", "serial=''");
    for far in [LUN, FAR] {
        let told = chosen(none, &disks(&[far])).unwrap_err();
        assert!(told.contains("on a network"), "{told}");
        assert_eq!(chosen(none, &disks(&[SMALL, far])).unwrap(), "sda");
        // The only one that fits, but nobody has said that it may be cleared.
        assert!(chosen(("min=''", "min='500'"), &disks(&[SMALL, far])).is_err());
    }
    let named = ("serial=''", "serial='S-5'");
    assert_eq!(chosen(named, &disks(&[SMALL, LUN])).unwrap(), "sdd");
    assert_eq!(chosen(("wwn=''", "wwn='uuid.00a2'"), &disks(&[FAR])).unwrap(), "nvme1n1");
    for hint in [("wwn=''", "wwn='600a0b80'"), named] {
        assert!(chosen(hint, &disks(&[LUN, PATH])).is_err(), "{hint:?}");
    }
    let alike: Disk = ("sdf", ["10", "0", "sata", "0", "S-9", "600A0B80", "1"]);
    let told = chosen(named, &disks(&[LUN, alike])).unwrap_err();
    assert!(told.contains("have the same WWN"), "{told}");
}

#[test]
fn nothing_is_cleared_for_a_boot_that_is_over_or_for_an_image_that_is_not_there() {
    let none = ("serial=''", "serial=''");
    let over = World { curl: "printf 403", ..disks(&[SMALL]) };
    assert!(chosen(none, &over).unwrap_err().contains("this installation is over"));
    let away = World { curl: "printf 503; exit 22", ..disks(&[SMALL]) };
    assert_eq!(chosen(none, &away).unwrap(), "sda", "what is reported is not needed");
    // An address that was refused too often is told nothing: that is not the silence of a server that is away.
    for code in ["429", "400", "404", "302"] {
        let curl = format!("printf {code}");
        let told = chosen(none, &World { curl: &curl, ..disks(&[SMALL]) }).unwrap_err();
        assert!(told.contains(&format!("may go on, but {code}. Nothing was written")), "{told}");
    }
    let chosen_after = |codes: &str| {
        let count = "echo x >> \"$FACTS/asked\"; n=$(wc -l < \"$FACTS/asked\")";
        let curl = format!("{count}; codes=({codes}); printf \"${{codes[n - 1]:-204}}\"");
        chosen(none, &World { curl: &curl, ..disks(&[SMALL]) })
    };
    assert_eq!(chosen_after("429 429").unwrap(), "sda", "it asks again");
    for codes in ["429 403", "204 403", "204 429 403"] {
        assert!(chosen_after(codes).unwrap_err().contains("this installation is over"), "{codes}");
    }
    let missing = World { skopeo: "echo 'manifest \"unknown\"' >&2; exit 1", ..disks(&[SMALL]) };
    let told = chosen(none, &missing).unwrap_err();
    assert!(told.contains("the image cannot be fetched: manifest unknown. Nothing"), "{told}");
    // It is asked for by a program that ends, whatever the registry does.
    let limited = World { skopeo: "grep -qx timeout /proc/$PPID/comm", ..disks(&[SMALL]) };
    assert_eq!(chosen(none, &limited).unwrap(), "sda");
    let silent = World { skopeo: "exit 124", ..disks(&[SMALL]) };
    let told = chosen(none, &silent).unwrap_err();
    assert!(told.contains("cannot be fetched: the registry does not answer. Nothing"), "{told}");
}

#[test]
fn nothing_is_cleared_for_an_image_of_another_architecture() {
    let none = ("serial=''", "serial=''");
    let chosen_for = |config: &str| {
        // As skopeo prints the configuration of an image, and nothing of an index.
        let skopeo = format!("case \"$*\" in *--config*) echo '{config}' ;; *) exit 1 ;; esac");
        chosen(none, &World { skopeo: &skopeo, ..disks(&[SMALL]) })
    };
    let config = |name: &str| {
        format!(r#"{{"architecture": "{name}", "config": {{"Labels": {{"architecture": "x"}}}}}}"#)
    };
    let (ours, other) = match std::env::consts::ARCH {
        "aarch64" => ("arm64", "amd64"),
        _ => ("amd64", "arm64"),
    };
    for fits in [config(ours), config(std::env::consts::ARCH), "{}".to_owned()] {
        assert_eq!(chosen_for(&fits).unwrap(), "sda", "{fits}");
    }
    let told = chosen_for(&config(other)).unwrap_err();
    assert!(told.contains(&format!("the image is for {other}, and this machine is ")), "{told}");
}

#[test]
fn the_login_for_the_image_is_for_root_alone_and_there_before_anything_is_cleared() {
    let script = part_of("%pre --interpreter=/bin/bash --erroronfail\n", &["login"]);
    let installs = |code: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let curl = format!(
            "case \"$*\" in */auth.json) while [[ $1 != --output ]]; do shift; done; echo login > \"$2\"; \
             printf {code} ;; *) printf 204 ;; esac"
        );
        let skopeo = "echo \"$*\" > \"$FACTS/asked\"";
        let ended = run(path, &script, &World { curl: &curl, skopeo, ..disks(&[SMALL]) });
        assert_eq!(ended.is_ok(), path.join("out").exists(), "{ended:?}");
        assert_eq!(ended.is_ok(), !path.join("auth/auth.json.new").exists());
        let asked = fs::read_to_string(path.join("asked")).unwrap_or_default();
        let file = path.join("auth/auth.json");
        let mode = fs::metadata(&file).ok().map(|it| it.permissions().mode() & 0o777);
        let is_used = asked.contains(&format!("--authfile {}", file.display()));
        ended.map(|()| (mode, is_used))
    };
    assert_eq!(installs("200"), Ok((Some(0o600), true)));
    assert_eq!(installs("404"), Ok((None, false)), "none of the Secrets is for the image");
    assert!(installs("403").unwrap_err().contains("this installation is over"));
    let told = installs("503").unwrap_err();
    assert!(told.contains("the login for the image is not given out: 503. Nothing was"), "{told}");
}

#[test]
fn all_of_the_disk_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let script = part("%pre --interpreter=/bin/bash --erroronfail\n");
    run(folder.path(), &script, &disks(&[SMALL])).unwrap();
    let out = fs::read_to_string(folder.path().join("out")).unwrap();
    assert!(out.contains("\nreqpart --add-boot\npart / --size=4096 --grow "), "{out}");
    assert!(!out.contains("autopart"), "that leaves most of it unused: {out}");
}

#[test]
fn an_installation_that_is_done_waits_for_a_server_that_is_away_and_not_for_one_that_refuses() {
    let script = part("%post --nochroot --interpreter=/bin/bash --erroronfail\n");
    let ends = |after: usize, code: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let count = path.join("count").display().to_string();
        let curl = format!(
            "echo x >> {count}; if [[ $(wc -l < {count}) -gt {after} ]]; then printf 204; \
             else printf {code}; exit 22; fi"
        );
        let ended = run(path, &script, &World { curl: &curl, ..disks(&[]) });
        (ended.is_ok(), fs::read_to_string(&count).unwrap().lines().count())
    };
    // Twelve minutes, ten seconds at a time.
    assert_eq!(ends(72, "503"), (true, 74));
    assert_eq!(ends(72, "000"), (true, 74));
    assert_eq!(ends(72, "403"), (false, 1));
}

/// A script of the built-in kickstart.
fn part(start: &str) -> String {
    part_of(start, &[])
}

/// The same of a token that names these Secrets.
fn part_of(start: &str, secrets: &[&str]) -> String {
    let image = format!("quay.io/example/base@sha256:{}", "a".repeat(64));
    let host_name = "web-1".to_owned();
    let named = secrets.iter().map(|name| BootPullSecret { name: (*name).to_owned() });
    let image_pull_secrets = named.collect();
    let spec = BootTokenSpec { host_name, image, image_pull_secrets, ..BootTokenSpec::default() };
    let mut token = BootToken::new("web-1", spec);
    token.metadata.namespace = Some("org".to_owned());
    let urls = Urls { base: "https://hosts.example.org/c/x", server: "https://hosts.example.org" };
    let kickstart = render("default", DEFAULT.as_bytes(), &token, urls).unwrap();
    kickstart.split(start).nth(1).unwrap().split("%end").next().unwrap().to_owned()
}

/// The disk that the installer chooses among these, or what it prints.
#[expect(clippy::unwrap_in_result, reason = "the error is what is tested")]
fn chosen(hint: (&str, &str), world: &World<'_>) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let script = part("%pre --interpreter=/bin/bash --erroronfail\n");
    assert!(script.contains(hint.0));
    let ended = run(folder.path(), &script.replacen(hint.0, hint.1, 1), world);
    let out = fs::read_to_string(folder.path().join("out")).unwrap_or_default();
    assert_eq!(ended.is_ok(), !out.is_empty(), "{ended:?}");
    ended?;
    let disk = out.lines().find_map(|line| line.strip_prefix("ignoredisk --only-use="));
    let disk = disk.unwrap().to_owned();
    let clears = format!("clearpart --all --initlabel --disklabel=gpt --drives={disk}\n");
    assert!(out.contains(&clears), "{out}");
    Ok(disk)
}

/// Runs a script; what it prints, if it fails.
#[expect(clippy::unwrap_in_result, reason = "the error is what is tested")]
fn run(path: &Path, script: &str, world: &World<'_>) -> Result<(), String> {
    fs::write(path.join("script"), script).unwrap();
    fs::create_dir_all(path.join("sys/block/loop0")).unwrap();
    let names = ["SIZE", "RO", "TRAN", "RM", "SERIAL", "WWN", "ROTA"];
    for (disk, said) in world.disks {
        let device = path.join("sys/block").join(disk).join("device");
        fs::create_dir_all(&device).unwrap();
        let is_far = *disk == FAR.0;
        fs::write(device.join("transport"), if is_far { "tcp\n" } else { "pcie\n" }).unwrap();
        for (name, said) in names.iter().zip(said) {
            fs::write(path.join(format!("{disk}.{name}")), format!("{said}\n")).unwrap();
        }
    }
    tool(path, "curl", world.curl);
    tool(path, "skopeo", world.skopeo);
    tool(path, "lsblk", r#"cat "$FACTS/${6##*/}.$5""#);
    for nothing in ["sleep", "sync", "udevadm"] {
        tool(path, nothing, "exit 0");
    }
    fs::create_dir_all(path.join("root/etc/bloomery")).unwrap();
    fs::write(path.join("root/etc/bloomery/host.json"), "").unwrap();
    // What reports in the background ends at once.
    fs::write(path.join("over"), "").unwrap();
    let Output { status, stderr, .. } = Command::new("bash")
        .arg(path.join("script"))
        .env("PATH", format!("{}:/usr/bin:/bin", path.display()))
        .env("FACTS", path)
        .env("BLOOMERY_SYS", path.join("sys"))
        .env("BLOOMERY_OUT", path.join("out"))
        .env("BLOOMERY_OVER", path.join("over"))
        .env("BLOOMERY_ROOT", path.join("root"))
        .env("BLOOMERY_AUTH", path.join("auth/auth.json"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&stderr).into_owned();
    if status.success() { Ok(()) } else { Err(told) }
}

fn tool(folder: &Path, name: &str, body: &str) {
    script(&folder.join(name), body).unwrap();
}
