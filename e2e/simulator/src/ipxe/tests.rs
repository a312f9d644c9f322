use super::*;

const BASE: &str = "http://boot:8082/ipxe/abc";

fn variables() -> Variables {
    let pairs = [("uuid", "abc"), ("net0/mac", "0e:00:00:00:00:01"), ("name", "a b")];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn base() -> Url {
    Url::parse(BASE).unwrap()
}

/// Runs a script; everything can be fetched except for what is missing.
fn run(text: &str, missing: &[&str]) -> Result<(Loaded, Vec<String>), ScriptError> {
    let mut script = Script::new(text, base(), variables())?;
    let mut asked = Vec::new();
    loop {
        let url = match script.next()? {
            Request::Kernel(url) | Request::Image(url) | Request::Chain(url) => url,
            Request::Sleep(time) => {
                asked.push(format!("{time:?}"));
                script.fetched();
                continue;
            }
            Request::Boot(loaded) => return Ok((loaded, asked)),
            Request::Exit => return Ok((Loaded::default(), asked)),
        };
        if missing.iter().any(|missing| url.ends_with(missing)) {
            script.failed();
        } else if url.rsplit_once('.').is_some_and(|(_, kind)| kind == "ipxe") {
            script.chained("#!ipxe\nkernel inner\nboot\n")?;
        } else {
            script.fetched();
        }
        asked.push(url);
    }
}

#[test]
fn the_default_script_of_a_boot_service_boots() {
    let text = "#!ipxe\n\
        set ipxe-svc http://boot:8082\n\
        set kernel-url http://boot:8083/image?imageName=a&layerDigest=sha256:1&version=v\n\
        set initrd-url http://boot:8083/image?imageName=a&layerDigest=sha256:2&version=v\n\
        set squashfs-url http://boot:8083/image?imageName=a&layerDigest=sha256:3&version=v\n\
        \n\
        echo Loading kernel...\n\
        kernel ${kernel-url} initrd=initrd gl.ovl=/:tmpfs gl.url=${squashfs-url} gl.live=1 \
        ip=any ignition.firstboot=1 ignition.config.url=${ipxe-svc}/ignition/${uuid} \
        console=ttyS0,115200 console=tty0\n\
        initrd --name initrd ${initrd-url}\n\
        boot\n";
    let (loaded, asked) = run(text, &[]).unwrap();
    let url = |n| format!("http://boot:8083/image?imageName=a&layerDigest=sha256:{n}&version=v");
    assert_eq!(asked, [url(1), url(2)]);
    assert_eq!(loaded.kernel, Some(url(1)));
    assert_eq!(loaded.images, [url(2)]);
    assert_eq!(loaded.args[2], format!("gl.url={}", url(3)));
    assert_eq!(loaded.args[6], "ignition.config.url=http://boot:8082/ignition/abc");
}

#[test]
fn a_script_boots_what_its_words_say() {
    let cases = [
        ("kernel k a b # c\nboot", "k", "a b"),
        ("kernel --name x --timeout 5 k\nboot", "k", ""),
        ("set n ${uuid}-${net0/mac:hexhyp}\nkernel ${n}\nboot", "abc-0e-00-00-00-00-01", ""),
        ("set x y\nset xy k\nkernel ${x${x}}\nboot", "k", ""),
        ("kernel k ${nothing}end\nboot", "k", "end"),
        ("kernel k \\\n  a \\\n  b\nboot", "k", "a b"),
        ("kernel k n=${name:uristring}\nboot", "k", "n=a%20b"),
        ("kernel bad || kernel k\nboot", "k", ""),
        ("kernel k && boot || exit", "k", ""),
        ("isset ${nothing} && kernel bad || kernel k\nboot", "k", ""),
        ("iseq ${uuid} abc && goto yes || goto no\n:no\nexit\n:yes\nkernel k\nboot", "k", ""),
        ("kernel old x\nimgfree\nkernel k\nboot", "k", ""),
        ("kernel k a\nimgargs k b c\nboot", "k", "b c"),
        ("menu || kernel k\nboot", "k", ""),
    ];
    for (text, kernel, args) in cases {
        let (loaded, _) = run(&format!("#!ipxe\n{text}\n"), &["bad"]).unwrap();
        let expected = format!("http://boot:8082/ipxe/{kernel}");
        assert_eq!((loaded.kernel, loaded.args.join(" ")), (Some(expected), args.into()), "{text}");
    }
}

#[test]
fn a_chained_script_takes_over_and_addresses_are_relative_to_it() {
    let (loaded, asked) = run("#!ipxe\nchain --replace --autofree /x/y.ipxe\nexit\n", &[]).unwrap();
    assert_eq!(asked, ["http://boot:8082/x/y.ipxe", "http://boot:8082/x/inner"]);
    assert_eq!(loaded.kernel.as_deref(), Some("http://boot:8082/x/inner"));
}

#[test]
fn a_chained_executable_is_booted_alone() {
    let text = "#!ipxe\ninitrd old\nchain uki.efi\n";
    let mut script = Script::new(text, Url::parse(BASE).unwrap(), variables()).unwrap();
    assert!(matches!(script.next(), Ok(Request::Image(_))));
    script.fetched();
    let url = "http://boot:8082/ipxe/uki.efi".to_owned();
    assert_eq!(script.next(), Ok(Request::Chain(url.clone())));
    assert_eq!(script.executable(), Loaded { kernel: Some(url), ..Loaded::default() });
}

#[test]
fn a_script_that_leads_nowhere_says_where_it_ended() {
    let failed = |line, command: &str| ScriptError::Failed { line, command: command.to_owned() };
    let cases = [
        ("#!ipxe\necho a\nkernel bad x\nboot", failed(3, "kernel bad x")),
        ("#!ipxe\nboot", failed(2, "boot")),
        ("#!ipxe\nmenu hello", failed(2, "menu hello")),
        ("#!ipxe\ngoto away", ScriptError::NoLabel("away".to_owned())),
        ("#!ipxe\nkernel http://[", ScriptError::Url("http://[".to_owned())),
        ("#!ipxe\n:a\ngoto a", ScriptError::Endless),
        ("#!/bin/sh\n", ScriptError::NotAScript(BASE.to_owned())),
        ("", ScriptError::NotAScript(BASE.to_owned())),
    ];
    for (text, error) in cases {
        assert_eq!(run(text, &["bad"]), Err(error), "{text}");
    }
}

#[test]
fn a_script_that_asks_again_waits_before_it_does() {
    let text = "#!ipxe\nkernel bad || goto again\nboot\n:again\nsleep 5\nchain /next.ipxe\n";
    let (loaded, asked) = run(text, &["bad"]).unwrap();
    let urls = ["ipxe/bad", "next.ipxe", "inner"].map(|path| format!("http://boot:8082/{path}"));
    assert_eq!(asked, [&urls[0], "5s", &urls[1], &urls[2]]);
    assert!(loaded.kernel.is_some());
}

#[test]
fn a_script_that_exits_boots_nothing() {
    for text in ["#!ipxe\n", "#!ipxe\nexit\nkernel k\nboot\n", "#!ipxe\nsanboot\n"] {
        assert_eq!(run(text, &[]), Ok((Loaded::default(), Vec::new())), "{text}");
    }
}

#[test]
fn scripts_that_chain_each_other_end() {
    let mut script =
        Script::new("#!ipxe\nchain again", Url::parse(BASE).unwrap(), variables()).unwrap();
    let error = loop {
        assert!(matches!(script.next(), Ok(Request::Chain(_))));
        if let Err(error) = script.chained("#!ipxe\nchain again") {
            break error;
        }
    };
    assert_eq!(error, ScriptError::Endless);
}
