//! Controller of [`Endpoint`]: makes a BMC from an Endpoint with a known MAC prefix.

use crate::{Context, Error, MANAGER, failure, view::EndpointKey};
use jiff::Timestamp;
use kube::ResourceExt;
use metal_api::{Bmc, BmcSecret, Endpoint, EndpointStatus, annotation};
use metal_base::Never;
use metal_core::endpoint::{Change, Decision, Observation, WantedObjects, decide};
use metal_runtime::{Written, controller::Controller, index::Index, report, work::Next};
use std::sync::Arc;

/// The controller.
pub(crate) struct Endpoints<C>(pub Arc<Context<C>>);

impl<C: Send + Sync + 'static> Controller for Endpoints<C> {
    type Object = Endpoint;
    type Key = String;
    type IndexKey = EndpointKey;
    type Facts = ();
    type Status = EndpointStatus;
    type Change = Change;
    type Need = Never;
    type Step = Never;
    type Error = Error;

    fn index(&self) -> &Index<Endpoint, EndpointKey> {
        &self.0.view.endpoints
    }

    fn is_ready(&self) -> bool {
        self.0.view.is_ready()
    }

    async fn observe(&self, _: &Arc<Endpoint>) -> Result<(), Error> {
        Ok(())
    }

    fn decide(
        &self,
        endpoint: &Arc<Endpoint>,
        (): &(),
        failed: Option<&report::Failure>,
    ) -> Decision {
        let (view, name) = (&self.0.view, endpoint.name_any());
        decide(&Observation {
            endpoint,
            twins: &twins(&self.0, endpoint),
            same_ip: &view.endpoints_at(endpoint),
            macdb: self.0.mac_prefixes.current().as_deref(),
            bmc: view.bmcs.named(None, &name).as_deref(),
            is_bmc_unreadable: view.bmcs.is_withdrawn(None, &name),
            failure: failure(failed).as_ref(),
            now: Timestamp::now(),
        })
    }

    async fn record(&self, endpoint: &Endpoint, status: &EndpointStatus) -> Result<Next, Error> {
        let endpoints = self.0.writer(self.index());
        let recorded = endpoints.record_status(endpoint, status).await;
        Ok(recorded.map_err(Error::Record)?.into())
    }

    async fn change(&self, endpoint: &Endpoint, change: Change) -> Result<Next, Error> {
        let Change::Create(wanted) = change;
        Ok(create(&self.0, &endpoint.name_any(), *wanted).await?.into())
    }
}

/// Other Endpoints with the same MAC address, in a fixed order.
fn twins<C>(ctx: &Context<C>, endpoint: &Endpoint) -> Vec<String> {
    let Some(mac) = endpoint.spec.mac() else { return vec![] };
    let all = ctx.view.endpoints.get(&EndpointKey::Mac(mac));
    let mut names: Vec<_> = all.iter().map(|other| other.name_any()).collect();
    names.retain(|name| *name != endpoint.name_any());
    names.sort();
    names
}

/// Creates the credentials, then the BMC; existing objects are left as they are. The BMC comes
/// last, so that an interrupted pass is continued.
async fn create<C>(ctx: &Context<C>, name: &str, wanted: WantedObjects) -> Result<Written, Error> {
    let mut secret = BmcSecret::new(name, wanted.secret);
    secret.metadata.annotations = Some(wanted.note);
    let label = (annotation::MANAGED_BY.to_owned(), MANAGER.to_owned());
    let labels = Some([label].into());
    secret.metadata.labels.clone_from(&labels);
    let created = ctx.writer(&ctx.view.secrets).create(&secret).await;
    created.map_err(Error::write("BMCSecret"))?;
    let mut bmc = Bmc::new(name, wanted.bmc);
    bmc.metadata.labels = labels;
    ctx.writer(&ctx.view.bmcs).create(&bmc).await.map_err(Error::write("BMC"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::tests::{context_at, list};
    use metal_api::{BmcSecretSpec, BmcSpec, EndpointSpec};
    use metal_runtime::testing::ApiServer;

    #[tokio::test]
    async fn twins_are_found_in_each_notation_of_a_mac_address() {
        let ctx = context_at(&ApiServer::default());
        let at = |name: &str, mac: &str| {
            let mac_address = Some(mac.to_owned());
            Endpoint::new(name, EndpointSpec { mac_address, ..EndpointSpec::default() })
        };
        let all = [
            ("c", "AA-BB-CC-00-00-01"),
            ("a", "aa:bb:cc:00:00:01"),
            ("b", "AA:BB:CC:00:00:01"),
            ("other", "aa:bb:cc:00:00:02"),
            ("wrong", "aa:bb:cc"),
        ];
        list(&ctx.view.endpoints, all.map(|(name, mac)| at(name, mac))).await;
        assert_eq!(twins(&ctx, &at("a", "aa:bb:cc:00:00:01")), ["b", "c"]);
        assert_eq!(twins(&ctx, &at("other", "aa:bb:cc:00:00:02")), [""; 0]);
        assert_eq!(twins(&ctx, &at("wrong", "aa:bb:cc")), [""; 0]);
    }

    #[tokio::test]
    async fn credentials_are_made_before_their_bmc_and_those_that_exist_stay() {
        let api = ApiServer::default();
        let ctx = context_at(&api);
        let mut rotated = BmcSecret::new("a", BmcSecretSpec::default());
        rotated.metadata.uid = Some("theirs".to_owned());
        api.put(&rotated);
        let wanted = WantedObjects {
            secret: BmcSecretSpec::default(),
            note: [("for".to_owned(), "it".to_owned())].into(),
            bmc: BmcSpec::default(),
        };
        for name in ["a", "b"] {
            create(&ctx, name, wanted.clone()).await.unwrap();
        }
        let written = api.written();
        let requests = written.iter().map(|sent| {
            let kind = sent.request.rsplit('/').next().unwrap_or_default();
            (kind, sent.body["metadata"]["name"].as_str().unwrap_or_default())
        });
        let expected = [("bmcsecrets", "a"), ("bmcs", "a"), ("bmcsecrets", "b"), ("bmcs", "b")];
        assert_eq!(requests.collect::<Vec<_>>(), expected);
        assert_eq!(written[2].body["metadata"]["annotations"]["for"], "it");
        let kept = api.object::<BmcSecret>(None, "a").unwrap();
        assert_eq!(kept.metadata.uid.as_deref(), Some("theirs"));
        let made = api.object::<Bmc>(None, "b").unwrap();
        assert_eq!(made.labels()[annotation::MANAGED_BY], MANAGER);
    }
}
