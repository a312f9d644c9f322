//! Fetches what Machines name, and looks every now and then whether it has changed.

use super::{Image, Images, Key, key};
use crate::Context;
use metal_core::machine::netboot::image::State;
use metal_image::{Reference, Trees};
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
pub struct Settings {
    /// How often a tag is asked for again.
    pub period: Duration,
    /// How soon after a failure, at first; later it takes longer, up to the period.
    pub retry: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { period: Duration::from_mins(5), retry: Duration::from_secs(10) }
    }
}

/// When an image is due, and how often it has failed since it last was there.
#[derive(Clone, Copy, Debug)]
struct Plan {
    due: Instant,
    failures: u32,
    is_under_way: bool,
}

/// What came of it: the image, and how soon it is due again after a failure.
type Outcome = (Key, Result<(), bool>);

struct Puller<'a> {
    ctx: &'a Arc<Context>,
    trees: &'a Trees,
    queue: &'a Queue<String>,
    settings: Settings,
    plans: BTreeMap<Key, Plan>,
    swept: Instant,
}

/// Fetches images until `shutdown`; wakes the Machines that wait for one, by `queue`.
pub async fn pull(
    ctx: &Arc<Context>,
    trees: &Trees,
    queue: &Queue<String>,
    settings: Settings,
    shutdown: &CancellationToken,
) {
    let plans = BTreeMap::new();
    let puller = Puller { ctx, trees, queue, settings, plans, swept: Instant::now() };
    shutdown.run_until_cancelled(puller.run()).await;
    trees.closed().await;
}

impl Puller<'_> {
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

    /// Plans what Machines name, and forgets what they name no more.
    fn plan(&mut self) {
        if !self.ctx.view.is_ready() {
            return;
        }
        let wanted: BTreeSet<Key> =
            self.ctx.view.machines.all().iter().filter_map(|machine| key(machine)).collect();
        self.plans.retain(|key, plan| plan.is_under_way || wanted.contains(key));
        self.ctx.images.keep(|key| wanted.contains(key));
        for key in wanted {
            let plan = Plan { due: Instant::now(), failures: 0, is_under_way: false };
            self.plans.entry(key).or_insert(plan);
        }
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
                let fetched = fetch(&ctx, &trees, &queue, &key).await;
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
        let Settings { period, retry } = self.settings;
        let Some(plan) = self.plans.get_mut(&key) else { return };
        plan.is_under_way = false;
        plan.failures = if outcome.is_ok() { 0 } else { plan.failures.saturating_add(1) };
        let wait = match outcome {
            Ok(()) | Err(false) => period,
            Err(true) => retry.saturating_mul(1 << (plan.failures - 1).min(16)).min(period),
        };
        plan.due = Instant::now() + jittered(wait);
    }

    /// Removes what no Machine has named for a while.
    async fn sweep(&mut self) {
        let is_due = self.swept.elapsed() >= self.settings.period;
        if !is_due || !self.ctx.view.is_ready() {
            return;
        }
        self.swept = Instant::now();
        let references = self.plans.keys().filter_map(|(image, architecture)| {
            Some((image.parse::<Reference>().ok()?, architecture.clone()))
        });
        match self.trees.sweep(&references.collect()).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "images removed that no Machine names"),
            Err(error) => tracing::warn!(error = %Chain(&error), "images not removed"),
        }
    }
}

/// Fetches an image; says in an error whether it is worth trying again soon.
async fn fetch(ctx: &Context, trees: &Trees, queue: &Queue<String>, key: &Key) -> Result<(), bool> {
    let (image, architecture) = key;
    let failed = |reason, message: String, again| {
        tracing::warn!(image, architecture, reason, error = message, "image not fetched");
        if ctx.images.tell(key, State::Failed { reason, message }) {
            wake(ctx, queue, key);
        }
        Err(again)
    };
    let reference: Reference = match image.parse() {
        Ok(reference) => reference,
        Err(error) => return failed("MalformedReference", Chain(&error).to_string(), false),
    };
    // What was fetched before serves while the registry is away.
    if let Some(tree) = trees.known(&reference, architecture).filter(|_| !ctx.images.has(key))
        && let Ok(image) = Image::load(tree).await
        && ctx.images.put(key, image)
    {
        wake(ctx, queue, key);
    }
    if ctx.images.tell(key, State::Pulling) {
        wake(ctx, queue, key);
    }
    let pulled = async {
        let resolved = trees.resolve(&reference, architecture).await?;
        trees.pull(&reference, architecture, &resolved).await
    };
    let tree = match pulled.await {
        Ok(tree) => tree,
        Err(error) => {
            return failed(error.reason(), Chain(&error).to_string(), error.is_transient());
        }
    };
    match Image::load(tree).await {
        Ok(loaded) => {
            let digest = loaded.digest();
            if ctx.images.put(key, loaded) {
                tracing::info!(image, architecture, digest, "image fetched");
                wake(ctx, queue, key);
            }
            Ok(())
        }
        Err(error) => failed((&error).into(), Chain(&error).to_string(), false),
    }
}

/// Wakes the Machines of an image.
fn wake(ctx: &Context, queue: &Queue<String>, of: &Key) {
    for machine in ctx.view.machines.all() {
        if key(&machine).as_ref() == Some(of) {
            queue.add(machine.metadata.name.clone().unwrap_or_default());
        }
    }
}

impl Images {
    /// Has an image without a registry, for tests.
    #[cfg(test)]
    pub(crate) fn preset(&self, machine: &metal_api::Machine, image: Image) {
        self.put(&key(machine).expect("it names an image"), image);
    }
}
