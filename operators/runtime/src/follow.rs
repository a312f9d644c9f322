//! Watches that fill an index. Lists come in pages, and one after the other, since a page is in memory
//! more than once; an object that cannot be parsed does not stop the others.

use crate::{
    behind::until_behind,
    index::{Change, Ended, Index},
    parse_guard::Located,
    refusals::{Absence, Refusals},
};
use futures::{Stream, StreamExt, TryStreamExt, future, stream};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource,
    api::ListParams,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, hash::Hash, time::Duration};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

/// Objects per page of a list. An object may have 1.5 MB, and a whole page is in memory, more than
/// once.
const PAGE: u32 = 25;

/// Objects per page for kinds that only we write and whose objects are small.
const PAGE_OF_OURS: u32 = 250;

/// Time limit for one list.
const TURN: Duration = Duration::from_secs(30);

/// Lists take turns, so that there is only one page in memory at a time however many kinds are
/// watched.
static LISTING: Semaphore = Semaphore::const_new(1);

/// Watches one kind forever: fills the index, and reports each change. An object that is too large
/// to be kept is reported as one that cannot be parsed.
///
/// # Errors
///
/// When the watch ends, which it never should.
pub async fn follow<K, Key>(
    client: &Client,
    index: &Index<K, Key>,
    on_change: impl FnMut(Change<'_, K>),
) -> Result<(), Ended>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    Key: Eq + Hash,
{
    follow_selected(client, index, "", on_change).await
}

/// Like [`follow`], for objects whose labels match `selector`; the empty one matches all.
///
/// # Errors
///
/// When the watch ends, which it never should.
pub async fn follow_selected<K, Key>(
    client: &Client,
    index: &Index<K, Key>,
    selector: &str,
    mut on_change: impl FnMut(Change<'_, K>),
) -> Result<(), Ended>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    Key: Eq + Hash,
{
    let api = Api::<Located<K>>::all(client.clone());
    let config = watcher::Config::default().page_size(PAGE);
    let config = if selector.is_empty() { config } else { config.labels(selector) };
    let params = ListParams::default();
    loop {
        let events = by_config(api.clone(), config.clone()).map_ok(guarded).boxed();
        tokio::select! {
            ended = index.follow_with(events, &mut on_change) => ended?,
            () = Box::pin(until_behind(&api, &params, index)) => {}
        }
    }
}

/// Objects of one namespace whose fields match a selector.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    /// Their namespace.
    pub namespace: &'a str,
    /// The selector.
    pub fields: &'a str,
}

/// Like [`follow`], for a selection of the objects.
///
/// # Errors
///
/// When the watch ends, which it never should.
pub async fn follow_fields<K, Key>(
    client: &Client,
    index: &Index<K, Key>,
    Selection { namespace, fields }: Selection<'_>,
    mut on_change: impl FnMut(Change<'_, K>),
) -> Result<(), Ended>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + 'static,
    Key: Eq + Hash,
{
    let api = Api::<Located<K>>::namespaced(client.clone(), namespace);
    let config = watcher::Config::default().page_size(PAGE).fields(fields);
    let params = ListParams::default().fields(fields);
    loop {
        let events = by_config(api.clone(), config.clone()).map_ok(guarded).boxed();
        tokio::select! {
            ended = index.follow_with(events, &mut on_change) => ended?,
            () = Box::pin(until_behind(&api, &params, index)) => {}
        }
    }
}

/// Watches a kind that anybody may fill: its list is read in small pages, one at a time in the
/// whole process.
pub fn watch_in_pages<K>(api: Api<K>) -> impl Stream<Item = watcher::Result<Event<K>>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    in_pages(api, PAGE)
}

/// Watches a kind of ours that may not exist, because the program that writes it need not be
/// installed. The stream ends with the error by which the API server reports that ([`absence`]).
pub fn watch_if_served<K>(
    client: &Client,
) -> impl Stream<Item = watcher::Result<Event<DeserializeGuard<K>>>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let events = in_pages(Api::<Located<K>>::all(client.clone()), PAGE_OF_OURS);
    until_absent(events.map_ok(guarded))
}

