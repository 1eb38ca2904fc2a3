//! Progress on stderr, of everything that takes longer than a second. It is seen on a terminal only.

use std::{
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What takes less time shows nothing.
const UNSEEN: Duration = Duration::from_secs(1);
/// What others do.
const OF_OTHERS: &str = "{msg} {bar:30} {human_pos}/{human_len} {elapsed}";
/// How often it is drawn in a second.
const HERTZ: u8 = 5;

/// Progress of something.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: ProgressBar,
    begun: Instant,
    is_terminal: bool,
}

impl Progress {
    /// Progress towards so many, or without a known end.
    pub fn new(total: Option<u64>, what: &str) -> Self {
        let template = match total {
            Some(_) => "{msg} {bar:30} {human_pos}/{human_len} {eta}",
            None => "{msg} {spinner} {human_pos} {elapsed}",
        };
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        bar.set_message(what.to_owned());
        let progress = Self { bar, begun: Instant::now(), is_terminal: io::stderr().is_terminal() };
        progress.style(template);
        progress
    }

    fn style(&self, template: &str) {
        self.bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    }

    /// The same for what others do, seen from the beginning. Nobody knows how long they take, so it says how long it has
    /// taken.
    pub fn of_others(self) -> Self {
        self.style(OF_OTHERS);
        self.show();
        self
    }

    /// So many more are done.
    pub fn add(&self, more: usize) {
        self.bar.inc(u64::try_from(more).unwrap_or_default());
        if self.is_terminal && self.bar.is_hidden() && self.begun.elapsed() > UNSEEN {
            self.show();
        }
    }

    /// So many of so many are done.
    pub fn set(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// Takes it off the terminal.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn show(&self) {
        if self.is_terminal {
            self.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(HERTZ));
        }
    }
}

/// Progress towards a number of things.
pub fn of(total: usize, what: &str) -> Progress {
    Progress::new(u64::try_from(total).ok(), what)
}
