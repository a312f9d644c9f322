//! A rented server from one URL to a release that runs: firmware, iPXE, installer, agent, hook. bootc alone is
//! played, by a script in the disk image.

mod image;
mod lab;

pub(crate) use image::image;

use crate::{inside::with_rented_image, node::Timeline};
use lab::{BASE, Lab, Scheme};
use metal_api::BootTokenPhase;

#[test]
#[ignore = "takes longer: hack/test firmware"]
fn a_rented_server_comes_from_one_url_to_its_release_and_back_from_one_that_is_bad() {
    with_rented_image(async || {
        let mut lab = Lab::start(Scheme::Http).await;
        is_installed(&mut lab, "rented server, UEFI PXE, iPXE, installation").await;

        // Before the first release there is nothing but what was installed.
        let mut timeline = Timeline::start();
        let broken = lab.push("broken").await;
        lab.activate("v1", &broken).await;
        lab.says("v1", "Activating").await;
        timeline.mark("release begun");
        lab.says("v1", "RolledBack").await;
        lab.runs(BASE, None).await;
        timeline.mark("rolled back");
        timeline.print("rented server, a first release that is bad");

        let mut timeline = Timeline::start();
        let web = lab.push("web").await;
        lab.activate("v2", &web).await;
        lab.says("v2", "Active").await;
        lab.runs(&web, Some("web-1-v2")).await;
        timeline.mark("active");
        lab.activate("v3", &broken).await;
        lab.says("v3", "RolledBack").await;
        lab.runs(&web, Some("web-1-v2")).await;
        timeline.mark("another rolled back");
        timeline.print("rented server, releases");
        lab.end().await;
    });
}

#[test]
#[ignore = "takes longer: hack/test firmware"]
fn a_rented_server_that_trusts_the_authority_of_the_server_is_installed_over_https() {
    with_rented_image(async || {
        let mut lab = Lab::start(Scheme::Https).await;
        is_installed(&mut lab, "rented server, UEFI PXE, iPXE, installation over HTTPS").await;
        lab.end().await;
    });
}

/// From no URL to a Host, with a line of how long each step took.
async fn is_installed(lab: &mut Lab, way: &str) {
    let mut timeline = Timeline::start();
    lab.gets_its_url().await;
    timeline.mark("URL");
    lab.switch_on().await;
    timeline.mark("switched on");
    for (phase, step) in [
        (BootTokenPhase::Fetched, "script"),
        (BootTokenPhase::Installing, "installer"),
        (BootTokenPhase::Installed, "disk written"),
        (BootTokenPhase::Consumed, "restarted and registered"),
    ] {
        lab.token_is(phase).await;
        timeline.mark(step);
    }
    lab.runs(BASE, None).await;
    timeline.print(way);
    assert!(!lab.console().contains("\"credential\""), "{}", lab.console());
}
