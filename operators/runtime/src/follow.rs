use crate::{
    guard::Located,
    index::{Change, Ended, Index},
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use kube::{
    Api, Client, Resource,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, hash::Hash, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

/// Objects in one answer to a list. An object may have 1.5 MB, and an answer is in memory as a
/// whole, more than once.
const PAGE: u32 = 25;

/// How long one may take its turn.
const TURN: Duration = Duration::from_secs(30);

/// Lists take turns, so that there is one such answer at a time however many kinds are followed.
static LISTING: Semaphore = Semaphore::const_new(1);

/// Follows one kind for ever: fills the index, and tells of each change. `trim` takes away what
/// nobody here reads. An object that is too large to be kept is told as one that does not parse.
///
/// # Errors
///
/// When the watch ends, which it does not by itself.
pub async fn follow<K, Key>(
    client: &Client,
    index: &Index<K, Key>,
    trim: fn(&mut K),
    on_change: impl FnMut(Change<'_, K>),
) -> Result<(), Ended>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    Key: Eq + Hash,
{
    let api = Api::<Located<K>>::all(client.clone());
    let events = watch_in_pages(api)
        .map_ok(guarded)
        .modify(move |object| {
            if let Ok(object) = &mut object.0 {
                trim(object);
            }
        })
        .boxed();
    index.follow_with(events, on_change).await
}

/// Watches a kind that anybody may fill: its list comes in small pages, one at a time in the whole
/// process.
pub fn watch_in_pages<K>(api: Api<K>) -> impl Stream<Item = watcher::Result<Event<K>>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = watcher::Config::default().page_size(PAGE);
    by_turns(watcher::watcher(api, config)).default_backoff()
}

/// Waits for its turn before each request of a list, and for nothing while it watches.
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
            // One that is not answered keeps nobody else waiting.
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

    #[tokio::test(start_paused = true)]
    async fn a_list_that_is_not_answered_keeps_no_other_waiting() {
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
