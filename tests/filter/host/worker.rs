//! Code on a VM's thread: the host's calls into the filter, and Envoy's actions after a call returns.

use super::{
    callout::Callout,
    exports,
    headers::Headers,
    requests::{Phase, Request, Stream},
    status::PAUSE,
    vm::with_world,
    world::{Deferred, Root},
};

/// Calls an export in this context, then carries out the filter's deferred requests.
fn enter<T>(context: u32, export: impl FnOnce() -> T) -> T {
    with_world(|world, vm| {
        world.vms[vm].current = context;
        world.vms[vm].effective = 0;
    });
    let result = export();
    let deferred = with_world(|world, vm| std::mem::take(&mut world.vms[vm].deferred));
    for action in deferred {
        match action {
            Deferred::Continue(stream) => end(stream, Phase::Passed),
            Deferred::Reply(stream) => end(stream, Phase::Refused),
        }
    }
    result
}

/// Makes a root context and configures it. Returns 1 if the filter accepts.
pub fn configure(plugin: usize, configuration: Vec<u8>) -> u64 {
    let size = configuration.len();
    let id = with_world(|world, vm| {
        let vm = &mut world.vms[vm];
        let id = vm.next_context();
        vm.roots_made += 1;
        vm.roots.insert(id, Root { plugin, configuration, ..Root::default() });
        id
    });
    let configuring = |now: bool| {
        with_world(|world, vm| world.vms[vm].roots.get_mut(&id).into_iter().for_each(|root| root.configuring = now));
    };
    enter(id, || unsafe { exports::keygate_on_context_create(id, 0) });
    let started = enter(id, || unsafe { exports::proxy_on_vm_start(id, 0) });
    configuring(true);
    let accepted = started && enter(id, || unsafe { exports::proxy_on_configure(id, size) });
    configuring(false);
    u64::from(accepted)
}

/// Ends a root context, as Envoy does when a plugin's configuration is replaced.
pub fn remove_root(id: u32) -> u64 {
    enter(id, || unsafe { exports::keygate_on_delete(id) });
    with_world(|world, vm| {
        world.vms[vm].roots.remove(&id);
        // Envoy cancels the callouts of a context that ends.
        world.callouts.retain(|callout| (callout.vm, callout.root) != (vm, id));
    });
    0
}

/// One tick. Afterwards the timer is set again.
pub fn tick(root: u32) -> u64 {
    enter(root, || unsafe { exports::proxy_on_tick(root) });
    with_world(|world, vm| {
        let now = world.now;
        if let Some(root) = world.vms[vm].roots.get_mut(&root) {
            root.next_tick = now + u64::from(root.tick_period) * 1_000_000;
            root.ticks += 1;
        }
    });
    0
}

/// Tells a root context that its queue has a word.
pub fn queue_ready(root: u32, queue: u32) -> u64 {
    let present = with_world(|world, vm| world.vms[vm].roots.contains_key(&root));
    if present {
        enter(root, || unsafe { exports::proxy_on_queue_ready(root, queue) });
    }
    0
}

/// Delivers a callout's answer to the filter. `None` is a reset.
pub fn answer(callout: &Callout, answer: Option<(Headers, Vec<u8>)>) -> u64 {
    let (headers, body) = answer.as_ref().map_or((0, 0), |(headers, body)| (headers.len(), body.len()));
    let (root, token) = (callout.root, callout.token);
    let present = with_world(|world, vm| match world.vms[vm].roots.get_mut(&root) {
        Some(root) => {
            root.response = Some(answer);
            true
        }
        None => false,
    });
    if present {
        enter(root, || unsafe { exports::proxy_on_http_call_response(root, token, headers, body, 0) });
        with_world(|world, vm| world.vms[vm].roots.get_mut(&root).into_iter().for_each(|root| root.response = None));
    }
    0
}

/// The head of a request arrives. Returns its ticket.
pub fn begin(root: u32, request: Request) -> u64 {
    let lines = request.headers.len();
    let id = with_world(|world, vm| {
        world.secrets.extend(request.secrets.iter().cloned());
        let vm = &mut world.vms[vm];
        let id = vm.next_context();
        vm.streams.insert(id, Stream::new(root, request));
        id
    });
    enter(id, || unsafe { exports::keygate_on_context_create(id, root) });
    let action = enter(id, || unsafe { exports::keygate_on_request_headers(id, lines, true) });
    let undecided = with_world(|world, vm| {
        let stream = world.vms[vm].streams.get_mut(&id)?;
        (stream.phase == Phase::Deciding).then(|| stream.phase = Phase::Paused)
    });
    if undecided.is_some() && action != PAUSE {
        end(id, Phase::Passed);
    }
    u64::from(id)
}

/// The client of a waiting request goes away.
pub fn abort(stream: u32) -> u64 {
    end(stream, Phase::Aborted);
    0
}

/// Finishes a request.
fn end(stream: u32, phase: Phase) {
    let ending = with_world(|world, vm| {
        let stream = world.vms[vm].streams.get_mut(&stream)?;
        if !matches!(stream.phase, Phase::Deciding | Phase::Paused) {
            return None;
        }
        stream.phase = phase;
        stream.readable = false;
        Some(())
    });
    if ending.is_none() {
        return;
    }
    enter(stream, || unsafe { exports::keygate_on_delete(stream) });
}
