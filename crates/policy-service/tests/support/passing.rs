//! Time that passes quickly, for limits of half a minute and more. It works in the single thread of `#[tokio::test]` only.

use std::{future::Future, thread, time::Duration};

use tokio::{
    select, task,
    time::{self, Instant},
};

/// A step of the runtime's clock, and what the machine gets for it. Without a pause the clock would run ahead whenever all
/// tasks wait: on a busy machine the kernel needs milliseconds to deliver a byte on loopback.
const STEP: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// Waits for `ended`, in steps of a second each 20 ms. Returns its result and how long it took by the runtime's clock.
pub async fn quickly<T>(ended: impl Future<Output = T>) -> (T, Duration) {
    time::pause();
    let begun = Instant::now();
    let passing = async {
        loop {
            // A paused clock stands still while such a task runs.
            task::spawn_blocking(|| thread::sleep(PAUSE)).await.unwrap();
            time::advance(STEP).await;
        }
    };
    let result = select! {
        biased;
        result = ended => result,
        () = passing => unreachable!("time does not end"),
    };
    let took = begun.elapsed();
    time::resume();
    (result, took)
}
