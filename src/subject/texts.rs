//! A list of texts in one allocation. A key's restrictions are read into such lists.
//!
//! A key that is not cached reads its lists with each request. A thousand allocations would cost more than the rest of
//! the request. This type does not check for UTF-8; the texts were checked when the rows arrived.

/// Size of the length before each text.
const LENGTH_BYTES: usize = 2;

/// Texts of at most 65,535 bytes each, stored one after the other, each after its length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    packed: Vec<u8>,
}

impl Texts {
    /// An empty list with room for this many bytes, lengths included.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { packed: Vec::with_capacity(bytes) }
    }

    /// Appends a text. `None` if it is too long.
    #[must_use = "a text that is too long is not in the list"]
    pub fn push(&mut self, text: &[u8]) -> Option<()> {
        let length: [u8; LENGTH_BYTES] = u16::try_from(text.len()).ok()?.to_le_bytes();
        self.packed.extend_from_slice(&length);
        self.packed.extend_from_slice(text);
        Some(())
    }

    /// The texts in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.packed[..];
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first_chunk()?;
            let text;
            (text, rest) = behind.split_at_checked(u16::from_le_bytes(*length).into())?;
            Some(text)
        })
    }

    /// Size of the list in bytes.
    pub fn bytes(&self) -> usize {
        self.packed.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_back_in_order() {
        for texts in [&[][..], &[""], &["a", "", "é"], &["b", "b"]] {
            let mut list = Texts::default();
            for text in texts {
                list.push(text.as_bytes()).unwrap();
            }
            assert!(list.iter().eq(texts.iter().map(|text| text.as_bytes())), "{texts:?}");
        }
        let longest = vec![b'a'; usize::from(u16::MAX)];
        let mut list = Texts::default();
        list.push(&longest).unwrap();
        assert_eq!(list.push(&vec![b'a'; longest.len() + 1]), None);
        assert!(list.iter().eq([&longest[..]]), "a text that is too long leaves the list as it was");
    }
}
