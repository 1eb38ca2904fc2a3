//! Sends an answer's body in parts, so that the connection knows whether the client reads it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use super::peer::{Busy, Peer};

/// Maximum length of a part. A client that reads less than one part in the idle limit (1 KB a second) is idle.
const FRAME_BYTES: usize = 64 << 10;

/// The body in parts.
pub struct Paced {
    body: Body,
    rest: Bytes,
    peer: Arc<Peer>,
    _busy: Option<Arc<Busy>>,
}

impl Paced {
    /// `busy` protects the connection from eviction until the client has read the body.
    pub fn new(body: Body, peer: Arc<Peer>, busy: Option<Arc<Busy>>) -> Self {
        Self { body, rest: Bytes::new(), peer, _busy: busy }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.peer.note_progress();
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return other,
            }
        }
        let length = self.rest.len().min(FRAME_BYTES);
        let part = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let of_body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower().saturating_add(rest));
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}
