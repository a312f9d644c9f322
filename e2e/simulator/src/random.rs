//! Reproducible random numbers.

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, and good enough to make machines differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The stream of one machine of one fleet.
    pub(super) fn of(seed: u64, index: u32, stream: u64) -> Self {
        let mut random = Self(seed ^ stream.rotate_left(32));
        random.0 = random.next() ^ u64::from(index);
        random.next();
        random
    }

    /// The next number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of these; the slice must not be empty.
    pub(super) fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        let len = from.len() as u64;
        from[usize::try_from(self.next() % len).unwrap_or_default()]
    }
}
