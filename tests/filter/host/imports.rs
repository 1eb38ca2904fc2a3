//! Host calls that concern the process: log, clock, configuration, shared data, callouts, metrics, environment.
//!
//! Pointers come from the filter. Each is valid for its size, as the real host's memory check would have found.

use std::{ptr, slice, thread};

use super::{
    callout::{Callout, Cluster},
    exports,
    headers::Headers,
    status::{HTTP_CALL_RESPONSE_BODY, LogLevel, PLUGIN_CONFIGURATION, Status, VM_CONFIGURATION},
    vm::{call, last_words},
    world::LogLine,
};

pub unsafe fn bytes<'a>(data: *const u8, size: usize) -> &'a [u8] {
    if data.is_null() { &[] } else { unsafe { slice::from_raw_parts(data, size) } }
}

/// Passes bytes to the filter in a buffer of its own allocator. Empty bytes are a null pointer, as in the real host.
pub unsafe fn give(value: &[u8], data: *mut *mut u8, size: *mut usize) {
    unsafe {
        let buffer = if value.is_empty() { ptr::null_mut() } else { exports::proxy_on_memory_allocate(value.len()) };
        if !value.is_empty() {
            ptr::copy_nonoverlapping(value.as_ptr(), buffer, value.len());
        }
        data.write(buffer);
        size.write(value.len());
    }
}

