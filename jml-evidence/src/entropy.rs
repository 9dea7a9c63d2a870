//! Randomness as an argument: nonces, salts and pseudonyms.

/// A source of bytes that nobody can guess.
pub trait Entropy: Send + Sync {
    /// Fills a buffer.
    fn fill(&mut self, buffer: &mut [u8]);
}

/// The operating system's random numbers.
#[cfg(feature = "fs")]
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit")]
pub struct OsEntropy;

#[cfg(feature = "fs")]
impl Entropy for OsEntropy {
    /// # Panics
    /// When the operating system gives no randomness: evidence without it would be guessable, so there
    /// is nothing to go on with.
    #[expect(clippy::panic, reason = "guessable evidence is worse than none")]
    fn fill(&mut self, buffer: &mut [u8]) {
        if let Err(error) = getrandom::fill(buffer) {
            panic!("the operating system gives no randomness: {error}");
        }
    }
}
