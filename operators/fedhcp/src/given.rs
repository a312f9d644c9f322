//! What a FeDHCP configuration does not contain, but its operator knows.

use ipnet::IpNet;
use std::{net::IpAddr, str::FromStr};

/// Where to serve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetPaths {
    /// Interfaces.
    pub interfaces: Vec<String>,
    /// Subnets.
    pub subnets: Vec<SubnetArgument>,
}

/// A subnet: `10.0.0.0/24`, or `10.0.0.0/24=10.0.0.100-10.0.0.200` with a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubnetArgument {
    pub(super) net: IpNet,
    pub(super) range: Option<(IpAddr, IpAddr)>,
}

/// The text is not a subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a subnet; use the form `10.0.0.0/24` or `10.0.0.0/24=10.0.0.100-10.0.0.200`")]
pub struct GivenError;

impl FromStr for SubnetArgument {
    type Err = GivenError;

    fn from_str(text: &str) -> Result<Self, GivenError> {
        let (net, range) = match text.split_once('=') {
            Some((net, range)) => (net, Some(range)),
            None => (text, None),
        };
        let net: IpNet = net.trim().parse().map_err(|_| GivenError)?;
        let bounds = |range: &str| {
            let (first, last) = range.split_once('-')?;
            let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (net.contains(&first) && net.contains(&last)).then_some((first, last))
        };
        let range = range.map(|range| bounds(range).ok_or(GivenError)).transpose()?;
        Ok(Self { net, range })
    }
}
