//! What WebSockets cost that are open and say nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Result;
use crate::bench::server::Server;
use crate::bench::subjects;
use crate::bench::{Bench, LeftOut};

const SOCKETS: usize = 1_000;
const BAR_MIB: f64 = 20.0;
/// Time to put memory back, for what puts it back.
const REST: Duration = Duration::from_secs(1);

/// The memory of our `live` with that many sockets more.
pub(crate) fn section(bench: &Bench, left_out: &mut LeftOut) -> String {
    let measured = match measure(bench) {
        Ok(measured) => measured,
        Err(error) => {
            left_out.add("live", &error);
            return String::new();
        }
    };
    let [before, ..] = measured;
    let mut body = format!(
        "`live` with one worker and {SOCKETS} WebSockets of its `/echo`; memory is proportional set size. The bar is {BAR_MIB} MB more.\n\n\
         | | MB | more | KB each |\n| --- | ---: | ---: | ---: |\n"
    );
    let moments = ["before", "all open", "each has said and heard 1 KB", "all closed"];
    for (moment, mib) in moments.iter().zip(measured) {
        let more = mib - before;
        let each = more * 1024.0 / SOCKETS as f64;
        body += &format!("| {moment} | {mib:.1} | {more:+.1} | {each:.1} |\n");
    }
    body
}

fn measure(bench: &Bench) -> Result<[f64; 4]> {
    let subject = subjects::live(bench)?;
    let server = Server::start(&bench.machine, &subject, &bench.folder)?;
    let rest = || {
        std::thread::sleep(REST);
        server.group.memory_mib()
    };
    let before = rest();
    let mut sockets = (0..SOCKETS)
        .map(|_| open(server.address))
        .collect::<Result<Vec<TcpStream>>>()?;
    let open = rest();
    for socket in &mut sockets {
        say(socket)?;
    }
    let said = rest();
    drop(sockets);
    Ok([before, open, said, rest()])
}

fn open(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "GET /echo HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    match answer.starts_with(b"HTTP/1.1 101 ") {
        true => Ok(stream),
        false => Err(format!("no socket: {}", String::from_utf8_lossy(&answer)).into()),
    }
}

/// A message of 1 KB, masked with zeros, and its echo.
fn say(stream: &mut TcpStream) -> Result<()> {
    let length = [0x04, 0x00];
    let frame = [&[0x81, 0x80 | 126][..], &length, &[0; 4], &[b'x'; 1024]].concat();
    stream.write_all(&frame)?;
    let mut echo = [0; 4 + 1024];
    stream.read_exact(&mut echo)?;
    Ok(())
}
