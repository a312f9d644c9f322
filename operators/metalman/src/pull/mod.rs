//! Fetches what Machines name, and looks every now and then whether it has changed.

mod logins;

use crate::{
    Context,
    images::{Image, Key, key},
};
use kube::ResourceExt;
use metal_image::{Opener, Reference, Trees, Wanted, tree::Error};
use metal_machine::provisioning::image::ImageState;
use metal_runtime::{jittered, queue::Queue, report::Chain};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// How many images are fetched at a time.
const CONCURRENCY: usize = 4;

/// How often what is done again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// How often a tag is asked for again.
    pub(crate) period: Duration,
    /// How soon it is tried again where a registry is silent, at first; later it takes longer, up to the
    /// period.
    pub(crate) retry: Duration,
    /// How soon where it has refused, or what it has sent is unusable; as well up to the period.
    pub(crate) refused: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let (retry, refused) = (Duration::from_secs(10), Duration::from_secs(30));
        Self { period: Duration::from_mins(5), retry, refused }
    }
}

impl Settings {
    /// How long it takes until an image is due again, before chance is added.
    fn wait(&self, outcome: Result<(), Again>, failures: u32) -> Duration {
        let first = match outcome {
            Ok(()) => return self.period,
            Err(Again::Silent) => self.retry,
            Err(Again::Refused | Again::NoRoom) => self.refused,
        };
        first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(self.period)
    }
}

/// Why an image is not there.
#[derive(Clone, Debug)]
struct Failure {
    /// Reason for the condition.
    reason: &'static str,
    /// The cause, for people; no secret is in it.
    message: String,
    /// When it is worth trying again.
    again: Again,
}

/// When a failure is worth trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// Nobody answers.
    Silent,
    /// The answer is no, or of no use: somebody has to change something.
    Refused,
    /// Others have the room that it needs.
    NoRoom,
}

/// When an image is due, and how often it has failed since it last was there.
#[derive(Clone, Debug)]
struct Plan {
    due: Instant,
    failures: u32,
    is_under_way: bool,
    /// Whether others had the room that it needed.
    lacks_room: bool,
    /// The Machines that name it.
    namers: BTreeSet<String>,
}

impl Plan {
    /// Has learned who names the image: whoever newly does does not wait for what has failed before.
    fn name(&mut self, namers: BTreeSet<String>) {
        if self.failures > 0 && !namers.is_subset(&self.namers) {
            self.due = Instant::now();
        }
        self.namers = namers;
    }

    /// Another image is no longer named, and makes room.
    fn make_room(&mut self) {
        if self.lacks_room {
            self.due = Instant::now();
        }
    }
}

/// The result of one fetch: the image, and when to retry after a failure.
type Outcome = (Key, Result<(), Again>);

/// Fetches images.
pub(crate) struct Puller<'a> {
    ctx: &'a Arc<Context>,
    trees: &'a Trees,
    queue: &'a Queue<String>,
    settings: Settings,
    plans: BTreeMap<Key, Plan>,
    swept: Instant,
}

impl<'a> Puller<'a> {
    /// Wakes the Machines that wait for an image by `queue`.
    pub(crate) fn new(
        ctx: &'a Arc<Context>,
        trees: &'a Trees,
        queue: &'a Queue<String>,
        settings: Settings,
    ) -> Self {
        Self { ctx, trees, queue, settings, plans: BTreeMap::new(), swept: Instant::now() }
    }

    /// Fetches until `shutdown`.
    pub(crate) async fn run_until(self, shutdown: &CancellationToken) {
        let trees = self.trees;
        shutdown.run_until_cancelled(self.run()).await;
        trees.closed().await;
    }

    async fn run(mut self) {
        let mut tasks: JoinSet<Outcome> = JoinSet::new();
        // Changes before that are part of the lists.
        self.ctx.view.listed().await;
        loop {
            self.plan();
            self.begin(&mut tasks);
            let next = self.next(tasks.len());
            tokio::select! {
                () = self.ctx.view.changed() => {}
                () = sleep_until(next) => self.sweep().await,
                Some(Ok(outcome)) = tasks.join_next() => self.end(outcome),
            }
        }
    }

