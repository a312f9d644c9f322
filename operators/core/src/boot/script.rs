//! iPXE scripts.

use std::fmt::Write;

/// The values in a script.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Where machines reach the boot server, without a trailing slash.
    pub service_url: &'a str,
    /// System UUID of the machine.
    pub uuid: &'a str,
    /// URL of the kernel.
    pub kernel_url: &'a str,
    /// URL of the initial RAM disk.
    pub initrd_url: &'a str,
    /// URL of the root file system of a live image.
    pub squashfs_url: Option<&'a str>,
    /// Path of the ignition under the service URL, without a leading slash.
    pub ignition_path: Option<&'a str>,
}

/// A value that would be interpreted as more than a value in a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} contains white space or control characters")]
pub struct ScriptError {
    /// Field of the boot configuration.
    pub field: &'static str,
}

const CONSOLES: &str = "console=ttyS0,115200 console=tty0 console=ttyAMA0 \
     earlyprintk=ttyS0,115200 consoleblank=0";

/// The script for one machine: kernel, initial RAM disk, and the location of the rest.
///
/// Variables and kernel arguments are those that Garden Linux images expect. If a download fails,
/// the machine asks for the script again, because the image or the token in it may have changed.
///
/// # Errors
///
/// If a value is not a single word: the author of a boot configuration must not be able to write
/// scripts.
pub fn script(facts: &Facts<'_>) -> Result<String, ScriptError> {
    check_words(facts)?;
    let Facts { service_url, uuid, kernel_url, initrd_url, squashfs_url, ignition_path } = *facts;
    let mut script = String::with_capacity(2048);
    let text = &mut script;
    line(text, format_args!("#!ipxe"));
    line(text, format_args!("set ipxe-svc {service_url}"));
    line(text, format_args!("set kernel-url {kernel_url}"));
    line(text, format_args!("set initrd-url {initrd_url}"));
    if let Some(squashfs_url) = squashfs_url {
        line(text, format_args!("set squashfs-url {squashfs_url}"));
    }
    line(text, format_args!("echo Booting {uuid} from ${{ipxe-svc}}"));
    let live = match squashfs_url {
        Some(_) => "gl.ovl=/:tmpfs gl.url=${squashfs-url} gl.live=1 ",
        None => "",
    };
    let config = match ignition_path {
        Some(path) => format!("ignition.config.url=${{ipxe-svc}}/{path} "),
        None => String::new(),
    };
    line(
        text,
        format_args!(
            "kernel ${{kernel-url}} initrd=initrd {live}ip=any ignition.firstboot=1 \
             {config}ignition.platform.id=metal {CONSOLES} || goto again"
        ),
    );
    // The argument `initrd=` refers to the file by this name, which the URL does not end in.
    line(text, format_args!("initrd --name initrd ${{initrd-url}} || goto again"));
    line(text, format_args!("boot || goto again"));
    line(text, format_args!(":again"));
    line(text, format_args!("echo Boot failed, retrying with ${{ipxe-svc}}"));
    line(text, format_args!("sleep 5"));
    line(text, format_args!("imgfree"));
    line(text, format_args!("chain --replace --autofree ${{ipxe-svc}}/ipxe/{uuid} || goto again"));
    Ok(script)
}

/// Checks that the values from boot configurations are single words.
fn check_words(facts: &Facts<'_>) -> Result<(), ScriptError> {
    let words = [
        ("systemUUID", Some(facts.uuid)),
        ("kernelURL", Some(facts.kernel_url)),
        ("initrdURL", Some(facts.initrd_url)),
        ("squashfsURL", facts.squashfs_url),
    ];
    let is_wrong = |word: Option<&str>| word.is_some_and(|word| !is_word(word));
    match words.into_iter().find(|(_, word)| is_wrong(*word)) {
        Some((field, _)) => Err(ScriptError { field }),
        None => Ok(()),
    }
}

/// The script for a machine that has not identified itself: it asks again, with its UUID. After
/// some time it gives up, and the firmware continues with the next boot option.
pub fn chain(service_url: &str) -> String {
    let mut script = String::with_capacity(512);
    let text = &mut script;
    line(text, format_args!("#!ipxe"));
    line(text, format_args!("set ipxe-svc {service_url}"));
    for pause in [2, 5, 10] {
        let chain = "chain --replace --autofree ${ipxe-svc}/ipxe/${uuid}";
        line(text, format_args!("{chain} || sleep {pause}"));
    }
    line(text, format_args!("chain --replace --autofree ${{ipxe-svc}}/ipxe/${{uuid}}"));
    script
}

/// How many times a machine for which there is nothing to boot asks again, and the seconds in between.
const ASKS: u8 = 15;
const PAUSE: u8 = 20;

