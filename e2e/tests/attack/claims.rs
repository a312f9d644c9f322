//! Claims that are too large, and too many of them.

use crate::{
    connections::served_until,
    ports::{self, Target},
    site::{Site, soon},
};
use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::unique,
    stack::{PXE_TENANT, Stack, claim},
};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceDefinition as Definition, CustomResourceDefinitionSpec as Spec,
        JSONSchemaProps as Schema,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement},
};
use kube::{
    Api, CustomResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use metal_api::{Power, ServerClaim, ServerClaimSpec};
use std::time::Duration;
use tokio::time::timeout;

/// Number of values in a selector with which the operator was seen to crash.
const VALUES: usize = 42_000;
const AT_A_TIME: usize = 8;
/// How soon the machine of another tenant boots.
const SOON: Duration = Duration::from_mins(2);
/// How many claims a tenant creates at the same time.
const RUSH: usize = 64;
/// Values and requirements of a selector that the schema allows, which take some 30 KiB.
const ALLOWED: [usize; 2] = [32, 16];

/// The kind without its limits: as in an older version, whose objects still exist.
#[must_use = "the schema is loose until `end` is called"]
pub(crate) struct Loose<'a> {
    stack: &'a Stack,
    strict: Spec,
}

impl<'a> Loose<'a> {
    pub(crate) async fn claims(stack: &'a Stack) -> Result<Self> {
        let api = TooLarge::in_namespace(stack).await?;
        let refused = api.create(&PostParams::default(), &too_large()).await;
        ensure!(refused.is_err(), "the schema takes a claim with {VALUES} values");
        let strict = replaced(stack, |spec| loosen(spec).unwrap_or_default()).await?;
        Ok(Self { stack, strict })
    }

    pub(crate) async fn end(self) -> Result<()> {
        replaced(self.stack, |spec| *spec = self.strict.clone()).await.map(drop)
    }
}

fn loosen(definition: &mut Spec) -> Option<()> {
    let version = definition.versions.first_mut()?;
    let schema = version.schema.as_mut()?.open_api_v3_schema.as_mut()?;
    let any = Schema { x_kubernetes_preserve_unknown_fields: Some(true), ..Schema::default() };
    schema.properties.as_mut()?.insert("spec".to_owned(), any);
    Some(())
}

/// Changes the spec of the CRD, and returns the old one.
async fn replaced(stack: &Stack, change: impl Fn(&mut Spec)) -> Result<Spec> {
    let definitions = Api::<Definition>::all(stack.client.clone());
    let name = ServerClaim::crd_name();
    // The API server may write the CRD's status at any time.
    soon(async || {
        let mut definition = definitions.get(name).await?;
        let old = definition.spec.clone();
        change(&mut definition.spec);
        definitions.replace(name, &PostParams::default(), &definition).await?;
        Ok(old)
    })
    .await
}

/// Claims that take more memory than they should.
pub(crate) struct TooLarge(Api<ServerClaim>);

impl TooLarge {
    async fn in_namespace(stack: &Stack) -> Result<Api<ServerClaim>> {
        Ok(Api::namespaced(stack.client.clone(), &stack.cluster.namespace().await?))
    }

    /// Creates `number` claims, each as large as etcd accepts.
    pub(crate) async fn selectors(stack: &Stack, number: usize) -> Result<Self> {
        Self::create(stack, number, too_large).await
    }

    /// Creates `number` claims with the largest metadata, which every schema allows.
    pub(crate) async fn annotations(stack: &Stack, number: usize) -> Result<Self> {
        Self::create(stack, number, annotated).await
    }

    /// Creates `number` claims that the schema allows, as fast as the API server takes them.
    async fn allowed(stack: &Stack, number: usize) -> Result<Self> {
        let api = Self::in_namespace(stack).await?;
        stream::iter(0..number)
            .map(|_| async { api.create(&PostParams::default(), &allowed()).await })
            .buffer_unordered(RUSH)
            .try_for_each(async |_| Ok(()))
            .await?;
        Ok(Self(api))
    }

    async fn create(stack: &Stack, number: usize, make: fn() -> ServerClaim) -> Result<Self> {
        let api = Self::in_namespace(stack).await?;
        stream::iter(0..number)
            .map(|_| async {
                let claim = make();
                // Not every part of the API server sees the new schema at once.
                soon(async || Ok(api.create(&PostParams::default(), &claim).await?)).await
            })
            .buffer_unordered(AT_A_TIME)
            .try_for_each(async |_| Ok(()))
            .await?;
        Ok(Self(api))
    }

    pub(crate) async fn delete(self) -> Result<()> {
        self.0.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        Ok(())
    }
}

/// Thousands of claims of one tenant, beside one of another.
pub(crate) async fn crowd(site: &Site) {
    // More than are created at a time, and five times what the operator looks at.
    let number = site.scale.of(80, 3000);
    let outcome = Box::pin(crowded(site, number)).await;
    site.tell(&format!("{number} claims of a tenant at once"), Target::Metal, outcome);
}

async fn crowded(site: &Site, number: usize) -> Result<Duration> {
    let machine = site.admitted_server().await?;
    let (stack, registry) = (&site.stack, ports::registry());
    let creating = async {
        let claims = TooLarge::allowed(stack, number);
        let other = async {
            claim(stack, &machine, &stack.registry.image(PXE_TENANT)).await?;
            let boots = timeout(SOON, machine.boots_tenant()).await;
            boots.context("the machine of another tenant does not boot")?
        };
        tokio::try_join!(claims, other)?.0.delete().await
    };
    served_until(&registry, creating).await
}

/// Selects what no server is labeled with.
fn allowed() -> ServerClaim {
    let [values, requirements] = ALLOWED;
    let values: Vec<_> = (0..values).map(|value| format!("{value:060}")).collect();
    let requirement = |number: usize| LabelSelectorRequirement {
        key: format!("example.com/{number}"),
        operator: "In".to_owned(),
        values: Some(values.clone()),
    };
    let match_expressions = Some((0..requirements).map(requirement).collect());
    let selector = LabelSelector { match_expressions, ..LabelSelector::default() };
    let spec = ServerClaimSpec {
        power: Power::On,
        server_selector: Some(selector),
        image: "a".to_owned(),
        ..ServerClaimSpec::default()
    };
    ServerClaim::new(&unique("one-of-many"), spec)
}

fn too_large() -> ServerClaim {
    let values = (0..VALUES).map(|value| format!("value-{value}")).collect();
    let requirement = LabelSelectorRequirement {
        key: "rack".to_owned(),
        operator: "In".to_owned(),
        values: Some(values),
    };
    let selector =
        LabelSelector { match_expressions: Some(vec![requirement]), ..LabelSelector::default() };
    let spec = ServerClaimSpec {
        power: Power::On,
        server_selector: Some(selector),
        image: "x".repeat(200_000),
        ..ServerClaimSpec::default()
    };
    ServerClaim::new(&unique("large"), spec)
}

fn annotated() -> ServerClaim {
    let all = (0..63).map(|number| (format!("example.com/{number}"), "x".repeat(4000)));
    let spec = ServerClaimSpec { power: Power::Off, image: "a".to_owned(), ..Default::default() };
    let mut claim = ServerClaim::new(&unique("annotated"), spec);
    claim.metadata.annotations = Some(all.collect());
    claim
}
