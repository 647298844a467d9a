//! Sockets that listen.

use demijohn_core::{Error, Result};
use socket2::{Domain, Protocol, Socket, Type};
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

pub(super) fn listen(address: SocketAddr, shared: bool) -> std::io::Result<std::net::TcpListener> {
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
    socket.listen(1024)?;
    Ok(socket.into())
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
