//! Reads and writes packed bytes. Only this file splits them.
//!
//! Numbers are little-endian; lengths are variable (7 bits a byte). Reading past the end is [`Corrupt`]. A sealed value
//! begins with a checksum over its key and all bytes after the checksum, so that damage, truncation and a copy under
//! another key are detected. The checksum guards against accidents only: a program that can write shared data can also
//! write a valid checksum.

use super::Corrupt;

/// Takes bytes from the front.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Number of bytes that are left.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// All bytes that are left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes.
    pub fn next_bytes(&mut self, count: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Corrupt)?;
        self.rest = rest;
        Ok(taken)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (chunk, rest) = self.rest.split_first_chunk::<N>().ok_or(Corrupt)?;
        self.rest = rest;
        Ok(*chunk)
    }

    pub fn u8(&mut self) -> Result<u8, Corrupt> {
        Ok(u8::from_le_bytes(self.chunk()?))
    }

    pub fn u32(&mut self) -> Result<u32, Corrupt> {
        Ok(u32::from_le_bytes(self.chunk()?))
    }

    pub fn u64(&mut self) -> Result<u64, Corrupt> {
        Ok(u64::from_le_bytes(self.chunk()?))
    }

    /// A number of variable length.
    pub fn varint(&mut self) -> Result<u64, Corrupt> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit only.
            if bits.checked_shl(shift).is_none_or(|shifted| shifted >> shift != bits) {
                return Err(Corrupt);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Corrupt)
    }

    /// Bytes after their length.
    pub fn sized(&mut self) -> Result<&'a [u8], Corrupt> {
        let size = match self.rest.split_first() {
            // Fast path: nearly all lengths have one byte, and a look-up passes dozens of them.
            Some((&size, rest)) if size < 0x80 => {
                self.rest = rest;
                size.into()
            }
            _ => usize::try_from(self.varint()?).map_err(|_| Corrupt)?,
        };
        self.next_bytes(size)
    }

    /// Text after its length.
    pub fn text(&mut self) -> Result<&'a str, Corrupt> {
        std::str::from_utf8(self.sized()?).map_err(|_| Corrupt)
    }

    /// Bytes after their length, or nothing.
    pub fn optional_sized(&mut self) -> Result<Option<&'a [u8]>, Corrupt> {
        if self.flag()? { self.sized().map(Some) } else { Ok(None) }
    }

    /// Text, or nothing.
    pub fn optional_text(&mut self) -> Result<Option<&'a str>, Corrupt> {
        let bytes = self.optional_sized()?;
        bytes.map(std::str::from_utf8).transpose().map_err(|_| Corrupt)
    }

    /// A number, or nothing.
    pub fn optional_varint(&mut self) -> Result<Option<u64>, Corrupt> {
        if self.flag()? { self.varint().map(Some) } else { Ok(None) }
    }

    /// Zero or one.
    pub fn flag(&mut self) -> Result<bool, Corrupt> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Corrupt),
        }
    }

    /// An error if bytes are left.
    pub fn finish(self) -> Result<(), Corrupt> {
        if self.rest.is_empty() { Ok(()) } else { Err(Corrupt) }
    }
}

/// Appends values in the form that [`Reader`] reads.
pub trait Write {
    /// A number of variable length.
    fn put_varint(&mut self, value: u64);
    /// Bytes after their length.
    fn put_sized(&mut self, bytes: &[u8]);
    /// Bytes after their length, or nothing.
    fn put_optional_sized(&mut self, bytes: Option<&[u8]>);
    /// Text, or nothing.
    fn put_optional_text(&mut self, text: Option<&str>);
    /// A number, or nothing.
    fn put_optional_varint(&mut self, value: Option<u64>);
}

impl Write for Vec<u8> {
    fn put_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            // The low seven bits; the high bit says that more follow.
            self.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
            value >>= 7;
        }
        self.push(u8::try_from(value).unwrap_or(0));
    }

    fn put_sized(&mut self, bytes: &[u8]) {
        // A usize fits into 64 bits on every target of Rust.
        self.put_varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.extend_from_slice(bytes);
    }

    fn put_optional_sized(&mut self, bytes: Option<&[u8]>) {
        self.push(u8::from(bytes.is_some()));
        if let Some(bytes) = bytes {
            self.put_sized(bytes);
        }
    }

    fn put_optional_text(&mut self, text: Option<&str>) {
        self.put_optional_sized(text.map(str::as_bytes));
    }

    fn put_optional_varint(&mut self, value: Option<u64>) {
        self.push(u8::from(value.is_some()));
        if let Some(value) = value {
            self.put_varint(value);
        }
    }
}

/// Size of a checksum.
pub const CHECKSUM_BYTES: usize = 8;

/// The beginning of a value that is sealed later: room for the checksum.
pub fn unsealed() -> Vec<u8> {
    vec![0; CHECKSUM_BYTES]
}

/// Writes the checksum of a value that began as [`unsealed`].
pub fn seal(key: &[u8], value: &mut [u8]) {
    if let Some((head, body)) = value.split_first_chunk_mut::<CHECKSUM_BYTES>() {
        *head = checksum(key, body).to_le_bytes();
    }
}

