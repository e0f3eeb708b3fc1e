//! What is under way in a front, so that a test can wait until nothing is.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};

/// Counts connections and requests that are under way.
#[derive(Debug, Default)]
pub(super) struct Busy {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    under_way: usize,
    /// Clients whose connections have ended.
    gone: HashSet<SocketAddr>,
}

/// Something is under way until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    busy: Arc<Busy>,
    client: Option<SocketAddr>,
}

impl Busy {
    /// A connection is there.
    pub(super) fn connection(self: &Arc<Self>, client: SocketAddr) -> UnderWay {
        self.begin(Some(client))
    }

    /// A request is there.
    pub(super) fn request(self: &Arc<Self>) -> UnderWay {
        self.begin(None)
    }

    fn begin(self: &Arc<Self>, client: Option<SocketAddr>) -> UnderWay {
        self.state.lock().expect("no panic while it was held").under_way += 1;
        UnderWay { busy: Arc::clone(self), client }
    }

    /// Waits until the connection of this client has ended and nothing is under way.
    pub(super) fn wait(&self, client: SocketAddr) {
        let state = self.state.lock().expect("no panic while it was held");
        let is_busy = |state: &mut State| state.under_way > 0 || !state.gone.contains(&client);
        drop(self.changed.wait_while(state, is_busy).expect("no panic while it was held"));
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.busy.state.lock().expect("no panic while it was held");
        state.under_way -= 1;
        state.gone.extend(self.client);
        self.busy.changed.notify_all();
    }
}