/// Follows a kind that need not be installed, forever, and so never returns. Where the API server does not
/// have it, or does not let us read it, there are none; `tell` is called whenever the reason for that changes.
/// What is known stays until that is certain ([`Refusals`]), and forever if we may no longer read it. After it
/// was installed it takes about a minute until it is followed.
///
/// # Errors
///
/// None: the type is that of the other ones.
pub async fn follow_if_served<K, Key>(
    client: &Client,
    index: &Index<K, Key>,
    mut on_change: impl FnMut(Change<'_, K>),
    tell: impl Fn(Option<Absence>),
) -> Result<(), Ended>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    Key: Eq + Hash,
{
    let (api, params) = (Api::<Located<K>>::all(client.clone()), ListParams::default());
    let mut refusals = Refusals::default();
    loop {
        let mut why = None;
        let events = watch_if_served::<K>(client).take_while(|event| {
            refusals.note(event);
            why = event.as_ref().err().and_then(absence);
            future::ready(why.is_none())
        });
        let is_to_be_listed = tokio::select! {
            ended = index.follow_with(events, &mut on_change) => ended.is_ok(),
            () = Box::pin(until_behind(&api, &params, index)) => true,
        };
        if is_to_be_listed {
            continue;
        }
        // It ends when there is nothing to be watched.
        if refusals.judge(&K::kind(&()), why, !index.is_empty(), &tell) {
            let none = [Event::<DeserializeGuard<K>>::Init, Event::InitDone].map(Ok);
            index.follow_with(stream::iter(none), &mut on_change).await.ok();
        } else {
            index.keep();
        }
        sleep(refusals.pause(index.is_ready())).await;
    }
}

fn in_pages<K>(api: Api<K>, page: u32) -> impl Stream<Item = watcher::Result<Event<K>>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    by_config(api, watcher::Config::default().page_size(page))
}

fn by_config<K>(
    api: Api<K>,
    config: watcher::Config,
) -> impl Stream<Item = watcher::Result<Event<K>>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    by_turns(watcher::watcher(api, config)).default_backoff()
}

/// Ends after the first error that means that there is nothing to watch.
fn until_absent<T>(
    events: impl Stream<Item = watcher::Result<T>>,
) -> impl Stream<Item = watcher::Result<T>> {
    stream::unfold(Some(Box::pin(events)), |events| async move {
        let mut events = events?;
        let event = events.next().await?;
        let is_over = matches!(&event, Err(error) if absence(error).is_some());
        Some((event, (!is_over).then_some(events)))
    })
}

/// Whether an error of a watch means that there is nothing to watch.
pub fn absence(error: &watcher::Error) -> Option<Absence> {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))
    | watcher::Error::WatchFailed(kube::Error::Api(status))
    | watcher::Error::WatchError(status)) = error
    else {
        return None;
    };
    match status.code {
        404 => Some(Absence::NotServed),
        403 => Some(Absence::Forbidden),
        _ => None,
    }
}

/// Waits for its turn before each request of a list, but not while it watches.
fn by_turns<K>(
    events: impl Stream<Item = watcher::Result<Event<K>>>,
) -> impl Stream<Item = watcher::Result<Event<K>>> {
    stream::unfold((Box::pin(events), true), |(mut events, is_listing)| async move {
        let turn = if is_listing { LISTING.acquire().await.ok() } else { None };
        let in_turn = match &turn {
            Some(_) => timeout(TURN, events.next()).await.ok(),
            None => Some(events.next().await),
        };
        drop(turn);
        let event = match in_turn {
            Some(event) => event?,
            // One that gets no answer does not delay the others.
            None => events.next().await?,
        };
        let is_listing = match &event {
            Ok(Event::Init | Event::InitApply(_)) => true,
            Ok(Event::InitDone | Event::Apply(_) | Event::Delete(_)) => false,
            Err(_) => is_listing,
        };
        Some((event, (events, is_listing)))
    })
}

