//! A work queue of keys: each key is processed by one worker at a time, a key that is added twice
//! before its turn is processed once, and one that is added during its turn gets another.
//!
//! kube's `Controller` contains such a queue, but has its own watch for each kind that it needs.
//! Here one watch per kind feeds an [`Index`](crate::index::Index) and wakes whatever depends on
//! it, so that the API server sends every change to a process only once.

use metal_base::Locked;
use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// Keys to be processed. Cheap to clone; all clones are the same queue.
#[derive(Debug)]
pub struct Queue<K>(Arc<Shared<K>>);

#[derive(Debug)]
struct Shared<K> {
    state: Mutex<State<K>>,
    wake: Notify,
}

#[derive(Debug)]
struct State<K> {
    ready: VecDeque<K>,
    queued: HashSet<K>,
    running: HashSet<K>,
    /// When each key is due, in both directions.
    due: HashMap<K, Instant>,
    timers: BTreeSet<(Instant, K)>,
}

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                ready: VecDeque::new(),
                queued: HashSet::new(),
                running: HashSet::new(),
                due: HashMap::new(),
                timers: BTreeSet::new(),
            }),
            wake: Notify::new(),
        }))
    }
}

impl<K: Clone + Eq + Hash + Ord + Send + 'static> Queue<K> {
    /// Requests a turn for `key` as soon as a worker is free.
    pub fn add(&self, key: K) {
        self.lock().enqueue(key);
        self.0.wake.notify_one();
    }

    /// Requests a turn for `key` after `delay`. An earlier request takes precedence, and a turn
    /// before that cancels this one.
    pub fn add_after(&self, key: K, delay: Duration) {
        self.lock().postpone(key, Instant::now() + delay);
        self.0.wake.notify_one();
    }

    /// Number of keys that are waiting for a worker.
    pub fn len(&self) -> usize {
        self.lock().ready.len()
    }

    /// Whether no key is waiting for a worker.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs forever: calls `pass` for each key, for at most `concurrency` keys at a time, and at least
    /// for one. The returned time is when it wants to be called again for that key. Dropping the future ends all
    /// passes at their next await point.
    pub async fn run<F, P>(self, concurrency: usize, pass: F)
    where
        F: Fn(K) -> P,
        P: Future<Output = Option<Duration>> + Send + 'static,
    {
        let concurrency = concurrency.max(1);
        let mut working = JoinSet::new();
        loop {
            while working.len() < concurrency {
                let Some(key) = self.lock().take(Instant::now()) else { break };
                let (queue, work) = (self.clone(), pass(key.clone()));
                working.spawn(async move {
                    // Even if the pass panics: the key must not stay locked.
                    let turn = Turn { queue, key: Some(key) };
                    let again = work.await;
                    turn.end(again);
                });
            }
            let has_room = working.len() < concurrency;
            let next = self.lock().timers.first().map(|(at, _)| *at);
            tokio::select! {
                () = sleep_until(next.unwrap_or_else(Instant::now)), if has_room && next.is_some() => {}
                () = self.0.wake.notified(), if has_room => {}
                Some(ended) = working.join_next(), if !working.is_empty() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "reconciliation panicked");
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.0.state.locked()
    }
}

/// The turn of one key, which is always ended.
struct Turn<K: Clone + Eq + Hash + Ord + Send + 'static> {
    queue: Queue<K>,
    key: Option<K>,
}

impl<K: Clone + Eq + Hash + Ord + Send + 'static> Turn<K> {
    fn end(mut self, again: Option<Duration>) {
        if let Some(key) = self.key.take() {
            self.queue.lock().done(&key);
            if let Some(delay) = again {
                self.queue.lock().postpone(key, Instant::now() + delay);
            }
        }
        self.queue.0.wake.notify_one();
    }
}

impl<K: Clone + Eq + Hash + Ord + Send + 'static> Drop for Turn<K> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let mut state = self.queue.lock();
            state.done(&key);
            state.postpone(key, Instant::now() + Duration::from_mins(1));
        }
    }
}

