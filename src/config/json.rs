//! Parses JSON text into a tree that keeps the offset of every value, so that every error can point at its place.
//!
//! `serde_json` gives line and column only for syntax errors. For valid JSON that is not a valid configuration the
//! place is lost. This parser accepts RFC 8259 and nothing more (no comments, no trailing commas). It keeps numbers as
//! text, and it keeps members in order, including repeated names. [`super::read`] checks what may stand where.

use std::borrow::Cow;

use super::{
    error::{Expected, Fault, FoundValue, Problem},
    place::{MAX_DEPTH, Path},
};

/// A value and its offset in the text, in bytes.
#[derive(Clone, Debug)]
pub(super) struct Node<'t> {
    pub at: usize,
    pub value: Value<'t>,
}

/// A JSON value.
#[derive(Clone, Debug)]
pub(super) enum Value<'t> {
    Null,
    Boolean(bool),
    /// As written.
    Number(&'t str),
    String(Cow<'t, str>),
    List(Vec<Node<'t>>),
    Object(Vec<Member<'t>>),
}

/// A field: the offset of its name, the name and the value.
#[derive(Clone, Debug)]
pub(super) struct Member<'t> {
    pub at: usize,
    pub name: Cow<'t, str>,
    pub node: Node<'t>,
}

/// Parses `text`, which must be exactly one value.
pub(super) fn parse(text: &str) -> Result<Node<'_>, Fault> {
    let mut parser = Parser { text, at: 0 };
    let root = Path::root();
    let node = parser.value(&root, MAX_DEPTH)?;
    parser.blanks();
    if parser.peek().is_some() { Err(parser.unexpected(&root, "the end of the text")) } else { Ok(node) }
}

struct Parser<'t> {
    text: &'t str,
    /// Offset of the next character to read. Always on a character boundary.
    at: usize,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.rest().bytes().next()
    }

    fn advance(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    /// Steps over `word` if the text goes on with it.
    fn skip(&mut self, word: &str) -> bool {
        let next = self.rest().starts_with(word);
        if next {
            self.advance(word.len());
        }
        next
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.advance(1);
        }
    }

    fn value(&mut self, path: &Path, levels: usize) -> Result<Node<'t>, Fault> {
        self.blanks();
        let at = self.at;
        let value = match self.peek() {
            Some(b'{') => self.object(path, levels)?,
            Some(b'[') => self.list(path, levels)?,
            Some(b'"') => Value::String(self.string(path)?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number(path)?),
            _ if self.skip("null") => Value::Null,
            _ if self.skip("true") => Value::Boolean(true),
            _ if self.skip("false") => Value::Boolean(false),
            _ => return Err(self.unexpected(path, "a JSON value")),
        };
        Ok(Node { at, value })
    }

    fn object(&mut self, path: &Path, levels: usize) -> Result<Value<'t>, Fault> {
        let levels = self.deeper(path, levels)?;
        let mut members = Vec::new();
        if self.skip("}") {
            return Ok(Value::Object(members));
        }
        loop {
            self.blanks();
            let at = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.unexpected(path, "a field's name in double quotes"));
            }
            let name = self.string(path)?;
            let inside = path.field(&name);
            self.blanks();
            if !self.skip(":") {
                return Err(self.unexpected(&inside, "`:`"));
            }
            let node = self.value(&inside, levels)?;
            members.push(Member { at, name, node });
            self.blanks();
            if self.skip("}") {
                return Ok(Value::Object(members));
            }
            if !self.skip(",") {
                return Err(self.unexpected(path, "`,` or `}`"));
            }
        }
    }

    fn list(&mut self, path: &Path, levels: usize) -> Result<Value<'t>, Fault> {
        let levels = self.deeper(path, levels)?;
        let mut entries = Vec::new();
        if self.skip("]") {
            return Ok(Value::List(entries));
        }
        loop {
            entries.push(self.value(&path.index(entries.len()), levels)?);
            self.blanks();
            if self.skip("]") {
                return Ok(Value::List(entries));
            }
            if !self.skip(",") {
                return Err(self.unexpected(path, "`,` or `]`"));
            }
        }
    }

    /// Steps into a list or an object. Returns the levels that are left below it.
    fn deeper(&mut self, path: &Path, levels: usize) -> Result<usize, Fault> {
        let left = levels.checked_sub(1).ok_or_else(|| Fault::new(self.at, path, Problem::TooDeep))?;
        self.advance(1);
        self.blanks();
        Ok(left)
    }

    fn string(&mut self, path: &Path) -> Result<Cow<'t, str>, Fault> {
        self.advance(1);
        let mut text = Cow::Borrowed("");
        loop {
            let rest = self.rest();
            let plain = rest.bytes().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count();
            let part = rest.get(..plain).unwrap_or_default();
            if text.is_empty() {
                text = Cow::Borrowed(part);
            } else {
                text.to_mut().push_str(part);
            }
            self.advance(plain);
            match self.peek() {
                Some(b'"') => {
                    self.advance(1);
                    return Ok(text);
                }
                Some(b'\\') => text.to_mut().push(self.escape(path)?),
                _ => return Err(self.unexpected(path, "the string's end (control characters must be escaped)")),
            }
        }
    }

    fn escape(&mut self, path: &Path) -> Result<char, Fault> {
        let at = self.at;
        let refused = |expected| {
            Fault::new(at, path, Problem::Unexpected { found: FoundValue::Escape, expected: Expected::Is(expected) })
        };
        self.advance(1);
        for (letter, meant) in [
            ("\"", '"'),
            ("\\", '\\'),
            ("/", '/'),
            ("b", '\u{8}'),
            ("f", '\u{c}'),
            ("n", '\n'),
            ("r", '\r'),
            ("t", '\t'),
        ] {
            if self.skip(letter) {
                return Ok(meant);
            }
        }
        if !self.skip("u") {
            return Err(refused(r#"one of \" \\ \/ \b \f \n \r \t \u"#));
        }
        let first = self.hex().ok_or_else(|| refused(r"four hexadecimal digits after \u"))?;
        let second = match first {
            0xd800..=0xdbff if self.skip("\\u") => self.hex(),
            _ => None,
        };
        let mut decoded = char::decode_utf16([first].into_iter().chain(second));
        match (decoded.next(), decoded.next()) {
            (Some(Ok(meant)), None) => Ok(meant),
            _ => Err(refused("surrogates in pairs only")),
        }
    }

    fn hex(&mut self) -> Option<u16> {
        let digits = self.rest().get(..4).filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        self.advance(4);
        u16::from_str_radix(digits, 16).ok()
    }

    fn number(&mut self, path: &Path) -> Result<&'t str, Fault> {
        let from = self.at;
        self.skip("-");
        if !self.skip("0") {
            self.digits(path)?;
        }
        if self.skip(".") {
            self.digits(path)?;
        }
        if self.skip("e") || self.skip("E") {
            let _ = self.skip("+") || self.skip("-");
            self.digits(path)?;
        }
        Ok(self.text.get(from..self.at).unwrap_or_default())
    }

    fn digits(&mut self, path: &Path) -> Result<(), Fault> {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        self.advance(count);
        if count == 0 { Err(self.unexpected(path, "a digit")) } else { Ok(()) }
    }

    fn unexpected(&self, path: &Path, expected: &'static str) -> Fault {
        let found = FoundValue::next(self.rest().chars().next(), path);
        Fault::new(self.at, path, Problem::Unexpected { found, expected: Expected::Is(expected) })
    }
}
