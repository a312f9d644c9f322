//! A form of a write, which differs from firmware to firmware.

use crate::transport::condition::Condition;
use metal_core::redfish::ResetType;
use std::collections::BTreeSet;

/// At most this many forms of a write are tried by one call. The next one tries the others.
pub(crate) const MOST: usize = 12;

/// How long to wait for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskWait {
    /// Until it ends.
    Done,
    /// Until it ends, or the call's time is over: its effect is seen in the system.
    DoneOrLate,
    /// Until it is accepted. It is carried out at the next reset of the host.
    Accepted,
}

/// What is written. The accepted form is remembered for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    BootOverride,
    NoBootOverride,
    BootOrder,
    /// The boot order, and no override.
    BootOrderAlone,
    Led,
    Insert,
    Eject,
    Reset(ResetType),
    ResetManager(ResetType),
}

impl Kind {
    /// Whether it is a boot setting.
    pub(crate) fn is_of_boot(self) -> bool {
        match self {
            Self::BootOverride | Self::NoBootOverride | Self::BootOrder | Self::BootOrderAlone => {
                true
            }
            Self::Led | Self::Insert | Self::Eject | Self::Reset(_) | Self::ResetManager(_) => {
                false
            }
        }
    }

    /// How long to wait for the task of a write.
    pub(crate) fn wait(self) -> TaskWait {
        match self {
            Self::BootOverride | Self::NoBootOverride | Self::BootOrder | Self::BootOrderAlone => {
                TaskWait::Accepted
            }
            Self::Reset(_) => TaskWait::DoneOrLate,
            Self::Led | Self::Insert | Self::Eject | Self::ResetManager(_) => TaskWait::Done,
        }
    }
}

/// Where a write is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum WriteTarget {
    /// The resource itself, or the target of the action.
    Resource,
    /// The settings resource, for values that apply later (`@Redfish.Settings`; DSP0266, section
    /// 9.10).
    Settings,
}

/// One form of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) place: WriteTarget,
    pub(crate) condition: Condition,
    pub(crate) with: BTreeSet<String>,
}