/// The script for a machine whose boot window is closed and that has asked this many times before.
/// It shows the reason on the console and asks again, slowly. After some minutes it gives up, and
/// the firmware continues with the next boot option, which may be the system on its disk.
///
/// # Errors
///
/// If the UUID is not a single word.
pub fn closed(service_url: &str, uuid: &str, asked: u8) -> Result<String, ScriptError> {
    if !is_word(uuid) {
        return Err(ScriptError { field: "systemUUID" });
    }
    let mut script = String::with_capacity(512);
    let text = &mut script;
    line(text, format_args!("#!ipxe"));
    line(text, format_args!("echo Nothing to boot for {uuid}: its boot window is closed"));
    line(
        text,
        format_args!(
            "echo It opens when metal-operator powers on the server to boot from the network"
        ),
    );
    if asked >= ASKS {
        line(text, format_args!("echo Continuing with the next boot option"));
        line(text, format_args!("exit 1"));
        return Ok(script);
    }
    let number = asked + 1;
    line(text, format_args!("echo Retrying in {PAUSE} s ({number} of {ASKS})"));
    ask_again(text, service_url, &format!("ipxe/{uuid}?closed={number}"));
    Ok(script)
}

/// The script for a machine that asks with the UUID of one whose boot window is open, at an address that
/// nobody knows of, and that has asked this many times before. It may be that machine, whose disk may have
/// the system of somebody else, or a stranger that must come up again: it reads like [`closed`], but does
/// not give up for as long as the window is open.
///
/// # Errors
///
/// If the UUID is not a single word.
pub fn elsewhere(service_url: &str, uuid: &str, asked: u8) -> Result<String, ScriptError> {
    closed(service_url, uuid, asked.min(ASKS - 1))
}

/// The script for a machine that was powered on to boot something that is not ready, or whose script cannot
/// be had, and that has asked this many times before. It asks again, slowly. Its disk may have the system
/// of somebody else, so it never goes on to that: after some minutes it switches the machine off, and
/// metal-operator powers it on again once there is something to boot. An iPXE that was built without
/// that command goes on asking.
///
/// # Errors
///
/// If the UUID is not a single word.
pub fn waiting(service_url: &str, uuid: &str, asked: u8) -> Result<String, ScriptError> {
    if !is_word(uuid) {
        return Err(ScriptError { field: "systemUUID" });
    }
    let mut script = String::with_capacity(512);
    let text = &mut script;
    line(text, format_args!("#!ipxe"));
    line(
        text,
        format_args!("echo Nothing to boot for {uuid} yet: see the conditions of its Server"),
    );
    line(
        text,
        format_args!("echo and of its ServerBootConfiguration, and the log of boot-operator"),
    );
    let number = if asked < ASKS {
        line(text, format_args!("echo Retrying in {PAUSE} s ({} of {ASKS})", asked + 1));
        asked + 1
    } else {
        line(text, format_args!("echo Switching off until metal-operator boots the server anew"));
        line(
            text,
            format_args!("poweroff || echo This iPXE cannot switch off, and goes on asking"),
        );
        ASKS
    };
    ask_again(text, service_url, &format!("ipxe/{uuid}?waited={number}"));
    Ok(script)
}

/// Asks again after a pause, and while nobody answers again and again.
fn ask_again(text: &mut String, service_url: &str, path: &str) {
    line(text, format_args!("set ipxe-svc {service_url}"));
    line(text, format_args!(":again"));
    line(text, format_args!("sleep {PAUSE}"));
    line(text, format_args!("chain --replace --autofree ${{ipxe-svc}}/{path} || goto again"));
}

