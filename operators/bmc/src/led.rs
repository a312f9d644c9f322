//! The locator LED: `LocationIndicatorActive`, or the `IndicatorLED` that it replaces.

use crate::{
    Error,
    call::{Call, failed},
    field,
    form::Kind,
    forms::{Write, set},
    settings,
};
use http::Method;
use metal_core::redfish::IndicatorLed;
use serde_json::{Value, json};

/// The system has no locator LED.
#[derive(Debug, thiserror::Error)]
#[error("it has neither LocationIndicatorActive nor IndicatorLED")]
struct NoLed;

/// Sets the locator LED of a system.
pub(crate) async fn set_led(call: &Call<'_>, uri: &str, led: IndicatorLed) -> Result<(), Error> {
    let resource = call.get(uri).await?;
    let body = &resource.body;
    let has_led = body["IndicatorLED"].is_string();
    let change = if body["LocationIndicatorActive"].is_boolean() && !has_led {
        json!({"LocationIndicatorActive": led != IndicatorLed::Off})
    } else if has_led {
        let allowed = field::words(&body["IndicatorLED@Redfish.AllowableValues"]);
        json!({"IndicatorLED": nearest(led, &allowed).to_string()})
    } else {
        return Err(failed(format!("set the LED of {uri}"), NoLed));
    };
    let write = Write {
        kind: Kind::Led,
        method: Method::PATCH,
        uri,
        settings: settings::link(&resource.body),
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
    fn an_led_that_cannot_blink_is_lit() {
        use IndicatorLed::{Blinking, Lit, Off};
        assert_eq!(nearest(Blinking, &[Lit, Off]), Lit);
        assert_eq!(nearest(Lit, &[Blinking, Off]), Blinking);
        assert_eq!(nearest(Lit, &[Lit, Blinking]), Lit);
        assert_eq!(nearest(Lit, &[]), Lit);
        assert_eq!(nearest(Off, &[Lit]), Off);
    }
}
