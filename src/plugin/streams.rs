//! The callbacks of a request's stream: they find the plugin of a stream and pass the event on to it.
//!
//! The SDK's dispatcher would create a boxed context for each stream and look it up in several maps on each callback.
//! keygate needs only the number of a stream. So when the module is trimmed, these four functions replace the SDK's
//! exports with the same names. They pass events of root contexts on to the SDK.

#![allow(unsafe_code, reason = "`no_mangle`, which the exports need, is unsafe")]

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use super::{
    host,
    http::{self, Action},
    instance::Plugin,
};
use crate::answer::edit;

thread_local! {
    static STREAMS: Streams = const { Streams::new() };
}

/// The streams of a VM, each with the root context of its plugin.
struct Streams {
    /// Plugins by root context. A VM has one for each plugin configuration that shares it, so there are few.
    plugins: RefCell<Vec<(u32, Rc<Plugin>)>>,
    /// The newest stream. Envoy normally delivers its headers next.
    newest: Cell<Option<Stream>>,
    /// Other streams, for a host that creates several before it delivers the headers of one.
    older: RefCell<Vec<Stream>>,
    /// The root context of the last stream since its plugin's tick. Its plugin knows that it serves requests.
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

    /// Removes a stream. A second call does not find it.
    #[inline(always)]
    fn remove_stream(&self, context: u32) -> Option<Stream> {
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

    /// Removes a plugin. Returns whether this was the root context of one.
    fn remove_plugin(&self, context: u32) -> bool {
        let mut plugins = self.plugins.borrow_mut();
        let place = plugins.iter().position(|(root, _)| *root == context);
        place.map(|place| plugins.swap_remove(place)).is_some()
    }
}

/// Assigns the streams of this root context to `plugin`.
pub(super) fn serve(root: u32, plugin: Rc<Plugin>) {
    STREAMS.with(|streams| {
        streams.remove_plugin(root);
        streams.plugins.borrow_mut().push((root, plugin));
    });
}

/// A plugin has ticked. The next request tells it that it serves.
pub(super) fn ticked(root: u32) {
    STREAMS.with(|streams| {
        if streams.serving.get() == root {
            streams.serving.set(0);
        }
    });
}

/// A context begins: the root context of a plugin, or a stream of the plugin with that root context.
#[unsafe(no_mangle)]
extern "C" fn keygate_on_context_create(context: u32, root: u32) {
    if root == 0 {
        host::sdk_creates_root(context);
    } else {
        STREAMS.with(|streams| streams.add(Stream { context, root }));
    }
}

/// The headers of a request have arrived.
#[unsafe(no_mangle)]
extern "C" fn keygate_on_request_headers(context: u32, _headers: usize, _end_of_stream: u32) -> Action {
    let plugin = STREAMS.with(|streams| streams.remove_stream(context).and_then(|stream| streams.plugin(stream.root)));
    match plugin {
        Some(plugin) => http::answer(&plugin, context),
        None => http::refuse_unconfigured(),
    }
}

/// The trailers of a request have arrived. Envoy calls this only if a request has trailers. By then the plugin of the
/// stream is no longer known, so the trailers lose the names that any plugin of this VM forbids.
#[unsafe(no_mangle)]
extern "C" fn keygate_on_request_trailers(_context: u32, _trailers: usize) -> Action {
    STREAMS.with(|streams| {
        for (_, plugin) in streams.plugins.borrow().iter() {
            edit::forbidden_trailers(&plugin.config).for_each(host::remove_request_trailer);
        }
    });
    Action::Continue
}

/// A context ends. A stream that waits for the first policy is removed from the waiting list.
#[unsafe(no_mangle)]
extern "C" fn keygate_on_delete(context: u32) {
    STREAMS.with(|streams| {
        if streams.remove_stream(context).is_some() {
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
        if streams.remove_plugin(context) {
            host::sdk_deletes_root(context);
        }
    });
}
