//! Our own writes are visible at once, and never hide what others do.

use super::*;
use futures::stream;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use std::time::Duration;
use tokio::time::{advance, timeout};

type Guarded = DeserializeGuard<ConfigMap>;
type Told = Vec<(Option<String>, Option<String>)>;

#[tokio::test]
async fn a_write_is_seen_at_once_and_a_watch_that_lags_never_brings_back_what_was_before() {
    let index = listed([object("a", "1", "u")]).await;
    assert!(index.wrote(object("a", "5", "u")) && index.wrote(object("a", "9", "u")));
    assert_eq!(shown(&index), ["a 9 u"]);
    let late = ["1", "3", "5", "8"].map(|version| applied("a", version, "u"));
    assert_eq!(feed(&index, late).await, [], "all of it is older");
    assert_eq!(shown(&index), ["a 9 u"]);
    let told = [(Some("1".to_owned()), Some("9".to_owned()))];
    assert_eq!(feed(&index, [applied("a", "9", "u")]).await, told, "told once, as one change");
    assert_eq!(shown(&index), ["a 9 u"]);
}

#[tokio::test]
async fn a_watch_that_skips_a_write_ends_its_stay_and_a_later_foreign_one_is_never_hidden() {
    let index = listed([object("a", "1", "u")]).await;
    index.wrote(object("a", "5", "u"));
    let told = feed(&index, [applied("a", "7", "u"), applied("a", "8", "u")]).await;
    let [first, second] = told.try_into().unwrap();
    assert_eq!(first, (Some("1".to_owned()), Some("7".to_owned())));
    assert_eq!(second, (Some("7".to_owned()), Some("8".to_owned())));
    assert_eq!(shown(&index), ["a 8 u"]);

    assert!(index.wrote(object("a", "6", "u")), "an answer that comes late");
    assert_eq!(shown(&index), ["a 8 u"]);
    assert_eq!(feed(&index, [applied("a", "9", "u")]).await.len(), 1);
}

#[tokio::test]
async fn the_keys_of_an_object_are_those_of_the_write_until_the_watch_has_caught_up() {
    let index = listed([object("a", "1", "u")]).await;
    index.wrote(object("a", "5", "u2"));
    let by_key = |key: &str| index.get(&key.to_owned()).len();
    assert_eq!((by_key("u"), by_key("u2"), index.len()), (0, 1, 1), "it is not there twice");
    feed(&index, [applied("a", "5", "u2")]).await;
    assert_eq!((by_key("u2"), index.len()), (1, 1));
}

#[tokio::test]
async fn a_deletion_and_a_new_object_of_the_same_name_are_never_hidden() {
    let index = listed([object("a", "1", "u")]).await;
    index.wrote(object("a", "5", "u"));
    // A delete event may contain the version that was deleted.
    feed(&index, [Event::Delete(guarded("a", "4", "u"))]).await;
    assert_eq!(shown(&index), [""; 0]);
    assert_eq!(feed(&index, [applied("a", "8", "v")]).await, [(None, Some("8".to_owned()))]);
    assert_eq!(shown(&index), ["a 8 v"]);

    index.wrote(object("a", "9", "v"));
    feed(&index, [applied("a", "12", "w")]).await;
    assert_eq!(shown(&index), ["a 12 w"]);
}

#[tokio::test]
async fn an_object_that_is_made_again_outlasts_what_the_watch_still_tells_of_the_one_before_it() {
    let index = listed([object("a", "1", "u")]).await;
    feed(&index, [Event::Delete(guarded("a", "2", "u"))]).await;
    assert!(index.wrote(object("a", "9", "v")));
    let late = [applied("a", "5", "x"), Event::Delete(guarded("a", "6", "x"))];
    assert_eq!(feed(&index, late).await, []);
    assert_eq!(shown(&index), ["a 9 v"]);
    assert_eq!(feed(&index, [applied("a", "9", "v")]).await, [(None, Some("9".to_owned()))]);
}

#[tokio::test]
async fn an_answer_that_comes_after_the_watch_has_told_of_the_deletion_brings_nothing_back() {
    let index = listed([object("a", "1", "u")]).await;
    feed(&index, [applied("a", "5", "u"), Event::Delete(guarded("a", "6", "u"))]).await;
    assert!(index.wrote(object("a", "5", "u")));
    assert_eq!(shown(&index), [""; 0]);
}

