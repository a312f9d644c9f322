//! Events of BootTokens and Hosts.
//!
//! They are published by a task of their own, so that a refusal takes the same time whether the token exists or
//! not; and rarely enough that no stranger floods the cluster with them.

use crate::remembered::{Done, Remembered};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Resource, ResourceExt,
    runtime::events::{EventType, Recorder},
};
use metal_base::Locked;
use metal_runtime::report::{event, publish};
use std::{collections::HashMap, sync::Mutex, time::Duration};
use tokio::{
    sync::{
        Mutex as AsyncMutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::Instant,
};

/// How many notices may be queued.
const WAITING: usize = 256;
/// How many of one namespace.
const OF_ONE: usize = WAITING / 4;
/// Each object gets at most one event of each reason in this time.
const SELDOM: Duration = Duration::from_secs(10);

/// An event to be published.
#[derive(Debug)]
pub(crate) struct Notice {
    object: ObjectReference,
    type_: EventType,
    reason: &'static str,
    note: String,
}

/// The events that have yet to be published.
pub(crate) struct Notices {
    sender: Sender<Notice>,
    receiver: AsyncMutex<Receiver<Notice>>,
    /// How many are queued for each namespace.
    waiting: Mutex<HashMap<String, usize>>,
    /// When each was last published.
    last: Mutex<Remembered>,
}

impl Default for Notices {
    fn default() -> Self {
        let (sender, receiver) = channel(WAITING);
        let (waiting, last) = (Mutex::default(), Mutex::default());
        Self { sender, receiver: AsyncMutex::new(receiver), waiting, last }
    }
}

impl Notices {
    /// Queues an event about an object; best effort, because the status is the record.
    pub(crate) fn publish_event<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        type_: EventType,
        reason: &'static str,
        note: String,
    ) {
        let (namespace, uid) = (object.namespace().unwrap_or_default(), object.uid());
        if self.may(Done { namespace, uid: uid.unwrap_or_default(), what: reason }) {
            self.put(Notice { object: object.object_ref(&()), type_, reason, note });
        }
    }

    /// Queues a notice. If many are queued already, it is dropped.
    fn put(&self, notice: Notice) {
        let namespace = notice.object.namespace.clone().unwrap_or_default();
        let mut waiting = self.waiting.locked();
        let of_one = waiting.get(&namespace).copied().unwrap_or_default();
        if of_one < OF_ONE && self.sender.try_send(notice).is_ok() {
            waiting.insert(namespace, of_one + 1);
        }
    }

    /// A notice has left the queue.
    fn taken(&self, notice: &Notice) {
        let namespace = notice.object.namespace.as_deref().unwrap_or_default();
        let mut waiting = self.waiting.locked();
        match waiting.get_mut(namespace) {
            Some(of_one) if *of_one > 1 => *of_one -= 1,
            Some(_) | None => {
                waiting.remove(namespace);
            }
        }
    }

    fn may(&self, done: Done) -> bool {
        let mut last = self.last.locked();
        let is_over = |at: Instant| at.elapsed() >= SELDOM;
        last.make_room(&done.namespace, SELDOM, is_over);
        last.get(&done).is_none_or(is_over) && last.insert(done, Instant::now())
    }

    /// Publishes forever.
    pub(crate) async fn publish(&self, recorder: &Recorder) {
        let mut receiver = self.receiver.lock().await;
        while let Some(notice) = receiver.recv().await {
            self.taken(&notice);
            let Notice { object, type_, reason, note } = notice;
            let event = event(type_, reason, "Boot", &note);
            publish(recorder, &event, &object).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remembered::{OBJECTS, OF_ONE as REMEMBERED};
    use tokio::time::{advance, pause};

    fn done(namespace: &str, uid: &str, what: &'static str) -> Done {
        Done { namespace: namespace.to_owned(), uid: uid.to_owned(), what }
    }

    #[tokio::test]
    async fn the_same_is_told_of_an_object_only_so_often() {
        pause();
        let notices = Notices::default();
        let may = |uid, reason| notices.may(done("org", uid, reason));
        assert!(may("a", "Expired") && may("a", "Revoked") && may("b", "Expired"));
        assert!(!may("a", "Expired"));
        advance(SELDOM).await;
        assert!(may("a", "Expired"));
    }

    #[tokio::test]
    async fn a_crowd_of_objects_takes_bounded_room_and_is_not_looked_through_for_each_of_them() {
        pause();
        let notices = Notices::default();
        let told = |numbers: std::ops::Range<usize>| {
            let may = |number: &usize| notices.may(done("a", &number.to_string(), "Expired"));
            let told = numbers.filter(may).count();
            let (swept, left) = notices.last.lock().unwrap().state();
            (told, swept, left)
        };
        assert_eq!(told(0..REMEMBERED), (REMEMBERED, None, REMEMBERED), "there is room");
        let first = told(REMEMBERED..REMEMBERED + 1).1;
        assert!(first.is_some());
        advance(SELDOM / 2).await;
        assert_eq!(told(REMEMBERED..REMEMBERED + 1000), (0, first, REMEMBERED));
        for namespace in ["b", "c", "d", "e"] {
            for number in 0..OBJECTS {
                notices.may(done(namespace, &number.to_string(), "Expired"));
            }
        }
        assert_eq!(notices.last.lock().unwrap().state().1, OBJECTS);
        advance(SELDOM).await;
        let (told, swept, left) = told(REMEMBERED..REMEMBERED + 1000);
        assert!(swept > first && (told, left) == (1000, 1000), "{told} are told, {left} kept");
    }

    #[tokio::test]
    async fn what_is_told_of_one_organization_keeps_nothing_of_another_from_being_told() {
        pause();
        let notices = Notices::default();
        for number in 0..OBJECTS {
            notices.may(done("a", &number.to_string(), "Expired"));
        }
        assert!(notices.may(done("b", "1", "Expired")));
    }

    #[tokio::test]
    async fn notices_of_one_organization_leave_room_in_the_queue_for_those_of_another() {
        let notices = Notices::default();
        let put = |namespace: &str| {
            let namespace = Some(namespace.to_owned());
            let object = ObjectReference { namespace, ..ObjectReference::default() };
            let (reason, note) = ("Expired", String::new());
            notices.put(Notice { object, type_: EventType::Warning, reason, note });
        };
        (0..1000).for_each(|_| put("a"));
        put("b");
        let mut receiver = notices.receiver.lock().await;
        let mut taken = vec![];
        while let Ok(notice) = receiver.try_recv() {
            notices.taken(&notice);
            taken.push(notice.object.namespace.unwrap());
        }
        assert_eq!((taken.len(), taken.last().map(String::as_str)), (OF_ONE + 1, Some("b")));
        assert!(notices.waiting.lock().unwrap().is_empty(), "who has none is forgotten");
        drop(receiver);
        put("a");
        assert!(notices.receiver.lock().await.try_recv().is_ok());
    }
}
