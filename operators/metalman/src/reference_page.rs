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
    report,
};
use prometheus_client::metrics::family::Family;
use std::sync::Arc;

#[test]
fn the_page_of_flags_and_metrics_is_what_they_are() {
    let mut registry = metrics::registry();
    report::passes(&mut registry);
    election::leading(&Readiness::default(), &mut registry);
    metrics::attested(&mut registry, &Family::default());
    metrics::dhcp(&mut registry);
    metal_serve::tftp::Metrics::register(&mut registry);
    metrics::refusals(&mut registry, &Family::default());
    metrics::machines(&mut registry, &Arc::default());
    let page = page(Args::command(), Some(ACCEPTED), Some(&registry.table()));
    compare("metalman.md", &page).unwrap();
}