fn line(script: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(script, "{line}").expect("a String takes everything");
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: Facts<'_> = Facts {
        service_url: "http://boot:8082",
        uuid: "0b3e2f6c-0000-0000-0000-000000000001",
        kernel_url: "http://boot:8082/image?imageName=a&layerDigest=b&version=1",
        initrd_url: "http://boot:8082/image?imageName=a&layerDigest=c&version=1",
        squashfs_url: Some("http://boot:8082/image?imageName=a&layerDigest=d&version=1"),
        ignition_path: Some("ignition/t/TOKEN/0b3e2f6c-0000-0000-0000-000000000001"),
    };

    #[test]
    fn a_live_image_gets_its_arguments_in_the_known_order() {
        let expected = "\
#!ipxe
set ipxe-svc http://boot:8082
set kernel-url http://boot:8082/image?imageName=a&layerDigest=b&version=1
set initrd-url http://boot:8082/image?imageName=a&layerDigest=c&version=1
set squashfs-url http://boot:8082/image?imageName=a&layerDigest=d&version=1
echo Booting 0b3e2f6c-0000-0000-0000-000000000001 from ${ipxe-svc}
kernel ${kernel-url} initrd=initrd gl.ovl=/:tmpfs gl.url=${squashfs-url} gl.live=1 ip=any \
ignition.firstboot=1 ignition.config.url=${ipxe-svc}/ignition/t/TOKEN/\
0b3e2f6c-0000-0000-0000-000000000001 ignition.platform.id=metal console=ttyS0,115200 \
console=tty0 console=ttyAMA0 earlyprintk=ttyS0,115200 consoleblank=0 || goto again
initrd --name initrd ${initrd-url} || goto again
boot || goto again
:again
echo Boot failed, retrying with ${ipxe-svc}
sleep 5
imgfree
chain --replace --autofree ${ipxe-svc}/ipxe/0b3e2f6c-0000-0000-0000-000000000001 || goto again
";
        assert_eq!(script(&FACTS).unwrap(), expected);
    }

    #[test]
    fn what_a_machine_does_not_have_is_not_asked_of_it() {
        let facts = Facts { squashfs_url: None, ignition_path: None, ..FACTS };
        let script = script(&facts).unwrap();
        assert!(!script.contains("squashfs") && !script.contains("gl.live"), "{script}");
        assert!(!script.contains("ignition.config.url"), "{script}");
        assert!(script.contains("ip=any ignition.firstboot=1 ignition.platform.id=metal"));
    }

    #[test]
    fn no_value_can_become_a_command() {
        for value in
            ["http://a\nshell", "http://a\r", "http://a b", "http://a\u{0}", "a\u{2028}", ""]
        {
            let field = |field| Err(ScriptError { field });
            assert_eq!(script(&Facts { kernel_url: value, ..FACTS }), field("kernelURL"));
            assert_eq!(script(&Facts { initrd_url: value, ..FACTS }), field("initrdURL"));
            let squashfs_url = Some(value);
            assert_eq!(script(&Facts { squashfs_url, ..FACTS }), field("squashfsURL"));
        }
    }

    #[test]
    fn a_machine_whose_window_is_closed_says_so_asks_slowly_and_gives_up_in_the_end() {
        let script = closed("http://boot:8082", FACTS.uuid, 0).unwrap();
        assert!(script.starts_with("#!ipxe\necho "), "{script}");
        assert!(script.contains("its boot window is closed"), "{script}");
        let again = format!(
            ":again\nsleep 20\nchain --replace --autofree ${{ipxe-svc}}/ipxe/{}?closed=1 || goto again\n",
            FACTS.uuid
        );
        assert!(script.ends_with(&again), "{script}");
        for asked in [ASKS, u8::MAX] {
            let last = closed("http://boot:8082", FACTS.uuid, asked).unwrap();
            assert!(last.ends_with("exit 1\n") && !last.contains("chain"), "{last}");
        }
        assert!(closed("http://boot:8082", "a\nshell", 0).is_err());
    }

    #[test]
    fn a_machine_at_an_unknown_address_is_told_the_same_but_does_not_give_up_in_the_window() {
        let script = |asked| elsewhere("http://boot:8082", FACTS.uuid, asked).unwrap();
        for asked in 0..ASKS {
            assert_eq!(script(asked), closed("http://boot:8082", FACTS.uuid, asked).unwrap());
        }
        for asked in [ASKS, u8::MAX] {
            assert_eq!(script(asked), script(ASKS - 1));
        }
    }

    #[test]
    fn a_machine_that_waits_for_its_boot_is_switched_off_in_the_end_and_never_goes_on_to_its_disk()
    {
        let again = |number: u8| {
            format!(
                ":again\nsleep 20\nchain --replace --autofree \
                 ${{ipxe-svc}}/ipxe/{}?waited={number} || goto again\n",
                FACTS.uuid
            )
        };
        for (asked, number, is_last) in
            [(0, 1, false), (ASKS - 1, ASKS, false), (ASKS, ASKS, true), (u8::MAX, ASKS, true)]
        {
            let script = waiting("http://boot:8082", FACTS.uuid, asked).unwrap();
            assert!(script.starts_with("#!ipxe\necho Nothing to boot for "), "{script}");
            assert!(script.contains("\nset ipxe-svc http://boot:8082\n"), "{script}");
            assert!(script.ends_with(&again(number)), "{script}");
            assert_eq!(script.contains("\npoweroff || echo "), is_last, "{script}");
            assert!(!script.contains("exit"), "{script}");
        }
        assert!(waiting("http://boot:8082", "a\nshell", 0).is_err());
    }

    #[test]
    fn a_machine_that_says_nothing_is_asked_for_its_uuid_and_gives_up_in_the_end() {
        let script = chain("http://boot:8082");
        let asks = "chain --replace --autofree ${ipxe-svc}/ipxe/${uuid}";
        assert!(script.starts_with("#!ipxe\nset ipxe-svc http://boot:8082\n"));
        assert_eq!(script.lines().filter(|line| line.starts_with(asks)).count(), 4);
        assert!(script.ends_with("${uuid}\n"), "the last failure ends the script");
    }
}
