//! The life of a certificate.

use crate::{PATIENCE, machine::Installed, site::Site};
use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use e2e::cluster::{Cluster, eventually};
use jiff::{Timestamp, tz::TimeZone};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::{Api, api::ListParams};
use rcgen::{CertificateParams, DistinguishedName, DnType, Issuer, KeyPair, date_time_ymd};
use std::{fs, path::Path};

#[tokio::test]
async fn a_certificate_that_ends_soon_is_renewed_by_itself_without_another_token() {
    let (site, year) = (Site::start(Cluster::shared().await.unwrap()).await.unwrap(), year());
    let mut machine = Installed::new(&site).await.unwrap();
    assert!(machine.once().await.unwrap().success());
    // More than 90 % of its life are over.
    let old = Forged { authority: site.cluster.folder(), from: year - 40, until: year + 2 };
    let old = old.replace(&machine).unwrap();
    let agent = machine.start().await.unwrap();
    renewed(&machine, &old).await.unwrap();
    assert_eq!(site.tokens().await.unwrap(), 1, "that of the first certificate");
    machine.register(&machine.name).await.unwrap();
    // It was approved for the node that asked, by metalman.
    let all = Api::<CertificateSigningRequest>::all(site.client.clone());
    let all = all.list(&ListParams::default()).await.unwrap();
    let user = format!("system:node:{}", machine.name);
    let mut asked = all.items.iter().filter(|it| it.spec.username.as_deref() == Some(&user));
    let conditions = asked.next().unwrap().status.as_ref().unwrap().conditions.as_ref().unwrap();
    assert_eq!(conditions[0].reason.as_deref(), Some("MachineAttested"));
    assert!(asked.next().is_none(), "it asks once");
    agent.terminate(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_has_ended_or_is_refused_is_replaced_by_the_tpm() {
    let (site, year) = (Site::start(Cluster::shared().await.unwrap()).await.unwrap(), year());
    let mut machine = Installed::new(&site).await.unwrap();
    assert!(machine.once().await.unwrap().success());
    let old = Forged { authority: site.cluster.folder(), from: year - 2, until: year - 1 };
    let old = old.replace(&machine).unwrap();
    let agent = machine.start().await.unwrap();
    renewed(&machine, &old).await.unwrap();
    assert_eq!(site.tokens().await.unwrap(), 2);
    agent.terminate(PATIENCE).await.unwrap();

    // Of a cluster that is no more: it is due, and the API server does not know its authority.
    let other = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    fs::write(other.path().join("ca.key"), pem("PRIVATE KEY", &key.serialize_der())).unwrap();
    let old = Forged { authority: other.path(), from: year - 40, until: year + 2 };
    let old = old.replace(&machine).unwrap();
    let agent = machine.start().await.unwrap();
    renewed(&machine, &old).await.unwrap();
    assert_eq!(site.tokens().await.unwrap(), 3);
    machine.register(&machine.name).await.unwrap();
    agent.terminate(PATIENCE).await.unwrap();
}

/// That of now.
fn year() -> i32 {
    Timestamp::now().to_zoned(TimeZone::UTC).year().into()
}

/// Waits until there is another certificate.
async fn renewed(machine: &Installed<'_>, old: &str) -> Result<()> {
    eventually(PATIENCE, async || {
        ensure!(machine.certificate()? != old, "still the same");
        Ok(())
    })
    .await
}

/// A certificate of a time that the signer would not choose.
struct Forged<'a> {
    /// Where the key of the authority is.
    authority: &'a Path,
    from: i32,
    until: i32,
}

impl Forged<'_> {
    /// Puts it in the place of the machine's; returns it, in PEM.
    fn replace(&self, machine: &Installed<'_>) -> Result<String> {
        let text = fs::read_to_string(self.authority.join("ca.key"))?;
        let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
        let authority = KeyPair::try_from(STANDARD.decode(body)?)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&[(DnType::CommonName, "control-plane")]);
        let issuer = Issuer::from_params(&params, authority);
        let key = KeyPair::generate()?;
        let name = format!("system:node:{}", machine.name);
        let names = [(DnType::OrganizationName, "system:nodes"), (DnType::CommonName, &*name)];
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&names);
        params.not_before = date_time_ymd(self.from, 1, 1);
        params.not_after = date_time_ymd(self.until, 1, 1);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = pem("CERTIFICATE", params.signed_by(&key, &issuer)?.der());
        let both = format!("{certificate}{}", pem("PRIVATE KEY", &key.serialize_der()));
        fs::write(machine.pem(), both).context("the certificate cannot be replaced")?;
        Ok(certificate)
    }
}

fn named(names: &[(DnType, &str)]) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    for (kind, name) in names {
        all.push(kind.clone(), *name);
    }
    all
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}