impl<K: Clone + Eq + Hash + Ord> State<K> {
    fn enqueue(&mut self, key: K) {
        if self.queued.insert(key.clone()) && !self.running.contains(&key) {
            self.ready.push_back(key);
        }
    }

    fn postpone(&mut self, key: K, at: Instant) {
        if self.queued.contains(&key) {
            return;
        }
        match self.due.get(&key) {
            Some(earlier) if *earlier <= at => return,
            Some(later) => {
                self.timers.remove(&(*later, key.clone()));
            }
            None => {}
        }
        self.due.insert(key.clone(), at);
        self.timers.insert((at, key));
    }

    /// The next key to process.
    fn take(&mut self, now: Instant) -> Option<K> {
        while let Some((at, key)) = self.timers.first().cloned().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, key.clone()));
            self.due.remove(&key);
            self.enqueue(key);
        }
        let key = self.ready.pop_front()?;
        self.queued.remove(&key);
        if let Some(at) = self.due.remove(&key) {
            self.timers.remove(&(at, key.clone()));
        }
        self.running.insert(key.clone());
        Some(key)
    }

    fn done(&mut self, key: &K) {
        self.running.remove(key);
        if self.queued.contains(key) {
            self.ready.push_back(key.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{sync::mpsc, time::timeout};

    const LONG: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn a_key_added_twice_is_worked_on_once_and_one_added_meanwhile_again() {
        let (queue, mut passes) = start(Duration::from_secs(5));
        queue.add("a");
        queue.add("a");
        assert_eq!(timeout(LONG, passes.recv()).await, Ok(Some("a")));
        queue.add("a");
        let first = Instant::now();
        assert_eq!(timeout(LONG, passes.recv()).await, Ok(Some("a")));
        assert_eq!(first.elapsed(), Duration::from_secs(5), "two passes of one key overlap");
        assert!(timeout(LONG, passes.recv()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_of_two_times_counts_and_keys_do_not_wait_for_each_other() {
        let (queue, mut passes) = start(LONG * 10);
        queue.add("slow");
        assert_eq!(timeout(LONG, passes.recv()).await, Ok(Some("slow")));
        let begin = Instant::now();
        queue.add_after("b", Duration::from_secs(30));
        queue.add_after("b", Duration::from_secs(3));
        queue.add_after("b", Duration::from_secs(20));
        assert_eq!(timeout(LONG, passes.recv()).await, Ok(Some("b")));
        assert_eq!(begin.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_that_panics_gets_another_turn_later() {
        let queue = Queue::default();
        let (sender, mut passes) = mpsc::unbounded_channel();
        let pass = move |key: &'static str| {
            let sender = sender.clone();
            async move {
                sender.send(key).ok();
                panic!("a bug");
            }
        };
        let _work = tokio::spawn(queue.clone().run(2, pass));
        queue.add("a");
        assert_eq!(timeout(LONG, passes.recv()).await, Ok(Some("a")));
        assert_eq!(timeout(LONG * 2, passes.recv()).await, Ok(Some("a")));
    }

    #[tokio::test(start_paused = true)]
    async fn at_least_one_key_is_worked_on_whatever_a_flag_says() {
        let queue = Queue::default();
        let (sender, mut passes) = mpsc::unbounded_channel();
        let pass = move |key: &'static str| {
            let sender = sender.clone();
            async move {
                sender.send(key).ok();
                None
            }
        };
        let _work = tokio::spawn(queue.clone().run(0, pass));
        queue.add("a");
        assert_eq!(timeout(LONG, passes.recv()).await, Ok(Some("a")));
    }

    /// A queue whose passes report their key, and take this long.
    fn start(takes: Duration) -> (Queue<&'static str>, mpsc::UnboundedReceiver<&'static str>) {
        let queue = Queue::default();
        let (sender, passes) = mpsc::unbounded_channel();
        let pass = move |key| {
            let sender = sender.clone();
            async move {
                sender.send(key).ok();
                tokio::time::sleep(takes).await;
                None
            }
        };
        tokio::spawn(queue.clone().run(4, pass));
        (queue, passes)
    }
}
