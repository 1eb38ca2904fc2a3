//! Equality of two slices for the request path. The time depends on the bytes, so do not compare secrets with it.

/// Compares eight bytes at a time. `==` compares byte by byte, because the module has no better `memcmp`.
pub fn equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let ((words, rest), (other_words, other_rest)) = (one.as_chunks(), other.as_chunks());
    let word = |bytes: &[u8; 8]| u64::from_ne_bytes(*bytes);
    if words.iter().zip(other_words).any(|(one, other)| word(one) != word(other)) {
        return false;
    }
    match (one.last_chunk(), other.last_chunk()) {
        // Some of these bytes are compared a second time.
        (Some(one), Some(other)) => word(one) == word(other),
        _ => rest.iter().zip(other_rest).all(|(one, other)| one == other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_equal_when_all_are() {
        for size in 0..=40 {
            let bytes: Vec<u8> = (0..size).collect();
            assert!(equal(&bytes, &bytes.clone()), "{size}");
            for place in 0..bytes.len() {
                for bit in 0..8 {
                    let mut other = bytes.clone();
                    other[place] ^= 1 << bit;
                    assert!(!equal(&bytes, &other), "{size}: byte {place}, bit {bit}");
                }
                assert!(!equal(&bytes, &bytes[..place]) && !equal(&bytes[..place], &bytes), "{size} and {place}");
            }
        }
    }
}
