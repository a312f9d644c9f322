use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// `period`, up to a tenth longer or shorter, so that many who wait as long do not act at once.
pub fn jittered(period: Duration) -> Duration {
    let sample = RandomState::new().build_hasher().finish() % 1024;
    let sample = u32::try_from(sample).unwrap_or_default();
    period * 9 / 10 + period * sample / (5 * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_a_tenth_and_varies() {
        let period = Duration::from_secs(100);
        let drawn = [(); 64].map(|()| jittered(period));
        assert!(drawn.iter().all(|drawn| (90..110).contains(&drawn.as_secs())), "{drawn:?}");
        assert!(drawn.iter().any(|other| *other != drawn[0]));
    }
}
