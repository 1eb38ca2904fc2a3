//! A VM is a thread, since the SDK's dispatcher is thread-local; a trap is a thread that goes no further.
//!
//! A panic that would unwind through the filter's `extern "C"` exports calls `abort`. On a VM's thread the signal that
//! `abort` sends is caught, the death is reported, and the thread parks for ever; anywhere else the process ends as usual.
//! (The panic hook could not park it: it runs under a lock that the test harness wants at the end.) Faults end a VM in
//! the same way, at any host call. Such threads, with what they hold, are given back when the test binary exits.

use std::{
    cell::RefCell,
    sync::{
        Mutex, Once,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use super::{
    exports,
    faults::Fault,
    status::Status,
    world::{PATIENCE, SharedWorld, World, lock},
};

/// How a run of a VM ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Ran {
    /// It returned this.
    Finished(u64),
    /// The VM is dead, because of this.
    Died(String),
    /// It stopped before a host call, as planned, and can be resumed.
    Paused,
}

impl Ran {
    /// The result of a run that must finish.
    #[track_caller]
    pub fn finished(self) -> u64 {
        match self {
            Self::Finished(result) => result,
            other => panic!("the VM did not finish: {other:?}"),
        }
    }
}

type Job = Box<dyn FnOnce() -> u64 + Send>;

/// The test's handle on a VM's thread.
pub struct Vm {
    pub index: usize,
    pub thread: usize,
    pub vm_id: String,
    jobs: Sender<Job>,
    resume: Sender<()>,
    events: Receiver<Ran>,
    pub state: Life,
}

/// Whether a VM can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Idle,
    /// Running something that was sent to it.
    Busy,
    /// Stopped in the middle of a callback.
    Paused,
    Dead,
}

/// The VM's own view of where it is.
struct Seat {
    world: SharedWorld,
    vm: usize,
    events: Sender<Ran>,
    resume: Receiver<()>,
}

thread_local! {
    static SEAT: RefCell<Option<Seat>> = const { RefCell::new(None) };
    static LAST_WORDS: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Vm {
    /// Starts the thread; the filter's `_initialize` has not run yet.
    pub fn start(world: &SharedWorld, index: usize, thread: usize, vm_id: &str) -> Self {
        let (jobs, todo) = channel::<Job>();
        let (resume, resumed) = channel();
        let (report, events) = channel();
        let seat = Seat { world: world.clone(), vm: index, events: report.clone(), resume: resumed };
        thread::Builder::new()
            .name(format!("vm-{index}"))
            .spawn(move || {
                SEAT.with(|place| place.replace(Some(seat)));
                for job in todo {
                    let result = job();
                    if report.send(Ran::Finished(result)).is_err() {
                        break;
                    }
                }
            })
            .expect("a thread for the VM");
        Self { index, thread, vm_id: vm_id.to_owned(), jobs, resume, events, state: Life::Idle }
    }

    /// Runs something on the VM's thread and waits for how it ends.
    pub fn run(&mut self, job: impl FnOnce() -> u64 + Send + 'static) -> Ran {
        self.send(job);
        self.wait()
    }

    /// Begins to run something; [`Vm::wait`] has to follow.
    pub fn send(&mut self, job: impl FnOnce() -> u64 + Send + 'static) {
        assert_eq!(self.state, Life::Idle, "VM {} cannot run", self.index);
        self.jobs.send(Box::new(job)).expect("the VM's thread is there");
        self.state = Life::Busy;
    }

    /// Lets a paused VM go on.
    pub fn resume(&mut self) -> Ran {
        assert_eq!(self.state, Life::Paused, "VM {} is not paused", self.index);
        self.resume.send(()).expect("the VM's thread is there");
        self.wait()
    }

    pub fn wait(&mut self) -> Ran {
        let ran = self.events.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("VM {} hangs", self.index));
        self.state = match &ran {
            Ran::Finished(_) => Life::Idle,
            Ran::Paused => Life::Paused,
            Ran::Died(_) => Life::Dead,
        };
        ran
    }
}

impl Seat {
    fn die(&self, why: String) -> ! {
        let _ = self.events.send(Ran::Died(why));
        loop {
            thread::park();
        }
    }

    fn pause(&self) {
        let _ = self.events.send(Ran::Paused);
        if self.resume.recv().is_err() {
            loop {
                thread::park();
            }
        }
    }
}

/// A host call: counted, perhaps failed, then done under the lock.
pub fn call<T>(name: &'static str, body: impl FnOnce(&mut World, usize) -> Result<T, Status>) -> Result<T, Status> {
    SEAT.try_with(|seat| {
        let seat = seat.borrow();
        let Some(seat) = seat.as_ref() else { return Err(Status::Unimplemented) };
        let fault = lock(&seat.world).vms[seat.vm].faults.meet(name);
        match fault {
            Some(Fault::Return(status)) => return Err(status),
            Some(Fault::Die) => seat.die(format!("cut before {name}")),
            Some(Fault::Pause) => seat.pause(),
            None => {}
        }
        body(&mut lock(&seat.world), seat.vm)
    })
    .unwrap_or(Err(Status::Unimplemented))
}

/// The VM's state, from code that runs on its thread but is the host's.
pub fn with_world<T>(body: impl FnOnce(&mut World, usize) -> T) -> T {
    SEAT.with(|seat| {
        let seat = seat.borrow();
        let seat = seat.as_ref().expect("only VM threads run filters");
        body(&mut lock(&seat.world), seat.vm)
    })
}

/// Notes why this thread is about to die, if it is a VM's.
pub fn last_words(message: &str) -> bool {
    LAST_WORDS.try_with(|words| words.borrow_mut().push_str(message)).is_ok() && on_a_vm()
}

fn on_a_vm() -> bool {
    SEAT.try_with(|seat| seat.borrow().is_some()).unwrap_or(false)
}

/// SIGABRT, raised by `abort` on the thread that called it.
extern "C" fn on_abort(_signal: libc::c_int) {
    let _ = SEAT.try_with(|seat| {
        if let Some(seat) = seat.borrow().as_ref() {
            seat.die(LAST_WORDS.with(|words| words.borrow().clone()));
        }
    });
    // Not a VM: `abort` goes on and ends the process.
}

/// Runs the filter's `_initialize` on this thread. One at a time, since the SDK sets its logger up once for the process.
pub fn initialize() {
    static CATCH: Once = Once::new();
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    CATCH.call_once(|| {
        // Sound: the handler only runs on the thread that called `abort`, between instructions of its own.
        unsafe { libc::signal(libc::SIGABRT, on_abort as *const () as libc::sighandler_t) };
    });
    let _turn = ONE_AT_A_TIME.lock();
    unsafe { exports::_initialize() };
}
