//! Secret hashes of one VM. A fingerprint of key and API identifies a cached key, under a secret of this VM. A tag of
//! an application's id determines its shard, under a secret of the VM that built the policy.
//!
//! Both are SipHash-2-4 with 128 bits, which takes a tenth of the time of SHA-256 for a key of usual length. Nobody
//! else knows the secret, so nobody can search for a key with the fingerprint of another. A guessed fingerprint is that
//! of one of the 4,096 cached keys with a probability of 2^-116. Fingerprints never leave the VM, and look-ups in the
//! policy use digests only.

use std::fmt;

/// The secret for the fingerprints of one VM: 16 random bytes.
#[derive(Clone, Copy)]
pub struct FingerprintKey(u64, u64);

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey(hidden)")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub u64, pub u64);

impl FingerprintKey {
    /// `random` must come from an unpredictable source.
    pub const fn new(random: [u8; 16]) -> Self {
        let number = u128::from_le_bytes(random);
        Self(low(number), low(number >> 64))
    }

    /// The fingerprint of a key, as its client sends it, and the API with this number. The key's length and the number
    /// come first, so that no two pairs give the same input.
    pub(crate) fn of(self, key: &[u8], api: u32) -> Fingerprint {
        hash(self, (key.len() as u64) << 32 | u64::from(api), key)
    }
}

/// The secret for the tags of applications in a store. Without a secret, an attacker could choose ids that all have the
/// same tag or belong to the same shard, so that finding one of them is as slow as reading all.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct TagKey(u64, u64);

impl fmt::Debug for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TagKey(hidden)")
    }
}

impl TagKey {
    /// Size in the manifest.
    pub const BYTES: usize = 16;

    /// Derives the tag key of a generation from the VM's secret. If the host gives no random bytes there is no secret.
    /// Then anybody who knows how often a policy was built can predict the tags.
    pub fn new(secret: Option<FingerprintKey>, generation: u64) -> Self {
        let secret = secret.unwrap_or(FingerprintKey(0, 0));
        let Fingerprint(low, high) = hash(secret, generation, b"tags of applications");
        Self(low, high)
    }

    /// The tag of an application.
    pub fn of(self, id: &[u8]) -> u32 {
        let [a, b, c, d, ..] = hash(FingerprintKey(self.0, self.1), id.len() as u64, id).0.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// The form in the manifest.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        (u128::from(self.1) << 64 | u128::from(self.0)).to_le_bytes()
    }

    /// Reads the form in the manifest.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let number = u128::from_le_bytes(bytes);
        Self(low(number), low(number >> 64))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "only the low half is needed")]
const fn low(number: u128) -> u64 {
    number as u64
}

/// The next eight bytes, and the bytes after them. The last word is padded with zeros; the length of the text is hashed
/// elsewhere.
fn next_word(bytes: &[u8]) -> (u64, &[u8]) {
    match bytes.split_first_chunk() {
        Some((word, rest)) => (u64::from_le_bytes(*word), rest),
        None => (bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)), &[]),
    }
}

/// SipHash of a word and the bytes after it. One shared function, not inlined, so that its state stays in registers.
#[inline(never)]
fn hash(key: FingerprintKey, first: u64, bytes: &[u8]) -> Fingerprint {
    let mut sip = Sip::new(key);
    sip.take_in(first, bytes);
    sip.finish()
}

struct Sip(u64, u64, u64, u64);

impl Sip {
    fn new(FingerprintKey(low, high): FingerprintKey) -> Self {
        // "somepseudorandomlygeneratedbytes", as its authors define it. 0xee selects 128 bits.
        Self(
            low ^ 0x736f_6d65_7073_6575,
            high ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            low ^ 0x6c79_6765_6e65_7261,
            high ^ 0x7465_6462_7974_6573,
        )
    }

    #[inline(always)]
    fn round(&mut self) {
        let Self(a, b, c, d) = self;
        *a = a.wrapping_add(*b);
        *c = c.wrapping_add(*d);
        *b = b.rotate_left(13) ^ *a;
        *d = d.rotate_left(16) ^ *c;
        *a = a.rotate_left(32).wrapping_add(*d);
        *c = c.wrapping_add(*b);
        *b = b.rotate_left(17) ^ *c;
        *d = d.rotate_left(21) ^ *a;
        *c = c.rotate_left(32);
    }

