//! The systems that were read last, of all BMCs together: whoever has just read a system need not read
//! it again to do something to it. A fleet at rest keeps none of it for long, however large it is.

use crate::{Target, transport::etags::Etags};
use metal_base::Locked;
use serde_json::{Map, Value, json};
use std::{collections::VecDeque, sync::Mutex, time::Duration};
use tokio::time::Instant;

/// At most this many systems are kept.
const SYSTEMS: usize = 128;
/// A system of which more than this would be kept is not, in bytes.
const LONGEST: usize = 4 << 10;
/// Properties that are used. Of `Boot`, lists are not: they may be long.
const PROPERTIES: [&str; 3] = ["Manufacturer", "Boot", "@Redfish.Settings"];
const RESET: &str = "#ComputerSystem.Reset";

/// What was read last.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<VecDeque<System>>);

/// A system as it was read.
#[derive(Debug)]
struct System {
    target: Target,
    uri: String,
    at: Instant,
    /// As JSON text: parsed, it would take several times the memory.
    body: Box<str>,
    etags: Etags,
}

impl Recent {
    /// A system was read.
    pub(crate) fn saw(&self, target: &Target, uri: &str, (body, etags): (&Value, &Etags)) {
        let body = used(body).to_string().into_boxed_str();
        let mut systems = self.0.locked();
        systems.retain(|known| known.target != *target || known.uri != uri);
        if body.len() > LONGEST {
            return;
        }
        if systems.len() == SYSTEMS {
            systems.pop_front();
        }
        let (target, uri, etags) = (target.clone(), uri.to_owned(), etags.detached());
        systems.push_back(System { target, uri, at: Instant::now(), body, etags });
    }

    /// What is used of a system, if it was read within this time and nothing was written since.
    pub(crate) fn within(
        &self,
        age: Duration,
        target: &Target,
        uri: &str,
    ) -> Option<(Value, Etags)> {
        let systems = self.0.locked();
        let known = systems.iter().find(|known| known.target == *target && known.uri == uri)?;
        let body = serde_json::from_str(&known.body).ok()?;
        (known.at.elapsed() <= age).then(|| (body, known.etags.clone()))
    }

    /// A BMC was written to, or is away: it may have changed.
    pub(crate) fn forget(&self, target: &Target) {
        self.0.locked().retain(|known| known.target != *target);
    }
}

fn used(system: &Value) -> Value {
    let properties = PROPERTIES.iter().filter(|name| !system[**name].is_null());
    let mut used: Map<_, _> =
        properties.map(|name| ((*name).to_owned(), system[*name].clone())).collect();
    if let Some(boot) = used.get_mut("Boot").and_then(Value::as_object_mut) {
        boot.retain(|name, value| !value.is_array() || name.contains("@Redfish."));
    }
    used.insert("Actions".to_owned(), json!({ RESET: system["Actions"][RESET] }));
    used.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_core::redfish::Scheme;
    use std::net::IpAddr;

    const URI: &str = "/redfish/v1/Systems/1";
    const LONG: Duration = Duration::from_secs(5);

    fn target(port: u16) -> Target {
        Target { scheme: Scheme::Http, host: IpAddr::from([192, 0, 2, 1]).into(), port }
    }

    fn system(maker: &str) -> Value {
        let boot = json!({"BootSourceOverrideTarget": "None", "BootOrder": ["A", "B"],
            "BootSourceOverrideTarget@Redfish.AllowableValues": ["Pxe"]});
        let actions = json!({ RESET: {"target": "/reset"}, "#Oem.Other": {"target": "/other"} });
        json!({"Manufacturer": maker, "Boot": boot, "Actions": actions, "Model": "M"})
    }

    fn saw(recent: &Recent, port: u16, system: &Value) {
        recent.saw(&target(port), URI, (system, &Etags::default()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_system_is_kept_for_a_moment_and_until_its_bmc_is_written_to() {
        let recent = Recent::default();
        let made_by =
            |port| Some(recent.within(LONG, &target(port), URI)?.0["Manufacturer"].clone());
        for (port, maker) in [(1, "a"), (2, "b"), (1, "c")] {
            saw(&recent, port, &system(maker));
        }
        assert_eq!(
            (made_by(1), made_by(2), made_by(3)),
            (Some(json!("c")), Some(json!("b")), None)
        );
        recent.forget(&target(1));
        assert_eq!((made_by(1), made_by(2)), (None, Some(json!("b"))));
        tokio::time::advance(LONG + Duration::from_millis(1)).await;
        assert_eq!(made_by(2), None);
    }

    #[test]
    fn only_what_is_used_is_kept_and_only_of_so_many() {
        let recent = Recent::default();
        for port in 1..=200 {
            saw(&recent, port, &system("a"));
        }
        let mut long = system("a");
        long["Boot"]["HttpBootUri"] = "x".repeat(LONGEST).into();
        saw(&recent, 200, &long);
        assert_eq!(recent.0.locked().len(), SYSTEMS - 1);
        let kept = recent.within(LONG, &target(199), URI).unwrap().0;
        let mut expected = system("a");
        expected.as_object_mut().unwrap().remove("Model");
        expected["Boot"].as_object_mut().unwrap().remove("BootOrder");
        expected["Actions"].as_object_mut().unwrap().remove("#Oem.Other");
        assert_eq!(kept, expected);
    }
}
