//! Sockets that listen.

use demijohn_core::{Error, Result};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io::ErrorKind;
use std::net::SocketAddr;

pub(super) fn resolve(address: &str) -> Result<SocketAddr> {
    use std::net::ToSocketAddrs;
    let none = || {
        Error::internal(format!(
            "`{address}` is no address to serve on; write `HOST:PORT`, such as `127.0.0.1:8000` or `[::1]:8000`"
        ))
    };
    address.to_socket_addrs().map_err(|_| none())?.next().ok_or_else(none)
}

/// How many connections wait for us at most.
const BACKLOG: i32 = 1024;

/// A socket on this address, which does not listen yet.
pub(super) fn bind(address: SocketAddr, shared: bool) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart does not wait for the old connections' last packets.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(target_os = "solaris")))]
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Lets connections come.
pub(super) fn open(socket: &std::net::TcpListener) -> std::io::Result<()> {
    SockRef::from(socket).listen(BACKLOG)
}

/// The sockets that whoever started the program passed on, in the way of systemd: `LISTEN_FDS` of them, from the file descriptor 3 on.
pub(super) fn inherited() -> Result<Vec<std::net::TcpListener>> {
    let mut passed = listenfd::ListenFd::from_env();
    let mut listeners = Vec::new();
    for n in 0..passed.len() {
        let taken = passed.take_tcp_listener(n).map_err(|error| {
            Error::internal(format!(
                "a socket that was passed on (LISTEN_FDS) cannot be served on: {error}; pass listening TCP sockets alone"
            ))
        })?;
        if let Some(listener) = taken {
            listener.set_nonblocking(true)?;
            listeners.push(listener);
        }
    }
    Ok(listeners)
}

/// No more connections begin at this listener, as if their first packets were lost: so they begin at another one on the same port when
/// those are sent again, a second later. (Closing the listener instead would reset those that have just begun.) False where the system
/// has no such filter.
pub(super) fn refuse_new(listener: &tokio::net::TcpListener) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use socket2::SockFilter;
        // Of the TCP header's flags, in byte 13: SYN without ACK is how a connection begins. Instructions of classic BPF
        // (linux/filter.h): load a byte, and, jump if equal, return how much of the packet is kept.
        const LOAD_BYTE: u16 = 0x30;
        const AND: u16 = 0x54;
        const JUMP_IF_EQUAL: u16 = 0x15;
        const RETURN: u16 = 0x06;
        const SYN: u32 = 0x02;
        const ACK: u32 = 0x10;
        let filter = [
            SockFilter::new(LOAD_BYTE, 0, 0, 13),
            SockFilter::new(AND, 0, 0, SYN | ACK),
            SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
            SockFilter::new(RETURN, 0, 0, 0),
            SockFilter::new(RETURN, 0, 0, u32::MAX),
        ];
        match SockRef::from(listener).attach_filter(&filter) {
            Ok(()) => return true,
            Err(error) => {
                tracing::warn!("the port is handed over without a filter, and connections may break: {error}")
            }
        }
    }
    let _ = listener;
    false
}

pub(super) fn explain(error: std::io::Error, address: &str) -> Error {
    let mend = match error.kind() {
        ErrorKind::AddrInUse => {
            "another program listens there; end it or choose another port: `serve --bind HOST:PORT`"
        }
        ErrorKind::PermissionDenied => "ports below 1024 need privileges; choose a higher one",
        ErrorKind::AddrNotAvailable => "this machine has no such address; `0.0.0.0` means all that it has",
        _ => "choose another address: `serve --bind HOST:PORT`",
    };
    Error::internal(format!("cannot serve on {address}: {error}; {mend}"))
}
