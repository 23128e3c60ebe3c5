//! The sockets of a producer's connections, so that one of them can be cut.
//!
//! `rd_kafka_send_offsets_to_transaction` looks at the group's coordinator again when one of its brokers comes or goes, and
//! at no other time; its timeout is not heeded while it waits. A coordinator that it remembers and that has meanwhile left
//! the metadata, if only for a restart, never comes back, so that in a cluster without further trouble the call would wait
//! for ever (librdkafka issues 5511 and 5456, present in 2.12). A connection that is cut is such trouble: it is made
//! anew at once, what was in flight on it is sent again, and the call finds the coordinator of today.

use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::bindings as rd;
use socket2::{Domain, Protocol, Socket, Type};

use super::client::Told;
use super::config::Config;

/// Those that are open, by their descriptors.
#[derive(Debug, Default)]
pub(super) struct Sockets(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    sockets: BTreeMap<c_int, Socket>,
    last_cut: c_int,
}

impl Sockets {
    /// Has a client that is made with this configuration open its sockets here. Its opaque pointer must be the [`Told`]
    /// that holds these.
    pub(super) fn serve(config: &Config) {
        // SAFETY: the configuration is ours, and the callbacks are functions of this program.
        unsafe {
            rd::rd_kafka_conf_set_socket_cb(config.as_ptr(), Some(on_open));
            rd::rd_kafka_conf_set_closesocket_cb(config.as_ptr(), Some(on_close));
        }
    }

    /// Cuts a connection, each time another one. Whether there was one.
    pub(super) fn cut_one(&self) -> bool {
        let mut open = self.lock();
        let Open { sockets, last_cut } = &mut *open;
        let (behind, before) = (sockets.range(*last_cut + 1..), sockets.range(..=*last_cut));
        // A socket that is not connected cannot be shut down.
        let cut = behind.chain(before).find(|(_, socket)| socket.shutdown(Shutdown::Both).is_ok());
        *last_cut = cut.map_or(0, |(descriptor, _)| *descriptor);
        cut.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a socket, on a thread of librdkafka; -1 and `errno` if that fails.
unsafe extern "C" fn on_open(domain: c_int, kind: c_int, protocol: c_int, told: *mut c_void) -> c_int {
    // SAFETY: the client keeps `told` alive until librdkafka is gone.
    let told = unsafe { &*told.cast::<Told>() };
    let Ok(socket) = Socket::new(Domain::from(domain), Type::from(kind), Some(Protocol::from(protocol))) else {
        return -1;
    };
    let descriptor = socket.as_raw_fd();
    told.sockets.lock().sockets.insert(descriptor, socket);
    descriptor
}

/// Closes a socket, on a thread of librdkafka.
unsafe extern "C" fn on_close(descriptor: c_int, told: *mut c_void) -> c_int {
    // SAFETY: as above.
    let told = unsafe { &*told.cast::<Told>() };
    // It must have left the map before its descriptor can be another's.
    drop(told.sockets.lock().sockets.remove(&descriptor));
    0
}
