//! The body of an import as it arrives: its lines, its limits, and its digest.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, HttpBody as _},
    http::StatusCode,
};
use http_body_util::BodyExt as _;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout};

use crate::http::{body::MAX_BODY_BYTES, problem::Problem};

/// Bytes of an import: a million keys of 300 bytes, three times.
const MAX_IMPORT_BYTES: u64 = 1 << 30;
/// How long a client may take until the next part of the body. It waits meanwhile for the database, too.
const PART_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an import may take. A million rows take minutes.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(3_600);
/// How long the rest of a refused body is read and thrown away. A client that still sends when the connection is closed
/// loses the answer. 10 s are 1 GB on a fast network, and 100 MB at 80 Mbit/s.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);

/// A body that arrives.
pub struct Arriving {
    body: Body,
    lines: Lines,
    /// Of the request: what names it, and then its body.
    digest: Sha256,
    read: u64,
    started: Instant,
    /// The client waits for a sign before it sends (`expect: 100-continue`), and has got none.
    awaits_sign: bool,
}

impl Arriving {
    /// `digest` has seen what names the request.
    pub fn new(body: Body, digest: Sha256, awaits_sign: bool) -> Self {
        Self { body, lines: Lines::default(), digest, read: 0, started: Instant::now(), awaits_sign }
    }

    /// The next lines, with their numbers; `None` after the last.
    pub async fn lines(&mut self) -> Result<Option<Vec<(u64, Vec<u8>)>>, Problem> {
        match self.part().await? {
            Some(part) => Ok(Some(self.lines.add(&part)?)),
            None => Ok(None),
        }
    }

    /// The last line, which no line break ends.
    pub fn last(&mut self) -> (u64, Vec<u8>) {
        self.lines.end()
    }

    /// Reads to the end without looking at the lines.
    pub async fn skip(&mut self) -> Result<(), Problem> {
        while self.part().await?.is_some() {}
        Ok(())
    }

    /// The digest of the whole request, after its end.
    pub fn digest(&self) -> [u8; 32] {
        self.digest.clone().finalize().into()
    }

    /// Throws the rest away, so that a client that is still sending reads the answer.
    pub async fn discard(&mut self) {
        let end = async { while let Some(Ok(_)) = self.body.frame().await {} };
        if !self.awaits_sign {
            // A client that needs longer may lose the answer.
            let _ = timeout(DISCARD_TIMEOUT, end).await;
        }
    }

    async fn part(&mut self) -> Result<Option<Bytes>, Problem> {
        while !self.body.is_end_stream() {
            self.awaits_sign = false;
            let Ok(part) = timeout(PART_TIMEOUT, self.body.frame()).await else {
                let seconds = PART_TIMEOUT.as_secs();
                return Err(late(format!("the next part of the body did not arrive within {seconds} seconds")));
            };
            let Some(part) = part else { break };
            let broken =
                |_| Problem::new(StatusCode::BAD_REQUEST, "the body ended before it was complete; send it again");
            let Ok(part) = part.map_err(broken)?.into_data() else { continue };
            self.read = self.read.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
            if self.read > MAX_IMPORT_BYTES {
                return Err(large(format!("the body has more than {MAX_IMPORT_BYTES} bytes; send the rest by itself")));
            }
            if self.started.elapsed() > IMPORT_TIMEOUT {
                return Err(late(format!("the import took longer than {} seconds", IMPORT_TIMEOUT.as_secs())));
            }
            self.digest.update(&part);
            return Ok(Some(part));
        }
        Ok(None)
    }
}

fn late(detail: String) -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
}

fn large(detail: String) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

/// Lines out of parts.
#[derive(Default)]
struct Lines {
    /// Lines that have ended.
    ended: u64,
    /// The beginning of the next one.
    begun: Vec<u8>,
}

impl Lines {
    /// The lines that end in `part`, with their numbers.
    fn add(&mut self, part: &Bytes) -> Result<Vec<(u64, Vec<u8>)>, Problem> {
        let mut found = Vec::new();
        let mut pieces = part.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            if self.begun.len().saturating_add(piece.len()) > MAX_BODY_BYTES {
                let line = self.ended.saturating_add(1);
                return Err(large(format!("line {line} has more than {MAX_BODY_BYTES} bytes")));
            }
            self.begun.extend_from_slice(piece);
            if pieces.peek().is_some() {
                found.push(self.end());
            }
        }
        Ok(found)
    }

    /// The line that is under way.
    fn end(&mut self) -> (u64, Vec<u8>) {
        self.ended = self.ended.saturating_add(1);
        (self.ended, std::mem::take(&mut self.begun))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        let text = b"a\n\nbc\r\nlast".as_slice();
        for size in 1..=text.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for part in text.chunks(size) {
                found.extend(lines.add(&Bytes::copy_from_slice(part)).unwrap());
            }
            found.push(lines.end());
            let expected = [(1, "a"), (2, ""), (3, "bc\r"), (4, "last")];
            assert_eq!(found, expected.map(|(number, line)| (number, line.as_bytes().to_vec())), "{size}");
        }
        let mut lines = Lines::default();
        assert!(lines.add(&Bytes::from(vec![b'x'; MAX_BODY_BYTES])).is_ok());
        assert!(lines.add(&Bytes::from_static(b"x")).is_err());
    }
}
