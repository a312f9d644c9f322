//! What the service root says: where things are, and what the BMC can do.

use crate::{quirks, transport::field};
use nv_redfish_quirks::BmcQuirks;
use serde_json::Value;
use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};
use tokio::time::Instant;

/// The one path that is fixed (DSP0266, section 8.3).
pub(crate) const ROOT: &str = "/redfish/v1/";

/// The parts of a service root that are remembered.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) systems: String,
    /// Whether it links to the systems itself.
    pub(crate) names_systems: bool,
    pub(crate) managers: Option<String>,
    /// The collection in which a session is created.
    pub(crate) sessions: Option<String>,
    pub(crate) platform: BmcQuirks,
    expand: Option<&'static str>,
    expand_fails: AtomicBool,
    only: bool,
    only_fails: AtomicBool,
    /// When it was read.
    since: Instant,
}

/// A query by which a collection comes with the contents of its members (DSP0266, section 7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    /// `$expand`, in the form that the BMC supports: of all members.
    Expand(&'static str),
    /// `only`: a collection with exactly one member is answered by that member.
    Only,
}

impl Query {
    /// As in a URI.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Expand(text) => text,
            Self::Only => "only",
        }
    }
}

impl Root {
    /// Reads a service root, of which anything may be missing.
    pub(crate) fn read(root: &Value) -> Self {
        let link = |value: &Value| field::link(value);
        let platform = quirks::of_platform(root);
        let beneath = |service: String| format!("{}/Sessions", service.trim_end_matches('/'));
        Self {
            names_systems: link(&root["Systems"]).is_some(),
            systems: link(&root["Systems"]).unwrap_or_else(|| quirks::SYSTEMS.to_owned()),
            managers: link(&root["Managers"]),
            sessions: link(&root["Links"]["Sessions"])
                .or_else(|| link(&root["SessionService"]).map(beneath)),
            expand: expansion(root).filter(|_| quirks::can_expand(&platform)),
            expand_fails: AtomicBool::new(false),
            only: root["ProtocolFeaturesSupported"]["OnlyMemberQuery"].as_bool() == Some(true),
            only_fails: AtomicBool::new(false),
            since: Instant::now(),
            platform,
        }
    }

    /// Whether what it says still counts: for this time, if something is left out, as by a BMC that is
    /// starting.
    pub(crate) fn counts(&self, partly: Duration) -> bool {
        let is_whole = self.names_systems && self.managers.is_some() && self.sessions.is_some();
        is_whole || self.since.elapsed() < partly
    }

    /// The query that yields the most members, of those that the BMC supports.
    pub(crate) fn query(&self) -> Option<Query> {
        let expand = self.expand.filter(|_| !self.expand_fails.load(Relaxed));
        let only = self.only && !self.only_fails.load(Relaxed);
        expand.map(Query::Expand).or_else(|| only.then_some(Query::Only))
    }

    /// Stops using a query.
    pub(crate) fn give_up(&self, query: Query) {
        let fails = match query {
            Query::Expand(_) => &self.expand_fails,
            Query::Only => &self.only_fails,
        };
        fails.store(true, Relaxed);
    }
}

fn expansion(root: &Value) -> Option<&'static str> {
    let query = &root["ProtocolFeaturesSupported"]["ExpandQuery"];
    let has = |name: &str| query[name].as_bool() == Some(true);
    match (has("NoLinks"), has("ExpandAll"), has("Levels")) {
        (true, _, true) => Some("$expand=.($levels=1)"),
        (true, _, false) => Some("$expand=."),
        (false, true, true) => Some("$expand=*($levels=1)"),
        (false, true, false) => Some("$expand=*"),
        (false, false, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_root_without_links_has_systems_in_the_usual_place() {
        for garbage in [json!({}), json!([]), json!("x"), json!({"Systems": "x", "Links": 1})] {
            let root = Root::read(&garbage);
            assert_eq!(root.systems, "/redfish/v1/Systems");
            assert_eq!((root.managers.as_ref(), root.sessions.as_ref()), (None, None));
            assert_eq!(root.query(), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_root_that_leaves_something_out_counts_for_a_time() {
        let link = |name: &str| json!({"@odata.id": format!("/redfish/v1/{name}")});
        let [systems, managers, sessions] = ["Systems", "Managers", "SessionService"].map(link);
        let whole = json!({"Systems": systems, "Managers": managers, "SessionService": sessions});
        for (left_out, counts) in
            [(None, true), (Some("Systems"), false), (Some("SessionService"), false)]
        {
            let mut root = whole.clone();
            if let Some(name) = left_out {
                root.as_object_mut().unwrap().remove(name);
            }
            let (root, partly) = (Root::read(&root), Duration::from_mins(30));
            assert!(root.counts(partly), "{left_out:?}");
            tokio::time::advance(partly).await;
            assert_eq!(root.counts(partly), counts, "{left_out:?}");
        }
    }

    #[test]
    fn sessions_are_found_by_link_or_beneath_their_service() {
        let service = json!({"@odata.id": "/redfish/v1/SessionService/"});
        let sessions = json!({"Sessions": {"@odata.id": "/redfish/v1/S"}});
        let both = Root::read(&json!({"SessionService": service, "Links": sessions}));
        assert_eq!(both.sessions.as_deref(), Some("/redfish/v1/S"));
        let one = Root::read(&json!({"SessionService": service}));
        assert_eq!(one.sessions.as_deref(), Some("/redfish/v1/SessionService/Sessions"));
    }

    #[test]
    fn a_query_is_used_where_it_is_advertised_until_it_fails() {
        let with = |features: Value| Root::read(&json!({"ProtocolFeaturesSupported": features}));
        let expand = |query: Value| with(json!({"ExpandQuery": query, "OnlyMemberQuery": true}));
        assert_eq!(with(json!({"ExpandQuery": {"NoLinks": false, "Levels": true}})).query(), None);
        assert_eq!(with(json!({"OnlyMemberQuery": "true"})).query(), None);
        assert_eq!(expand(json!({"ExpandAll": true})).query(), Some(Query::Expand("$expand=*")));
        let root = expand(json!({"NoLinks": true, "Levels": true}));
        let all = Query::Expand("$expand=.($levels=1)");
        for query in [all, Query::Only] {
            assert_eq!(root.query(), Some(query));
            root.give_up(query);
        }
        assert_eq!(root.query(), None);
    }
}
