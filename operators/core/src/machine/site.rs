//! Which Machines one metalman looks after.

/// Label of the site that an object belongs to.
pub const LABEL: &str = "unbounded-cloud.io/site";

/// The selector of the Machines of a site; without one, of those that belong to none.
pub fn selector(site: Option<&str>) -> String {
    site.map_or_else(|| format!("!{LABEL}"), |site| format!("{LABEL}={site}"))
}

/// The Lease of who leads there.
pub fn lease(site: Option<&str>) -> String {
    site.map_or_else(|| "metalman".to_owned(), |site| format!("metalman-{site}"))
}
