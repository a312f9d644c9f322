use super::*;
use futures::stream;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{ResourceExt, core::error_boundary::InvalidObject};

type Guarded = DeserializeGuard<ConfigMap>;

#[tokio::test]
async fn relist_replaces_everything_at_once() {
    let index = Index::new(mac_of);
    let a = Event::InitApply(object("a", "m1"));
    let b = Event::InitApply(object("b", "m2"));
    feed(&index, [Event::Init, a, b, Event::InitDone]).await;
    assert!(index.is_ready());

    let c = || Event::InitApply(object("c", "m1"));
    feed(&index, [Event::Init, c()]).await;
    assert_eq!(names(&index, "m1"), ["a"], "half of a list must not show");

    feed(&index, [Event::Init, c(), Event::InitDone]).await;
    assert_eq!(names(&index, "m1"), ["c"]);
    assert_eq!(names(&index, "m2"), [""; 0]);
}

#[tokio::test]
async fn what_is_in_doubt_is_still_there_and_sure_with_the_next_list() {
    let index = Index::new(mac_of);
    let list = || [Event::Init, Event::InitApply(object("a", "m1")), Event::InitDone];
    feed(&index, list()).await;
    index.listed().await;
    index.doubt();
    assert!(index.is_ready() && names(&index, "m1") == ["a"]);
    let mut listed = std::pin::pin!(index.listed());
    assert!(futures::poll!(&mut listed).is_pending());
    feed(&index, [Event::Apply(object("b", "m1"))]).await;
    assert!(futures::poll!(&mut listed).is_pending());
    feed(&index, list()).await;
    listed.await;
}

#[tokio::test]
async fn what_is_presumed_counts_until_the_first_list_and_never_after_it() {
    let index = Index::new(mac_of);
    let presumed = |name: &str| object(name, "m1").0.unwrap();
    assert!(index.presume([presumed("a"), presumed("b")]));
    assert!(index.presume([presumed("a")]), "it is replaced");
    assert!(!index.is_ready(), "nobody has listed anything");
    assert_eq!(names(&index, "m1"), ["a"]);

    let mut gone = Vec::new();
    let list = [Event::Init, Event::InitApply(object("c", "m1")), Event::InitDone];
    let events = stream::iter(list.map(Ok));
    let followed = index.follow_with(events, |change| {
        if let Change::Removed(object) = change {
            gone.push(object.name_any());
        }
    });
    assert!(followed.await.is_err());
    assert_eq!(gone, ["a"], "it is told as gone");
    assert!(!index.presume([presumed("a")]));
    assert_eq!(names(&index, "m1"), ["c"]);
}

#[tokio::test]
async fn changed_key_moves_and_shared_key_shows_both() {
    let index = Index::new(mac_of);
    feed(&index, [Event::Apply(object("a", "m1"))]).await;
    feed(&index, [Event::Apply(object("a", "m2")), Event::Apply(object("b", "m2"))]).await;
    assert_eq!(names(&index, "m1"), [""; 0]);
    assert_eq!(names(&index, "m2"), ["a", "b"]);

    feed(&index, [Event::Delete(object("a", "stale"))]).await;
    assert_eq!(names(&index, "m2"), ["b"]);
}

#[tokio::test]
async fn object_that_no_longer_parses_is_withdrawn() {
    let index = Index::new(mac_of);
    let metadata = object("a", "m1").meta().clone();
    let broken = DeserializeGuard(Err(InvalidObject { error: "broken".to_owned(), metadata }));
    feed(&index, [Event::Apply(object("a", "m1")), Event::Apply(broken)]).await;
    assert_eq!(names(&index, "m1"), [""; 0]);
}