#[tokio::test]
async fn what_we_have_deleted_is_gone_at_once_and_what_takes_its_name_is_there() {
    let index = listed([object("a", "3", "u")]).await;
    index.deleted(&object("a", "3", "other").metadata);
    assert_eq!(shown(&index), ["a 3 u"], "that was another one");
    index.deleted(&object("a", "3", "u").metadata);
    assert_eq!(shown(&index), [""; 0]);
    let late = [applied("a", "4", "u"), applied("a", "2", "t")];
    assert_eq!(feed(&index, late).await, []);
    assert_eq!(shown(&index), [""; 0], "it is dead, whatever its last version");
    let gone = [Event::Delete(guarded("a", "5", "u")), applied("a", "6", "v")];
    let told = [(Some("3".to_owned()), None), (None, Some("6".to_owned()))];
    assert_eq!(feed(&index, gone).await, told);
    assert_eq!(shown(&index), ["a 6 v"]);
}

#[tokio::test]
async fn a_list_that_began_after_a_write_knows_better_and_one_that_began_before_may_not() {
    let write = || object("a", "5", "u");
    let began_after = listed([object("a", "1", "u")]).await;
    began_after.wrote(write());
    assert_eq!(list(&began_after, []).await, [(Some("1".to_owned()), None)]);
    assert_eq!(shown(&began_after), [""; 0], "somebody has deleted it");

    let began_before = listed([object("a", "1", "u"), object("b", "2", "u")]).await;
    feed(&began_before, [Event::Init]).await;
    began_before.wrote(write());
    began_before.wrote(object("c", "6", "u"));
    began_before.deleted(&object("b", "2", "u").metadata);
    let list = [object("a", "1", "u"), object("b", "2", "u")];
    let list = list.map(|object| Event::InitApply(DeserializeGuard(Ok(object))));
    let told = finish(&began_before, list).await;
    assert_eq!(told, [], "what is older is not told");
    assert_eq!(shown(&began_before), ["a 5 u", "c 6 u"]);
    let events = [applied("a", "5", "u"), applied("c", "6", "u")];
    let told = [(Some("1".to_owned()), Some("5".to_owned())), (None, Some("6".to_owned()))];
    assert_eq!(feed(&began_before, events).await, told);
}

#[tokio::test]
async fn what_a_list_lacks_that_is_later_than_the_write_has_been_deleted_since() {
    let index = listed([]).await;
    feed(&index, [Event::Init]).await;
    index.wrote(object("a", "5", "u"));
    let list = [Event::InitApply(guarded("b", "7", "u"))];
    assert_eq!(finish(&index, list).await.len(), 2);
    assert_eq!(shown(&index), ["b 7 u"]);
}