fn guarded<K>(event: Event<Located<K>>) -> Event<DeserializeGuard<K>> {
    match event {
        Event::Init => Event::Init,
        Event::InitApply(Located(object)) => Event::InitApply(object),
        Event::InitDone => Event::InitDone,
        Event::Apply(Located(object)) => Event::Apply(object),
        Event::Delete(Located(object)) => Event::Delete(object),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ApiServer, list};
    use futures::FutureExt;
    use http::StatusCode;
    use k8s_openapi::api::core::v1::Node;
    use kube::core::Status;
    use std::cell::Cell;
    use tokio::sync::Mutex;

    /// The turn to list is one for the process: a test that waits for that of another one, by a clock that jumps
    /// ahead, would see none.
    static ALONE: Mutex<()> = Mutex::const_new(());

    #[tokio::test]
    async fn a_kind_that_is_not_served_or_not_to_be_seen_ends_its_watch_and_a_failure_does_not() {
        let refused = |code| {
            let status = Status { code, ..Status::default() };
            watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
        };
        for (code, passes) in [(500, 3), (410, 3), (404, 2), (403, 2)] {
            let events = [Ok(Event::<()>::Init), Err(refused(code)), Ok(Event::InitDone)];
            let seen: Vec<_> = until_absent(stream::iter(events)).collect().await;
            assert_eq!(seen.len(), passes, "{code}");
        }
        assert_eq!(absence(&refused(404)), Some(Absence::NotServed));
        assert_eq!(absence(&refused(403)), Some(Absence::Forbidden));
    }

    #[tokio::test(start_paused = true)]
    async fn objects_that_may_not_be_read_for_a_while_are_not_gone() {
        let _alone = ALONE.lock().await;
        let (server, index) = (ApiServer::default(), Index::<Node, ()>::new(|_| vec![]));
        let (client, told) = (server.client("default"), Cell::new(None));
        list(&index, [node("a")]).await;
        index.doubt();
        let tell = |why| told.set(why);
        server.fail(Some(StatusCode::FORBIDDEN));
        let follow = follow_if_served(&client, &index, |_| {}, tell);
        assert!(timeout(Duration::from_hours(1), follow).await.is_err());
        assert_eq!((index.len(), told.get()), (1, Some(Absence::Forbidden)));
        assert!(index.listed().now_or_never().is_some(), "nobody waits for what is not to be had");

        server.fail(None);
        let follow = follow_if_served(&client, &index, |_| {}, tell);
        assert!(timeout(Duration::from_secs(1), follow).await.is_err());
        assert_eq!(
            index.len(),
            1,
            "this server does not have the kind: that may be a mistake, too"
        );
        let follow = follow_if_served(&client, &index, |_| {}, tell);
        assert!(timeout(Duration::from_mins(5), follow).await.is_err());
        assert_eq!((index.len(), told.get()), (0, Some(Absence::NotServed)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_not_read_a_kind_starts_without_it_after_a_moment() {
        let _alone = ALONE.lock().await;
        let (server, index) = (ApiServer::default(), Index::<Node, ()>::new(|_| vec![]));
        server.fail(Some(StatusCode::FORBIDDEN));
        let client = server.client("default");
        let follow = follow_if_served(&client, &index, |_| {}, |_| {});
        assert!(timeout(Duration::from_secs(1), follow).await.is_err());
        assert!(!index.is_ready());
        let follow = follow_if_served(&client, &index, |_| {}, |_| {});
        assert!(timeout(Duration::from_secs(15), follow).await.is_err());
        assert!(index.is_ready());
    }

    fn node(name: &str) -> Node {
        let mut node = Node::default();
        node.metadata.name = Some(name.to_owned());
        node
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_is_not_answered_keeps_no_other_waiting() {
        let _alone = ALONE.lock().await;
        let silent = by_turns(stream::pending::<watcher::Result<Event<()>>>());
        let answered = by_turns(stream::iter([Ok(Event::Init), Ok(Event::<()>::InitDone)]));
        let (mut silent, mut answered) = (Box::pin(silent), Box::pin(answered));
        assert!(futures::poll!(silent.next()).is_pending());
        let all = async {
            let mut seen = 0;
            while answered.next().await.is_some() {
                seen += 1;
            }
            seen
        };
        tokio::select! {
            _ = silent.next() => unreachable!("it is never answered"),
            seen = timeout(TURN * 2, all) => assert_eq!(seen, Ok(2)),
        }
    }
}