#[tokio::test]
async fn an_object_that_does_not_parse_is_known_to_be_there_and_told_of_when_it_is_gone() {
    let broken = |name: &str| {
        let metadata = object(name, "m1").meta().clone();
        DeserializeGuard(Err(InvalidObject { error: "broken".to_owned(), metadata }))
    };
    let index = Index::new(mac_of);
    let list = [Event::Init, Event::InitApply(broken("a")), Event::InitApply(broken("b"))];
    feed(&index, list).await;
    assert!(!index.is_withdrawn(None, "a"), "half of a list must not show");
    let list = [Event::Init, Event::InitApply(broken("a")), Event::InitApply(broken("b"))];
    let list = list.into_iter().chain([Event::InitDone, Event::Apply(object("b", "m1"))]);
    let list = list.chain([Event::Apply(broken("c")), Event::Delete(broken("c"))]);
    let again = [Event::Init, Event::InitApply(object("b", "m1")), Event::InitDone];
    let mut told = vec![];
    let events = stream::iter(list.chain(again).map(Ok));
    let ended = index.follow_with(events, |change| {
        if let Change::Unreadable { meta, error, .. } = change {
            told.push(format!("{} {error}", meta.name.as_deref().unwrap()));
        }
    });
    assert!(ended.await.is_err());
    assert_eq!(told, ["a broken", "b broken", "c broken", "c it is gone", "a it is gone"]);
    assert!(!["a", "b", "c"].iter().any(|name| index.is_withdrawn(None, name)));
}

#[tokio::test]
async fn an_object_that_is_not_kept_is_not_taken_for_an_earlier_one_of_its_name() {
    let (broken, kept) = (object("a", "m1"), object("b", "m1"));
    let with_uid = |object: Guarded, uid: Option<&str>| {
        let mut metadata = object.meta().clone();
        metadata.uid = uid.map(str::to_owned);
        Event::Apply(DeserializeGuard(Err(InvalidObject { error: "broken".to_owned(), metadata })))
    };
    let index = Index::new(mac_of);
    feed(&index, [with_uid(broken, Some("uid-2")), Event::Apply(kept)]).await;
    let is_there = |name: &str, uid: Option<&str>| index.is_withdrawn_as(None, name, uid);
    assert!(is_there("a", Some("uid-2")) && !is_there("a", Some("uid-1")));
    assert!(is_there("a", None) && !is_there("b", None), "it may be that one");
    feed(&index, [with_uid(object("c", "m1"), None)]).await;
    assert!(is_there("c", Some("uid-1")), "it may be that one");
}

#[tokio::test(start_paused = true)]
async fn objects_of_one_namespace_are_kept_up_to_a_sum_and_others_are_not_affected() {
    let of = |namespace: &str, name: &str| {
        let mut object = object(name, "m1").0.unwrap();
        object.metadata.namespace = Some(namespace.to_owned());
        object
    };
    let room = 3 * footprint(&of("a", "1")) + 10;
    let shares = Shares { sure: room / 3, namespace: room, all: room };
    let index = Index::new(mac_of).bounded(footprint, shares);
    let guarded = |object| DeserializeGuard(Ok(object));
    let list = |names: &[&str]| {
        let mut events = vec![Event::Init];
        events.extend(names.iter().map(|name| Event::InitApply(guarded(of("a", name)))));
        events.push(Event::InitDone);
        events
    };
    let mut told = vec![];
    let mut follow = async |events: Vec<Event<Guarded>>, is_open: bool| {
        let events = stream::iter(events.into_iter().map(Ok));
        let more = if is_open { stream::pending().boxed() } else { stream::empty().boxed() };
        let followed = index.follow_with(events.chain(more), |change| {
            if let Change::Unreadable { meta, error, .. } = change {
                told.push(format!("{} {error}", meta.name.as_deref().unwrap()));
            }
        });
        (followed.await.is_ok(), std::mem::take(&mut told))
    };
    let (_, told) = follow(list(&["1", "2", "3", "4"]), false).await;
    let [told] = told.as_slice() else { panic!("{told:?}") };
    assert!(told.starts_with("4 the configmaps of namespace a take more than"), "{told}");
    assert!(index.is_withdrawn(Some("a"), "4") && index.withdrawn_objects().is_empty());
    // A change of what is kept takes no more room; another namespace has what it has for sure.
    let changes = [of("a", "1"), of("b", "1")].map(|object| Event::Apply(guarded(object)));
    assert_eq!(follow(changes.into(), false).await.1, [""; 0]);
    assert!(index.named(Some("b"), "1").is_some());
    let (_, told) = follow(vec![Event::Apply(guarded(of("b", "2")))], false).await;
    assert!(told[0].starts_with("2 the configmaps of all namespaces take more than"), "{told:?}");
    // Once there is room, a new list is asked for, and has what was left out.
    let mut events = list(&["1", "2", "3", "4"]);
    events.push(Event::Delete(guarded(of("a", "1"))));
    assert!(follow(events, true).await.0, "what was left out fits now");
    assert!(!follow(list(&["2", "3", "4"]), false).await.0);
    assert!(index.named(Some("a"), "4").is_some() && index.withdrawn().is_empty());
}

