//! Repeatable pseudo-random numbers.
//!
//! No real randomness is used, so that a ledger's history can be replayed from its journal.

/// A small generator, `SplitMix64`; the same seed gives the same numbers.
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number from 0 up to but not including `bound`, which must not be 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The upper half is the better one, and fits every platform's usize.
        (mixed >> 32) as usize % bound
    }
}
