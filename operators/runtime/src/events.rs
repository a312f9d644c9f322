//! Events: within the limits of the API server, and published as well as possible.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};
use metal_base::Chain;
use std::time::Duration;
use tokio::time::timeout;

/// Limit of an event's note in bytes; the API server refuses a longer one.
const NOTE: usize = 1024;
/// Limit of an event's reason and action, in bytes.
const WORD: usize = 128;
/// Time limit for publishing an event. Nothing else waits for longer because of one: not the worker, and
/// not the place among the writes in progress.
const PUBLISHING: Duration = Duration::from_secs(5);

/// An event whose texts are cut to the limits of the API server, as they may contain untrusted
/// text.
pub fn event(type_: EventType, reason: &str, action: &str, note: &str) -> Event {
    let cut = |text: &str, most| text[..text.floor_char_boundary(most)].to_owned();
    Event {
        type_,
        reason: cut(reason, WORD),
        note: Some(cut(note, NOTE)),
        action: cut(action, WORD),
        secondary: None,
    }
}

/// Publishes an event about an object; best effort, because the status is the record.
pub async fn publish(recorder: &Recorder, event: &Event, object: &ObjectReference) {
    match timeout(PUBLISHING, recorder.publish(event, object)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(error = %Chain(&error), "could not publish an event");
        }
        Err(_) => tracing::warn!("timed out publishing an event"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ApiServer;
    use kube::runtime::events::Reporter as Source;
    use tokio::time::Instant;

    #[test]
    fn texts_of_an_event_are_cut_to_what_the_api_server_takes() {
        for text in ["x".repeat(900_000), "é".repeat(450_000), "ぷ".repeat(300_000)] {
            let event = event(EventType::Warning, &text, &text, &text);
            let note = event.note.unwrap();
            assert!((1_021..=1_024).contains(&note.len()) && text.starts_with(&note));
            assert!(event.reason.len() <= 128 && event.action.len() <= 128);
        }
        assert_eq!(event(EventType::Normal, "A", "B", "c").note.as_deref(), Some("c"));
    }
    #[tokio::test(start_paused = true)]
    async fn an_event_that_the_api_server_does_not_take_holds_nothing_up_for_long() {
        let server = ApiServer::default();
        server.fall_silent();
        let recorder = Recorder::new(server.client("default"), Source::from("test"));
        let (event, begun) = (event(EventType::Normal, "A", "B", "c"), Instant::now());
        publish(&recorder, &event, &ObjectReference::default()).await;
        assert_eq!(begun.elapsed(), PUBLISHING);
    }
}
