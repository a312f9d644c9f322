//! The reference page of this binary is up to date.

use crate::args::Args;
use clap::CommandFactory;
use metal_runtime::reference_page::{commands, compare};

#[test]
fn the_page_of_commands_is_what_they_are() {
    let page = commands(Args::command().bin_name("kubectl metal"));
    compare("kubectl-metal.md", &page).unwrap();
}
