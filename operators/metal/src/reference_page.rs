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

#[test]
fn the_page_of_flags_and_metrics_is_what_they_are() {
    let mut registry = metrics::registry();
    report::passes(&mut registry);
    election::leading(&Readiness::default(), &mut registry);
    metrics::answers(&mut registry);
    metrics::of_fleet().for_each(|(name, help, kind)| registry.describe(name, help, kind));
    let page = page(Args::command(), Some(ACCEPTED), Some(&registry.table()));
    compare("metal-operator.md", &page).unwrap();
}
