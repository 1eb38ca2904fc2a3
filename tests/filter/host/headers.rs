//! A header map with Envoy's semantics, and its form in the ABI.

use std::fmt;

/// Header lines in order. Names are in lower case, values are arbitrary bytes, and a name may occur more than once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Vec<u8>, Vec<u8>)>);

impl Headers {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// The first value with this name, like `getHeaderMapValue`.
    pub fn first(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// All values with this name.
    pub fn all(&self, name: impl AsRef<[u8]>) -> impl Iterator<Item = &[u8]> {
        let name = name.as_ref().to_ascii_lowercase();
        self.0.iter().filter(move |line| line.0 == name).map(|line| line.1.as_slice())
    }

    /// The first value with this name as text, for assertions.
    pub fn text(&self, name: &str) -> Option<String> {
        self.first(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// `addCopy`: adds a line at the end.
    pub fn add(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.0.push((name.as_ref().to_ascii_lowercase(), value.as_ref().to_vec()));
    }

    /// `remove`: removes every line with this name.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) {
        let name = name.as_ref().to_ascii_lowercase();
        self.0.retain(|line| line.0 != name);
    }

    /// `setCopy`: removes every line with this name and adds one at the end.
    pub fn replace(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.remove(name.as_ref());
        self.add(name, value);
    }

    /// Number of lines, their lengths, then their bytes, with a NUL after each name and value.
    pub fn to_abi(&self) -> Vec<u8> {
        let mut bytes = (self.0.len() as u32).to_le_bytes().to_vec();
        for (name, value) in &self.0 {
            bytes.extend((name.len() as u32).to_le_bytes());
            bytes.extend((value.len() as u32).to_le_bytes());
        }
        for (name, value) in &self.0 {
            bytes.extend(name);
            bytes.push(0);
            bytes.extend(value);
            bytes.push(0);
        }
        bytes
    }

    /// The inverse of [`Headers::to_abi`]. `None` if the bytes are not a map. Fewer than four bytes are the empty map,
    /// as in the real host.
    pub fn from_abi(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < 4 {
            return Some(Self::default());
        }
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
        let count = word(0)?;
        let mut at = 4 + 8 * count;
        let mut headers = Self::default();
        for n in 0..count {
            let (name_size, value_size) = (word(4 + 8 * n)?, word(8 + 8 * n)?);
            let name = bytes.get(at..at + name_size)?;
            at += name_size + 1;
            let value = bytes.get(at..at + value_size)?;
            at += value_size + 1;
            headers.add(name, value);
        }
        (at == bytes.len()).then_some(headers)
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(lines: T) -> Self {
        let mut headers = Self::default();
        lines.into_iter().for_each(|(name, value)| headers.add(name, value));
        headers
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(
                self.iter().map(|(name, value)| {
                    format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
                }),
            )
            .finish()
    }
}

#[test]
fn a_map_survives_the_abi() {
    let headers: Headers =
        [(&b":path"[..], &b"/"[..]), (b"x-bytes", b"\xff\0\n"), (b"x-empty", b""), (b"x-bytes", b"two")]
            .into_iter()
            .collect();
    assert_eq!(Headers::from_abi(&headers.to_abi()), Some(headers));
}

#[test]
fn replacing_leaves_one_line_and_puts_it_last() {
    let mut headers: Headers = [("A", "1"), ("b", "2"), ("a", "3")].into_iter().collect();
    headers.replace("a", "4");
    assert_eq!(headers, [("b", "2"), ("a", "4")].into_iter().collect());
    assert_eq!(headers.first("A"), Some(&b"4"[..]));
}

#[test]
fn a_damaged_map_is_refused() {
    let mut bytes = [("a", "1")].into_iter().collect::<Headers>().to_abi();
    bytes.pop();
    assert_eq!(Headers::from_abi(&bytes), None);
}
