//! A minimum speed for bodies. A timeout on silence is not enough, because a byte now and then
//! resets it.

use futures::{Stream, TryStreamExt, stream};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// At least this many bytes per window.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Bytes.
    pub bytes: usize,
    /// Length of a window. Only time spent waiting for the registry counts.
    pub window: Duration,
}

impl Default for Pace {
    /// Slower than any link that a machine could boot over.
    fn default() -> Self {
        Self { bytes: 120 << 10, window: Duration::from_secs(30) }
    }
}

impl Pace {
    /// Passes the pieces of a body on until they arrive too slowly.
    pub(super) fn watch<B, E>(
        self,
        pieces: impl Stream<Item = Result<B, E>>,
        too_slow: impl Fn() -> E,
    ) -> impl Stream<Item = Result<B, E>>
    where
        B: AsRef<[u8]>,
    {
        let start = (Box::pin(pieces), Duration::ZERO, 0_usize, too_slow);
        stream::try_unfold(start, move |(mut pieces, mut waited, mut got, too_slow)| async move {
            let since = Instant::now();
            let left = self.window.saturating_sub(waited);
            let Ok(next) = timeout(left, pieces.try_next()).await else { return Err(too_slow()) };
            let Some(piece) = next? else { return Ok(None) };
            waited += since.elapsed();
            got = got.saturating_add(piece.as_ref().len());
            if got >= self.bytes {
                (waited, got) = (Duration::ZERO, 0);
            }
            Ok(Some((piece, (pieces, waited, got, too_slow))))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{pause, sleep};

    const PACE: Pace = Pace { bytes: 100, window: Duration::from_secs(30) };

    async fn received(piece: usize, every: Duration) -> Result<usize, &'static str> {
        let pieces = stream::unfold(50, move |left: u32| async move {
            let next = left.checked_sub(1)?;
            sleep(every).await;
            Some((Ok(vec![0; piece]), next))
        });
        PACE.watch(pieces, || "too slow")
            .try_fold(0, async |sum, piece| Ok(sum + piece.len()))
            .await
    }

    #[tokio::test]
    async fn a_drip_ends_and_a_slow_line_does_not() {
        pause();
        assert_eq!(received(1, Duration::from_secs(20)).await, Err("too slow"));
        assert_eq!(received(1, Duration::from_secs(1)).await, Err("too slow"));
        assert_eq!(received(10, Duration::from_secs(2)).await, Ok(500));
        assert_eq!(received(1000, Duration::from_secs(29)).await, Ok(50_000));
        assert_eq!(received(1000, Duration::from_secs(31)).await, Err("too slow"));
    }
}