    /// A word, and the bytes behind it: one loop, since each place that has these rounds is code that a request touches.
    #[inline(always)]
    fn take_in(&mut self, first: u64, mut bytes: &[u8]) {
        let mut word = first;
        loop {
            self.3 ^= word;
            self.round();
            self.round();
            self.0 ^= word;
            if bytes.is_empty() {
                return;
            }
            (word, bytes) = next_word(bytes);
        }
    }

    #[inline(always)]
    fn finish(mut self) -> Fingerprint {
        self.2 ^= 0xee;
        let first = self.half();
        self.1 ^= 0xdd;
        Fingerprint(first, self.half())
    }

    #[inline(always)]
    fn half(&mut self) -> u64 {
        for _ in 0..4 {
            self.round();
        }
        self.0 ^ self.1 ^ self.2 ^ self.3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: FingerprintKey = FingerprintKey(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);

    /// The lengths and hashes of 0, 1, 2, … under the key 0 to 15.
    const VECTORS: [(usize, u128); 10] = [
        (0, 0xa381_7f04_ba25_a8e6_6df6_7214_c755_0293),
        (1, 0xda87_c1d8_6b99_af44_3476_5911_9b22_fc45),
        (2, 0x8177_228d_a4a4_5dc7_fca3_8bde_f60a_ffe4),
        (7, 0xa1f1_ebbe_d8db_c153_c0b8_4aa6_1ff0_8239),
        (8, 0x3b62_a9ba_6258_f561_0f83_e264_f314_97b4),
        (9, 0x2644_9906_0ad9_baab_c47f_8b02_bb6d_71ed),
        (15, 0x5493_e999_33b0_a811_7e08_ec0f_97cf_c3d9),
        (16, 0x6ee2_a4ca_67b0_54bb_fd33_15bf_8523_0577),
        (31, 0x2939_b018_3223_fafc_1723_de4f_52c4_3d35),
        (63, 0x5150_d177_2f50_834a_503e_069a_973f_bd7c),
    ];

    /// SipHash of bytes, as its definition ends them: with the low byte of their count.
    fn siphash(bytes: &[u8]) -> [u8; 16] {
        let mut message = bytes.to_vec();
        message.resize(bytes.len() | 7, 0);
        message.push(bytes.len() as u8);
        let (first, rest) = next_word(&message);
        let Fingerprint(first, second) = hash(KEY, first, rest);
        let mut hash = [0; 16];
        hash[..8].copy_from_slice(&first.to_le_bytes());
        hash[8..].copy_from_slice(&second.to_le_bytes());
        hash
    }

    #[test]
    fn it_computes_the_siphash_of_its_authors() {
        let bytes: Vec<u8> = (0..64).collect();
        for (length, expected) in VECTORS {
            assert_eq!(u128::from_be_bytes(siphash(&bytes[..length])), expected, "{length} bytes");
        }
    }

    #[test]
    fn no_two_pairs_of_key_and_api_read_the_same() {
        let texts = ["", "\0", "a", "aa", "aaaaaaa", "aaaaaaaa", "aaaaaaaa\0", "aaaaaaaaa", "aaaaaaaaaaaaaaaa", "b"];
        let mut seen: Vec<Fingerprint> = Vec::new();
        for key in texts {
            for api in [0, 1, 2, 8, 0x6161, u32::MAX] {
                let fingerprint = KEY.of(key.as_bytes(), api);
                assert!(!seen.contains(&fingerprint), "{key:?} {api}");
                seen.push(fingerprint);
            }
        }
    }

    #[test]
    fn it_depends_on_every_byte_of_a_key_and_on_their_order() {
        for length in 1..=24 {
            let key: Vec<u8> = (1..=24).take(length).collect();
            let expected = KEY.of(&key, 1);
            for place in 0..length {
                let mut other = key.clone();
                other[place] ^= 1;
                assert_ne!(KEY.of(&other, 1), expected, "byte {place} of {length}");
                other[place] ^= 1;
                other.swap(place, 0);
                assert!(place == 0 || KEY.of(&other, 1) != expected, "bytes 0 and {place} of {length}");
            }
        }
    }

    #[test]
    fn it_depends_on_every_byte_of_its_secret() {
        let of = |random| FingerprintKey::new(random).of(b"key", 1);
        for place in 0..16 {
            let mut random = [7; 16];
            random[place] = 8;
            assert_ne!(of(random), of([7; 16]), "{place}");
        }
    }
}