/// The status as a number.
pub fn number(result: Result<(), Status>) -> u32 {
    result.err().unwrap_or(Status::Ok) as u32
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_log(level: u32, data: *const u8, size: usize) -> u32 {
    let message = unsafe { bytes(data, size) };
    if thread::panicking() {
        // The SDK's panic hook. On a VM's thread this is a trap; on any other thread a failed assertion.
        let message = String::from_utf8_lossy(message);
        if !last_words(&message) {
            eprintln!("{message}");
        }
        return Status::Ok as u32;
    }
    number(call("proxy_log", |world, _| {
        let level = LogLevel::from_abi(level).ok_or(Status::BadArgument)?;
        world.log.push(LogLine { level, message: message.to_vec() });
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_get_log_level(level: *mut u32) -> u32 {
    number(call("proxy_get_log_level", |_, _| {
        unsafe { level.write(LogLevel::Info as u32) };
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32 {
    number(call("proxy_get_current_time_nanoseconds", |world, _| {
        unsafe { time.write(world.now.saturating_add_signed(world.skew)) };
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_set_tick_period_milliseconds(period: u32) -> u32 {
    number(call("proxy_set_tick_period_milliseconds", |world, vm| {
        let now = world.now;
        let root = world.vms[vm].root()?;
        root.tick_period = period;
        root.next_tick = now + u64::from(period) * 1_000_000;
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_get_buffer_bytes(
    kind: u32,
    start: usize,
    max_size: usize,
    data: *mut *mut u8,
    size: *mut usize,
) -> u32 {
    let found = call("proxy_get_buffer_bytes", |world, vm| {
        let root = world.vms[vm].root()?;
        let buffer: &[u8] = match kind {
            VM_CONFIGURATION => b"",
            PLUGIN_CONFIGURATION if root.configuring => &root.configuration,
            HTTP_CALL_RESPONSE_BODY => match &root.response {
                Some(Some((_, body))) => body,
                Some(None) => return Err(Status::BadArgument),
                None => return Err(Status::NotFound),
            },
            _ => return Err(Status::NotFound),
        };
        let end = start.checked_add(max_size).ok_or(Status::BadArgument)?.min(buffer.len());
        buffer.get(start..end).map(<[u8]>::to_vec).ok_or(Status::BadArgument)
    });
    match found {
        // If there is nothing to copy, the filter's pointers stay unchanged.
        Ok(found) if found.is_empty() => Status::Ok as u32,
        Ok(found) => unsafe {
            give(&found, data, size);
            Status::Ok as u32
        },
        Err(status) => status as u32,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_get_shared_data(
    key: *const u8,
    key_size: usize,
    data: *mut *mut u8,
    size: *mut usize,
    cas: *mut u32,
) -> u32 {
    let key = unsafe { bytes(key, key_size) };
    match call("proxy_get_shared_data", |world, vm| world.shared.get(&world.vms[vm].vm_id, key)) {
        Ok((value, current)) => unsafe {
            give(&value, data, size);
            cas.write(current);
            Status::Ok as u32
        },
        Err(status) => status as u32,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_set_shared_data(
    key: *const u8,
    key_size: usize,
    value: *const u8,
    value_size: usize,
    cas: u32,
) -> u32 {
    let (key, value) = unsafe { (bytes(key, key_size), bytes(value, value_size)) };
    number(call("proxy_set_shared_data", |world, vm| world.shared.set(&world.vms[vm].vm_id, key, value, cas)))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_register_shared_queue(name: *const u8, size: usize, queue: *mut u32) -> u32 {
    let name = unsafe { bytes(name, size) };
    number(call("proxy_register_shared_queue", |world, vm| {
        let state = &world.vms[vm];
        let given = world.queues.register(&state.vm_id, name, (vm, state.root_id()))?;
        unsafe { queue.write(given) };
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_enqueue_shared_queue(queue: u32, word: *const u8, size: usize) -> u32 {
    let word = unsafe { bytes(word, size) };
    number(call("proxy_enqueue_shared_queue", |world, _| world.queues.enqueue(queue, word)))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_dequeue_shared_queue(queue: u32, data: *mut *mut u8, size: *mut usize) -> u32 {
    match call("proxy_dequeue_shared_queue", |world, _| world.queues.dequeue(queue)) {
        Ok(word) => unsafe {
            give(&word, data, size);
            Status::Ok as u32
        },
        Err(status) => status as u32,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_http_call(
    cluster: *const u8,
    cluster_size: usize,
    headers: *const u8,
    headers_size: usize,
    body: *const u8,
    body_size: usize,
    _trailers: *const u8,
    _trailers_size: usize,
    timeout_ms: u32,
    token: *mut u32,
) -> u32 {
    let (cluster, headers, body) =
        unsafe { (bytes(cluster, cluster_size), bytes(headers, headers_size), bytes(body, body_size)) };
    let cluster = String::from_utf8_lossy(cluster).into_owned();
    unsafe { token.write(0) };
    number(call("proxy_http_call", |world, vm| {
        let headers = Headers::from_abi(headers).ok_or(Status::BadArgument)?;
        let known = world.clusters.get(&cluster);
        let complete = [":method", ":path", ":authority"].iter().all(|name| headers.first(name).is_some());
        if known == Some(&Cluster::Unknown) || !complete || i32::try_from(timeout_ms).is_err() {
            return Err(Status::BadArgument);
        }
        if known == Some(&Cluster::WithoutHosts) {
            return Err(Status::InternalFailure);
        }
        let deadline = (timeout_ms > 0).then(|| world.now + u64::from(timeout_ms) * 1_000_000);
        let state = &mut world.vms[vm];
        state.last_token += 1;
        let (root, thread, given) = (state.root_id(), state.thread, state.last_token);
        let body = body.to_vec();
        world.callouts.push(Callout { vm, root, token: given, deadline, thread, cluster, headers, body, timeout_ms });
        unsafe { token.write(given) };
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32) -> u32 {
    let name = unsafe { bytes(name, size) };
    number(call("proxy_define_metric", |world, vm| {
        let given = world.metrics.define(&mut world.vms[vm].metric_ids, kind, name)?;
        unsafe { id.write(given) };
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_increment_metric(id: u32, offset: i64) -> u32 {
    number(call("proxy_increment_metric", |world, vm| world.metrics.increment(&world.vms[vm].metric_ids, id, offset)))
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_record_metric(id: u32, value: u64) -> u32 {
    number(call("proxy_record_metric", |world, vm| world.metrics.record(&world.vms[vm].metric_ids, id, value)))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_get_metric(id: u32, value: *mut u64) -> u32 {
    number(call("proxy_get_metric", |world, vm| {
        let current = world.metrics.get(&world.vms[vm].metric_ids, id)?;
        unsafe { value.write(current) };
        Ok(())
    }))
}

/// WASI's `environ_sizes_get`; 0 is success.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn environ_sizes_get(count: *mut usize, size: *mut usize) -> u32 {
    number(call("environ_sizes_get", |world, _| {
        let lines = &world.environment;
        unsafe {
            count.write(lines.len());
            size.write(lines.iter().map(|(name, value)| name.len() + value.len() + 2).sum());
        }
        Ok(())
    }))
}

/// WASI's `random_get`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn random_get(bytes: *mut u8, size: usize) -> u32 {
    number(call("random_get", |world, vm| {
        if world.without_random {
            return Err(Status::InternalFailure);
        }
        unsafe { ptr::write_bytes(bytes, u8::try_from(vm % 256).unwrap(), size) };
        Ok(())
    }))
}

/// WASI's `environ_get`: pointers, and the `NAME=value` lines that they point to, each ended by a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn environ_get(mut pointers: *mut *mut u8, mut buffer: *mut u8) -> u32 {
    number(call("environ_get", |world, _| {
        for (name, value) in &world.environment {
            let line = format!("{name}={value}\0");
            unsafe {
                pointers.write(buffer);
                ptr::copy_nonoverlapping(line.as_ptr(), buffer, line.len());
                pointers = pointers.add(1);
                buffer = buffer.add(line.len());
            }
        }
        Ok(())
    }))
}
