//! The scripts that iPXE runs.
//!
//! They are ASCII, and every value in them is one word. A machine that cannot go on says why on its
//! console and leaves the boot to the next option of its firmware, which may be the disk: it never
//! waits forever.

use super::installer::is_word;
use std::fmt::Write;

/// Seconds between attempts to fetch something: ten minutes, in which a server is started again.
const PAUSES: [u8; 14] = [2, 5, 10, 20, 40, 60, 60, 60, 60, 60, 60, 60, 60, 60];
/// What a machine says about itself, as iPXE fills it in: the interface that it boots from and the
/// first ones, because it may be known by another one. Of one that is not there nothing is filled in.
const SAID: &str = "uuid=${uuid}&serial=${serial:uristring}&mac=${netX/mac}&mac=${net0/mac}\
    &mac=${net1/mac}&mac=${net2/mac}&mac=${net3/mac}&mac=${net4/mac}&mac=${net5/mac}\
    &mac=${net6/mac}&mac=${net7/mac}";
/// How long a text can be read on the console before the firmware goes on, in seconds.
const SHOWN: u8 = 30;

/// A value that would be more than a word in a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not one word of printable ASCII without quotation marks, dollar signs and the like"
)]
pub struct InvalidWord(pub &'static str);

/// The script that is the same for every token that opens nothing, whatever the reason.
pub fn refused() -> String {
    told(&[
        "This boot URL is not valid.",
        "It was mistyped, used, revoked, or has expired: ask whoever gave it to you for another.",
    ])
}

/// The script of a machine that is not the one that its token is bound to.
pub fn unfit() -> String {
    told(&[
        "This boot URL is for another machine. Nothing was changed on this one.",
        "MAC address, serial number and UUID that were sent are in the events of the BootToken.",
    ])
}

/// The script of a machine that boots with the token of another one that is being installed.
pub fn in_use() -> String {
    told(&[
        "Another machine is being installed with this boot URL. Nothing was changed on this one.",
        "Which one is in the events of the BootToken. Use another URL; or try again when that one",
        "has failed, or nothing was heard of it for 15 minutes.",
    ])
}

/// The script of a machine that has reported that it is installed.
pub fn installed() -> String {
    told(&[
        "This machine is installed: it should boot from its disk.",
        "To install it again, use another boot URL.",
    ])
}

/// The script of a machine for which no installer is configured.
pub fn no_installer() -> String {
    told(&["No installer is configured for this boot URL: see the conditions of the BootToken."])
}

fn told(lines: &[&str]) -> String {
    let mut script = String::with_capacity(512);
    let text = &mut script;
    line(text, format_args!("#!ipxe"));
    line(text, format_args!("echo"));
    for told in lines {
        line(text, format_args!("echo {told}"));
    }
    line(text, format_args!("echo"));
    line(text, format_args!("sleep {SHOWN}"));
    line(text, format_args!("exit 1"));
    script
}

/// The first script: the machine says who it is, at a URL without the secret.
///
/// `base` is a URL with which a boot may begin.
///
/// # Errors
///
/// If a value is not one word.
pub fn first(base: &str, host: &str) -> Result<String, InvalidWord> {
    words(&[("the URL", base), ("hostName", host)])?;
    let mut script = String::with_capacity(1024);
    let text = &mut script;
    line(text, format_args!("#!ipxe"));
    line(text, format_args!("set base {base}"));
    line(text, format_args!("echo Installing host {host}"));
    fetch(text, "boot", &format!("chain --replace --autofree ${{base}}/boot?{SAID}"));
    Ok(script)
}

/// The script of whoever brings a machine to this URL: it is patient with network and server.
///
/// # Errors
///
/// If the URL is not one word.
pub fn entry(url: &str) -> Result<String, InvalidWord> {
    words(&[("the URL", url)])?;
    let mut script = String::with_capacity(2048);
    let text = &mut script;
    line(text, format_args!("#!ipxe"));
    fetch(text, "network", "dhcp");
    fetch(text, "script", &format!("chain --replace --autofree {url}"));
    Ok(script)
}

/// The script of a machine that cannot be answered now, for the reason that it shows: it asks again,
/// `tries` times less than one that has not asked yet. iPXE shows no text of an error.
///
/// # Errors
///
/// If the URL is not one word.
pub fn later(again: Again<'_>, why: &str, tries: usize) -> Result<String, InvalidWord> {
    let (url, said) = match again {
        Again::First(url) => (url.to_owned(), ""),
        Again::Second(base) => (format!("{base}/boot"), SAID),
    };
    words(&[("the URL", &url)])?;
    let why: String = why.chars().filter(|c| c.is_ascii_alphanumeric() || *c == ' ').collect();
    let mut script = String::with_capacity(4096);
    let text = &mut script;
    line(text, format_args!("#!ipxe"));
    line(text, format_args!("set url {url}"));
    line(text, format_args!("echo"));
    line(text, format_args!("echo The server cannot answer now: {why}"));
    for (at, pause) in PAUSES.iter().enumerate().skip(tries) {
        let left = PAUSES.len() - at;
        line(text, format_args!("echo {left} more attempts, the next in {pause} s"));
        line(text, format_args!("sleep {pause}"));
        let next = at + 1;
        line(text, format_args!("chain --replace --autofree ${{url}}?tries={next}&{said} ||"));
    }
    give_up(text, "It could not answer in time. Nothing was changed.");
    Ok(script)
}

/// What is asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again<'a> {
    /// The first script, at this URL.
    First(&'a str),
    /// The second script, of the boot at this URL.
    Second(&'a str),
}

/// What an installer loads after its initial RAM disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage2<'a> {
    /// Nothing.
    None,
    /// What Anaconda finds at this URL.
    Url(&'a str),
    /// The root file system of its image, at the URL of this boot.
    Squashfs,
}

/// What an installer boots for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boots<'a> {
    /// Anaconda, which fetches a kickstart.
    Kickstart(Stage2<'a>),
    /// metal-installer, which fetches an order.
    DiskImage,
}

/// The second script: boots the installer, with further arguments for its kernel.
///
/// No secret that is good for long is on its command line: the URL of the kickstart or the order is
/// void once the machine is installed, or boots again.
///
/// # Errors
///
/// If a value is not one word.
pub fn second(base: &str, boots: Boots<'_>, arguments: &[String]) -> Result<String, InvalidWord> {
    const KICKSTART: &str = "ip=${autoconf} inst.text inst.ks=${base}/kickstart";
    words(&[("the URL", base)])?;
    let mut last = match boots {
        Boots::Kickstart(Stage2::None) => KICKSTART.to_owned(),
        Boots::Kickstart(Stage2::Url(url)) => {
            words(&[("installer.stage2URL", url)])?;
            format!("{KICKSTART} inst.stage2={url}")
        }
        // As dracut loads it (dracut.cmdline(7)).
        Boots::Kickstart(Stage2::Squashfs) => format!("{KICKSTART} root=live:${{base}}/squashfs"),
        // An installer that breaks down restarts the machine after a minute.
        Boots::DiskImage => "loglevel=5 panic=60 bloomery.install=${base}".to_owned(),
    };
    for argument in arguments {
        words(&[("installer.arguments", argument)])?;
        // Writing to a String does not fail.
        write!(last, " {argument}").ok();
    }
    let mut script = String::with_capacity(2048);
    let text = &mut script;
    line(text, format_args!("#!ipxe"));
    line(text, format_args!("set base {base}"));
    // With `dhcp` dracut insists on IPv4 (dracut.cmdline(7)). iPXE knows which one the network has.
    line(text, format_args!("set autoconf dhcp"));
    line(text, format_args!("isset ${{ip}} || set autoconf either6"));
    fetch(text, "kernel", &format!("kernel ${{base}}/kernel initrd=initrd {last}"));
    // The argument `initrd=` refers to the file by this name.
    fetch(text, "initrd", "initrd --name initrd ${base}/initrd");
    line(text, format_args!("boot || goto failed"));
    line(text, format_args!(":failed"));
    line(text, format_args!("echo"));
    line(text, format_args!("echo The installer could not be loaded. Nothing was changed."));
    line(text, format_args!("sleep {SHOWN}"));
    line(text, format_args!("exit 1"));
    Ok(script)
}

/// Runs a command until it succeeds, with growing pauses; then gives up.
fn fetch(text: &mut String, what: &str, command: &str) {
    for (at, pause) in PAUSES.iter().enumerate() {
        line(text, format_args!("{command} && goto have_{what} ||"));
        let left = PAUSES.len() - at;
        let note = format!("echo {what} not loaded, {left} more attempts, the next in {pause} s");
        line(text, format_args!("{note}"));
        line(text, format_args!("sleep {pause}"));
    }
    line(text, format_args!("{command} && goto have_{what} ||"));
    give_up(text, &format!("{what} could not be loaded. Nothing was changed."));
    line(text, format_args!(":have_{what}"));
}

fn give_up(text: &mut String, why: &str) {
    line(text, format_args!("echo {why}"));
    line(text, format_args!("sleep {SHOWN}"));
    line(text, format_args!("exit 1"));
}

fn words(values: &[(&'static str, &str)]) -> Result<(), InvalidWord> {
    let bad = values.iter().find(|(_, value)| !is_word(value));
    bad.map_or(Ok(()), |(name, _)| Err(InvalidWord(name)))
}

fn line(script: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    script.write_fmt(line).ok();
    script.push('\n');
}
