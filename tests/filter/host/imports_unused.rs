//! Host calls that the SDK declares and keygate does not use. They must exist for the linker, and they return
//! Unimplemented. Their arguments are left out, because nothing reads them.
//!
//! The shipped configurations do not permit these calls: `tests/e2e` reads this list.

use super::{imports::number, status::Status, vm::call};

macro_rules! unimplemented_calls {
    ($($name:ident),* $(,)?) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> u32 {
            number(call(stringify!($name), |world, _| {
                world.violations.push(concat!(stringify!($name), " was called").to_owned());
                Err(Status::Unimplemented)
            }))
        }
    )*};
}

unimplemented_calls! {
    proxy_set_buffer_bytes,
    proxy_get_header_map_value,
    proxy_add_header_map_value,
    proxy_set_header_map_pairs,
    proxy_resolve_shared_queue,
    proxy_grpc_call,
    proxy_grpc_stream,
    proxy_grpc_send,
    proxy_grpc_cancel,
    proxy_grpc_close,
    proxy_get_status,
    proxy_call_foreign_function,
    proxy_done,
}
