//! Boot windows that were asked for, by a clock that nobody can set.
//!
//! A window says when it closes by the wall clock. If that is set back, the window would stay open
//! for longer, unless somebody closes it. So no window counts for longer than it was meant to last,
//! from the moment at which it was first asked for.

use jiff::{SignedDuration, Timestamp};
use metal_api::BootWindow;
use metal_base::Locked;
use metal_runtime::clock;
use std::{collections::HashMap, sync::Mutex, time::Duration};

/// Most servers that are remembered.
const MOST: usize = 1 << 16;

/// When the window of each server opened, and when it was first asked for.
#[derive(Debug, Default)]
pub(crate) struct Windows(Mutex<HashMap<String, (Timestamp, Duration)>>);

impl Windows {
    /// Whether the window of a server has not lasted longer than it was meant to.
    pub(crate) fn holds(&self, server: &str, window: &BootWindow) -> bool {
        self.holds_at(server, window, clock::since_boot())
    }

    fn holds_at(&self, server: &str, window: &BootWindow, now: Duration) -> bool {
        let (opened, closes) = (window.opened.0, window.closes.0);
        let mut asked = self.0.locked();
        if asked.len() >= MOST && !asked.contains_key(server) {
            asked.clear();
        }
        let first = asked.entry(server.to_owned()).or_insert((opened, now));
        if first.0 != opened {
            *first = (opened, now);
        }
        let lasted = SignedDuration::try_from(now.saturating_sub(first.1));
        lasted.is_ok_and(|lasted| lasted < closes.duration_since(opened))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use metal_api::ObjectReference;

    #[test]
    fn no_window_lasts_longer_because_the_clock_on_the_wall_is_set_back() {
        let (windows, minute) = (Windows::default(), Duration::from_mins(1));
        let start = Timestamp::from_second(2_000_000_000).unwrap();
        let first = window(start);
        assert!(windows.holds_at("a", &first, minute));
        assert!(windows.holds_at("a", &first, 30 * minute));
        assert!(!windows.holds_at("a", &first, 31 * minute));
        assert!(windows.holds_at("b", &first, 31 * minute), "another server");
        let next = window(start - SignedDuration::from_hours(1));
        assert!(
            windows.holds_at("a", &next, 32 * minute),
            "it boots again, after the clock was set"
        );
        assert!(!windows.holds_at("a", &next, 62 * minute));
    }

    #[test]
    fn windows_of_a_great_many_servers_are_bounded() {
        let (windows, window) = (Windows::default(), window(Timestamp::UNIX_EPOCH));
        for server in 0..=MOST {
            assert!(windows.holds_at(&server.to_string(), &window, Duration::ZERO));
        }
        assert!(windows.0.lock().unwrap().len() <= MOST);
    }

    /// A window of half an hour.
    fn window(opened: Timestamp) -> BootWindow {
        BootWindow {
            boot_configuration_ref: ObjectReference::new("tenant", "claim"),
            boot_configuration_uid: None,
            opened: Time(opened),
            closes: Time(opened + SignedDuration::from_mins(30)),
        }
    }
}
