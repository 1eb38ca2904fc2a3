//! Notes whether the last change was dropped before it committed. Usually the rules rejected it; the writer's health
//! check finds out whether the database was the reason.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Notes that a change was dropped before it committed.
#[derive(Debug)]
pub struct Doubt {
    noted: Arc<AtomicBool>,
    ended: bool,
}

impl Doubt {
    /// A change begins. If it is dropped, sets `noted`.
    pub fn begin(noted: &Arc<AtomicBool>) -> Self {
        Self { noted: Arc::clone(noted), ended: false }
    }

    /// The change ended without data to write.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Called after the commit.
    pub fn dispel(&mut self) {
        self.ended = true;
        self.noted.store(false, Ordering::Relaxed);
    }
}

impl Drop for Doubt {
    fn drop(&mut self) {
        if !self.ended {
            self.noted.store(true, Ordering::Relaxed);
        }
    }
}
