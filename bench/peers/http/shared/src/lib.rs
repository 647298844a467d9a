//! What the peers have in common: the command line of our examples, the listener, the message, the allocator.

use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

// The benchmark turns this on for the peers exactly when our own program has it.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `{"message":"Hello, World!"}`
#[derive(serde::Serialize)]
pub struct Message {
    pub message: &'static str,
}

pub const MESSAGE: Message = Message {
    message: "Hello, World!",
};

/// The address of `serve --bind ADDR:PORT`.
pub fn address() -> SocketAddr {
    let address = std::env::args().skip_while(|argument| argument != "--bind").nth(1);
    address
        .and_then(|address| address.parse().ok())
        .expect("usage: PEER serve --bind ADDR:PORT")
}

/// `WORKERS`, else one per core.
pub fn workers() -> usize {
    let given = std::env::var("WORKERS").ok().and_then(|workers| workers.parse().ok());
    given.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |cores| cores.get()))
}

/// A listener of one worker: the kernel spreads connections over all that share the port.
pub fn listener() -> TcpListener {
    let open = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address().into())?;
        socket.listen(1024)?;
        std::io::Result::Ok(socket.into())
    };
    open().expect("the address is free")
}

/// Runs `worker` on one thread per worker.
pub fn on_every_core(worker: fn()) {
    for _ in 1..workers() {
        std::thread::spawn(worker);
    }
    worker();
}
