//! What iPXE runs.

use super::*;

#[test]
fn scripts_are_ascii_and_no_value_is_more_than_a_word() {
    let console = ["console=ttyS0".to_owned()];
    let base = "https://hosts.example.org/c/abc";
    let scripts = [
        script::refused(),
        script::unfit(),
        script::installed(),
        script::no_installer(),
        script::first(base, "web-1").unwrap(),
        script::second(base, Boots::Kickstart(Stage2::Url("http://mirror/")), &console).unwrap(),
        script::second(base, Boots::Kickstart(Stage2::Squashfs), &console).unwrap(),
        script::second(base, Boots::Kickstart(Stage2::None), &[]).unwrap(),
        script::second(base, Boots::DiskImage, &console).unwrap(),
        script::in_use(),
        script::entry("https://hosts.example.org/api/ipxe/x").unwrap(),
        script::later(script::Again::First("https://h/api/ipxe/x"), "a\n{$b}: é", 3).unwrap(),
        script::later(script::Again::Second(base), "not ready yet", 0).unwrap(),
    ];
    for script in &scripts {
        assert!(script.starts_with("#!ipxe\n") && script.is_ascii(), "{script}");
        // Every label that is gone to is there, and once.
        for goto in script.split("goto ").skip(1) {
            let label = goto.split_ascii_whitespace().next().unwrap();
            assert_eq!(script.matches(&format!("\n:{label}\n")).count(), 1, "{label}: {script}");
        }
    }
    assert!(script::entry("http://h/a b").is_err());
    for interface in ["netX", "net0", "net1", "net7"] {
        let said = format!("&mac=${{{interface}/mac}}");
        assert!(scripts[4].contains(&said), "{}", scripts[4]);
    }
    let network = "\nset autoconf dhcp\nisset ${ip} || set autoconf either6\n";
    assert!(scripts[5].contains(network), "IPv6 alone is a network: {}", scripts[5]);
    let kernel = "kernel ${base}/kernel initrd=initrd ip=${autoconf} inst.text \
                  inst.ks=${base}/kickstart inst.stage2=http://mirror/ console=ttyS0 &&";
    assert!(scripts[5].contains(kernel), "{}", scripts[5]);
    let live = "inst.ks=${base}/kickstart root=live:${base}/squashfs console=ttyS0 &&";
    assert!(scripts[6].contains(live), "{}", scripts[6]);
    let ours = "initrd=initrd loglevel=5 panic=60 bloomery.install=${base} console=ttyS0 &&";
    assert!(scripts[8].contains(ours), "{}", scripts[8]);
    for argument in ["a b", "", "a\nb", "${uuid}", "a||b", "é", "a;b"] {
        let arguments = vec![argument.to_owned()];
        for boots in [Boots::Kickstart(Stage2::None), Boots::DiskImage] {
            assert!(script::second(base, boots, &arguments).is_err(), "{argument}");
        }
        let stage2 = Boots::Kickstart(Stage2::Url(argument));
        assert!(script::second(base, stage2, &[]).is_err(), "{argument}");
    }
}

#[test]
fn a_machine_that_cannot_be_answered_says_so_and_asks_again_for_ten_minutes_and_no_longer() {
    let pauses = |script: &str| -> (u32, usize) {
        let sleeps = script.lines().filter_map(|line| line.strip_prefix("sleep "));
        (sleeps.map(|it| it.parse::<u32>().unwrap()).sum(), script.matches("chain ").count())
    };
    let asks = |tries| {
        let script = script::later(script::Again::First("https://h/x"), "not ready yet", tries);
        script.unwrap()
    };
    assert!(asks(0).contains("\necho The server cannot answer now: not ready yet\n"));
    let (seconds, most) = pauses(&asks(0));
    assert!((600..700).contains(&seconds), "{seconds}");
    // Whatever the server answers to one, the next begins where it was.
    for tries in 0..most {
        let next = format!("${{url}}?tries={}&", tries + 1);
        assert_eq!(
            asks(tries).lines().find(|it| it.contains("chain")).map(|it| it.contains(&next)),
            Some(true)
        );
        assert_eq!(pauses(&asks(tries)).1, most - tries);
    }
    for tries in [most, most + 1, usize::MAX] {
        assert_eq!(pauses(&asks(tries)), (30, 0), "it ends");
    }
    let second = script::later(script::Again::Second("https://h/c/x"), "", 0).unwrap();
    assert!(second.contains("\nset url https://h/c/x/boot\n"), "{second}");
    assert!(second.contains("${url}?tries=1&uuid=${uuid}&"), "{second}");
    // So do the scripts that are served before and after.
    let entry = script::entry("https://h/x").unwrap();
    for script in [entry, script::first("https://h/c/x", "web-1").unwrap()] {
        assert!(pauses(&script).0 >= 600, "{script}");
    }
}
