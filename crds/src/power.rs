//! Power and light of a machine.

use crate::text::open_enum;

open_enum! {
    /// Power state that is wanted.
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
        /// The host is on its way up.
        PoweringOn = "PoweringOn",
        /// The host is on its way down.
        PoweringOff = "PoweringOff",
        /// The BMC does not say.
        Unknown = "Unknown",
    }
}

open_enum! {
    /// Light that helps to find the machine (`IndicatorLED`).
    IndicatorLed {
        /// The BMC does not say.
        Unknown = "Unknown",
        /// On.
        Lit = "Lit",
        /// Blinking.
        Blinking = "Blinking",
        /// Off.
        Off = "Off",
    }
}
