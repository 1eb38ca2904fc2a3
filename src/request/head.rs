//! The head of a request: its headers as bytes, in their original order.
//!
//! Header values are arbitrary bytes from a client; nothing here treats them as text. The pseudo headers are extracted
//! once, because every request needs them.

use super::path::Target;

/// Maximum number of headers of one request. Envoy's own default is 100; an operator may raise it.
pub const MAX_HEADERS: usize = 4096;

#[derive(Clone, Debug, Default)]
pub struct Head<'a> {
    headers: Vec<(&'a [u8], &'a [u8])>,
    /// A bit for each header name that occurs. Most look-ups are for absent headers, and then this bit saves the
    /// search.
    names: u64,
    /// `:method`. Empty if absent.
    pub method: &'a [u8],
    /// `:authority`. Empty if absent.
    pub authority: &'a [u8],
    /// `:path` with its query. Absent for CONNECT.
    pub target: Option<Target<'a>>,
}

/// The kind of reply that the client understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// A status, headers and a body.
    Http,
    /// A gRPC reply, which Envoy makes itself for `application/grpc`, alone or followed by `+`.
    Grpc,
    /// A gRPC reply that Envoy does not make: for Envoy, `application/grpc` followed by `;` is an ordinary request.
    GrpcWithParameters,
}

/// The bytes are not a serialized header map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHead;

impl<'a> Head<'a> {
    /// Reads the host's serialization of a header map: the count, the sizes of all names and values, then the names and
    /// values, each followed by a zero byte. Numbers have 32 bits, little-endian.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, InvalidHead> {
        let (count, sizes) = bytes.split_first_chunk().ok_or(InvalidHead)?;
        let count = usize::try_from(u32::from_le_bytes(*count)).map_err(|_| InvalidHead)?;
        if count > MAX_HEADERS {
            return Err(InvalidHead);
        }
        let sizes_bytes = count.checked_mul(8).ok_or(InvalidHead)?;
        let (sizes, mut rest) = sizes.split_at_checked(sizes_bytes).ok_or(InvalidHead)?;
        let mut headers = Vec::with_capacity(count);
        let mut names = 0;
        for [a, b, c, d, e, f, g, h] in sizes.as_chunks().0 {
            let name = split_terminated(&mut rest, u32::from_le_bytes([*a, *b, *c, *d]))?;
            let value = split_terminated(&mut rest, u32::from_le_bytes([*e, *f, *g, *h]))?;
            names |= bit_of(name);
            headers.push((name, value));
        }
        Ok(Self::with(headers, names))
    }

    /// A head with these headers. Names must be in lower case.
    pub fn new(headers: Vec<(&'a [u8], &'a [u8])>) -> Self {
        let names = headers.iter().fold(0, |names, (name, _)| names | bit_of(name));
        Self::with(headers, names)
    }

    fn with(headers: Vec<(&'a [u8], &'a [u8])>, names: u64) -> Self {
        let mut head = Self { headers, names, ..Self::default() };
        for (name, value) in &head.headers {
            match *name {
                b":method" => head.method = value,
                b":authority" => head.authority = value,
                b":path" => head.target = Some(Target::new(value)),
                // Pseudo headers come before all others.
                [b':', ..] => {}
                _ => break,
            }
        }
        head
    }

    /// All values of the header with this name, which must be in lower case.
    pub fn values<'h>(&'h self, name: &'h [u8]) -> impl Iterator<Item = &'a [u8]> + 'h {
        let headers = if self.names & bit_of(name) == 0 { &[][..] } else { &self.headers };
        headers.iter().filter(move |(given, _)| *given == name).map(|(_, value)| *value)
    }

    pub fn has(&self, name: &[u8]) -> bool {
        self.values(name).next().is_some()
    }

    /// Number of headers with this name.
    pub fn count(&self, name: &[u8]) -> usize {
        self.values(name).count()
    }

    pub fn is_preflight(&self) -> bool {
        self.method == b"OPTIONS" && self.has(b"origin") && self.has(b"access-control-request-method")
    }

    /// The kind of reply that the client understands.
    pub fn kind(&self) -> ReplyKind {
        let content_type = self.values(b"content-type").next().unwrap_or_default();
        match content_type.strip_prefix(b"application/grpc").map(<[u8]>::first) {
            Some(None | Some(b'+')) => ReplyKind::Grpc,
            Some(Some(b';')) => ReplyKind::GrpcWithParameters,
            _ => ReplyKind::Http,
        }
    }
}

