//! The power of a host, and what a reset does in which state.
//!
//! ```text
//!          On               done                GracefulShutdown            done
//!   Off ────────► PoweringOn ────► On ─────────────────────────► PoweringOff ────► Off
//!    ▲                │            │ ForceRestart, GracefulRestart: On again
//!    └────────────────┴────────────┴──── ForceOff from anywhere
//! ```

/// `ComputerSystem.PowerState`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, strum::Display, strum::EnumString,
)]
pub enum Power {
    /// On.
    On,
    /// Off; the BMC answers.
    #[default]
    Off,
    /// On its way up.
    PoweringOn,
    /// On its way down.
    PoweringOff,
}

/// `ResetType` of `ComputerSystem.Reset`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::VariantArray,
)]
#[expect(missing_docs, reason = "the words of the standard")]
pub enum Reset {
    On,
    ForceOn,
    ForceOff,
    GracefulShutdown,
    GracefulRestart,
    ForceRestart,
    PowerCycle,
    PushPowerButton,
}

/// How a graceful shutdown ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Graceful {
    /// The operating system shuts down.
    #[default]
    Honored,
    /// The operating system ignores it: the BMC accepts the request, and nothing happens.
    Ignored,
}

/// What a machine does in response to a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing: it is in that state already, or ignores the request.
    Nothing,
    /// Switch on and boot.
    SwitchOn,
    /// Shut down the operating system, then switch off.
    ShutDown,
    /// Switch off at once.
    CutPower,
    /// Boot again without losing power.
    Reboot(Warning),
    /// Switch off, then on, and boot.
    Cycle,
    /// Not possible in this state.
    Refused,
}

/// Whether the operating system is shut down before a reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Warning {
    /// It gets time to shut down.
    Given,
    /// It does not.
    None,
}

/// What a machine in this state does upon this reset.
pub(super) fn plan(power: Power, reset: Reset, graceful: Graceful) -> Plan {
    use Power::{Off, On, PoweringOff, PoweringOn};
    let is_up = matches!(power, On | PoweringOn);
    match (reset, power) {
        (Reset::On | Reset::ForceOn, On | PoweringOn)
        | (Reset::ForceOff | Reset::GracefulShutdown, Off)
        | (Reset::GracefulShutdown | Reset::PushPowerButton, PoweringOff) => Plan::Nothing,
        (Reset::On | Reset::ForceOn, Off | PoweringOff) | (Reset::PushPowerButton, Off) => {
            Plan::SwitchOn
        }
        (Reset::ForceOff, _) => Plan::CutPower,
        (Reset::GracefulRestart | Reset::ForceRestart | Reset::PowerCycle, _) if !is_up => {
            Plan::Refused
        }
        (Reset::ForceRestart, _) => Plan::Reboot(Warning::None),
        (Reset::PowerCycle, _) => Plan::Cycle,
        (Reset::GracefulShutdown | Reset::PushPowerButton | Reset::GracefulRestart, _)
            if graceful == Graceful::Ignored =>
        {
            Plan::Nothing
        }
        (Reset::GracefulShutdown | Reset::PushPowerButton, _) => Plan::ShutDown,
        (Reset::GracefulRestart, _) => Plan::Reboot(Warning::Given),
    }
}

#[cfg(test)]
mod tests {
    use super::{Graceful::*, Plan::*, Power::*, Reset, Warning, plan};

    #[test]
    fn a_reset_means_what_the_power_state_makes_of_it() {
        let cases = [
            (Off, Reset::On, Honored, SwitchOn),
            (PoweringOff, Reset::On, Honored, SwitchOn),
            (On, Reset::On, Honored, Nothing),
            (PoweringOn, Reset::ForceOn, Honored, Nothing),
            (On, Reset::ForceOff, Ignored, CutPower),
            (PoweringOff, Reset::ForceOff, Honored, CutPower),
            (Off, Reset::ForceOff, Honored, Nothing),
            (On, Reset::GracefulShutdown, Honored, ShutDown),
            (On, Reset::GracefulShutdown, Ignored, Nothing),
            (Off, Reset::GracefulShutdown, Honored, Nothing),
            (On, Reset::ForceRestart, Ignored, Reboot(Warning::None)),
            (Off, Reset::ForceRestart, Honored, Refused),
            (On, Reset::GracefulRestart, Honored, Reboot(Warning::Given)),
            (On, Reset::GracefulRestart, Ignored, Nothing),
            (On, Reset::PowerCycle, Honored, Cycle),
            (Off, Reset::PowerCycle, Honored, Refused),
            (Off, Reset::PushPowerButton, Honored, SwitchOn),
            (On, Reset::PushPowerButton, Honored, ShutDown),
        ];
        for (power, reset, graceful, expected) in cases {
            assert_eq!(plan(power, reset, graceful), expected, "{power} {reset} {graceful:?}");
        }
    }
}
