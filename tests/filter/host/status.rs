//! Numbers of the ABI, as proxy-wasm-cpp-host gives them.

/// Result of a host call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    Ok = 0,
    NotFound = 1,
    BadArgument = 2,
    Empty = 7,
    CasMismatch = 8,
    InternalFailure = 10,
    Unimplemented = 12,
}

/// Level of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

impl LogLevel {
    /// The level with this number. `None`: the host refuses it as BadArgument.
    pub fn from_abi(number: u32) -> Option<Self> {
        use LogLevel::*;
        [Trace, Debug, Info, Warn, Error, Critical].get(number as usize).copied()
    }
}

/// `BufferType`s that this host has.
pub const HTTP_CALL_RESPONSE_BODY: u32 = 4;
pub const VM_CONFIGURATION: u32 = 6;
pub const PLUGIN_CONFIGURATION: u32 = 7;

/// `MapType`s that this host has.
pub const HTTP_REQUEST_HEADERS: u32 = 0;
pub const HTTP_CALL_RESPONSE_HEADERS: u32 = 6;

/// `StreamType` of a request.
pub const HTTP_REQUEST: u32 = 0;

/// `Action::Pause`.
pub const PAUSE: u32 = 1;
