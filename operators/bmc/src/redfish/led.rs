//! The locator LED: `IndicatorLED`, or the `LocationIndicatorActive` that replaces it.

use crate::{
    Error,
    redfish::forms::{Write, set},
    transport::{
        call::{Call, failed},
        field,
        form::Kind,
    },
};
use http::Method;
use metal_core::redfish::IndicatorLed;
use serde_json::{Value, json};

/// The system has no locator LED.
#[derive(Debug, thiserror::Error)]
#[error("it has neither LocationIndicatorActive nor IndicatorLED")]
struct NoLed;

/// The property that is the locator LED of a system: it is read from where it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Property {
    IndicatorLed,
    LocationIndicatorActive,
}

/// `IndicatorLED` if it has a value; some firmware keeps it, as `Unknown`, beside its replacement.
fn property(system: &Value) -> Option<Property> {
    let old = &system["IndicatorLED"];
    if field::word::<IndicatorLed>(old).is_some() {
        return Some(Property::IndicatorLed);
    }
    if system["LocationIndicatorActive"].is_boolean() {
        return Some(Property::LocationIndicatorActive);
    }
    old.is_string().then_some(Property::IndicatorLed)
}

/// The state of the locator LED of a system.
pub(crate) fn reading(system: &Value) -> Option<IndicatorLed> {
    match property(system)? {
        Property::IndicatorLed => field::word(&system["IndicatorLED"]),
        Property::LocationIndicatorActive => {
            let is_active = system["LocationIndicatorActive"].as_bool()?;
            Some(if is_active { IndicatorLed::Lit } else { IndicatorLed::Off })
        }
    }
}

/// Sets the locator LED of a system. It is written to the system itself only, because it is read
/// there, and is no setting of the next boot.
pub(crate) async fn set_led(call: &Call<'_>, uri: &str, led: IndicatorLed) -> Result<(), Error> {
    let resource = call.get(uri).await?;
    let body = &resource.body;
    let change = match property(body) {
        Some(Property::IndicatorLed) => {
            let allowable = &body["IndicatorLED@Redfish.AllowableValues"];
            let led = nearest(led, &field::words(allowable));
            json!({"IndicatorLED": field::spelled(&led, allowable)})
        }
        Some(Property::LocationIndicatorActive) => {
            json!({"LocationIndicatorActive": led != IndicatorLed::Off})
        }
        None => return Err(failed(format!("set the LED of {uri}"), NoLed)),
    };
    let write = Write {
        kind: Kind::Led,
        method: Method::PATCH,
        uri,
        settings: None,
        settings_etags: None,
        etags: resource.etags,
        body: change,
        parameters: vec![],
        sets: vec![set([])],
        present: Value::Null,
        unseen: vec![],
        wanted: None,
        owner: None,
        action: format!("change {uri}"),
    };
    write.send(call).await
}

/// The nearest allowed state. Some LEDs can only blink, and others only light up; either can be
/// found in a row of racks.
fn nearest(led: IndicatorLed, allowed: &[IndicatorLed]) -> IndicatorLed {
    let other = match led {
        IndicatorLed::Lit => IndicatorLed::Blinking,
        IndicatorLed::Blinking => IndicatorLed::Lit,
        IndicatorLed::Off => IndicatorLed::Off,
    };
    if !allowed.contains(&led) && allowed.contains(&other) { other } else { led }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_led_is_read_from_the_property_that_it_is_set_by() {
        use IndicatorLed::{Lit, Off};
        use Property::{IndicatorLed as Old, LocationIndicatorActive as New};
        for (system, expected) in [
            (json!({"IndicatorLED": "Off"}), Some((Old, Some(Off)))),
            (
                json!({"IndicatorLED": "Off", "LocationIndicatorActive": true}),
                Some((Old, Some(Off))),
            ),
            (json!({"IndicatorLED": "Unknown"}), Some((Old, None))),
            (
                json!({"IndicatorLED": "Unknown", "LocationIndicatorActive": true}),
                Some((New, Some(Lit))),
            ),
            (json!({"IndicatorLED": "", "LocationIndicatorActive": false}), Some((New, Some(Off)))),
            (json!({"LocationIndicatorActive": "no"}), None),
        ] {
            let found = property(&system).map(|it| (it, reading(&system)));
            assert_eq!(found, expected, "{system}");
        }
    }

    #[test]
    fn an_led_that_cannot_blink_is_lit() {
        use IndicatorLed::{Blinking, Lit, Off};
        assert_eq!(nearest(Blinking, &[Lit, Off]), Lit);
        assert_eq!(nearest(Lit, &[Blinking, Off]), Blinking);
        assert_eq!(nearest(Lit, &[Lit, Blinking]), Lit);
        assert_eq!(nearest(Lit, &[]), Lit);
        assert_eq!(nearest(Off, &[Lit]), Off);
    }
}
