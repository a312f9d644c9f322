//! Whether a host that was on has gone off without having been told to: its BMC may be wrong about
//! that for a while.

use metal_api::Server;
use metal_core::{
    redfish::{PowerState, ResetType, Step},
    server::{CERTAIN, was_on},
};
use std::time::Duration;

/// For how long after it was told to go off a host that does is taken for obedient. A request that a
/// host has ignored is about nothing that runs hours later.
const OBEYS: Duration = Duration::from_mins(15);

/// What this process has read of the power of a host, and done about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SeenPower {
    /// Nothing has been read yet.
    #[default]
    Unread,
    /// The host is on.
    On {
        /// When it was last told to go off, by the clock of the machine.
        told: Option<Duration>,
    },
    /// It is off, as it was when it was first read, or as it was told.
    Off,
    /// It was on, and is off since this time by the clock of the machine, untold.
    FellOff(Duration),
}

impl SeenPower {
    /// What is recorded of the host, as long as nothing has been read.
    pub(super) fn or_recorded(self, server: &Server) -> Self {
        let is_on = self == Self::Unread && server.status.as_ref().is_some_and(was_on);
        if is_on { Self::On { told: None } } else { self }
    }

    /// The same after a reading at this time.
    pub(super) fn read(self, power: PowerState, now: Duration) -> Self {
        match power {
            PowerState::Unknown => self,
            PowerState::Off => match self {
                Self::FellOff(_) => self,
                Self::On { told } if told.is_none_or(|at| now.saturating_sub(at) > OBEYS) => {
                    Self::FellOff(now)
                }
                Self::Unread | Self::Off | Self::On { .. } => Self::Off,
            },
            PowerState::On
            | PowerState::PoweringOn
            | PowerState::PoweringOff
            | PowerState::Paused => match self {
                Self::On { .. } => self,
                Self::Unread | Self::Off | Self::FellOff(_) => Self::On { told: None },
            },
        }
    }

    /// The same after the BMC did not answer: it may have started anew, and what it said before does
    /// not count.
    pub(super) fn unheard(self) -> Self {
        match self {
            Self::FellOff(_) => Self::On { told: None },
            Self::Unread | Self::On { .. } | Self::Off => self,
        }
    }

    /// The same after a step at this time.
    pub(super) fn told(self, step: &Step, now: Duration) -> Self {
        let Step::Reset(reset) = step else { return self };
        let goes_off = matches!(reset, ResetType::GracefulShutdown | ResetType::ForceOff);
        let comes_on = matches!(reset, ResetType::On | ResetType::ForceOn);
        match self {
            Self::On { .. } if goes_off => Self::On { told: Some(now) },
            Self::On { .. } if comes_on => Self::On { told: None },
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

    /// Whether the host is off, and not only according to a BMC that may be wrong for a while.
    pub(super) fn is_certainly_off(self, now: Duration) -> bool {
        let is_long = || self.off_for(now).is_some_and(|it| it >= CERTAIN.unsigned_abs());
        self == Self::Off || is_long()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::{PowerState as RecordedPower, ServerSpec, ServerStatus};

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn a_host_that_goes_off_untold_is_off_since_it_was_first_read_so() {
        let on = SeenPower::default().read(PowerState::On, at(0));
        let off = on.read(PowerState::Off, at(10)).read(PowerState::Unknown, at(20));
        let off = off.read(PowerState::Off, at(30));
        assert_eq!((on.off_for(at(30)), off.off_for(at(30))), (None, Some(at(20))));
        let told = off.told(&Step::Reset(ResetType::On), at(39)).read(PowerState::Off, at(40));
        assert_eq!(told.off_for(at(40)), None, "it has yet to come on");
        let again = off.read(PowerState::On, at(40)).read(PowerState::Off, at(50));
        assert_eq!(again.off_for(at(50)), Some(at(0)));
    }

    #[test]
    fn a_host_that_was_told_to_go_off_or_never_read_as_on_is_off_at_once() {
        let first = SeenPower::default().read(PowerState::Off, at(0));
        assert_eq!(first.off_for(at(10)), None);
        for reset in [ResetType::GracefulShutdown, ResetType::ForceOff] {
            let told = first.read(PowerState::On, at(0)).told(&Step::Reset(reset), at(1));
            let off = told.read(PowerState::PoweringOff, at(1)).read(PowerState::Off, at(2));
            assert_eq!(off.off_for(at(10)), None, "{reset}");
            // What it was told before is about nothing that runs later.
            let later = off.read(PowerState::On, at(20)).read(PowerState::Off, at(30));
            assert_eq!(later.off_for(at(31)), Some(at(1)), "{reset}");
        }
    }

    #[test]
    fn a_host_that_has_ignored_a_shutdown_and_is_off_hours_later_was_not_told() {
        let shut_down = Step::Reset(ResetType::GracefulShutdown);
        let told = SeenPower::default().read(PowerState::On, at(0)).told(&shut_down, at(0));
        assert_eq!(told.read(PowerState::Off, OBEYS).off_for(OBEYS), None);
        assert_eq!(told.read(PowerState::Off, at(7200)).off_for(at(7201)), Some(at(1)));
    }

    #[test]
    fn what_a_bmc_said_before_it_was_silent_does_not_count() {
        let on = SeenPower::default().read(PowerState::On, at(0));
        let silent = on.read(PowerState::Off, at(10)).unheard();
        assert_eq!(silent.off_for(at(100)), None);
        assert_eq!(silent.read(PowerState::Off, at(100)).off_for(at(101)), Some(at(1)));
        let off = SeenPower::default().read(PowerState::Off, at(0));
        assert_eq!(off.unheard().read(PowerState::Off, at(100)).off_for(at(101)), None);
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

    #[test]
    fn one_reading_does_not_make_a_host_off_that_may_have_been_on() {
        let obeys = SeenPower::On { told: Some(at(0)) }.read(PowerState::Off, at(1));
        let first = SeenPower::default().read(PowerState::Off, at(0));
        let fell = SeenPower::On { told: None }.read(PowerState::Off, at(1));
        let on = fell.read(PowerState::On, at(59));
        for (seen, second, is_certain) in [
            (SeenPower::default(), 1, false),
            (first, 1, true),
            (obeys, 1, true),
            (fell, 1, false),
            (fell, 60, false),
            (fell, 61, true),
            (on, 61, false),
        ] {
            assert_eq!(seen.is_certainly_off(at(second)), is_certain, "{seen:?} at {second} s");
        }
    }
}
