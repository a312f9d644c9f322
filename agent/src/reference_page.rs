//! Checks that the reference page of this binary is up to date.

use crate::args::Args;
use clap::CommandFactory;
use metal_runtime::reference_page::{compare, page};

#[test]
fn the_page_of_flags_is_what_they_are() {
    compare("metalprobe.md", &page(Args::command(), None, None)).unwrap();
}