/// One of 64 bits, from the length of a name and its third byte (the first after `x-`). These distinguish most names.
fn bit_of(name: &[u8]) -> u64 {
    let third = name.get(2).copied().unwrap_or(0);
    1 << ((name.len() ^ usize::from(third) << 1) & 63)
}

/// Takes `size` bytes and the zero byte after them.
fn split_terminated<'a>(bytes: &mut &'a [u8], size: u32) -> Result<&'a [u8], InvalidHead> {
    let size = usize::try_from(size).map_err(|_| InvalidHead)?;
    let (text, rest) = bytes.split_at_checked(size).ok_or(InvalidHead)?;
    *bytes = rest.split_first().ok_or(InvalidHead)?.1;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serialize(headers: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut bytes = u32::try_from(headers.len()).unwrap().to_le_bytes().to_vec();
        for (name, value) in headers {
            bytes.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
            bytes.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
        }
        for (name, value) in headers {
            bytes.extend([name, &b"\0"[..], value, b"\0"].concat());
        }
        bytes
    }

    #[test]
    fn the_maps_of_the_host_are_read_back() {
        let headers: Vec<(&[u8], &[u8])> =
            vec![(b":path", b"/a?b"), (b":authority", b"h"), (b"x", b"1"), (b"x", b"\xff"), (b":method", b"late")];
        let bytes = serialize(&headers);
        let head = Head::parse(&bytes).unwrap();
        assert_eq!(head.target, Some(Target::new(b"/a?b")));
        assert_eq!(head.authority, b"h");
        assert_eq!(head.method, b"", "a pseudo header behind ordinary ones is none");
        assert_eq!(head.values(b"x").collect::<Vec<_>>(), [&b"1"[..], b"\xff"]);
    }

    #[test]
    fn no_bytes_can_make_the_reader_panic() {
        let bytes = serialize(&[(b":path", b"/"), (b"name", b"value")]);
        for end in 0..bytes.len() {
            assert!(Head::parse(&bytes[..end]).is_err(), "{end}");
        }
        for index in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = bytes.clone();
                bytes[index] = value;
                let _ = Head::parse(&bytes);
            }
        }
        assert!(Head::parse(&u32::MAX.to_le_bytes()).is_err());
    }

    #[test]
    fn a_header_is_found_by_its_name_and_by_no_other() {
        let name = |length: usize, byte: u8| [&vec![byte; length][..], b"x"].concat();
        let mut names: Vec<_> = (0..9).flat_map(|length| (0..=u8::MAX).map(move |byte| name(length, byte))).collect();
        names.push(Vec::new());
        let given: Vec<(&[u8], &[u8])> = names.iter().step_by(97).map(|name| (&name[..], &b"1"[..])).collect();
        let bytes = serialize(&given);
        let head = Head::parse(&bytes).unwrap();
        for name in &names {
            let expected = given.iter().filter(|(given, _)| given == name).count();
            assert_eq!((head.count(name), head.has(name)), (expected, expected > 0), "{name:?}");
            let bytes = serialize(&[(name, b"2")]);
            let alone = Head::parse(&bytes).unwrap();
            assert_eq!(alone.values(name).collect::<Vec<_>>(), [b"2"], "{name:?}");
        }
    }

    #[test]
    fn grpc_is_what_its_content_type_says() {
        for (content_type, expected) in [
            ("application/grpc", ReplyKind::Grpc),
            ("application/grpc+proto", ReplyKind::Grpc),
            ("application/grpc;charset=x", ReplyKind::GrpcWithParameters),
            ("application/grpc-web", ReplyKind::Http),
            ("application/grpcx", ReplyKind::Http),
            ("application/json", ReplyKind::Http),
            ("", ReplyKind::Http),
        ] {
            let head = Head::new(vec![(b"content-type", content_type.as_bytes())]);
            assert_eq!(head.kind(), expected, "{content_type}");
        }
    }
}