#[tokio::test]
async fn a_new_list_of_what_is_known_keeps_the_objects_that_are_there() {
    let index = Index::new(mac_of);
    let version = |name: &str, version: &str| {
        let mut object = object(name, "m1").0.unwrap();
        object.metadata.uid = Some("u".to_owned());
        object.metadata.resource_version = Some(version.to_owned());
        DeserializeGuard(Ok(object))
    };
    let list = |b| {
        let (a, b) = (version("a", "7"), version("b", b));
        [Event::Init, Event::InitApply(a), Event::InitApply(b), Event::InitDone]
    };
    feed(&index, list("8")).await;
    let (a, b) = (index.named(None, "a").unwrap(), index.named(None, "b").unwrap());
    feed(&index, list("9")).await;
    assert!(Arc::ptr_eq(&a, &index.named(None, "a").unwrap()));
    assert!(!Arc::ptr_eq(&b, &index.named(None, "b").unwrap()));
    // So does a watch that reports what a write has returned.
    let mut written = version("a", "10").0.unwrap();
    written.metadata.managed_fields = Some(vec![]);
    index.wrote(written);
    let written = index.named(None, "a").unwrap();
    assert_eq!(written.metadata.managed_fields, None);
    feed(&index, [Event::Apply(version("a", "10"))]).await;
    assert!(Arc::ptr_eq(&written, &index.named(None, "a").unwrap()));
}

#[tokio::test]
async fn what_depends_on_an_object_is_woken_when_it_cannot_be_read_any_longer() {
    let index = Index::new(mac_of);
    let metadata = object("a", "m1").meta().clone();
    let broken = || {
        DeserializeGuard(Err(InvalidObject { error: String::new(), metadata: metadata.clone() }))
    };
    let applied = Event::Apply(object("a", "m1"));
    let listed = [Event::Init, Event::InitApply(object("a", "m1")), Event::InitDone];
    let broken_list = [Event::Init, Event::InitApply(broken()), Event::InitDone];
    let events = [applied, Event::Apply(broken()), Event::Apply(broken())];
    let events = events.into_iter().chain(listed).chain(broken_list);
    let mut told = vec![];
    let ended = index.follow_with(stream::iter(events.map(Ok)), |change| {
        told.push(change.objects().map(|it| it.labels()["mac"].clone()).collect::<Vec<_>>());
    });
    assert!(ended.await.is_err());
    let (nobody, everybody) = (vec![], vec!["m1".to_owned()]);
    let [none, some] = [&nobody, &everybody];
    assert_eq!(told.iter().collect::<Vec<_>>(), [some, some, none, some, none, some]);
}

#[tokio::test]
async fn a_new_list_is_told_as_what_it_changes() {
    let index = Index::new(mac_of);
    let list = [Event::Init, Event::InitApply(object("a", "m1")), Event::InitDone];
    feed(&index, list).await;
    let mut told = vec![];
    let list = [Event::Init, Event::InitApply(object("b", "m1")), Event::InitDone];
    let ended = index.follow_with(stream::iter(list.map(Ok)), |change| {
        told.push(match change {
            Change::Applied { old, new } => format!("+{}{}", new.name_any(), old.is_some()),
            Change::Removed(old) => format!("-{}", old.name_any()),
            Change::Unreadable { error, .. } => error.to_owned(),
        });
    });
    assert!(ended.await.is_err());
    assert_eq!(told, ["+bfalse", "-a"]);
    assert!(index.named(None, "b").is_some() && index.len() == 1);
}

async fn feed<const N: usize>(index: &Index<ConfigMap, String>, events: [Event<Guarded>; N]) {
    let ended = index.follow(stream::iter(events.map(Ok))).await;
    assert!(ended.is_err());
}

fn names(index: &Index<ConfigMap, String>, mac: &str) -> Vec<String> {
    index.get(&mac.to_owned()).iter().map(|object| object.name_any()).collect()
}

fn mac_of(object: &ConfigMap) -> Vec<String> {
    object.labels().get("mac").cloned().into_iter().collect()
}

fn object(name: &str, mac: &str) -> Guarded {
    let mut object = ConfigMap::default();
    object.metadata.name = Some(name.to_owned());
    object.labels_mut().insert("mac".to_owned(), mac.to_owned());
    DeserializeGuard(Ok(object))
}
