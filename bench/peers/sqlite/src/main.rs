//! The TechEmpower paths on rusqlite and hyper, by hand.

mod database;
mod tables;

use std::convert::Infallible;
use std::fmt::Write;
use std::net::{SocketAddr, TcpListener};

use bytes::Bytes;
use database::{Database, Fortune, random};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, SERVER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use socket2::{Domain, Socket, Type};

// The benchmark turns this on exactly when our own program has it.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const JSON: &str = "application/json";

async fn answer(database: Database, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let ids = || (0..number(request.uri().query())).map(|_| random()).collect();
    let (kind, body) = match request.uri().path() {
        "/db" => (JSON, json(&database.world(random()).await)),
        "/queries" => (JSON, json(&database.worlds(ids()).await)),
        "/updates" => (JSON, json(&database.update(ids()).await)),
        "/fortunes" => ("text/html; charset=utf-8", page(database.fortunes().await).into()),
        _ => {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::NOT_FOUND;
            return Ok(response);
        }
    };
    let mut response = Response::new(Full::new(body));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(SERVER, HeaderValue::from_static("hyper"));
    Ok(response)
}

fn json(value: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(value).expect("rows are JSON").into()
}

/// `queries`, from 1 to 500; what is no number counts as 1.
fn number(query: Option<&str>) -> usize {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let given = pairs.into_iter().find(|(name, _)| name == "queries");
    given
        .and_then(|(_, value)| value.parse::<usize>().ok())
        .unwrap_or(1)
        .clamp(1, 500)
}

fn page(mut fortunes: Vec<Fortune>) -> String {
    fortunes.push(Fortune {
        id: 0,
        message: "Additional fortune added at request time.".into(),
    });
    fortunes.sort_by(|a, b| a.message.cmp(&b.message));
    let mut page = String::with_capacity(2048);
    page.push_str(
        "<!DOCTYPE html><html><head><title>Fortunes</title></head><body><table><tr><th>id</th><th>message</th></tr>",
    );
    for fortune in &fortunes {
        let _ = write!(page, "<tr><td>{}</td><td>", fortune.id);
        escape(&mut page, &fortune.message);
        page.push_str("</td></tr>");
    }
    page.push_str("</table></body></html>");
    page
}

fn escape(page: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '&' => page.push_str("&amp;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#x27;"),
            other => page.push(other),
        }
    }
}

fn listener() -> TcpListener {
    let address = std::env::args().skip_while(|argument| argument != "--bind").nth(1);
    let address: SocketAddr = address
        .and_then(|a| a.parse().ok())
        .expect("usage: peer-rusqlite serve --bind ADDR:PORT");
    let open = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        std::io::Result::Ok(socket.into())
    };
    open().expect("the address is free")
}

fn worker(database: Database) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = tokio::net::TcpListener::from_std(listener()).expect("the listener is ready");
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let _ = stream.set_nodelay(true);
            let database = database.clone();
            tokio::task::spawn_local(async move {
                let service = service_fn(move |request| answer(database.clone(), request));
                // A client that goes away is no fault.
                let _ = http1::Builder::new()
                    .pipeline_flush(true)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
}

fn main() {
    let database = Database::open();
    let workers = std::env::var("WORKERS").ok().and_then(|workers| workers.parse().ok());
    let workers = workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |cores| cores.get()));
    for _ in 1..workers {
        let database = database.clone();
        std::thread::spawn(move || worker(database));
    }
    worker(database);
}
