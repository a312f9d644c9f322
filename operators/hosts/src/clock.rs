//! The clock of the API server: what is removed by ours alone does not come back.

use axum::http::{Request, header::DATE};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use kube::{Client, client::Body};
use std::time::Duration;
use tokio::time::timeout;

/// By how much two clocks may differ.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// How long the API server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why our clock is not relied on.
#[derive(Debug, thiserror::Error)]
pub enum Unsure {
    /// It is another than that of the API server.
    #[error("the clock of this server differs by {0} s from that of the API server: set it")]
    Skewed(i64),
    /// The API server does not say what time it is.
    #[error("the API server did not say what time it is")]
    Unknown,
}

/// Compares our clock with that of the API server.
///
/// # Errors
///
/// If they differ by minutes, or the API server does not answer.
pub(crate) async fn is_right(client: &Client, now: Timestamp) -> Result<(), Unsure> {
    let theirs = timeout(PATIENCE, theirs(client)).await.ok().flatten().ok_or(Unsure::Unknown)?;
    let differs = now.duration_since(theirs);
    if differs.abs() > SKEW { Err(Unsure::Skewed(differs.as_secs())) } else { Ok(()) }
}

/// When an answer was made (RFC 9110, section 6.6.1). Everybody may ask for the version.
async fn theirs(client: &Client) -> Option<Timestamp> {
    let request = Request::get("/version").body(Body::empty()).ok()?;
    let answer = client.send(request).await.ok()?;
    let date = answer.headers().get(DATE)?.to_str().ok()?;
    rfc2822::DateTimeParser::new().parse_timestamp(date).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Response;
    use std::convert::Infallible;

    #[tokio::test]
    async fn a_server_whose_clock_is_wrong_removes_nothing() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let judged = async |date: Option<&'static str>| {
            let service = tower::service_fn(move |_: Request<Body>| async move {
                let answer = Response::builder();
                let answer = date.map_or(Response::builder(), |date| answer.header(DATE, date));
                Ok::<_, Infallible>(answer.body(Body::empty()).unwrap())
            });
            let judged = is_right(&Client::new(service, "default"), now).await;
            judged.map_err(|unsure| unsure.to_string())
        };
        assert_eq!(judged(Some("Thu, 01 Jan 2026 11:58:00 GMT")).await, Ok(()));
        for (date, says) in [
            (Some("Wed, 31 Dec 2025 11:00:00 GMT"), "differs by 90000 s"),
            (Some("Thu, 01 Jan 2026 12:06:00 GMT"), "differs by -360 s"),
            (Some("soon"), "did not say"),
            (None, "did not say"),
        ] {
            let error = judged(date).await.unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
