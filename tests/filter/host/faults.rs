//! Faults at any host call: the n-th call of a kind fails, kills the VM, or stops until the test resumes it.

use super::status::Status;

/// The effect instead of a host call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call does nothing and returns this.
    Return(Status),
    /// The VM ends here, as by a trap. The call and everything after it do not happen.
    Die,
    /// The VM stops before the call. The test may do other things and then resume it.
    Pause,
}

/// The planned faults of a VM, and the number of calls it has made.
#[derive(Default)]
pub struct Faults {
    planned: Vec<Plan>,
    /// Number of host calls so far, of all kinds.
    pub calls: u64,
}

struct Plan {
    call: Option<&'static str>,
    skip: u64,
    repeat: bool,
    fault: Fault,
}

impl Faults {
    /// After `skip` more calls of this kind (of any kind if `None`), the next call meets the fault, once.
    pub fn once(&mut self, call: Option<&'static str>, skip: u64, fault: Fault) {
        self.planned.push(Plan { call, skip, repeat: false, fault });
    }

    /// Every call of this kind meets the fault.
    pub fn always(&mut self, call: &'static str, fault: Fault) {
        self.planned.push(Plan { call: Some(call), skip: 0, repeat: true, fault });
    }

    pub fn clear(&mut self) {
        self.planned.clear();
    }

    /// Counts a call. Returns its fault, if any.
    pub fn meet(&mut self, call: &'static str) -> Option<Fault> {
        self.calls += 1;
        let mut met = None;
        self.planned.retain_mut(|plan| {
            if met.is_some() || plan.call.is_some_and(|planned| planned != call) {
                return true;
            }
            if plan.skip > 0 {
                plan.skip -= 1;
                return true;
            }
            met = Some(plan.fault);
            plan.repeat
        });
        met
    }
}

#[test]
fn the_nth_call_of_a_kind_meets_its_fault_once() {
    let mut faults = Faults::default();
    faults.once(Some("a"), 1, Fault::Die);
    let met: Vec<_> = ["a", "b", "a", "a"].map(|call| faults.meet(call).is_some()).into();
    assert_eq!(met, [false, false, true, false]);
    assert_eq!(faults.calls, 4);
}
