//! Keys and certificates of a site, by OpenSSL: firmware takes RSA only.

use anyhow::Result;
use e2e::namespace::run;
use std::{fs, net::IpAddr, path::Path, process::Command};

const YEARS: &str = "3650";

/// A self-signed certificate: `NAME.key`, `NAME.pem` and `NAME.der` in `folder`.
pub(crate) fn authority(folder: &Path, name: &str) -> Result<()> {
    let file = |kind: &str| folder.join(format!("{name}.{kind}"));
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", YEARS]);
    command.args(["-subj", &format!("/CN={name}"), "-keyout"]).arg(file("key"));
    run(command.arg("-out").arg(file("pem")))?;
    let mut command = Command::new("openssl");
    command.args(["x509", "-outform", "der", "-in"]).arg(file("pem"));
    run(command.arg("-out").arg(file("der"))).map(drop)
}

/// A certificate for this address: `server.key` and `server.pem` in `to`, signed by the authority
/// `name` in `folder`.
pub(crate) fn server(folder: &Path, name: &str, address: IpAddr, to: &Path) -> Result<()> {
    let file = |kind: &str| to.join(format!("server.{kind}"));
    let mut command = Command::new("openssl");
    command.args(["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=boot"]);
    run(command.arg("-keyout").arg(file("key")).arg("-out").arg(file("csr")))?;
    fs::write(file("names"), format!("subjectAltName=IP:{address}\n"))?;
    let mut command = Command::new("openssl");
    command.args(["x509", "-req", "-days", YEARS, "-in"]).arg(file("csr"));
    command.arg("-CA").arg(folder.join(format!("{name}.pem")));
    command.arg("-CAkey").arg(folder.join(format!("{name}.key")));
    command.args(["-CAcreateserial", "-CAserial"]).arg(file("serial"));
    command.arg("-extfile").arg(file("names"));
    run(command.arg("-out").arg(file("pem"))).map(drop)
}
