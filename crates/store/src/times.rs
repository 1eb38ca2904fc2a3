//! Reports how long a database takes, in the same way for each database. Stores nothing.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{Arc, OnceLock},
    time::Instant,
};

use management::port::times::{Observer, Operation};

/// The observer of a database's times, if there is one. Clones share it.
#[derive(Clone, Default)]
pub struct Times(Arc<OnceLock<Observer>>);

impl fmt::Debug for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Times")
    }
}

impl Times {
    /// Reports times to `observer` from now on. The first observer stays.
    pub fn observe(&self, observer: Observer) {
        self.0.get_or_init(|| observer);
    }

    /// Reports the duration of an operation that began at `begun`.
    pub fn tell(&self, operation: Operation, begun: Instant) {
        if let Some(observer) = self.0.get() {
            observer(operation, begun.elapsed());
        }
    }

    /// Wraps `held`. The time until it is dropped is reported.
    pub fn of<T>(&self, operation: Operation, held: T) -> Timed<T> {
        Timed { held, operation, begun: Instant::now(), times: self.clone() }
    }
}

/// A value that is held as long as its operation takes.
#[derive(Debug)]
pub struct Timed<T> {
    held: T,
    operation: Operation,
    begun: Instant,
    times: Times,
}

impl<T> Deref for Timed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.held
    }
}

impl<T> DerefMut for Timed<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.held
    }
}

impl<T> Drop for Timed<T> {
    fn drop(&mut self) {
        self.times.tell(self.operation, self.begun);
    }
}
