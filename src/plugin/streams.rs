//! The callbacks of a request's stream: which plugin it belongs to, and what it is asked.
//!
//! The SDK's dispatcher would make a boxed context for each stream and look it up in several maps at each callback; all
//! that keygate needs of a stream is its number. So these four take the place of the SDK's exports of the same names when
//! the module is trimmed. They hand on to the SDK what concerns root contexts.

#![allow(unsafe_code, reason = "the names of exports are")]

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use super::{
    Plugin, host,
    http::{self, Action},
};
use crate::answer::edit;

thread_local! {
    static STREAMS: Streams = const { Streams::new() };
}

/// The streams of a VM, each with the root context of the plugin that it belongs to.
struct Streams {
    /// Plugins by their root contexts. A VM has one for each plugin configuration that shares it, so they are few.
    plugins: RefCell<Vec<(u32, Rc<Plugin>)>>,
    /// The stream that was made last: Envoy asks for its headers at once.
    newest: Cell<Option<Stream>>,
    /// Streams of a host that makes others before it asks for the headers of one.
    older: RefCell<Vec<Stream>>,
    /// The root context of the last stream, whose plugin has been told that it serves.
    serving: Cell<u32>,
}

#[derive(Clone, Copy)]
struct Stream {
    context: u32,
    root: u32,
}

impl Streams {
    const fn new() -> Self {
        Self {
            plugins: RefCell::new(Vec::new()),
            newest: Cell::new(None),
            older: RefCell::new(Vec::new()),
            serving: Cell::new(0),
        }
    }

    fn add(&self, stream: Stream) {
        if self.serving.replace(stream.root) != stream.root
            && let Some(plugin) = self.plugin(stream.root)
        {
            plugin.serve();
        }
        if let Some(older) = self.newest.replace(Some(stream)) {
            self.older.borrow_mut().push(older);
        }
    }

    /// Takes a stream out; a second time it is not found.
    #[inline(always)]
    fn take(&self, context: u32) -> Option<Stream> {
        if let Some(newest) = self.newest.get()
            && newest.context == context
        {
            return self.newest.take();
        }
        let mut older = self.older.borrow_mut();
        let place = older.iter().position(|stream| stream.context == context)?;
        Some(older.swap_remove(place))
    }

    fn plugin(&self, root: u32) -> Option<Rc<Plugin>> {
        self.plugins.borrow().iter().find(|(known, _)| *known == root).map(|(_, plugin)| plugin.clone())
    }

    /// Whether it was a plugin's root context.
    fn remove(&self, context: u32) -> bool {
        let mut plugins = self.plugins.borrow_mut();
        let place = plugins.iter().position(|(root, _)| *root == context);
        place.map(|place| plugins.swap_remove(place)).is_some()
    }
}

/// From now on the streams of this root context belong to `plugin`.
pub(super) fn serve(root: u32, plugin: Rc<Plugin>) {
    STREAMS.with(|streams| {
        streams.remove(root);
        streams.plugins.borrow_mut().push((root, plugin));
    });
}

/// A context begins: a plugin's root context, or a stream of the plugin with that root context.
#[unsafe(no_mangle)]
extern "C" fn keygate_on_context_create(context: u32, root: u32) {
    if root == 0 {
        host::sdk_creates_root(context);
    } else {
        STREAMS.with(|streams| streams.add(Stream { context, root }));
    }
}

/// A request's headers have come.
#[unsafe(no_mangle)]
extern "C" fn keygate_on_request_headers(context: u32, _headers: usize, _end_of_stream: u32) -> Action {
    let plugin = STREAMS.with(|streams| streams.take(context).and_then(|stream| streams.plugin(stream.root)));
    match plugin {
        Some(plugin) => http::answer(&plugin, context),
        None => http::refuse_unconfigured(),
    }
}

/// A request's trailers have come. Envoy calls this only for a request that has some. Which plugin the stream belongs to is
/// forgotten by then, so the trailers lose the names that any plugin of this VM forbids.
#[unsafe(no_mangle)]
extern "C" fn keygate_on_request_trailers(_context: u32, _trailers: usize) -> Action {
    STREAMS.with(|streams| {
        for (_, plugin) in streams.plugins.borrow().iter() {
            edit::forbidden_trailers(&plugin.config).for_each(host::remove_request_trailer);
        }
    });
    Action::Continue
}

/// A context ends. A stream that waits for the first policy is not woken any more.
#[unsafe(no_mangle)]
extern "C" fn keygate_on_delete(context: u32) {
    STREAMS.with(|streams| {
        if streams.take(context).is_some() {
            return;
        }
        if streams
            .plugins
            .borrow()
            .iter()
            .any(|(_, plugin)| plugin.forget_waiting(context) || plugin.forget_open(context))
        {
            return;
        }
        if streams.remove(context) {
            host::sdk_deletes_root(context);
        }
    });
}
