//! Whether a host that was on has gone off without having been told to: its BMC may be wrong about
//! that for a while.

use metal_api::{PowerState as RecordedPower, Server};
use metal_core::redfish::{PowerState, ResetType, Step};
use std::time::Duration;

/// What this process has read of the power of a host, and done about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SeenPower {
    /// Nothing has been read yet.
    #[default]
    Unread,
    /// The host is on.
    On {
        /// Whether it was told to go off.
        is_told: bool,
    },
    /// It is off, as it was when it was first read, or as it was told.
    Off,
    /// It was on, and is off since this time by the clock of the machine, untold.
    FellOff(Duration),
}

impl SeenPower {
    /// What is recorded of the host, as long as nothing has been read. If anything was under way, an
    /// earlier process may have told it to go off.
    pub(super) fn or_recorded(self, server: &Server) -> Self {
        let status = server.status.as_ref().filter(|_| self == Self::Unread);
        let is_on = status.is_some_and(|status| {
            status.power_state == Some(RecordedPower::On) && status.pending.is_none()
        });
        if is_on { Self::On { is_told: false } } else { self }
    }

    /// The same after a reading at this time.
    pub(super) fn read(self, power: PowerState, now: Duration) -> Self {
        match power {
            PowerState::Unknown => self,
            PowerState::Off => match self {
                Self::FellOff(_) => self,
                Self::On { is_told: false } => Self::FellOff(now),
                Self::Unread | Self::Off | Self::On { is_told: true } => Self::Off,
            },
            PowerState::On
            | PowerState::PoweringOn
            | PowerState::PoweringOff
            | PowerState::Paused => match self {
                Self::On { .. } => self,
                Self::Unread | Self::Off | Self::FellOff(_) => Self::On { is_told: false },
            },
        }
    }

    /// The same after a step.
    pub(super) fn told(self, step: &Step) -> Self {
        let Step::Reset(reset) = step else { return self };
        let goes_off = matches!(reset, ResetType::GracefulShutdown | ResetType::ForceOff);
        let comes_on = matches!(reset, ResetType::On | ResetType::ForceOn);
        match self {
            Self::On { .. } if goes_off || comes_on => Self::On { is_told: goes_off },
            // As long as it does not show, the host is off as it was.
            Self::FellOff(_) if comes_on => Self::Off,
            Self::Unread | Self::On { .. } | Self::Off | Self::FellOff(_) => self,
        }
    }

    /// For how long a host has been off that was not told to be.
    pub(super) fn off_for(self, now: Duration) -> Option<Duration> {
        match self {
            Self::FellOff(since) => Some(now.saturating_sub(since)),
            Self::Unread | Self::On { .. } | Self::Off => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::{ServerSpec, ServerStatus};

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn a_host_that_goes_off_untold_is_off_since_it_was_first_read_so() {
        let on = SeenPower::default().read(PowerState::On, at(0));
        let off = on.read(PowerState::Off, at(10)).read(PowerState::Unknown, at(20));
        let off = off.read(PowerState::Off, at(30));
        assert_eq!((on.off_for(at(30)), off.off_for(at(30))), (None, Some(at(20))));
        let told = off.told(&Step::Reset(ResetType::On)).read(PowerState::Off, at(40));
        assert_eq!(told.off_for(at(40)), None, "it has yet to come on");
        let again = off.read(PowerState::On, at(40)).read(PowerState::Off, at(50));
        assert_eq!(again.off_for(at(50)), Some(at(0)));
    }

    #[test]
    fn a_host_that_was_told_to_go_off_or_never_read_as_on_is_off_at_once() {
        let first = SeenPower::default().read(PowerState::Off, at(0));
        assert_eq!(first.off_for(at(10)), None);
        for reset in [ResetType::GracefulShutdown, ResetType::ForceOff] {
            let told = first.read(PowerState::On, at(0)).told(&Step::Reset(reset));
            let off = told.read(PowerState::PoweringOff, at(1)).read(PowerState::Off, at(2));
            assert_eq!(off.off_for(at(10)), None, "{reset}");
            // What it was told before is about nothing that runs later.
            let later = off.read(PowerState::On, at(20)).read(PowerState::Off, at(30));
            assert_eq!(later.off_for(at(31)), Some(at(1)), "{reset}");
        }
    }

    #[test]
    fn a_host_that_was_on_before_this_process_started_counts_as_read_so() {
        let mut server = Server::new("a", ServerSpec::default());
        let off_for = |server: &Server| {
            let read = SeenPower::default().or_recorded(server).read(PowerState::Off, at(0));
            read.or_recorded(server).off_for(at(1))
        };
        assert_eq!(off_for(&server), None);
        for (power, off) in [(RecordedPower::On, Some(at(1))), (RecordedPower::Off, None)] {
            let power_state = Some(power);
            server.status = Some(ServerStatus { power_state, ..ServerStatus::default() });
            assert_eq!(off_for(&server), off);
        }
    }
}
