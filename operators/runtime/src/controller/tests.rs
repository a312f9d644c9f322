use super::*;
use crate::{
    report::{Class, Reporter},
    testing::ApiServer,
};
use futures::stream;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    core::DeserializeGuard,
    runtime::{
        events::{Recorder, Reporter as Source},
        watcher::Event,
    },
};
use metal_base::Locked;
use std::{sync::Mutex, time::Duration};
use tokio::time::{Instant, timeout};

#[tokio::test]
async fn a_pass_begins_with_what_is_the_same_for_every_kind() {
    let (controller, work) = (Copies::new(vec![Decision::Record(Box::new(()))]), work());
    let pass = async |name: &str| controller.pass(&work, name.to_owned()).await.unwrap();
    assert_eq!(pass("a").await, Next::Wait);
    assert_eq!(controller.done(), ["gone a"]);
    controller.list([]).await;
    let (there, mut going) = (object("a"), object("b"));
    going.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH));
    let unlisted = Copies { is_ready: false, ..Copies::new(vec![]) };
    unlisted.list([there.clone()]).await;
    assert_eq!(unlisted.pass(&work, "a".to_owned()).await.unwrap(), Next::After(NOT_LISTED));
    controller.list([there, going]).await;
    assert_eq!(pass("b").await, Next::Wait);
    assert_eq!(controller.done(), [""; 0], "it is left alone");
    assert_eq!(pass("a").await, Next::Again);
    assert_eq!(controller.done(), ["observe", "record"]);
}

#[tokio::test]
async fn a_pass_looks_until_it_knows_enough_and_does_one_thing() {
    let (rest, look) = (SignedDuration::from_secs(9), || Decision::Look(()));
    for (decisions, done, next) in [
        (vec![look(), look(), Decision::Act(())], "observe look look act", Next::Again),
        (vec![Decision::Change(())], "observe change", Next::Wait),
        (vec![Decision::Rest(rest)], "observe", Next::Rested(Duration::from_secs(9))),
    ] {
        let controller = Copies::new(decisions);
        controller.list([object("a")]).await;
        assert_eq!(controller.pass(&work(), "a".to_owned()).await.unwrap(), next);
        assert_eq!(controller.done().join(" "), done);
    }
}

