//! BMCs that take long for each answer.

use crate::{bmc::FakeRedfish, documents::SYSTEM};
use metal_bmc::{Bmc, Error, Permit};
use metal_core::redfish::{BootSource, Step};
use serde_json::json;
use std::time::Duration;

const SETTINGS: &str = "/redfish/v1/Systems/1/SD";
/// For how long a decision is valid.
const DECISION: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_bmc_that_is_slow_with_each_answer_is_armed_while_the_host_is_seen_off() {
    for (power, seconds, is_armed) in [
        ("Off", 11, true),
        ("Off", 29, true),
        ("Off", 30, false),
        ("On", 11, true),
        ("On", 15, false),
    ] {
        let server = FakeRedfish::machine().await;
        server.edit(SYSTEM, |system| {
            system["PowerState"] = json!(power);
            system["@Redfish.Settings"] = json!({"SettingsObject": {"@odata.id": SETTINGS}});
        });
        let boot = json!({"BootSourceOverrideTarget": "None"});
        server.edit(SETTINGS, |settings| *settings = json!({"Boot": boot}));
        server.use_etags(0);
        let bmc = server.bmc();
        bmc.system(SYSTEM).await.unwrap();
        // What was read a moment ago need not be read again.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(6)).await;
        tokio::time::resume();
        // The clock goes on by this much with each request.
        let (asked, answer) = (server.clone(), Duration::from_secs(seconds));
        let clock = move || answer * u32::try_from(asked.log().len()).unwrap();
        let bmc = bmc.permitted(Permit::new(|| Ok(())).lasting(DECISION, clock));
        let before = server.log().len();
        let once = Step::BootOnce { source: BootSource::Pxe, mode: None };
        let done = bmc.perform(SYSTEM, &once).await;
        let asked = &server.log()[before..];
        assert_eq!(asked[..2], [format!("GET {SYSTEM}"), format!("GET {SETTINGS}")]);
        if is_armed {
            done.unwrap();
            assert_eq!(asked[2..], [format!("PATCH {SETTINGS}")], "{power}, {seconds} s");
        } else {
            assert!(matches!(done, Err(Error::Withdrawn(_))), "{power}, {seconds} s: {done:?}");
            assert_eq!(server.bodies().len(), 0);
        }
    }
}
