//! Writes to the API server, from its own metrics.

use anyhow::{Context, Result};
use http::Request;
use kube::Client;
use std::collections::BTreeMap;

/// Verbs that write.
const VERBS: [&str; 6] = ["POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"];
/// Resources that are not part of the work: leader election, and reviews, which are queries in the
/// form of a write.
const OTHERS: [&str; 4] =
    ["leases", "tokenreviews", "subjectaccessreviews", "selfsubjectaccessreviews"];

/// Number of writes by resource (with subresource) and verb, the latter with the status code if the
/// write was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Writes(BTreeMap<(String, String), u64>);

impl Writes {
    /// All writes since the API server started.
    pub(super) async fn counted(client: &Client) -> Result<Self> {
        let request = Request::get("/metrics").body(Vec::new())?;
        Ok(Self::parse(&client.request_text(request).await?))
    }

    fn parse(metrics: &str) -> Self {
        let mut writes = BTreeMap::new();
        for line in metrics.lines() {
            let Some((labels, count)) = line
                .strip_prefix("apiserver_request_total{")
                .and_then(|line| line.rsplit_once("} "))
            else {
                continue;
            };
            let label = |name: &str| {
                let quoted = labels.split(',').find_map(|label| label.strip_prefix(name));
                quoted.and_then(|it| it.strip_prefix('=')).unwrap_or_default().trim_matches('"')
            };
            let (verb, resource) = (label("verb"), label("resource"));
            let Ok(count) = count.trim().parse::<f64>() else { continue };
            if VERBS.contains(&verb) && !OTHERS.contains(&resource) {
                let resource = match label("subresource") {
                    "" => resource.to_owned(),
                    subresource => format!("{resource}/{subresource}"),
                };
                let verb = match label("code") {
                    accepted if accepted.starts_with('2') => verb.to_owned(),
                    refused => format!("{verb} {refused}"),
                };
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a counter"
                )]
                let count = count as u64;
                *writes.entry((resource, verb)).or_default() += count;
            }
        }
        Self(writes)
    }

    /// The writes that are not in `before`.
    pub(super) fn since(mut self, before: &Self) -> Self {
        for (kind, count) in &mut self.0 {
            *count -= before.0.get(kind).copied().unwrap_or_default();
        }
        self.0.retain(|_, count| *count > 0);
        self
    }

    /// Subtracts `count` writes of one kind, which are not part of the work.
    pub(super) fn without(mut self, resource: &str, verb: &str, count: u64) -> Result<Self> {
        let kind = (resource.to_owned(), verb.to_owned());
        let counted = self.0.get_mut(&kind).context("the harness has written nothing")?;
        *counted = counted.saturating_sub(count);
        self.0.retain(|_, count| *count > 0);
        Ok(self)
    }

    /// The number of writes of all kinds.
    pub(super) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Each kind with its number of writes, the most frequent first.
    pub(super) fn by_kind(&self) -> Vec<(&str, &str, u64)> {
        let mut kinds: Vec<_> = self
            .0
            .iter()
            .map(|((resource, verb), count)| (resource.as_str(), verb.as_str(), *count))
            .collect();
        kinds.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
        kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = r#"
# HELP apiserver_request_total [STABLE] Counter of apiserver requests
apiserver_request_total{code="200",component="apiserver",dry_run="",group="metal.ironcore.dev",resource="servers",scope="resource",subresource="status",verb="APPLY",version="v1alpha1"} 7
apiserver_request_total{code="409",component="apiserver",dry_run="",group="metal.ironcore.dev",resource="servers",scope="resource",subresource="status",verb="APPLY",version="v1alpha1"} 1
apiserver_request_total{code="201",component="apiserver",dry_run="",group="metal.ironcore.dev",resource="endpoints",scope="resource",subresource="",verb="POST",version="v1alpha1"} 3
apiserver_request_total{code="200",component="apiserver",dry_run="",group="metal.ironcore.dev",resource="servers",scope="cluster",subresource="",verb="LIST",version="v1alpha1"} 9
apiserver_request_total{code="200",component="apiserver",dry_run="",group="coordination.k8s.io",resource="leases",scope="resource",subresource="",verb="PUT",version="v1"} 5
apiserver_current_inflight_requests{request_kind="mutating"} 1
"#;

    #[test]
    fn writes_count_whatever_came_of_them_and_leases_do_not() {
        let writes = Writes::parse(METRICS);
        assert_eq!(
            writes.by_kind(),
            [
                ("servers/status", "APPLY", 7),
                ("endpoints", "POST", 3),
                ("servers/status", "APPLY 409", 1),
            ]
        );
        assert_eq!(writes.total(), 11);
    }

    #[test]
    fn what_was_there_before_and_what_the_harness_wrote_is_taken_off() {
        let (all, none) = (Writes::parse(METRICS), Writes::default());
        assert_eq!(all.clone().since(&all), none);
        let without = all.since(&none).without("endpoints", "POST", 3).unwrap();
        assert_eq!(without.total(), 8);
    }
}
