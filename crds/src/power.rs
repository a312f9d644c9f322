//! Power and locator LED.

use crate::text::open_enum;

open_enum! {
    /// Desired power state.
    #[derive(Default)]
    Power {
        /// On.
        On = "On",
        /// Off.
        #[default]
        Off = "Off",
    }
}

open_enum! {
    /// Power state that the BMC reports (`PowerState`).
    PowerState {
        /// The host is on.
        On = "On",
        /// The host is off; the BMC still answers.
        Off = "Off",
        /// The host is paused.
        Paused = "Paused",
        /// The host is being powered on.
        PoweringOn = "PoweringOn",
        /// The host is being powered off.
        PoweringOff = "PoweringOff",
        /// The BMC does not report it.
        Unknown = "Unknown",
    }
}

open_enum! {
    /// Locator LED (`IndicatorLED`).
    IndicatorLed {
        /// The BMC does not report it.
        Unknown = "Unknown",
        /// On.
        Lit = "Lit",
        /// Blinking.
        Blinking = "Blinking",
        /// Off.
        Off = "Off",
    }
}
