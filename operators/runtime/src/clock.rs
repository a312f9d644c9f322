//! A clock that nobody can set, and that continues while the machine sleeps; detection of changes of
//! the wall clock; and the clock of the API server.

use http::{Request, StatusCode, header::DATE};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use kube::{Client, client::Body};
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Smaller differences are ignored: the two clocks are not read at the same moment, and one of them
/// is adjusted gradually.
const LEAST: SignedDuration = SignedDuration::from_secs(2);

/// Time since the machine was booted. Only differences are meaningful.
pub fn since_boot() -> Duration {
    // Linux has had this clock since 2.6.39; without it nothing ever counts as fresh.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::MAX, Duration::from)
}

/// The time by the API server: when it made an answer (RFC 9110, section 6.6.1), to the second. Everybody may
/// ask for the version. `None` if it does not say, or a proxy answers in its place, by a clock of its own; it may take
/// any time to answer.
pub async fn of_api_server(client: &Client) -> Option<Timestamp> {
    let request = Request::get("/version").body(Body::empty()).ok()?;
    let answer = client.send(request).await.ok()?;
    let refusals = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
    if !answer.status().is_success() && !refusals.contains(&answer.status()) {
        return None;
    }
    let date = answer.headers().get(DATE)?.to_str().ok()?;
    rfc2822::DateTimeParser::new().parse_timestamp(date).ok()
}

/// The wall clock as it was when this was made, and as it goes on from there without being set.
#[derive(Clone, Copy, Debug)]
pub struct MonotonicClock {
    wall: Timestamp,
    boot: Duration,
}

impl Default for MonotonicClock {
    fn default() -> Self {
        Self { wall: Timestamp::now(), boot: since_boot() }
    }
}

impl MonotonicClock {
    /// The time by it.
    pub fn now(&self) -> Timestamp {
        self.at(since_boot())
    }

    fn at(&self, boot: Duration) -> Timestamp {
        let since = SignedDuration::try_from(boot.saturating_sub(self.boot));
        let since = since.unwrap_or(SignedDuration::MAX);
        self.wall.saturating_add(since).unwrap_or(Timestamp::MAX)
    }
}

/// Detects that the wall clock was set.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    /// How much the wall clock is ahead of the other one.
    ahead: SignedDuration,
}

impl Default for Steps {
    fn default() -> Self {
        Self { ahead: ahead(Timestamp::now(), since_boot()) }
    }
}

impl Steps {
    /// By how much the wall clock was set since the last call, if it was.
    pub fn look(&mut self) -> Option<SignedDuration> {
        self.look_at(Timestamp::now(), since_boot())
    }

    fn look_at(&mut self, wall: Timestamp, boot: Duration) -> Option<SignedDuration> {
        let now = ahead(wall, boot);
        let by = now.saturating_sub(self.ahead);
        if by.abs() < LEAST {
            return None;
        }
        self.ahead = now;
        Some(by)
    }
}

fn ahead(wall: Timestamp, boot: Duration) -> SignedDuration {
    let boot = SignedDuration::try_from(boot).unwrap_or(SignedDuration::MAX);
    wall.as_duration().saturating_sub(boot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;
    use std::convert::Infallible;

    #[tokio::test]
    async fn a_proxy_in_place_of_the_api_server_does_not_say_what_time_it_is() {
        let asked = async |status: StatusCode| {
            let service = tower::service_fn(move |_: Request<Body>| async move {
                let answer = Response::builder().status(status);
                let answer = answer.header(DATE, "Thu, 01 Jan 2026 12:00:00 GMT");
                Ok::<_, Infallible>(answer.body(Body::empty()).unwrap())
            });
            of_api_server(&Client::new(service, "default")).await
        };
        let told = Some("2026-01-01T12:00:00Z".parse::<Timestamp>().unwrap());
        for status in [StatusCode::OK, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
            assert_eq!(asked(status).await, told, "{status}");
        }
        for status in [StatusCode::NOT_FOUND, StatusCode::FOUND, StatusCode::BAD_GATEWAY] {
            assert_eq!(asked(status).await, None, "{status}");
        }
    }

    #[test]
    fn a_clock_that_nobody_sets_goes_on_by_the_time_since_boot() {
        let wall = Timestamp::from_second(1_000_000).unwrap();
        let steady = MonotonicClock { wall, boot: Duration::from_secs(100) };
        let at = |boot| steady.at(boot).as_second();
        assert_eq!(at(Duration::from_secs(100)), 1_000_000);
        assert_eq!(at(Duration::from_secs(3700)), 1_003_600);
        assert_eq!(at(Duration::from_secs(99)), 1_000_000, "it never goes back");
        assert_eq!(steady.at(Duration::MAX), Timestamp::MAX);
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_once_and_one_that_goes_on_is_not() {
        let at = |wall: i64, boot: u64| {
            (Timestamp::from_second(wall).unwrap(), Duration::from_secs(boot))
        };
        let (wall, boot) = at(1_000_000, 100);
        let mut steps = Steps { ahead: ahead(wall, boot) };
        let mut look = |(wall, boot)| steps.look_at(wall, boot).map(|by| by.as_secs());
        assert_eq!(look(at(1_000_050, 150)), None);
        assert_eq!(look(at(1_000_151, 250)), None, "corrected by a second");
        assert_eq!(look(at(1_003_750, 250)), Some(3600));
        assert_eq!(look(at(1_003_760, 260)), None);
        assert_eq!(look(at(900_000, 300)), Some(-103_800));
        assert_eq!(look(at(900_010, 310)), None);
    }
}
