//! Which servers a BMC has, or may have.

use crate::{
    Context,
    view::{BmcKey, ServerKey},
};
use metal_api::Server;
use metal_core::bmc::{server_name, stem, stem_of};
use std::sync::Arc;

/// The servers of a BMC with this many systems, and those with a name that it would give.
pub(crate) fn servers<C>(ctx: &Context<C>, bmc: &str, systems: usize) -> Vec<Arc<Server>> {
    let mut servers = ctx.view.servers.get(&ServerKey::Bmc(bmc.to_owned()));
    let names = (0..servers.len() + systems).map(|index| server_name(bmc, index));
    let others: Vec<_> = names.filter_map(|name| ctx.view.servers.named(None, &name)).collect();
    let is_ours = |server: &Server| server.spec.bmc_ref.as_ref().is_some_and(|it| it.name == bmc);
    servers.extend(others.into_iter().filter(|server| !is_ours(server)));
    servers
}

/// Servers that cannot be read, unless their names show that they belong to another BMC.
pub(crate) fn unreadable<C>(ctx: &Context<C>, bmc: &str) -> Vec<String> {
    let bmcs = &ctx.view.bmcs;
    let is_of_another = |name: &String| {
        let of = stem_of(name).filter(|of| *of != bmc && *of != stem(bmc));
        of.is_some_and(|of| {
            bmcs.named(None, of).is_some() || !bmcs.get(&BmcKey::Stem(of.to_owned())).is_empty()
        })
    };
    let mut names = ctx.view.servers.withdrawn();
    names.retain(|name| !is_of_another(name));
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::tests::{context_at, list};
    use futures::stream;
    use kube::{
        core::{DeserializeGuard, error_boundary::InvalidObject},
        runtime::watcher::Event,
    };
    use metal_api::{Bmc, BmcSpec, ServerSpec};
    use metal_bmc::fake::FakeBmc;
    use metal_runtime::testing::ApiServer;

    #[tokio::test]
    async fn an_unreadable_server_counts_for_each_bmc_that_its_name_does_not_rule_out() {
        let ctx = context_at(&ApiServer::default());
        list(&ctx.view.bmcs, ["a", "b"].map(|name| Bmc::new(name, BmcSpec::default()))).await;
        let all = ["a-system-0", "b-system-0", "b-system-x", "gone-system-0", "other"];
        break_servers(&ctx, &all).await;
        assert_eq!(unreadable(&ctx, "a"), ["a-system-0", "b-system-x", "gone-system-0", "other"]);
        assert_eq!(unreadable(&ctx, "b"), ["b-system-0", "b-system-x", "gone-system-0", "other"]);
    }

    #[tokio::test]
    async fn an_unreadable_server_of_a_bmc_with_a_long_name_counts_for_no_other_bmc() {
        let ctx = context_at(&ApiServer::default());
        let long = "x".repeat(240);
        let bmcs = ["a", long.as_str()].map(|name| Bmc::new(name, BmcSpec::default()));
        list(&ctx.view.bmcs, bmcs).await;
        let (shortened, whole) = (server_name(&long, 0), format!("{long}-system-0"));
        assert_ne!(shortened, whole);
        break_servers(&ctx, &[&shortened, &whole]).await;
        assert_eq!(unreadable(&ctx, "a"), [""; 0]);
        let mut both = [shortened, whole];
        both.sort();
        assert_eq!(unreadable(&ctx, &long), both);
    }

    /// The watch shows servers that cannot be parsed.
    async fn break_servers(ctx: &Context<FakeBmc>, names: &[&str]) {
        let broken = names.iter().map(|name| {
            let metadata = Server::new(name, ServerSpec::default()).metadata;
            let error = "spec.power".to_owned();
            Ok(Event::InitApply(DeserializeGuard(Err(InvalidObject { error, metadata }))))
        });
        let events = [Ok(Event::Init)].into_iter().chain(broken).chain([Ok(Event::InitDone)]);
        let events = events.collect::<Vec<_>>();
        ctx.view.servers.follow(stream::iter(events)).await.unwrap_err();
    }
}
