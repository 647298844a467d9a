//! What a supervisor is told.

/// Says so in the way of systemd (`Type=notify`), where somebody listens; a supervisor that starts the next step of a restart then
/// knows when.
pub(super) fn ready() {
    #[cfg(unix)]
    if let Some(name) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = say(&name, b"READY=1\n")
    {
        tracing::warn!("the supervisor at NOTIFY_SOCKET cannot be told: {error}");
    }
}

#[cfg(unix)]
fn say(name: &std::ffi::OsStr, what: &[u8]) -> std::io::Result<()> {
    let socket = std::os::unix::net::UnixDatagram::unbound()?;
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::ffi::OsStrExt;
        // `@name` is one that is no file.
        if let Some(name) = name.as_bytes().strip_prefix(b"@") {
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
            return socket.send_to_addr(what, &address).map(drop);
        }
    }
    socket.send_to(what, name).map(drop)
}
