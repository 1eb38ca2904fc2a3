//! A VM is a thread, because the SDK's dispatcher is thread-local. A trap is a thread that never continues.
//!
//! A panic that would unwind through the filter's `extern "C"` exports calls `abort`. On a VM's thread, a handler
//! catches the signal of `abort`, reports the death and parks the thread for ever. On any other thread the process ends
//! as usual. (The panic hook could not park the thread: it runs under a lock that the test harness needs at the end.)
//! Faults end a VM in the same way, at any host call. Parked threads and their memory are freed when the test binary
//! exits.

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
    /// The VM died for this reason.
    Died(String),
    /// The VM stopped before a host call, as planned, and can be resumed.
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

/// The test's handle of a VM's thread.
pub struct Vm {
    pub index: usize,
    pub thread: usize,
    pub vm_id: String,
    jobs: Sender<Job>,
    resume: Sender<()>,
    events: Receiver<Ran>,
    pub state: Life,
}

/// The state of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Idle,
    /// Running a job.
    Busy,
    /// Stopped inside a callback.
    Paused,
    Dead,
}

/// The world and the index of the VM of the current thread.
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
    /// Starts the thread, without running the filter's `_initialize`.
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

    /// Runs a job on the VM's thread and waits for its end.
    pub fn run(&mut self, job: impl FnOnce() -> u64 + Send + 'static) -> Ran {
        self.send(job);
        self.wait()
    }

    /// Starts a job. [`Vm::wait`] must follow.
    pub fn send(&mut self, job: impl FnOnce() -> u64 + Send + 'static) {
        assert_eq!(self.state, Life::Idle, "VM {} cannot run", self.index);
        self.jobs.send(Box::new(job)).expect("the VM's thread is there");
        self.state = Life::Busy;
    }

    /// Resumes a paused VM.
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

/// A host call: counts it, applies a planned fault, or runs `body` under the lock.
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

/// The VM's state, for the host's code that runs on its thread.
pub fn with_world<T>(body: impl FnOnce(&mut World, usize) -> T) -> T {
    SEAT.with(|seat| {
        let seat = seat.borrow();
        let seat = seat.as_ref().expect("only VM threads run filters");
        body(&mut lock(&seat.world), seat.vm)
    })
}

/// Notes why this thread is about to die. Returns whether it is a VM's thread.
pub fn last_words(message: &str) -> bool {
    LAST_WORDS.try_with(|words| words.borrow_mut().push_str(message)).is_ok() && on_a_vm()
}

fn on_a_vm() -> bool {
    SEAT.try_with(|seat| seat.borrow().is_some()).unwrap_or(false)
}

/// Handler of SIGABRT, which `abort` raises on the thread that called it.
extern "C" fn on_abort(_signal: libc::c_int) {
    let _ = SEAT.try_with(|seat| {
        if let Some(seat) = seat.borrow().as_ref() {
            seat.die(LAST_WORDS.with(|words| words.borrow().clone()));
        }
    });
    // Not a VM's thread: `abort` continues and ends the process.
}

/// Runs the filter's `_initialize` on this thread. One thread at a time, because the SDK sets up its logger once per
/// process.
pub fn initialize() {
    static CATCH: Once = Once::new();
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    CATCH.call_once(|| {
        // Sound: the handler runs only on the thread that called `abort`, between that thread's own instructions.
        unsafe { libc::signal(libc::SIGABRT, on_abort as *const () as libc::sighandler_t) };
    });
    let _turn = ONE_AT_A_TIME.lock();
    unsafe { exports::_initialize() };
}