/// Checks a sealed value. Returns a reader of the bytes after the checksum.
pub fn open<'a>(key: &[u8], value: &'a [u8]) -> Result<Reader<'a>, Corrupt> {
    let (head, body) = value.split_first_chunk::<CHECKSUM_BYTES>().ok_or(Corrupt)?;
    if u64::from_le_bytes(*head) != checksum(key, body) {
        return Err(Corrupt);
    }
    Ok(Reader::new(body))
}

fn checksum(key: &[u8], body: &[u8]) -> u64 {
    hash(hash(0, key), body)
}

/// Odd constants with many ones and zeros: the fractional parts of the golden ratio and of the square roots of 2, 3 and
/// 5.
const LANES: [u64; 4] = [0x9e37_79b9_7f4a_7c15, 0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b];

/// A hash that depends on every bit of `bytes`, on their order and on `seed`. It detects damage and spreads ids evenly.
/// It does not withstand an attacker who looks for two inputs with the same hash.
///
/// Each step reads 32 bytes, one word into each of four lanes that do not depend on each other. The operation of a lane
/// can be inverted, so a changed word always changes its lane, and the final step keeps every lane's change.
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let mut lanes = LANES.map(|lane| lane ^ seed.wrapping_add(length));
    let (blocks, rest) = bytes.as_chunks::<32>();
    for block in blocks {
        add_block(&mut lanes, block);
    }
    match bytes.last_chunk() {
        _ if rest.is_empty() => {}
        // Some of these bytes count a second time, so that none has to be copied.
        Some(last) => add_block(&mut lanes, last),
        None => {
            let mut last = [0; 32];
            if let Some(begin) = last.get_mut(..rest.len()) {
                begin.copy_from_slice(rest);
            }
            add_block(&mut lanes, &last);
        }
    }
    let ([a, b, c, d], [factor, ..]) = (lanes, LANES);
    mix([b, c, d].into_iter().fold(a, |state, lane| add_word(state, lane.to_le_bytes(), factor)))
}

// Written out, because the compiler does not unroll a loop over four lanes when it optimises for size. This saves a
// third of the time.
#[inline(always)]
fn add_block([a, b, c, d]: &mut [u64; 4], block: &[u8; 32]) {
    let ([v, w, x, y], _) = block.as_chunks::<8>() else { return };
    let [e, f, g, h] = LANES;
    *a = add_word(*a, *v, e);
    *b = add_word(*b, *w, f);
    *c = add_word(*c, *x, g);
    *d = add_word(*d, *y, h);
}

#[inline(always)]
fn add_word(lane: u64, word: [u8; 8], factor: u64) -> u64 {
    (lane ^ u64::from_le_bytes(word)).wrapping_mul(factor).rotate_left(29)
}

/// Spreads each bit over all bits. Can be inverted.
fn mix(mut state: u64) -> u64 {
    state ^= state >> 32;
    state = state.wrapping_mul(0xd6e8_feb8_6659_fd93);
    state ^= state >> 29;
    state = state.wrapping_mul(0xa076_1d64_78bd_642f);
    state ^ state >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            bytes.put_varint(value);
            bytes.put_optional_text(Some("é"));
            bytes.put_optional_text(None);
            bytes.put_optional_varint(Some(value));
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.varint(), Ok(value));
            assert_eq!(reader.optional_text(), Ok(Some("é")));
            assert_eq!(reader.optional_text(), Ok(None));
            assert_eq!(reader.optional_varint(), Ok(Some(value)));
            assert_eq!(reader.finish(), Ok(()));
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_corrupt() {
        assert_eq!(Reader::new(&[0xff; 11]).varint(), Err(Corrupt));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).varint(), Err(Corrupt));
        assert_eq!(Reader::new(&[0x80]).varint(), Err(Corrupt));
        assert_eq!(Reader::new(&[5, 1]).sized(), Err(Corrupt));
        assert_eq!(Reader::new(&[1, 0xff]).text(), Err(Corrupt));
        assert_eq!(Reader::new(&[2]).flag(), Err(Corrupt));
        assert_eq!(Reader::new(&[2]).finish(), Err(Corrupt));
    }

    #[test]
    fn every_damage_of_a_sealed_value_is_noticed() {
        let mut value = unsealed();
        value.extend_from_slice(b"the body of a value, longer than one step");
        seal(b"key", &mut value);
        assert!(open(b"key", &value).is_ok());
        assert!(open(b"kez", &value).is_err(), "another key");
        for index in 0..value.len() {
            for bit in 0..8 {
                let mut damaged = value.clone();
                damaged[index] ^= 1 << bit;
                assert!(open(b"key", &damaged).is_err(), "byte {index} bit {bit}");
            }
            assert!(open(b"key", &value[..index]).is_err(), "cut at {index}");
        }
        for tail in [&b"\0"[..], b"x", &[0; 16]] {
            assert!(open(b"key", &[&value[..], tail].concat()).is_err(), "more bytes");
        }
    }
}
