//! A controller: what is the same for every kind is here. What differs is how facts are observed,
//! what is decided about them, and how that is written.
//!
//! A pass finds its object, unless that is gone, not listed yet, or ignored while it is being
//! deleted; observes, decides, and does one thing:
//!
//! ```text
//! find ─► observe ─► decide ─► Look ──► decide again
//!                           ─► Record, Change or Act ─► the next pass, at once
//!                           ─► Rest
//! ```

pub use crate::work::Pass;

use crate::{
    index::Index,
    report::{Failure, ReconcileError},
    work::{self, NOT_LISTED, Next, Work},
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use metal_base::Decision;
use std::{fmt::Debug, hash::Hash, sync::Arc, time::Duration};

/// How many decisions a pass may make.
const TURNS: usize = 8;

/// Identifies an object in a queue.
pub trait Key: Clone + Debug + Eq + Hash + Ord + Send + Sync + 'static {
    /// Its namespace, if it has one.
    fn namespace(&self) -> Option<&str>;
    /// Its name.
    fn name(&self) -> &str;
}

/// The name of a cluster-scoped object.
impl Key for String {
    fn namespace(&self) -> Option<&str> {
        None
    }

    fn name(&self) -> &str {
        self
    }
}

/// Namespace and name.
impl Key for (String, String) {
    fn namespace(&self) -> Option<&str> {
        Some(&self.0)
    }

    fn name(&self) -> &str {
        &self.1
    }
}

/// A reference for events to the object of kind `K` with this key.
pub fn reference<K: Resource<DynamicType = ()>>(key: &impl Key) -> ObjectReference {
    ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        namespace: key.namespace().map(str::to_owned),
        name: Some(key.name().to_owned()),
        ..ObjectReference::default()
    }
}

/// The decisions did not come to an end: a bug, which must not become a busy loop.
#[derive(Debug, thiserror::Error)]
#[error("the pass did not settle after the maximum number of turns")]
pub struct TooManyTurns;

/// The controller of one kind.
pub trait Controller: Send + Sync + 'static {
    /// Its kind.
    type Object: Resource<DynamicType = ()> + Send + Sync + 'static;
    /// Identifies one object.
    type Key: Key;
    /// The key of its index.
    type IndexKey: Eq + Hash + Send + Sync + 'static;
    /// What a pass knows in addition to the indexes.
    type Facts: Send + Sync;
    /// What it records.
    type Status: Send;
    /// What else it writes to the cluster.
    type Change: Send;
    /// The facts that it obtains from outside of the cluster.
    type Need: Send;
    /// The actions that it takes outside of the cluster.
    type Step: Send;
    /// Why a pass fails.
    type Error: ReconcileError + From<TooManyTurns>;

    /// Time limit of a pass ([`Pass::DEADLINE`]).
    const DEADLINE: Duration = work::DEADLINE;

    /// The index with its objects.
    fn index(&self) -> &Index<Self::Object, Self::IndexKey>;

    /// Whether everything has been listed that it decides on; until then a miss means nothing.
    fn is_ready(&self) -> bool;

    /// Whether an object is ignored: by default, while it is being deleted.
    fn ignores(&self, object: &Self::Object) -> bool {
        object.meta().deletion_timestamp.is_some()
    }

    /// Called if an object does not exist, or cannot be parsed: forgets what was remembered about
    /// it.
    fn gone(&self, key: &Self::Key) -> impl Future<Output = Result<Next, Self::Error>> + Send {
        let _ = key;
        async { Ok(Next::Wait) }
    }

    /// Obtains what every decision needs.
    fn observe(
        &self,
        object: &Arc<Self::Object>,
    ) -> impl Future<Output = Result<Self::Facts, Self::Error>> + Send;

    /// What this pass is to do; a pure function of the indexes, the facts, the last failure and the
    /// time.
    fn decide(
        &self,
        object: &Arc<Self::Object>,
        facts: &Self::Facts,
        failure: Option<&Failure>,
    ) -> Decision<Self::Status, Self::Change, Self::Need, Self::Step>;

    /// Obtains a fact that the decision lacks. A returned time means that it cannot be obtained
    /// before.
    fn look(
        &self,
        object: &Self::Object,
        need: Self::Need,
        facts: &mut Self::Facts,
    ) -> impl Future<Output = Result<Option<Next>, Self::Error>> + Send {
        let _ = (object, need, facts);
        async { Ok(None) }
    }

    /// Writes the status.
    fn record(
        &self,
        object: &Self::Object,
        status: &Self::Status,
    ) -> impl Future<Output = Result<Next, Self::Error>> + Send;

    /// Writes one other thing to the cluster.
    fn change(
        &self,
        object: &Self::Object,
        change: Self::Change,
    ) -> impl Future<Output = Result<Next, Self::Error>> + Send;

    /// Takes one action outside of the cluster, the effect of which the next pass reads back.
    fn act(
        &self,
        object: &Self::Object,
        step: Self::Step,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = (object, step);
        async { Ok(()) }
    }
}

impl<C: Controller> Pass for C {
    type Key = C::Key;
    type Passed = Next;
    type Error = C::Error;

    const DEADLINE: Duration = <C as Controller>::DEADLINE;

    fn concerned(&self, key: &C::Key, _: Option<&C::Error>) -> Vec<ObjectReference> {
        vec![reference::<C::Object>(key)]
    }

    async fn pass(&self, work: &Work<C::Key>, key: C::Key) -> Result<Next, C::Error> {
        let Some(object) = self.index().named(key.namespace(), key.name()) else {
            work.failures.succeeded(&key);
            return self.gone(&key).await;
        };
        if !self.is_ready() {
            return Ok(Next::After(NOT_LISTED));
        }
        if self.ignores(&object) {
            return Ok(Next::Wait);
        }
        let failure = work.failure(&key);
        let mut facts = self.observe(&object).await?;
        for _ in 0..TURNS {
            match self.decide(&object, &facts, failure.as_ref()) {
                Decision::Look(need) => {
                    if let Some(next) = self.look(&object, need, &mut facts).await? {
                        return Ok(next);
                    }
                }
                Decision::Record(status) => return self.record(&object, &status).await,
                Decision::Change(change) => return self.change(&object, change).await,
                Decision::Act(step) => {
                    self.act(&object, step).await?;
                    return Ok(Next::Again);
                }
                Decision::Rest(time) => return Ok(Next::Rested(time.unsigned_abs())),
            }
        }
        Err(TooManyTurns.into())
    }
}

#[cfg(test)]
mod tests;