#[tokio::test]
async fn decisions_that_come_to_no_end_are_a_failure_and_no_busy_loop() {
    let controller = Copies::new((0..99).map(|_| Decision::Look(())).collect());
    controller.list([object("a")]).await;
    let error = controller.pass(&work(), "a".to_owned()).await.unwrap_err();
    assert_eq!(error.reason(), "TooManyTurns");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_fails_is_worked_on_ever_more_slowly_until_it_has_rested() {
    let fails = || Decision::Change(());
    let rests = || Decision::Rest(SignedDuration::from_secs(100));
    let decisions = vec![fails(), fails(), fails(), rests(), rests(), fails(), fails()];
    let controller = Copies { fails: true, ..Copies::new(decisions) };
    controller.list([object("a")]).await;
    let (work, begun) = (Arc::new(work()), Instant::now());
    work.queue.add("a".to_owned());
    let times = Arc::clone(&controller.times);
    assert!(timeout(Duration::from_secs(130), work.drive(1, controller)).await.is_err());
    let times = times.lock().unwrap().clone();
    let seconds = times.iter().map(|at: &Instant| at.duration_since(begun).as_secs_f64());
    // After 1, 2 and 4 s, plus or minus a tenth; at once after a success, and then from the
    // beginning.
    let expected = [0.0, 1.0, 3.0, 7.0, 7.0, 107.0, 108.0];
    let is_near = |(at, expected): (f64, f64)| (at - expected).abs() <= 0.1 + expected / 10.0;
    let seconds: Vec<_> = seconds.take(expected.len()).collect();
    assert_eq!(seconds.len(), expected.len(), "{seconds:?}");
    assert!(seconds.iter().copied().zip(expected).all(is_near), "{seconds:?}");
}

#[tokio::test(start_paused = true)]
async fn a_controller_sets_the_time_limit_of_its_passes() {
    let controller = Copies { hangs: true, ..Copies::new(vec![Decision::Look(())]) };
    controller.list([object("a")]).await;
    let (work, begun) = (work(), Instant::now());
    work.turn(&controller, "a".to_owned()).await;
    assert_eq!(begun.elapsed(), Duration::from_mins(5));
    assert_eq!(work.failure(&"a".to_owned()).unwrap().reason, "Deadline");
}

/// Makes prepared decisions, one after the other.
struct Copies {
    index: Index<ConfigMap, ()>,
    is_ready: bool,
    fails: bool,
    hangs: bool,
    decisions: Mutex<Vec<Decision<(), (), (), ()>>>,
    done: Mutex<Vec<String>>,
    times: Arc<Mutex<Vec<Instant>>>,
}

impl Copies {
    fn new(mut decisions: Vec<Decision<(), (), (), ()>>) -> Self {
        decisions.reverse();
        Self {
            index: Index::new(|_| vec![]),
            is_ready: true,
            fails: false,
            hangs: false,
            decisions: Mutex::new(decisions),
            done: Mutex::default(),
            times: Arc::default(),
        }
    }

    async fn list<const N: usize>(&self, objects: [ConfigMap; N]) {
        let objects = objects.map(|it| Event::InitApply(DeserializeGuard(Ok(it))));
        let events = [Event::Init].into_iter().chain(objects).chain([Event::InitDone]);
        let events: Vec<_> = events.map(Ok).collect();
        self.index.follow(stream::iter(events)).await.unwrap_err();
    }

    fn note(&self, what: &str) {
        self.done.locked().push(what.to_owned());
    }

    fn done(&self) -> Vec<String> {
        std::mem::take(&mut *self.done.lock().unwrap())
    }
}

impl Controller for Copies {
    type Object = ConfigMap;
    type Key = String;
    type IndexKey = ();
    type Facts = ();
    type Status = ();
    type Change = ();
    type Need = ();
    type Step = ();
    type Error = Trouble;

    const DEADLINE: Duration = Duration::from_mins(5);

    fn index(&self) -> &Index<ConfigMap, ()> {
        &self.index
    }

    fn is_ready(&self) -> bool {
        self.is_ready
    }

    async fn gone(&self, key: &String) -> Result<Next, Trouble> {
        self.note(&format!("gone {key}"));
        Ok(Next::Wait)
    }

    async fn observe(&self, _: &Arc<ConfigMap>) -> Result<(), Trouble> {
        self.note("observe");
        Ok(())
    }

    fn decide(&self, _: &Arc<ConfigMap>, (): &(), _: Option<&Failure>) -> Decision<(), (), (), ()> {
        self.times.lock().unwrap().push(Instant::now());
        let next = self.decisions.lock().unwrap().pop();
        next.unwrap_or(Decision::Rest(SignedDuration::from_hours(1)))
    }

    async fn look(&self, _: &ConfigMap, (): (), (): &mut ()) -> Result<Option<Next>, Trouble> {
        self.note("look");
        if self.hangs { std::future::pending().await } else { Ok(None) }
    }

    async fn record(&self, _: &ConfigMap, (): &()) -> Result<Next, Trouble> {
        self.note("record");
        Ok(Next::Again)
    }

    async fn change(&self, _: &ConfigMap, (): ()) -> Result<Next, Trouble> {
        self.note("change");
        if self.fails { Err(Trouble::Jammed) } else { Ok(Next::Wait) }
    }

    async fn act(&self, _: &ConfigMap, (): ()) -> Result<(), Trouble> {
        self.note("act");
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("it is jammed")]
    Jammed,
    #[error(transparent)]
    TooManyTurns(#[from] TooManyTurns),
}

impl ReconcileError for Trouble {
    fn class(&self) -> Class {
        Class::Transient
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Jammed => "Jammed",
            Self::TooManyTurns(_) => "TooManyTurns",
        }
    }
}

fn work() -> Work<String> {
    let client = ApiServer::default().client("default");
    let recorder = Recorder::new(client, Source::from("test"));
    let passes = prometheus_client::metrics::family::Family::default();
    Work::new(Reporter { controller: "copies", recorder, passes })
}

fn object(name: &str) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.name = Some(name.to_owned());
    object
}
