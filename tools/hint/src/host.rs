//! The parts of Envoy that are needed to play requests through a module: headers, a configuration, shared data, a clock
//! of its own, and callouts, which are recorded. All other calls succeed and do nothing. Every run is the same, so a
//! module gets the same hints on every machine. This file knows neither policies nor branches.

use std::collections::HashMap;

use wasmi::{Caller, Engine, Error, Global, Instance, Linker, Memory, Module, Store, TypedFunc, Val};

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const CAS_MISMATCH: u32 = 8;

const CALL_RESPONSE_BODY: u32 = 4;
const CALL_RESPONSE_HEADERS: u32 = 6;
const PLUGIN_CONFIGURATION: u32 = 7;
/// Log lines of this level or above are printed, because they say why a module does not work.
const WARNING: u32 = 3;

/// The root context of the plugin.
const ROOT: u32 = 1;
/// Time between two ticks, in nanoseconds.
const TICK: u64 = 100_000_000;

/// The state of the host.
#[derive(Default)]
struct World {
    /// The memory and the allocation function of the instance. Every call with bytes needs them.
    memory: Option<(Memory, TypedFunc<u32, u32>)>,
    configuration: Vec<u8>,
    request: Vec<u8>,
    answer: Vec<u8>,
    body: Vec<u8>,
    shared: HashMap<Vec<u8>, (Vec<u8>, u32)>,
    callouts: u32,
    reads: usize,
    now: u64,
}

/// A running module.
pub struct Host {
    store: Store<World>,
    instance: Instance,
    next_context: u32,
}

impl Host {
    /// Starts a module with this plugin configuration.
    pub fn start(module: &[u8], configuration: &str) -> Result<Self, String> {
        let engine = Engine::default();
        let module = Module::new(&engine, module).map_err(text)?;
        let world = World { configuration: configuration.into(), now: TICK, ..World::default() };
        let mut store = Store::new(&engine, world);
        let instance = linker(&engine, &module).and_then(|linker| linker.instantiate_and_start(&mut store, &module));
        let instance = instance.map_err(text)?;
        let memory = instance.get_memory(&store, "memory").ok_or("it exports no memory")?;
        let malloc = instance.get_typed_func(&store, "malloc").map_err(text)?;
        store.data_mut().memory = Some((memory, malloc));
        let mut host = Self { store, instance, next_context: ROOT };
        host.call::<(), ()>("_initialize", ())?;
        host.create_context(0)?;
        host.call::<_, u32>("proxy_on_vm_start", (ROOT, 0u32))?;
        let bytes = size_of(configuration.as_bytes());
        match host.call("proxy_on_configure", (ROOT, bytes))? {
            1u32 => Ok(host),
            _ => Err(format!("it refuses the configuration {configuration}")),
        }
    }

    /// Advances the clock and ticks once.
    pub fn tick(&mut self) -> Result<(), String> {
        self.store.data_mut().now += TICK;
        self.call("proxy_on_tick", ROOT)
    }

    /// Number of callouts so far.
    pub fn callouts(&self) -> u32 {
        self.store.data().callouts
    }

    /// Number of reads of shared data so far.
    pub fn reads(&self) -> usize {
        self.store.data().reads
    }

    /// Answers a callout, which is numbered from 1.
    pub fn answer(&mut self, callout: u32, headers: &[(&str, &str)], body: &[u8]) -> Result<(), String> {
        let world = self.store.data_mut();
        (world.answer, world.body) = (serialize(headers), body.to_vec());
        let headers = u32::try_from(headers.len()).unwrap_or(u32::MAX);
        self.call("proxy_on_http_call_response", (ROOT, callout, headers, size_of(body), 0u32))
    }

    /// Sends a request. Returns whether it goes on at once.
    pub fn request(&mut self, headers: &[(&str, &str)]) -> Result<bool, String> {
        self.store.data_mut().request = serialize(headers);
        let context = self.create_context(ROOT)?;
        let count = u32::try_from(headers.len()).unwrap_or(u32::MAX);
        let action: u32 = self.call("proxy_on_request_headers", (context, count, 1u32))?;
        self.call::<_, ()>("proxy_on_delete", context)?;
        Ok(action == 0)
    }

    /// The exported globals.
    pub fn globals(&self) -> Vec<(String, Global)> {
        let named = |export: wasmi::Export<'_>| Some((export.name().to_owned(), export.into_global()?));
        self.instance.exports(&self.store).filter_map(named).collect()
    }

    pub fn value(&self, counter: Global) -> u64 {
        // A counter has 32 bits and counts from zero.
        u64::from(counter.get(&self.store).i32().unwrap_or(0).cast_unsigned())
    }

    /// Sets a counter to zero.
    pub fn reset(&mut self, counter: Global) -> Result<(), String> {
        counter.set(&mut self.store, Val::I32(0)).map_err(|error| error.to_string())
    }

    fn create_context(&mut self, root: u32) -> Result<u32, String> {
        let context = self.next_context;
        self.next_context += 1;
        self.call::<_, ()>("proxy_on_context_create", (context, root))?;
        Ok(context)
    }

