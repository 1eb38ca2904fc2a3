//! Digests of keys, and hexadecimal digits. Nothing here knows where a key comes from.

use std::fmt;

use sha2::{Digest as _, Sha256, block_api::compress256};

/// The SHA-256 of a key's bytes. Policies, shared data and logs never contain more of a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        let Some(block) = only_block(bytes) else { return Self(Sha256::digest(bytes).into()) };
        let mut state = SHA256;
        compress256(&mut state, &[block]);
        let mut digest = [0; 32];
        for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        Self(digest)
    }

    /// Parses 64 hexadecimal digits of either case. Anything else gives `None`.
    pub fn from_hex(text: &str) -> Option<Self> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let pairs: &[[u8; 2]; 32] = pairs.try_into().ok().filter(|_| rest.is_empty())?;
        let mut digest = [0; 32];
        for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
            *byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
        }
        Some(Self(digest))
    }

    /// 64 lower-case hexadecimal digits.
    pub fn to_hex(self) -> String {
        self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|n| char::from_digit(n.into(), 16)).collect()
    }

    /// The first eight bytes as a number. The numbers are spread evenly.
    pub fn prefix(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// Initial state of SHA-256: the fractional parts of the square roots of the first eight primes.
const SHA256: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
/// Maximum length of a message whose padding (one byte for the first bit, eight bytes for the length) fits into one
/// block.
const BLOCK_ROOM: usize = 64 - 1 - 8;

/// The only block of a short message, padded for SHA-256. Nearly every key is short. `None` if the message needs
/// several blocks. The library's general code for any number of blocks would add a tenth to the time of a key's digest.
fn only_block(bytes: &[u8]) -> Option<[u8; 64]> {
    let length = u8::try_from(bytes.len()).ok().filter(|_| bytes.len() <= BLOCK_ROOM)?;
    let mut block = [0; 64];
    block.get_mut(..bytes.len())?.copy_from_slice(bytes);
    *block.get_mut(bytes.len())? = 0x80;
    // The length in bits. Only its last two bytes can be other than zero.
    let [.., high, low] = &mut block;
    [*high, *low] = (u16::from(length) << 3).to_be_bytes();
    Some(block)
}

/// The value of one hexadecimal digit of either case.
pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| digit.try_into().ok())
}

impl fmt::Debug for Digest {
    /// Shortened: enough to distinguish two digests in a test, too little to look one up.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}…", self.prefix())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_librarys_whatever_the_length() {
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(300).collect();
        for size in 0..=bytes.len() {
            let Digest(digest) = Digest::of(&bytes[..size]);
            assert_eq!(digest[..], Sha256::digest(&bytes[..size])[..], "{size} bytes");
        }
    }
}
