//! The reference page of this binary is up to date.

use crate::{
    args::{ACCEPTED, Args},
    metrics,
};
use clap::CommandFactory;
use metal_runtime::{
    election,
    health::Readiness,
    reference_page::{compare, page},
    report, tls,
};
use prometheus_client::metrics::family::Family;

#[test]
fn the_page_of_flags_and_metrics_is_what_they_are() {
    let mut registry = metrics::registry(&Family::default());
    report::passes(&mut registry);
    election::leading(&Readiness::default(), &mut registry);
    tls::expiry(&mut registry, None);
    let page = page(Args::command(), Some(ACCEPTED), Some(&registry.table()));
    compare("hosts.md", &page).unwrap();
}
