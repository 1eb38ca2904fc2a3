//! Streams that were let through by a key and are open still, for `policy.close_streams`: which of them are to be decided
//! anew.
//!
//! An entry lives from the request's head to the stream's end. It holds the digest of the key, never the key. Nothing here
//! decides, and nothing asks the host.

use std::time::Duration;

use crate::digest::Digest;

/// Streams that are decided anew in one tick. Each reads its key and application from shared data, at some 6 µs: 3 ms in
/// which the worker serves nobody.
pub const STREAMS_OF_A_TICK: usize = 500;
/// Streams of one VM that are remembered, 44 bytes and the API's id each: some 10 MiB. A stream beyond them is not closed;
/// the bound of Envoy on its duration holds.
pub const MAX_STREAMS: usize = 100_000;
/// So long after the last time all are decided anew, too, since a key can expire without a change of the policy.
pub const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The key and the API that a stream was let through for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenStream {
    /// The key.
    pub key: Digest,
    /// Id of the API.
    pub api: Box<str>,
}

/// All open streams of a plugin in one VM.
#[derive(Debug, Default)]
pub struct OpenStreams {
    /// Sorted by context. The host counts contexts up, so a new one comes last, and one that ends soon has few behind it.
    streams: Vec<(u32, OpenStream)>,
    /// Those that are still to be decided anew; some may have ended.
    waiting: Vec<u32>,
    /// By which manifest all were last taken to be decided anew.
    sequence: u64,
    /// When that was, in milliseconds of Unix time.
    began_ms: u64,
}

impl OpenStreams {
    /// A stream begins; whether there is room to remember it.
    pub fn add(&mut self, context: u32, stream: OpenStream) -> bool {
        let has_room = self.streams.len() < MAX_STREAMS;
        if has_room && let Err(place) = self.place(context) {
            self.streams.insert(place, (context, stream));
        }
        has_room
    }

    /// A stream has ended; whether it was one of these.
    pub fn remove(&mut self, context: u32) -> bool {
        self.place(context).map(|place| self.streams.remove(place)).is_ok()
    }

    /// From now on all are to be decided anew, if the policy has changed or enough time has passed. `sequence` is that of
    /// the manifest of the policy held.
    pub fn begin(&mut self, sequence: u64, now_ms: u64) {
        let has_changed = self.sequence != sequence;
        let again = u64::try_from(AGAIN_AFTER.as_millis()).unwrap_or(u64::MAX);
        // A clock that was set back counts as time that has passed.
        let is_due = now_ms.checked_sub(self.began_ms).is_none_or(|since| since >= again);
        if has_changed || is_due && self.waiting.is_empty() {
            self.waiting = self.streams.iter().map(|(context, _)| *context).collect();
            (self.sequence, self.began_ms) = (sequence, now_ms);
        }
    }

    /// The next one to be decided anew.
    pub fn take_next(&mut self) -> Option<(u32, &OpenStream)> {
        while let Some(context) = self.waiting.pop() {
            if let Ok(place) = self.place(context) {
                return self.streams.get(place).map(|(context, stream)| (*context, stream));
            }
        }
        None
    }

    fn place(&self, context: u32) -> Result<usize, usize> {
        self.streams.binary_search_by_key(&context, |(context, _)| *context)
    }

    /// Whether some are still to be decided anew.
    pub fn is_busy(&self) -> bool {
        !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(api: &str) -> OpenStream {
        OpenStream { key: Digest::of(b"key"), api: api.into() }
    }

    fn all(open: &mut OpenStreams) -> Vec<u32> {
        let mut all: Vec<_> = std::iter::from_fn(|| open.take_next().map(|(context, _)| context)).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn each_open_stream_is_decided_anew_once_for_each_change() {
        let mut open = OpenStreams::default();
        open.begin(1, 1_000_000);
        for context in 1..=4 {
            assert!(open.add(context, stream("a")));
        }
        assert_eq!(all(&mut open), [0u32; 0], "nothing has changed");
        open.begin(2, 1_000_100);
        assert!(open.is_busy());
        assert!(open.remove(2));
        assert!(!open.remove(2));
        assert_eq!(all(&mut open), [1, 3, 4], "what has ended is not decided");
        assert!(!open.is_busy());
        open.begin(2, 1_010_099);
        assert_eq!(all(&mut open), [0u32; 0]);
        open.begin(2, 1_010_100);
        assert_eq!(all(&mut open), [1, 3, 4], "time has passed");
        open.begin(2, 1_000);
        assert_eq!(all(&mut open), [1, 3, 4], "the clock was set back");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut open = OpenStreams::default();
        let limit = u32::try_from(MAX_STREAMS).unwrap();
        assert!((0..limit).all(|context| open.add(context, stream(""))));
        assert!(!open.add(limit, stream("")));
        assert!(open.remove(7));
        assert!(open.add(limit, stream("")), "there is room again");
    }
}
