//! Host calls that concern one request: its headers, properties and reply.

use super::{
    headers::Headers,
    imports::{bytes, give, number},
    requests::{LocalReply, Phase, Stream},
    status::{HTTP_CALL_RESPONSE_HEADERS, HTTP_REQUEST, HTTP_REQUEST_HEADERS, Status},
    vm::call,
    world::{Deferred, VmState},
};

/// The map to read. The request's headers are readable until the request goes on.
fn readable(vm: &mut VmState, kind: u32) -> Result<&Headers, Status> {
    if kind == HTTP_CALL_RESPONSE_HEADERS {
        return match &vm.root()?.response {
            Some(Some((headers, _))) => Ok(headers),
            _ => Err(Status::BadArgument),
        };
    }
    writable(vm, kind).map(|headers| &*headers)
}

/// The map to change. Every change of the request's headers clears the route cache.
fn writable(vm: &mut VmState, kind: u32) -> Result<&mut Headers, Status> {
    let stream = vm.stream().ok_or(Status::BadArgument)?;
    match kind {
        HTTP_REQUEST_HEADERS if stream.readable => Ok(&mut stream.headers),
        _ => Err(Status::BadArgument),
    }
}

fn change(name: &'static str, kind: u32, body: impl FnOnce(&mut Headers)) -> u32 {
    number(call(name, |world, vm| {
        body(writable(&mut world.vms[vm], kind)?);
        if kind == HTTP_REQUEST_HEADERS
            && let Some(stream) = world.vms[vm].stream()
        {
            stream.route_choices += 1;
        }
        Ok(())
    }))
}

unsafe fn hand_over(found: Result<Vec<u8>, Status>, data: *mut *mut u8, size: *mut usize) -> u32 {
    match found {
        Ok(value) => unsafe {
            give(&value, data, size);
            Status::Ok as u32
        },
        Err(status) => status as u32,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_get_header_map_pairs(kind: u32, data: *mut *mut u8, size: *mut usize) -> u32 {
    let found = call("proxy_get_header_map_pairs", |world, vm| Ok(readable(&mut world.vms[vm], kind)?.to_abi()));
    unsafe { hand_over(found, data, size) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_remove_header_map_value(kind: u32, name: *const u8, name_size: usize) -> u32 {
    let name = unsafe { bytes(name, name_size) };
    change("proxy_remove_header_map_value", kind, |map| map.remove(name))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_replace_header_map_value(
    kind: u32,
    name: *const u8,
    name_size: usize,
    value: *const u8,
    value_size: usize,
) -> u32 {
    let (name, value) = unsafe { (bytes(name, name_size), bytes(value, value_size)) };
    change("proxy_replace_header_map_value", kind, |map| map.replace(name, value))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_get_property(
    path: *const u8,
    path_size: usize,
    data: *mut *mut u8,
    size: *mut usize,
) -> u32 {
    let path = unsafe { bytes(path, path_size) };
    let found = call("proxy_get_property", |world, vm| {
        if path == b"xds\0node\0id" {
            return Ok(world.node_id.clone());
        }
        let stream = world.vms[vm].stream().ok_or(Status::NotFound)?;
        stream.properties.get(path).cloned().ok_or(Status::NotFound)
    });
    unsafe { hand_over(found, data, size) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_set_property(
    path: *const u8,
    path_size: usize,
    value: *const u8,
    value_size: usize,
) -> u32 {
    let (path, value) = unsafe { (bytes(path, path_size), bytes(value, value_size)) };
    number(call("proxy_set_property", |world, vm| {
        let stream = world.vms[vm].stream().ok_or(Status::NotFound)?;
        let name = format!("wasm.{}", String::from_utf8_lossy(path));
        stream.filter_state.insert(name, value.to_vec());
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_set_effective_context(context: u32) -> u32 {
    number(call("proxy_set_effective_context", |world, vm| {
        let vm = &mut world.vms[vm];
        if !vm.roots.contains_key(&context) && !vm.streams.contains_key(&context) {
            return Err(Status::BadArgument);
        }
        vm.effective = context;
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_continue_stream(kind: u32) -> u32 {
    number(call("proxy_continue_stream", |world, vm| {
        let state = &mut world.vms[vm];
        let context = state.context();
        let wrong = match state.stream() {
            _ if kind != HTTP_REQUEST => Some("of a kind that keygate has none of"),
            None => Some("outside a stream"),
            Some(Stream { phase: Phase::Paused, reply: None, readable: true, .. }) => None,
            Some(_) => Some("of a request that is not waiting"),
        };
        if let Some(stream) = state.stream() {
            stream.readable = false;
            state.deferred.push(Deferred::Continue(context));
        }
        if let Some(wrong) = wrong {
            world.violations.push(format!("continue_stream {wrong}"));
        }
        Ok(())
    }))
}

/// Each stream of this host ends with its reply, so none is open and could be closed. Tests with a real Envoy cover
/// open streams.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_close_stream(_kind: u32) -> u32 {
    number(call("proxy_close_stream", |world, _| {
        world.violations.push("close_stream of a stream that has ended".to_owned());
        Err(Status::BadArgument)
    }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_send_local_response(
    status: u32,
    details: *const u8,
    details_size: usize,
    body: *const u8,
    body_size: usize,
    headers: *const u8,
    headers_size: usize,
    grpc_status: i32,
) -> u32 {
    let (details, body, headers) =
        unsafe { (bytes(details, details_size), bytes(body, body_size), bytes(headers, headers_size)) };
    number(call("proxy_send_local_response", |world, vm| {
        let state = &mut world.vms[vm];
        let context = state.context();
        let headers = Headers::from_abi(headers);
        let wrong = match state.stream() {
            None => Some("outside a stream"),
            Some(stream) if stream.reply.is_some() => Some("a second time"),
            Some(stream) if !stream.readable => Some("after the request went on"),
            Some(_) if headers.is_none() => Some("with damaged headers"),
            Some(_) => None,
        };
        if let Some(stream) = state.stream().filter(|_| wrong.is_none()) {
            let reply = LocalReply { status, details, body, headers: headers.unwrap_or_default(), grpc_status };
            stream.reply = Some(stream.local_reply(reply));
            state.deferred.push(Deferred::Reply(context));
        }
        if let Some(wrong) = wrong {
            world.violations.push(format!("send_local_response {wrong}"));
        }
        Ok(())
    }))
}
