//! The Machine that is registered.

use crate::image::reference;
use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use metal_api::{Machine, MachineLease, MachinePxe, MachineRedfish, MachineSpec};
use metal_core::machine_identity::lease::Lease;
use metal_machine::site::LABEL;
use std::net::Ipv4Addr;

/// Label of the architecture of a Machine, which says which image of an index it gets.
const ARCH: &str = "kubernetes.io/arch";
/// Bits of an IPv4 address.
const BITS: u32 = 32;

/// What a machine boots, and its network interface.
#[derive(Debug, Args)]
pub(crate) struct ObjectArgs {
    /// Netboot image, as registry/repository:tag
    #[arg(long, value_parser = reference, value_name = "IMAGE")]
    image: String,
    /// MAC address of the interface from which it boots
    #[arg(long, value_name = "MAC")]
    mac: String,
    /// Address that this interface gets; with /PREFIX it says the subnet as well
    #[arg(long, value_name = "ADDRESS[/PREFIX]")]
    ipv4: String,
    /// Subnet mask, as 255.255.255.0
    #[arg(long, value_name = "MASK", conflicts_with = "prefix")]
    subnet_mask: Option<Ipv4Addr>,
    /// The same as the length of a prefix, as 24
    #[arg(long, value_name = "LENGTH", value_parser = clap::value_parser!(u32).range(1..=32))]
    prefix: Option<u32>,
    /// Default gateway [default: none]
    #[arg(long, value_name = "ADDRESS")]
    gateway: Option<Ipv4Addr>,
    /// DNS server; may be repeated
    #[arg(long, value_delimiter = ',', value_name = "ADDRESS")]
    dns: Vec<Ipv4Addr>,
    /// Architecture, which says which image of several it gets [default: amd64]
    #[arg(long, value_enum, value_name = "ARCH")]
    arch: Option<Arch>,
}

/// Architectures that machines have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Arch {
    /// x86-64.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

impl Arch {
    fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

impl ObjectArgs {
    /// The Machine.
    ///
    /// # Errors
    ///
    /// If its lease could not be served.
    pub(crate) fn machine(
        &self,
        name: &str,
        site: Option<&str>,
        redfish: Option<MachineRedfish>,
    ) -> Result<Machine> {
        let pxe = MachinePxe {
            image: self.image.clone(),
            dhcp_leases: vec![self.lease()?],
            redfish,
            ..MachinePxe::default()
        };
        let mut machine =
            Machine::new(name, MachineSpec { pxe: Some(pxe), ..MachineSpec::default() });
        let site = site.map(|site| (LABEL.to_owned(), site.to_owned()));
        let arch = self.arch.map(|arch| (ARCH.to_owned(), arch.name().to_owned()));
        let labels: std::collections::BTreeMap<_, _> = site.into_iter().chain(arch).collect();
        machine.metadata.labels = (!labels.is_empty()).then_some(labels);
        Ok(machine)
    }

    fn lease(&self) -> Result<MachineLease> {
        let (address, in_address) = match self.ipv4.split_once('/') {
            Some((address, prefix)) => {
                let prefix = prefix.parse::<u32>().ok().filter(|it| (1..=BITS).contains(it));
                let wrong =
                    || anyhow!("--ipv4 {}: after the slash comes 1 to 32, as 24", self.ipv4);
                (address, Some(prefix.ok_or_else(wrong)?))
            }
            None => (self.ipv4.as_str(), None),
        };
        let mask = match (self.subnet_mask, self.prefix.or(in_address)) {
            (Some(mask), _) => mask,
            (None, Some(prefix)) => Ipv4Addr::from_bits(u32::MAX << (BITS - prefix)),
            (None, None) => {
                return Err(anyhow!(
                    "which subnet it is in is missing: --prefix 24, --subnet-mask 255.255.255.0, or \
                     --ipv4 {address}/24"
                ));
            }
        };
        let lease = MachineLease {
            ipv4: address.to_owned(),
            mac: self.mac.clone(),
            subnet_mask: mask.to_string(),
            gateway: self.gateway.map(|it| it.to_string()).unwrap_or_default(),
            dns: self.dns.iter().map(ToString::to_string).collect(),
        };
        let parsed = Lease::parse(&lease).map_err(|error| anyhow!("{error}"))?;
        if let Some(gateway) = parsed.gateway.filter(|it| !is_in(*it, parsed.ip, mask)) {
            return Err(anyhow!("--gateway {gateway}: it is not in the subnet of {}", parsed.ip));
        }
        Ok(lease)
    }
}

fn is_in(one: Ipv4Addr, other: Ipv4Addr, mask: Ipv4Addr) -> bool {
    one.to_bits() & mask.to_bits() == other.to_bits() & mask.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        described: ObjectArgs,
    }

    const MAC: &str = "--image i --mac aa:bb:cc:dd:ee:01";

    #[test]
    fn a_subnet_is_said_as_a_mask_or_as_a_prefix() {
        for said in [
            "--ipv4 10.0.0.11/22 --gateway 10.0.3.1",
            "--ipv4 10.0.0.11 --prefix 22 --gateway 10.0.3.1",
            "--ipv4 10.0.0.11 --subnet-mask 255.255.252.0 --gateway=10.0.3.1",
        ] {
            let lease = described(said).unwrap().lease().unwrap();
            let expected = MachineLease {
                ipv4: "10.0.0.11".to_owned(),
                mac: "aa:bb:cc:dd:ee:01".to_owned(),
                subnet_mask: "255.255.252.0".to_owned(),
                gateway: "10.0.3.1".to_owned(),
                dns: vec![],
            };
            assert_eq!(lease, expected, "{said}");
        }
        let whole = described("--ipv4 10.0.0.11/32").unwrap().lease().unwrap();
        assert_eq!(whole.subnet_mask, "255.255.255.255");
    }

    #[test]
    fn a_lease_that_could_not_be_served_is_not_registered() {
        for (said, why) in [
            ("--ipv4 10.0.0.11", "which subnet"),
            ("--ipv4 10.0.0.11/33", "after the slash"),
            ("--ipv4 10.0.0/24", "ipv4: `10.0.0`"),
            ("--ipv4 10.0.0.11 --subnet-mask 255.0.255.0", "subnetMask"),
            ("--ipv4 10.0.0.11/24 --gateway 10.0.1.1", "not in the subnet"),
        ] {
            let error = described(said).unwrap().lease().unwrap_err().to_string();
            assert!(error.contains(why), "{said}: {error}");
        }
        for said in ["--ipv4 10.0.0.11 --prefix 0", "--ipv4 a --prefix 8 --subnet-mask 255.0.0.0"] {
            described(said).unwrap_err();
        }
    }

    #[test]
    fn labels_say_site_and_architecture() {
        let described = described("--ipv4 10.0.0.11/24 --arch arm64").unwrap();
        let machine = described.machine("a", Some("rack-a"), None).unwrap();
        let labels = machine.metadata.labels.unwrap();
        assert_eq!(labels[LABEL], "rack-a");
        assert_eq!(labels[ARCH], "arm64");
    }

    fn described(said: &str) -> Result<ObjectArgs, clap::Error> {
        let words = format!("register {MAC} {said}");
        Cli::try_parse_from(words.split_whitespace()).map(|cli| cli.described)
    }
}