    /// Plans what Machines name, and forgets what they no longer name.
    fn plan(&mut self) {
        if !self.ctx.view.is_ready() {
            return;
        }
        let mut wanted: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
        for machine in self.ctx.view.machines.all() {
            if let Some(key) = key(&machine) {
                wanted.entry(key).or_default().insert(machine.name_any());
            }
        }
        let before = self.plans.len();
        self.plans.retain(|key, plan| plan.is_under_way || wanted.contains_key(key));
        if self.plans.len() < before {
            self.plans.values_mut().for_each(Plan::make_room);
        }
        self.ctx.images.keep(|key| wanted.contains_key(key));
        for (key, namers) in wanted {
            let (due, namers_before) = (Instant::now(), BTreeSet::new());
            let (is_under_way, lacks_room) = (false, false);
            let plan = Plan { due, failures: 0, is_under_way, lacks_room, namers: namers_before };
            self.plans.entry(key).or_insert(plan).name(namers);
        }
        self.trees.want(&self.wanted());
    }

    /// What is planned, whoever opens it at the moment.
    fn wanted(&self) -> BTreeSet<Wanted> {
        let wanted = self.plans.keys().filter_map(|Key { image, architecture, secrets }| {
            let opener = Opener { name: secrets.join(","), version: String::new() };
            let (image, architecture) = (image.parse().ok()?, architecture.clone());
            Some(Wanted { image, architecture, opener })
        });
        wanted.collect()
    }

    fn begin(&mut self, tasks: &mut JoinSet<Outcome>) {
        let now = Instant::now();
        let mut due: Vec<_> = self.plans.iter_mut().collect();
        due.retain(|(_, plan)| !plan.is_under_way && plan.due <= now);
        due.sort_by_key(|(_, plan)| plan.due);
        for (key, plan) in due.into_iter().take(CONCURRENCY.saturating_sub(tasks.len())) {
            plan.is_under_way = true;
            let (ctx, trees) = (Arc::clone(self.ctx), self.trees.clone());
            let (queue, key) = (self.queue.clone(), key.clone());
            tasks.spawn(async move {
                let fetch = Fetch { ctx: &ctx, trees: &trees, queue: &queue, key: &key };
                let fetched = fetch.run().await;
                (key, fetched)
            });
        }
    }

    /// When something is to be done again, if nothing happens before.
    fn next(&self, under_way: usize) -> Instant {
        let sweep = self.swept + self.settings.period;
        let due = self.plans.values().filter(|plan| !plan.is_under_way).map(|plan| plan.due);
        if under_way < CONCURRENCY { due.fold(sweep, Instant::min) } else { sweep }
    }

    fn end(&mut self, (key, outcome): Outcome) {
        let Some(plan) = self.plans.get_mut(&key) else { return };
        plan.is_under_way = false;
        plan.lacks_room = outcome == Err(Again::NoRoom);
        plan.failures = if outcome.is_ok() { 0 } else { plan.failures.saturating_add(1) };
        plan.due = Instant::now() + jittered(self.settings.wait(outcome, plan.failures));
    }

    /// Removes what no Machine has named for a while.
    async fn sweep(&mut self) {
        let is_due = self.swept.elapsed() >= self.settings.period;
        if !is_due || !self.ctx.view.is_ready() {
            return;
        }
        self.swept = Instant::now();
        match self.trees.sweep(&self.wanted()).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "images removed that no Machine names"),
            Err(error) => tracing::warn!(error = %Chain(&error), "images not removed"),
        }
    }
}

/// An image that is being fetched.
struct Fetch<'a> {
    ctx: &'a Context,
    trees: &'a Trees,
    queue: &'a Queue<String>,
    key: &'a Key,
}

