//! Systems that were read a moment ago.

use crate::{bmc::FakeRedfish, documents::SYSTEM};
use metal_bmc::Bmc;
use metal_core::redfish::{BootMode, BootSource, Step};

#[tokio::test]
async fn an_override_is_written_on_what_was_just_read_if_the_write_can_depend_on_that() {
    const PATCH: &str = "PATCH /redfish/v1/Systems/1";
    const GET: &str = "GET /redfish/v1/Systems/1";
    for (etags, requests) in [
        (Some(0), &[GET, PATCH, GET, PATCH][..]),
        // Somebody else was faster.
        (Some(1), &[GET, PATCH, GET, PATCH, GET, PATCH]),
        (None, &[GET, GET, PATCH, GET, PATCH]),
    ] {
        let once = Step::BootOnce { source: BootSource::Pxe, mode: Some(BootMode::Uefi) };
        let server = FakeRedfish::machine().await;
        if let Some(stale) = etags {
            server.use_etags(stale);
        }
        let bmc = server.bmc();
        bmc.system(SYSTEM).await.unwrap();
        // After a write, what was read before it no longer counts.
        for _ in 0..2 {
            bmc.perform(SYSTEM, &once).await.unwrap();
        }
        let log = server.log();
        let log: Vec<_> = log.iter().filter(|line| line.ends_with(SYSTEM)).collect();
        assert_eq!(log, requests, "{etags:?}");
    }
}
