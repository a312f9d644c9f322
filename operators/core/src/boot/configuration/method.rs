//! The state of each way of booting.

use super::{
    Observation, Unavailable,
    child::{Relation, relation},
    status::Mode,
};
use crate::ownership::is_controlled_by;
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

/// Reason: somebody else's object has the name that ours would have.
pub(super) const NAME_TAKEN: &str = "NameTaken";
/// How long an object that is deleted may take to go before a person is told.
const OVERDUE: SignedDuration = SignedDuration::from_mins(1);
/// How long one whose owner is gone may take before that counts as an error.
const UNCOLLECTED: SignedDuration = SignedDuration::from_mins(10);

/// The message for an object that is deleted and does not go.
const STAYS: &str = "a boot config of this name is being deleted, or belongs to an earlier \
                     ServerBootConfiguration, and does not go: remove its finalizers, or delete it";
/// The message for one that has yet to be deleted.
const SLOW: &str = "a boot config of this name belongs to an earlier ServerBootConfiguration: \
                    waiting for the garbage collector to delete it";

/// The state of one way of booting.
pub(super) enum MethodState<T> {
    Ignored,
    /// To be offered by a boot config that is ours or has yet to be created.
    Offered(T),
    /// Not to be offered.
    Unavailable(Unavailable, Leftover),
    /// To be offered once somebody else's object is gone; with what to tell, if that takes long.
    Blocked(Option<Unavailable>),
}

/// Whether there is a boot config of ours that should not exist.
#[derive(PartialEq, Eq)]
pub(super) enum Leftover {
    Yes,
    No,
}

impl<T> MethodState<T> {
    pub(super) fn new(
        wanted: bool,
        offer: Result<T, Unavailable>,
        there: Option<&ObjectMeta>,
        seen: &Observation<'_>,
    ) -> Self {
        if !wanted {
            return Self::Ignored;
        }
        let configuration = seen.configuration;
        match (offer, relation(there, configuration)) {
            (Ok(offer), Relation::Absent | Relation::Ours) => Self::Offered(offer),
            (Ok(_), Relation::Leaving) => match there.map(|it| departure(it, seen)) {
                Some(Departure::Stuck) => Self::Unavailable(taken(STAYS), Leftover::No),
                Some(Departure::Slow) => Self::Blocked(Some(taken(SLOW))),
                Some(Departure::Soon) | None => Self::Blocked(None),
            },
            (Ok(_), Relation::Foreign(owner)) => {
                let (kind, name) = (&owner.kind, &owner.name);
                let message = format!(
                    "a boot config of this name exists and belongs to {kind} {name}: delete it"
                );
                Self::Unavailable(taken(&message), Leftover::No)
            }
            (Err(why), _) => {
                let ours = there.is_some_and(|meta| {
                    meta.deletion_timestamp.is_none() && is_controlled_by(meta, configuration)
                });
                Self::Unavailable(why, if ours { Leftover::Yes } else { Leftover::No })
            }
        }
    }

    pub(super) fn said(&self) -> Mode<'_> {
        match self {
            Self::Ignored => Mode::Ignored,
            Self::Offered(_) | Self::Blocked(_) => Mode::Ready,
            Self::Unavailable(why, _) => Mode::Unavailable(why),
        }
    }

    pub(super) fn unavailable(&self) -> Option<&Unavailable> {
        match self {
            Self::Unavailable(why, _) => Some(why),
            Self::Ignored | Self::Offered(_) | Self::Blocked(_) => None,
        }
    }

    /// Why it takes long until the name is free.
    pub(super) fn delay(&self) -> Option<&Unavailable> {
        match self {
            Self::Blocked(why) => why.as_ref(),
            Self::Ignored | Self::Offered(_) | Self::Unavailable(..) => None,
        }
    }
}

/// The name belongs to another object.
fn taken(message: &str) -> Unavailable {
    Unavailable { reason: NAME_TAKEN, message: message.to_owned() }
}

/// How an object that is about to go does that.
enum Departure {
    Soon,
    /// Nobody has deleted it yet, as the garbage collector is slow.
    Slow,
    /// It should be gone by now.
    Stuck,
}

/// An object that was deleted is overdue some time after that. One that only belongs to an earlier
/// boot configuration goes when the garbage collector comes to it, which may take minutes in a large
/// cluster; the time counts since there is this boot configuration.
fn departure(meta: &ObjectMeta, seen: &Observation<'_>) -> Departure {
    let since = |time: &Time| seen.now.duration_since(time.0);
    if let Some(deleted) = &meta.deletion_timestamp {
        return if since(deleted) >= OVERDUE { Departure::Stuck } else { Departure::Soon };
    }
    match seen.configuration.metadata.creation_timestamp.as_ref().map(since) {
        Some(waited) if waited >= UNCOLLECTED => Departure::Stuck,
        Some(waited) if waited >= OVERDUE => Departure::Slow,
        Some(_) | None => Departure::Soon,
    }
}
