//! What a vector must do to be a lane of messages.

/// Bytes that one permutation absorbs.
pub(super) const RATE: usize = 136;

/// Words of 64 bits side by side, made from a token that says that this CPU has their instructions.
pub(super) trait Lanes: Copy {
    /// Proof that this CPU has the instructions.
    type Token: Copy;
    /// Words of one vector.
    const COUNT: usize;
    /// From `COUNT` words at `first` of each message: the vector of first words, of second words, ….
    fn columns(token: Self::Token, messages: &[Padded; 8], first: usize) -> [Self; 8];
    fn splat(token: Self::Token, word: u64) -> Self;
    fn word(self, lane: usize) -> u64;
    fn xor(self, other: Self) -> Self;
    /// `self ^ b ^ c`.
    fn xor_both(self, b: Self, c: Self) -> Self;
    /// `self ^ (!b & c)`.
    fn chi(self, b: Self, c: Self) -> Self;
    fn rotated(self, left: u32) -> Self;
}

/// What two permutations absorb, and what a vector reads after it.
pub(super) const PADDED_BYTES: usize = 2 * RATE + 64;

/// A message as it is absorbed: the tag, the body, 0x01, zeros, and 0x80 in the last byte.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Padded(pub(super) [u8; PADDED_BYTES]);
