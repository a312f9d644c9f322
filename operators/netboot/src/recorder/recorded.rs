//! Addresses that are recorded for BMCs, and given to nobody else.

use super::{Bmcs, Endpoints};
use kube::ResourceExt;
use metal_api::{Bmc, Endpoint, MacAddr};
use metal_core::{
    endpoint::inline::mac_of,
    ownership::{NETBOOT, is_made_by},
    unanswered::has_answered,
};
use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    net::IpAddr,
    sync::Arc,
};

/// The recorded BMCs, as far as they are listed.
#[derive(Clone, Debug)]
pub(crate) struct RecordedBmcs {
    pub(crate) endpoints: Arc<Endpoints>,
    pub(crate) bmcs: Arc<Bmcs>,
}

impl RecordedBmcs {
    /// Whether all of them are known.
    pub(crate) fn are_listed(&self) -> bool {
        self.endpoints.is_ready() && self.bmcs.is_ready()
    }

    /// Whether there is an Endpoint or a BMC object for a MAC address.
    pub(crate) fn have(&self, mac: MacAddr) -> bool {
        !(self.endpoints.get(&mac).is_empty() && self.bmcs.get(&mac).is_empty())
    }

    /// The addresses that are recorded for BMCs, by a person or for one that has answered there, as
    /// far as `address_of` is interested in them: strangers are not to use up a range by requests in the names of BMCs.
    pub(crate) fn addresses<A: Eq + Hash>(
        &self,
        address_of: impl Fn(IpAddr) -> Option<A>,
    ) -> HashMap<A, MacAddr> {
        let bmcs = self.bmcs.all();
        let answered: HashSet<&str> = bmcs
            .iter()
            .filter(|bmc| has_answered(bmc))
            .filter_map(|bmc| Some(bmc.spec.endpoint_ref.as_ref()?.name.as_str()))
            .collect();
        let is_proven =
            |it: &Endpoint| !is_made_by(it, NETBOOT) || answered.contains(it.name_any().as_str());
        let endpoints = self.endpoints.all();
        let of_endpoints = endpoints.iter().filter(|it| is_proven(it));
        let of_endpoints =
            of_endpoints.filter_map(|it| Some((it.spec.ip.clone()?, it.spec.mac()?)));
        let is_kept = |bmc: &Bmc| !is_made_by(bmc, NETBOOT) || has_answered(bmc);
        let of_bmcs = bmcs
            .iter()
            .filter(|bmc| is_kept(bmc))
            .filter_map(|bmc| Some((bmc.spec.access.as_ref()?.ip.clone()?, mac_of(bmc)?)));
        of_endpoints
            .chain(of_bmcs)
            .filter_map(|(ip, mac)| Some((address_of(ip.trim().parse().ok()?)?, mac)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::{bmcs, endpoints};
    use metal_api::{
        BmcSpec, BmcStatus, EndpointSpec, InlineAccess, LocalObjectReference, annotation,
    };
    use metal_runtime::testing::list;
    use std::net::Ipv4Addr;

    #[tokio::test]
    async fn an_address_is_kept_for_a_bmc_that_a_person_has_recorded_or_that_has_answered() {
        let endpoint = |name: &str, last: u8, by_netboot: bool| {
            let mac_address = Some(format!("02:00:00:00:00:{last:02x}"));
            let ip = Some(format!("10.77.0.{last}"));
            let mut endpoint = Endpoint::new(name, EndpointSpec { mac_address, ip });
            let label = (annotation::MANAGED_BY.to_owned(), NETBOOT.to_owned());
            endpoint.metadata.labels = by_netboot.then(|| [label].into());
            endpoint
        };
        let bmc = |name: &str, answered: bool| {
            let endpoint_ref = Some(LocalObjectReference { name: name.to_owned() });
            let mut bmc = Bmc::new(name, BmcSpec { endpoint_ref, ..BmcSpec::default() });
            let ip = answered.then(|| "10.77.0.2".to_owned());
            bmc.status = Some(BmcStatus { ip, ..BmcStatus::default() });
            bmc
        };
        let mut inline = bmc("inline", false);
        inline.spec.endpoint_ref = None;
        inline.spec.access = Some(InlineAccess {
            ip: Some("10.77.0.5".to_owned()),
            mac_address: Some("02:00:00:00:00:05".to_owned()),
        });
        let recorded = RecordedBmcs { endpoints: Arc::new(endpoints()), bmcs: Arc::new(bmcs()) };
        let all = [("person", 1, false), ("known", 2, true), ("stranger", 3, true)];
        let mut all: Vec<_> = all.map(|(name, last, ours)| endpoint(name, last, ours)).into();
        all.push(endpoint("elsewhere", 4, false));
        list(&recorded.endpoints, all).await;
        let all = vec![bmc("known", true), bmc("stranger", false), inline];
        list(&recorded.bmcs, all).await;
        let kept = recorded.addresses(|it| match it {
            IpAddr::V4(it) => Some(it).filter(|it| it.octets()[3] != 4),
            IpAddr::V6(_) => None,
        });
        let mut kept: Vec<_> = kept.into_iter().collect();
        kept.sort();
        let pair = |last| (Ipv4Addr::new(10, 77, 0, last), MacAddr([2, 0, 0, 0, 0, last]));
        assert_eq!(kept, [1, 2, 5].map(pair));
    }
}
