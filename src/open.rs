//! Open streams that passed with a key, for `policy.close_streams`: which of them must be decided again.
//!
//! An entry lives from the request's head to the end of the stream. It holds the digest of the key, never the key.
//! Nothing here decides, and nothing calls the host.

use std::time::Duration;

use crate::digest::Digest;

/// Streams that are decided again in one tick. Each reads its key and application from shared data, at some 6 µs: 3 ms
/// during which the worker serves no request.
pub const STREAMS_OF_A_TICK: usize = 500;
/// Streams that one VM remembers, at 44 bytes plus the API's id: some 10 MiB. Further streams are not closed; Envoy's
/// limit on the duration of a stream still applies to them.
pub const MAX_STREAMS: usize = 100_000;
/// All streams are decided again after this time too, because a key can expire without a change of the policy.
pub const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The key and the API of an open stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenStream {
    pub key: Digest,
    /// Id of the API.
    pub api: Box<str>,
}

/// All open streams of a plugin in one VM.
#[derive(Debug, Default)]
pub struct OpenStreams {
    /// Sorted by context. The host numbers contexts upwards, so a new one is last, and a short-lived one has few behind
    /// it.
    streams: Vec<(u32, OpenStream)>,
    /// Contexts that must still be decided again. Some may have ended.
    waiting: Vec<u32>,
    /// Sequence of the manifest when the last round began.
    sequence: u64,
    /// When the last round began, in milliseconds of Unix time.
    began_ms: u64,
}

impl OpenStreams {
    /// Adds a stream. Returns whether there was room for it.
    pub fn add(&mut self, context: u32, stream: OpenStream) -> bool {
        let has_room = self.streams.len() < MAX_STREAMS;
        if has_room && let Err(place) = self.place(context) {
            self.streams.insert(place, (context, stream));
        }
        has_room
    }

    /// Removes a stream that has ended. Returns whether it was in the list.
    pub fn remove(&mut self, context: u32) -> bool {
        self.place(context).map(|place| self.streams.remove(place)).is_ok()
    }

    /// Begins a round for all streams if the policy has changed or enough time has passed. `sequence` is the sequence
    /// of the current manifest.
    pub fn begin(&mut self, sequence: u64, now_ms: u64) {
        let has_changed = self.sequence != sequence;
        let again = u64::try_from(AGAIN_AFTER.as_millis()).unwrap_or(u64::MAX);
        // If the clock was set back, the round is due.
        let is_due = now_ms.checked_sub(self.began_ms).is_none_or(|since| since >= again);
        if has_changed || is_due && self.waiting.is_empty() {
            self.waiting = self.streams.iter().map(|(context, _)| *context).collect();
            (self.sequence, self.began_ms) = (sequence, now_ms);
        }
    }

    /// The next stream to decide again.
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

    /// Whether the round is still going on.
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
    fn the_number_of_open_streams_is_bounded() {
        let mut open = OpenStreams::default();
        let limit = u32::try_from(MAX_STREAMS).unwrap();
        assert!((0..limit).all(|context| open.add(context, stream(""))));
        assert!(!open.add(limit, stream("")));
        assert!(open.remove(7));
        assert!(open.add(limit, stream("")), "there is room again");
    }
}