    fn call<P: wasmi::WasmParams, R: wasmi::WasmResults>(&mut self, name: &str, parameters: P) -> Result<R, String> {
        let callback = self.instance.get_typed_func::<P, R>(&self.store, name).map_err(text)?;
        callback.call(&mut self.store, parameters).map_err(|error| format!("{name}: {error}"))
    }
}

fn text(error: Error) -> String {
    error.to_string()
}

fn size_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// The host's serialization of a header map.
fn serialize(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut out = u32::try_from(headers.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        out.extend(size_of(text.as_bytes()).to_le_bytes());
    }
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        out.extend_from_slice(text.as_bytes());
        out.push(0);
    }
    out
}

type Call<'a> = Caller<'a, World>;

fn linker(engine: &Engine, module: &Module) -> Result<Linker<World>, Error> {
    let mut linker = Linker::new(engine);
    for import in module.imports() {
        if let wasmi::ExternType::Func(kind) = import.ty() {
            linker.func_new(import.module(), import.name(), kind.clone(), |_, _, results| {
                results.iter_mut().for_each(|result| *result = Val::I32(0));
                Ok(())
            })?;
        }
    }
    linker.allow_shadowing(true);
    linker.func_wrap("env", "proxy_log", |call: Call<'_>, level: u32, line: u32, size: u32| {
        if level >= WARNING {
            eprintln!("hint: the module says: {}", String::from_utf8_lossy(&read(&call, line, size)?));
        }
        Ok::<_, Error>(OK)
    })?;
    linker.func_wrap("env", "proxy_get_current_time_nanoseconds", |mut call: Call<'_>, time: u32| {
        let now = call.data().now.to_le_bytes();
        write(&mut call, time, &now).map(|()| OK)
    })?;
    linker.func_wrap("env", "proxy_get_header_map_pairs", |call: Call<'_>, map: u32, data: u32, size: u32| {
        let world = call.data();
        let headers = if map == CALL_RESPONSE_HEADERS { &world.answer } else { &world.request }.clone();
        give(call, &headers, data, size)
    })?;
    linker.func_wrap(
        "env",
        "proxy_get_buffer_bytes",
        |call: Call<'_>, buffer: u32, _begin: u32, _most: u32, data: u32, size: u32| {
            let bytes = match buffer {
                CALL_RESPONSE_BODY => call.data().body.clone(),
                PLUGIN_CONFIGURATION => call.data().configuration.clone(),
                _ => return Ok(NOT_FOUND),
            };
            give(call, &bytes, data, size)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_shared_data",
        |mut call: Call<'_>, key: u32, key_size: u32, data: u32, size: u32, cas: u32| {
            call.data_mut().reads += 1;
            let key = read(&call, key, key_size)?;
            let Some((value, version)) = call.data().shared.get(&key).cloned() else { return Ok(NOT_FOUND) };
            write(&mut call, cas, &version.to_le_bytes())?;
            give(call, &value, data, size)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_shared_data",
        |mut call: Call<'_>, key: u32, key_size: u32, data: u32, size: u32, cas: u32| {
            let (key, value) = (read(&call, key, key_size)?, read(&call, data, size)?);
            let (held, version) = call.data_mut().shared.entry(key).or_default();
            // Like Envoy: zero overwrites, and an absent entry has no version.
            if cas != 0 && *version != 0 && cas != *version {
                return Ok(CAS_MISMATCH);
            }
            (*held, *version) = (value, version.wrapping_add(1));
            Ok::<_, Error>(OK)
        },
    )?;
    linker.func_wrap("env", "proxy_http_call", http_call)?;
    Ok(linker)
}

#[expect(clippy::too_many_arguments, reason = "the ABI has them")]
fn http_call(
    mut call: Call<'_>,
    _cluster: u32,
    _cluster_size: u32,
    _headers: u32,
    _headers_size: u32,
    _body: u32,
    _body_size: u32,
    _trailers: u32,
    _trailers_size: u32,
    _timeout: u32,
    token: u32,
) -> Result<u32, Error> {
    call.data_mut().callouts += 1;
    let number = call.data().callouts.to_le_bytes();
    write(&mut call, token, &number).map(|()| OK)
}

fn memory(call: &Call<'_>) -> Result<(Memory, TypedFunc<u32, u32>), Error> {
    call.data().memory.ok_or_else(|| Error::new("a call before there is an instance"))
}

fn read(call: &Call<'_>, at: u32, size: u32) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    memory(call)?.0.read(call, at, &mut bytes).map_err(|error| Error::new(error.to_string()))?;
    Ok(bytes)
}

fn write(call: &mut Call<'_>, at: u32, bytes: &[u8]) -> Result<(), Error> {
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    memory(call)?.0.write(call, at, bytes).map_err(|error| Error::new(error.to_string()))
}

/// Passes bytes to the module in memory that it allocates.
fn give(mut call: Call<'_>, bytes: &[u8], data: u32, size: u32) -> Result<u32, Error> {
    let place = memory(&call)?.1.call(&mut call, size_of(bytes))?;
    write(&mut call, place, bytes)?;
    write(&mut call, data, &place.to_le_bytes())?;
    write(&mut call, size, &size_of(bytes).to_le_bytes())?;
    Ok(OK)
}