impl Fetch<'_> {
    /// Fetches it, and tells how far it is.
    async fn run(&self) -> Result<(), Again> {
        let Err(Failure { reason, message, again }) = self.attempt().await else { return Ok(()) };
        let Key { image, architecture, .. } = self.key;
        tracing::warn!(image, architecture, reason, error = message, "image not fetched");
        if self.ctx.images.tell(self.key, ImageState::Failed { reason, message }) {
            self.wake();
        }
        Err(again)
    }

    async fn attempt(&self) -> Result<(), Failure> {
        let Self { ctx, trees, key, .. } = self;
        let image: Reference =
            key.image.parse().map_err(|error| unusable("MalformedReference", &error))?;
        let opening = logins::read(ctx, key, &image.name).await.inspect_err(|failure| {
            // What Secrets do not open at the moment is not given away.
            if failure.again == Again::Refused {
                ctx.images.withdraw(key, None);
            }
        })?;
        let (logins, opener) = (opening.logins, opening.opener);
        let wanted = Wanted { image, architecture: key.architecture.clone(), opener };
        self.serve_known(&wanted).await;
        let versions = &wanted.opener.version;
        let pulled = async {
            let resolved = trees.resolve(&wanted, &logins).await?;
            trees.pull(&wanted, &resolved).await
        };
        let tree = pulled.await.map_err(|error| {
            if error.is_refusal() {
                ctx.images.withdraw(key, Some(versions));
            }
            failure(key, &error)
        })?;
        let loaded = Image::load(tree).await.map_err(|error| unusable((&error).into(), &error))?;
        let digest = loaded.digest();
        if ctx.images.put(key, loaded, versions) {
            let Key { image, architecture, .. } = key;
            tracing::info!(image, architecture, digest, "image fetched");
            self.wake();
        }
        Ok(())
    }

    /// What was fetched before serves while the registry is away.
    async fn serve_known(&self, wanted: &Wanted) {
        let Self { ctx, trees, key, .. } = self;
        if !ctx.images.has(key)
            && let Some(tree) = trees.known(wanted).await
            && let Ok(image) = Image::load(tree).await
            && ctx.images.put(key, image, &wanted.opener.version)
        {
            self.wake();
        }
        if ctx.images.tell(key, ImageState::Pulling) {
            self.wake();
        }
    }

    /// Wakes the Machines that name it.
    fn wake(&self) {
        for machine in self.ctx.view.machines.all() {
            if key(&machine).as_ref() == Some(self.key) {
                self.queue.add(machine.name_any());
            }
        }
    }
}

/// Why an image is of no use.
fn unusable(reason: &'static str, error: &dyn std::error::Error) -> Failure {
    Failure { reason, message: Chain(error).to_string(), again: Again::Refused }
}

/// Why an image could not be fetched; names the Secrets where it was refused in spite of them.
fn failure(key: &Key, error: &Error) -> Failure {
    let mut message = Chain(error).to_string();
    if error.is_refusal() && !key.secrets.is_empty() {
        message = format!("{message} (spec.pxe.imagePullSecrets: {})", key.secrets.join(", "));
    }
    let again = match error {
        Error::NoRoom { .. } => Again::NoRoom,
        _ if error.is_transient() => Again::Silent,
        _ => Again::Refused,
    };
    Failure { reason: error.reason(), message, again }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, pause};

    #[test]
    fn a_refusal_is_asked_again_after_half_a_minute_and_then_less_and_less_often() {
        let settings = Settings::default();
        let after = |again, failures| settings.wait(Err(again), failures).as_secs();
        let refused = [1, 2, 3, 4, 5, 400].map(|failures| after(Again::Refused, failures));
        assert_eq!(refused, [30, 60, 120, 240, 300, 300]);
        let silent = [1, 2, 6, u32::MAX].map(|failures| after(Again::Silent, failures));
        assert_eq!(silent, [10, 20, 300, 300]);
        assert_eq!(settings.wait(Ok(()), 0).as_secs(), 300);
    }

    #[tokio::test]
    async fn who_newly_names_an_image_does_not_wait_for_what_failed_before() {
        pause();
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let later = Instant::now() + Duration::from_mins(5);
        let mut plan = Plan {
            due: later,
            failures: 3,
            is_under_way: false,
            lacks_room: false,
            namers: names(&["a", "b"]),
        };
        advance(Duration::from_secs(1)).await;
        plan.name(names(&["b"]));
        assert_eq!(plan.due, later, "nobody is new");
        plan.name(names(&["b", "a"]));
        assert_eq!(plan.due, Instant::now(), "a is back");
        let mut good = Plan { due: later, failures: 0, ..plan };
        good.name(names(&["a", "b", "c"]));
        assert_eq!(good.due, later, "it is there");
        good.make_room();
        assert_eq!(good.due, later, "it was not for want of room");
        good.lacks_room = true;
        good.make_room();
        assert_eq!(good.due, Instant::now(), "another one is named no more");
    }
}
