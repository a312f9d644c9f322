//! What docs/hosts-shell.md says to type in a rescue system.

use e2e::cluster::workspace;
use metal_base::testing;
use metal_core::boot_token::script::{self, Boots, Stage2};
use std::{fs, path::Path, process::Command};

const FIRST: &str = "https://hosts.example.org/c/first";
const SECOND: &str = "https://hosts.example.org/c/second";

/// Answers with the scripts, and notes what the machine says of itself.
const CURL: &str = r#"
while (($#)); do
    case $1 in
        --data-urlencode) said+=" $2" && shift ;;
        -o) out=$2 && shift ;;
        https:*) url=$1 ;;
    esac
    shift
done
case $url in
    */api/ipxe/*) cat first ;;
    */first/boot) echo "$said" > said && cat second ;;
    */second/kernel | */second/initrd) echo "$url" > "$out" ;;
    *) exit 22 ;;
esac"#;

#[test]
fn a_rescue_system_starts_what_ipxe_would() {
    let console = ["console=ttyS0".to_owned()];
    let anaconda = Boots::Kickstart(Stage2::Url("http://mirror/os/"));
    for (boots, arguments) in [
        (
            anaconda,
            format!(
                "ip=dhcp inst.text inst.ks={SECOND}/kickstart inst.stage2=http://mirror/os/ console=ttyS0"
            ),
        ),
        (Boots::DiskImage, format!("loglevel=5 panic=60 bloomery.install={SECOND} console=ttyS0")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let second = script::second(SECOND, boots, &console).unwrap();
        let started = typed(folder.path(), &second);
        let expected =
            format!("--load kernel --initrd=initrd --command-line={arguments}\n--exec\n");
        assert_eq!(started, expected);
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let said = " uuid=u-1 serial=S 1 mac=02:00:00:00:00:01 mac=02:00:00:00:00:02\n";
        assert_eq!(read("said"), said);
        assert_eq!(read("initrd"), format!("{SECOND}/initrd\n"));
    }
}

#[test]
fn a_rescue_system_that_is_refused_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(typed(folder.path(), &script::in_use()), "");
}

/// Types all of it, and returns what was started by kexec.
fn typed(folder: &Path, second: &str) -> String {
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("first", &script::first(FIRST, "web-1").unwrap());
    put("second", second);
    put("dmi/product_uuid", "u-1\n");
    put("dmi/product_serial", "S 1\n");
    put("net/eth0/address", "02:00:00:00:00:01\n");
    put("net/eth1/address", "02:00:00:00:00:02\n");
    for (name, body) in [("curl", CURL), ("kexec", "echo \"$*\" >> started")] {
        testing::script(&folder.join(name), body).unwrap();
    }
    let page = fs::read_to_string(workspace().join("docs/hosts-shell.md")).unwrap();
    let (_, section) = page.split_once("## From a rescue system\n").unwrap();
    let lines = section.lines().filter_map(|line| line.strip_prefix("    "));
    let text = lines.collect::<Vec<_>>().join("\n");
    let text = text.replace("/sys/class/dmi/id", "dmi").replace("/sys/class/net", "net");
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(format!("PATH=$PWD:$PATH\n{text}")).current_dir(folder);
    bash.output().unwrap();
    fs::read_to_string(folder.join("started")).unwrap_or_default()
}
