//! The page about this binary says what is so.

use crate::{args::Args, metrics, publisher, recorder::Sightings, run, v6};
use clap::CommandFactory;
use metal_runtime::{
    metrics::Registry,
    reference::{compare, page},
};
use metal_serve::tftp;

#[test]
fn the_page_of_flags_and_metrics_is_what_they_are() {
    let mut registry = Registry::of("netboot");
    metrics::Metrics::register(&mut registry);
    tftp::Metrics::register(&mut registry);
    v6::Metrics::register(&mut registry);
    Sightings::default().register(&mut registry);
    run::passes(&mut registry);
    publisher::passes(&mut registry);
    let page = page(Args::command(), None, Some(&registry.table()));
    compare("netboot.md", &page).unwrap();
}
