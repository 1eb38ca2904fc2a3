//! Tells how long a database takes, the same for each of them. Nothing is kept here.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{Arc, OnceLock},
    time::Instant,
};

use management::port::times::{Observer, Operation};

/// Where a database tells its times. Clones tell the same observer; without one nothing is told.
#[derive(Clone, Default)]
pub struct Times(Arc<OnceLock<Observer>>);

impl fmt::Debug for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Times")
    }
}

impl Times {
    /// Tells `observer` from now on. The first one stays.
    pub fn observe(&self, observer: Observer) {
        self.0.get_or_init(|| observer);
    }

    /// Tells how long an operation took that began then.
    pub fn tell(&self, operation: Operation, begun: Instant) {
        if let Some(observer) = self.0.get() {
            observer(operation, begun.elapsed());
        }
    }

    /// `held`, whose time is told when it is dropped.
    pub fn of<T>(&self, operation: Operation, held: T) -> Timed<T> {
        Timed { held, operation, begun: Instant::now(), times: self.clone() }
    }
}

/// Something that is held for the length of an operation.
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
