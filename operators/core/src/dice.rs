//! Reproducible pseudorandom numbers for tests.

/// A generator (Knuth, MMIX) that gives the same numbers on every run, from a seed.
#[derive(Debug)]
pub struct SeededRng(pub u64);

impl SeededRng {
    /// A number below `sides`.
    ///
    /// # Panics
    ///
    /// If a number of 31 bits does not fit into a `usize`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits fit") % sides
    }
}
