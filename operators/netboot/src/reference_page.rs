//! The reference page of this binary is up to date.

use crate::{args::Args, metrics::FileReadings, recorder::Sightings};
use clap::CommandFactory;
use metal_runtime::{
    metrics::Registry,
    reference_page::{compare, page},
    report,
};
use metal_serve::{
    dhcp::{Metrics, Protocol},
    tftp,
};

#[test]
fn the_page_of_flags_and_metrics_is_what_they_are() {
    let mut registry = Registry::of("netboot");
    FileReadings::register(&mut registry);
    Metrics::register(&mut registry, Protocol::DhcpV4);
    tftp::Metrics::register(&mut registry);
    Metrics::register(&mut registry, Protocol::DhcpV6);
    Sightings::default().register(&mut registry);
    report::passes(&mut registry);
    let page = page(Args::command(), None, Some(&registry.table()));
    compare("netboot.md", &page).unwrap();
}
