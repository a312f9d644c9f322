//! Times in a status that have yet to come: they were recorded before the clock was set back, or by a
//! process whose clock is ahead. A deadline that counts from one would not come for as long, and a
//! boot window would stay open.

use super::turn::Turn;
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::condition;

/// How much the clocks of two processes may differ.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// What is recorded as beginning in the future begins now.
pub(super) fn begin_now(turn: &mut Turn<'_>) {
    let (now, status) = (turn.seen.now, &mut turn.new);
    let is_ahead = |time: &Time| time.0.duration_since(now) > SKEW;
    if let Some(pending) = status.pending.as_mut().filter(|it| is_ahead(&it.since)) {
        // The order of the two says whether the intent is older than the state.
        let state = status.state_since.as_mut();
        if let Some(state) = state.filter(|it| it.0 <= pending.since.0 && it.0 > now) {
            *state = Time(now);
        }
        pending.since = Time(now);
    }
    if let Some(window) = status.boot_window.as_mut().filter(|it| is_ahead(&it.opened)) {
        window.opened = Time(now);
        window.closes = Time(now + turn.settings.boot_window);
    }
    let media = |type_: &str| type_ == condition::MEDIUM_INSERTED;
    let medium = status.conditions.iter_mut().find(|it| media(&it.type_));
    if let Some(medium) = medium.filter(|it| is_ahead(&it.last_transition_time)) {
        medium.last_transition_time = Time(now);
    }
}
