//! Which Machines a metalman manages.

/// Label of the site that an object belongs to.
pub const LABEL: &str = "unbounded-cloud.io/site";

/// The label selector for the Machines of a site; without a site, for Machines without the label.
pub fn selector(site: Option<&str>) -> String {
    site.map_or_else(|| format!("!{LABEL}"), |site| format!("{LABEL}={site}"))
}

/// Name of the leader election Lease of the site.
pub fn lease(site: Option<&str>) -> String {
    site.map_or_else(|| "metalman".to_owned(), |site| format!("metalman-{site}"))
}
