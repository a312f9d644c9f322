//! What attackers, tenants, BMCs and a hanging API server do to the binaries, with honest machines
//! beside them: prints a line for each attack, with what was lost.
//!
//! ```text
//!   here: API server, operators 10.66.0.1 ◄── TCP ── strangers 127.0.1.1 to .50
//!         metalman, hosts       127.x     ◄── TCP ── the same
//!         netboot ── boot 10.66.0.0/16 ── frames of strangers, and of an honest client
//!                 ── bmcs 10.67.0.0/16 ── frames of BMCs, and in the name of BMCs
//! ```
//!
//! `hack/test attack` runs it at full size on release binaries.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bmc;
mod boot;
mod claims;
mod connections;
mod dhcp;
mod dhcp6;
mod flood;
mod held;
mod inside;
mod ports;
mod recorder;
mod registry;
mod reports;
mod silence;
mod site;
mod wire;

use futures::future::join;
use inside::in_a_network_of_its_own;
use site::{Scale, Site};
use std::time::Duration;

#[test]
fn nothing_is_lost_to_the_attacks() {
    let limit = Duration::from_mins(15);
    in_a_network_of_its_own(limit, async || Box::pin(attacked(Scale::Small)).await);
}

#[test]
#[ignore = "takes minutes, 10,000 files and release binaries; `hack/test attack` runs it"]
fn nothing_is_lost_to_the_attacks_at_full_size() {
    let limit = Duration::from_mins(40);
    in_a_network_of_its_own(limit, async || Box::pin(attacked(Scale::Full)).await);
}

async fn attacked(scale: Scale) {
    let site = Box::pin(Site::start(scale)).await.unwrap();
    flood::boot_a_client(&site).unwrap();
    connections::hold_all_ports(&site).await;
    let by_tenants = async {
        boot::ask_outside_of_the_window(&site).await;
        boot::use_up_fetches(&site).await;
        held::claim_what_nobody_has_admitted(&site).await;
    };
    let by_bmcs = async {
        bmc::speak_for_a_bmc(&site).await;
        dhcp6::speak_for_a_bmc(&site).await;
    };
    match scale {
        // They have nothing in common but metal-operator, and mostly wait.
        Scale::Small => {
            Box::pin(join(by_tenants, by_bmcs)).await;
        }
        Scale::Full => {
            Box::pin(by_tenants).await;
            Box::pin(by_bmcs).await;
        }
    }
    dhcp::give_back_for_another(&site);
    dhcp::take_all_of_the_bmcs(&site);
    flood::forge_file_requests(&site);
    flood::discover_without_end(&site);
    bmc::crowd(&site).await;
    reports::post_all_at_once(&site).await;
    claims::crowd(&site).await;
    Box::pin(registry::send_all_at_once(&site)).await;
    if scale == Scale::Full {
        silence::api_server(&site).await;
    }
    site.end();
}