#[tokio::test(start_paused = true)]
async fn what_no_list_has_is_given_up_once_the_watch_has_gone_past_it_or_says_nothing_for_long() {
    for passes_it in [true, false] {
        let index = listed([]).await;
        feed(&index, [Event::Init]).await;
        index.wrote(object("a", "5", "u"));
        finish(&index, []).await;
        assert_eq!(shown(&index), ["a 5 u"], "the watch may still tell of it");
        if passes_it {
            feed(&index, [applied("b", "6", "u")]).await;
            assert_eq!(shown(&index), ["b 6 u"]);
        } else {
            advance(Duration::from_secs(20)).await;
            let followed = index.follow(stream::pending());
            assert!(timeout(Duration::from_secs(5), followed).await.is_err());
            assert_eq!(shown(&index), ["a 5 u"]);
            let followed = index.follow(stream::pending());
            assert!(timeout(Duration::from_secs(10), followed).await.is_err());
            assert_eq!(shown(&index), [""; 0]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_that_comes_after_the_list_of_its_deletion_brings_it_back_for_a_moment_only() {
    for passes_it in [true, false] {
        let index = listed([object("b", "2", "u")]).await;
        // It was made as version 5 and deleted as version 6 while there was no watch.
        assert!(index.wrote(object("a", "5", "u")));
        assert_eq!(shown(&index), ["a 5 u", "b 2 u"], "the watch may still tell of it");
        if passes_it {
            let told = feed(&index, [applied("b", "7", "u")]).await;
            assert_eq!(told.last(), Some(&(Some("5".to_owned()), None)));
            assert_eq!(shown(&index), ["b 7 u"]);
        } else {
            // The watch waits already when another response comes.
            let followed = index.follow(stream::pending());
            let mut followed = std::pin::pin!(followed);
            assert!(timeout(Duration::from_secs(40), &mut followed).await.is_err());
            assert_eq!(shown(&index), ["b 2 u"]);
            assert!(index.wrote(object("c", "7", "u")));
            assert!(timeout(Duration::from_secs(40), &mut followed).await.is_err());
            assert_eq!(shown(&index), ["b 2 u"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_list_is_in_progress_nothing_is_given_up() {
    let index = listed([]).await;
    index.wrote(object("a", "5", "u"));
    feed(&index, [Event::Init]).await;
    index.wrote(object("b", "6", "u"));
    let followed = index.follow(stream::pending());
    assert!(timeout(Duration::from_mins(5), followed).await.is_err());
    assert_eq!(shown(&index), ["a 5 u", "b 6 u"]);
    finish(&index, [Event::InitApply(guarded("a", "5", "u"))]).await;
    let events = [applied("b", "6", "u"), applied("c", "7", "u")];
    feed(&index, events).await;
    assert_eq!(shown(&index), ["a 5 u", "b 6 u", "c 7 u"]);
}

#[tokio::test]
async fn where_versions_are_no_numbers_the_watch_is_believed() {
    let index = listed([object("a", "x1", "u")]).await;
    assert!(!index.wrote(object("a", "x5", "u")), "nobody can say which is later");
    assert_eq!(shown(&index), ["a x1 u"]);
    feed(&index, [applied("a", "x3", "u")]).await;
    assert_eq!(shown(&index), ["a x3 u"]);
}

#[tokio::test]
async fn a_write_to_the_metadata_leaves_the_rest_as_it_was_seen_or_shows_nothing() {
    let index = listed([object("a", "1", "u")]).await;
    let (seen, mut new) = (object("a", "1", "u").metadata, object("a", "2", "u").metadata);
    new.finalizers = Some(vec!["ours".to_owned()]);
    assert!(index.wrote_metadata(&seen, new.clone()));
    let there = index.named(None, "a").unwrap();
    assert_eq!((there.finalizers(), there.data.is_some()), (&["ours".to_owned()][..], true));
    assert!(!index.wrote_metadata(&seen, new), "it is not here as it was seen");
}

#[tokio::test]
async fn what_nobody_reads_is_kept_of_no_write() {
    let index = Index::<ConfigMap, String>::new(|_| vec![]).trimmed(|object| object.data = None);
    feed(&index, [Event::Init]).await;
    finish(&index, [Event::InitApply(guarded("a", "1", "u"))]).await;
    assert_eq!(index.named(None, "a").unwrap().data, None);
    index.wrote(object("a", "2", "u"));
    assert_eq!(index.named(None, "a").unwrap().data, None);
}

async fn listed<const N: usize>(objects: [ConfigMap; N]) -> Index<ConfigMap, String> {
    let index = Index::new(|object: &ConfigMap| object.metadata.uid.clone().into_iter().collect());
    list(&index, objects).await;
    index
}

async fn list<const N: usize>(index: &Index<ConfigMap, String>, objects: [ConfigMap; N]) -> Told {
    let objects = objects.map(|object| Event::InitApply(DeserializeGuard(Ok(object))));
    let events = [Event::Init].into_iter().chain(objects).chain([Event::InitDone]);
    told_of(index, events.collect()).await
}

async fn feed<const N: usize>(
    index: &Index<ConfigMap, String>,
    events: [Event<Guarded>; N],
) -> Told {
    told_of(index, events.into()).await
}

/// The remaining content of a list that has begun, and its end.
async fn finish<const N: usize>(
    index: &Index<ConfigMap, String>,
    events: [Event<Guarded>; N],
) -> Told {
    told_of(index, events.into_iter().chain([Event::InitDone]).collect()).await
}

/// The versions before and after each change that is reported for these events.
async fn told_of(index: &Index<ConfigMap, String>, events: Vec<Event<Guarded>>) -> Told {
    let mut told = Told::new();
    let version = |object: &Arc<ConfigMap>| object.metadata.resource_version.clone();
    let events = stream::iter(events.into_iter().map(Ok));
    let followed = index.follow_with(events, |change| match change {
        Change::Applied { old, new } => told.push((old.and_then(version), version(new))),
        Change::Removed(old) => told.push((version(old), None)),
        Change::Unreadable { error, .. } => panic!("{error}"),
    });
    assert!(followed.await.is_err());
    told
}

/// Name, version and UID of each object.
fn shown(index: &Index<ConfigMap, String>) -> Vec<String> {
    let text = |it: &Arc<ConfigMap>| {
        let version = it.metadata.resource_version.as_deref().unwrap();
        format!("{} {version} {}", it.name_any(), it.metadata.uid.as_deref().unwrap())
    };
    let mut all: Vec<_> = index.all().iter().map(text).collect();
    all.sort();
    all
}

fn applied(name: &str, version: &str, uid: &str) -> Event<Guarded> {
    Event::Apply(guarded(name, version, uid))
}

fn guarded(name: &str, version: &str, uid: &str) -> Guarded {
    DeserializeGuard(Ok(object(name, version, uid)))
}

fn object(name: &str, version: &str, uid: &str) -> ConfigMap {
    let mut object = ConfigMap { data: Some([].into()), ..ConfigMap::default() };
    object.metadata.name = Some(name.to_owned());
    object.metadata.resource_version = Some(version.to_owned());
    object.metadata.uid = Some(uid.to_owned());
    object
}
