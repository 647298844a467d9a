//! HTTPS and HTTP/2 on real sockets, with clients that behave and clients that do not.
#![allow(clippy::unwrap_used)]

mod running;

use bytes::Bytes;
use demijohn_core::settings::Sources;
use demijohn_covers::covers;
use demijohn_web::server::Serve;
use demijohn_web::test::block_on;
use demijohn_web::{Application, Request, Streamed, get, post};
use http::{Response, StatusCode};
use running::Running;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WantsClientCert;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, StreamOwned, crypto};

/// A certificate in files, and a client that trusts it.
struct Site {
    cert: PathBuf,
    key: PathBuf,
    trusted: CertificateDer<'static>,
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let mut site = Site {
            cert: folder.path().join("cert.pem"),
            key: folder.path().join("key.pem"),
            trusted: CertificateDer::from(Vec::new()),
            folder,
        };
        site.renew();
        site
    }

    fn renew(&mut self) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&self.cert, made.cert.pem()).unwrap();
        std::fs::write(&self.key, made.signing_key.serialize_pem()).unwrap();
        self.trusted = made.cert.der().clone();
    }

    fn roots(&self) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusted.clone()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
    }

    fn client(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        let mut config = self.roots().with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    fn serve(&self) -> Serve {
        Serve::on("127.0.0.1:0").workers(1).tls(&self.cert, &self.key)
    }

    /// A connection whose bytes are at hand.
    fn raw(&self, running: &Running, alpn: &[&str]) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from("localhost").unwrap();
        StreamOwned::new(
            ClientConnection::new(self.client(alpn), name).unwrap(),
            running.connect(),
        )
    }

    /// A connection that speaks HTTP/2.
    async fn http2(&self, running: &Running) -> h2::client::SendRequest<Bytes> {
        self.connect(running).await.0
    }

    /// The same, and the end of the connection.
    async fn connect(&self, running: &Running) -> (h2::client::SendRequest<Bytes>, tokio::task::JoinHandle<()>) {
        let stream = tokio::net::TcpStream::connect(running.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(self.client(&["h2"]))
            .connect(name, stream)
            .await
            .unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        let end = tokio::spawn(async move {
            let _ = connection.await;
        });
        (send.ready().await.unwrap(), end)
    }
}

fn app() -> Application {
    Application::new()
        .route("/", get(async || "Hello, World!"))
        .route("/echo", post(async |body: String| body))
        .route(
            "/names",
            get(async |headers: http::HeaderMap| {
                let names: Vec<&str> = headers.keys().map(|name| name.as_str()).collect();
                names.join(" ")
            }),
        )
        .route("/large", get(async || "x".repeat(4_000_000)))
        .route(
            "/slow",
            get(async || {
                tokio::time::sleep(Duration::from_millis(300)).await;
                "slow"
            }),
        )
        .route(
            "/pieces",
            get(async || {
                Streamed::write(async |out| {
                    for n in 1..=3 {
                        out.send(format!("<{n}>")).await?;
                    }
                    Ok(())
                })
            }),
        )
        .route(
            "/stuck",
            get(async || {
                tokio::time::sleep(Duration::from_secs(60)).await;
                ""
            }),
        )
        .route(
            "/endless",
            get(async || {
                Streamed::write(async |out| {
                    loop {
                        out.send(vec![b'x'; 16 << 10]).await?;
                    }
                })
            }),
        )
        .before(async |request: &mut Request| {
            let seen = format!("{} {}", request.scheme(), request.host().unwrap_or_default());
            (request.path() == "/seen").then_some(seen)
        })
}

fn request(method: &str, uri: &str) -> http::request::Builder {
    http::Request::builder().method(method).uri(uri)
}

type Client = h2::client::SendRequest<Bytes>;

/// The answer, or why there is none.
async fn send(client: &Client, head: http::request::Builder, body: &[u8]) -> Result<(Response<()>, String), h2::Error> {
    let mut client = client.clone().ready().await?;
    let (answer, mut out) = client.send_request(head.body(()).unwrap(), body.is_empty())?;
    if !body.is_empty() {
        // A server that refuses early does not read it.
        let _ = out.send_data(Bytes::copy_from_slice(body), true);
    }
    let (head, mut body) = answer.await?.into_parts();
    let mut text = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        text.extend_from_slice(&data);
    }
    Ok((Response::from_parts(head, ()), String::from_utf8(text).unwrap()))
}

async fn fetch(client: &Client, uri: &str) -> (StatusCode, String) {
    let (head, text) = send(client, request("GET", uri), b"").await.unwrap();
    (head.status(), text)
}

#[test]
fn https_speaks_both_versions() {
    let site = Site::new();
    let ready = || {
        app()
            .build(Sources::none().set("DEBUG", false))
            .map_err(|f| format!("{f:?}"))
            .unwrap()
    };
    let running = Running::of(site.serve(), ready());
    for alpn in [&[][..], &["http/1.1"]] {
        let mut stream = site.raw(&running, alpn);
        stream
            .write_all(b"GET /seen HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("https localhost"),
            "{answer}"
        );
        assert!(
            answer.contains("strict-transport-security: max-age=31536000"),
            "{answer}"
        );
    }
    block_on(async {
        let client = site.http2(&running).await;
        let (head, text) = send(&client, request("GET", "https://localhost/seen"), b"")
            .await
            .unwrap();
        assert_eq!((head.status(), text.as_str()), (StatusCode::OK, "https localhost"));
        for header in [
            "strict-transport-security",
            "x-content-type-options",
            "content-security-policy",
            "date",
        ] {
            assert!(head.headers().contains_key(header), "{header}");
        }
        let (head, text) = send(&client, request("POST", "https://localhost/echo"), b"body")
            .await
            .unwrap();
        assert_eq!((head.status(), text.as_str()), (StatusCode::OK, "body"));
        assert_eq!(fetch(&client, "https://localhost/pieces").await.1, "<1><2><3>");
        assert_eq!(fetch(&client, "https://localhost/large").await.1.len(), 4_000_000);
        // Many at a time on one connection.
        let slow: Vec<_> = (0..50)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { fetch(&client, "https://localhost/slow").await })
            })
            .collect();
        for slow in slow {
            assert_eq!(slow.await.unwrap(), (StatusCode::OK, "slow".to_owned()));
        }
    });
}

#[test]
fn what_is_refused_over_http1_is_refused_over_http2() {
    let site = Site::new();
    let running = Running::on(site.serve(), app());
    block_on(async {
        let client = site.http2(&running).await;
        let ok = "https://localhost/";
        let fields = |count: usize, length: usize| {
            (0..count).fold(request("GET", ok), |head, n| {
                head.header(format!("x-{n}"), "x".repeat(length))
            })
        };
        for (head, body, status) in [
            (request("GET", "https://evil.example/"), 0, 400),
            (request("GET", ok).header("host", "evil.example"), 0, 400),
            (
                request("GET", ok)
                    .header("host", "localhost")
                    .header("host", "localhost"),
                0,
                200,
            ),
            (request("TRACE", ok), 0, 405),
            (request("get", ok), 0, 405),
            (request("POST", ok), 0, 405),
            (request("CONNECT", "localhost:80"), 0, 400),
            (
                request("GET", &format!("https://localhost/{}", "x".repeat(10_000))),
                0,
                414,
            ),
            (fields(101, 1), 0, 431),
            (fields(60, 600), 0, 431),
            (fields(60, 2_000), 0, 431),
            (request("POST", "https://localhost/echo"), 3_000_000, 413),
            (request("GET", "https://localhost/none"), 0, 404),
        ] {
            let what = format!("{head:?}");
            let (answer, _) = send(&client, head, &vec![b'x'; body])
                .await
                .unwrap_or_else(|e| panic!("{e}: {what:.200}"));
            assert_eq!(answer.status(), status, "{what:.200}");
        }
        let names = request("GET", "https://localhost/names")
            .header("x_user", "root")
            .header("x-user", "me");
        let (_, names) = send(&client, names, b"").await.unwrap();
        assert!(names.contains("x-user") && !names.contains("x_user"), "{names}");
    });
}

#[test]
fn a_stop_lets_requests_of_http2_finish() {
    let site = Site::new();
    let mut running = Running::on(site.serve(), app());
    block_on(async {
        let client = site.http2(&running).await;
        let slow = {
            let client = client.clone();
            tokio::spawn(async move { fetch(&client, "https://localhost/slow").await })
        };
        tokio::time::sleep(Duration::from_millis(100)).await;
        running.stop.begin();
        assert_eq!(slow.await.unwrap(), (StatusCode::OK, "slow".to_owned()));
        // Later ones are not begun.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(send(&client, request("GET", "https://localhost/"), b"").await.is_err());
    });
    running.end();
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET https://localhost/`, in HPACK: three of the static table, and a name.
const HEAD: &[u8] = b"\x82\x87\x84\x41\x09localhost";

/// Sends what `flood` makes of numbers until the server has had enough; whether it had.
fn ends_flood(site: &Site, running: &Running, mut flood: impl FnMut(u32) -> Vec<u8>) -> bool {
    let mut stream = site.raw(running, &["h2"]);
    let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    hello.extend(frame(SETTINGS, 0, 0, &[]));
    stream.write_all(&hello).unwrap();
    // What a server that answers frame by frame cannot get rid of, must stop it from reading.
    stream.sock.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    stream.sock.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    (0..50_000).any(|n| stream.write_all(&flood(n)).is_err())
}

#[test]
fn floods_of_frames_end_their_connection_and_no_other() {
    let site = Site::new();
    let running = Running::on(site.serve().write_timeout(Duration::from_secs(1)), app());
    let get = |n: u32| frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, HEAD);
    block_on(async {
        let client = site.http2(&running).await;
        let fine = async || {
            assert_eq!(fetch(&client, "https://localhost/").await.0, StatusCode::OK);
            assert_eq!(
                fetch(&site.http2(&running).await, "https://localhost/").await.0,
                StatusCode::OK
            );
        };
        // Requests that are taken back at once.
        assert!(ends_flood(&site, &running, |n| {
            [get(n), frame(RESET, 0, 2 * n + 1, &8_u32.to_be_bytes())].concat()
        }));
        fine().await;
        // A head without an end.
        let mut open = Some(frame(HEADERS, END_STREAM, 1, HEAD));
        assert!(ends_flood(&site, &running, |_| {
            open.take().unwrap_or_else(|| frame(CONTINUATION, 0, 1, &[]))
        }));
        fine().await;
        // More requests at a time than are allowed, all of them waiting.
        let slow = |n: u32| {
            let path = [&HEAD[..2], b"\x04\x05/slow", &HEAD[3..]].concat();
            frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &path)
        };
        assert!(ends_flood(&site, &running, slow));
        fine().await;
        // What must be answered, to a client that reads no answers: it costs others nothing.
        ends_flood(&site, &running, |_| frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]));
        fine().await;
        ends_flood(&site, &running, |_| frame(PING, 0, 0, &[0; 8]));
        fine().await;
        // No HTTP/2 at all.
        assert!(ends_flood(&site, &running, |_| frame(DATA, 0, 0, b"x")));
        fine().await;
    });
}

#[test]
fn slow_clients_of_http2_end() {
    let site = Site::new();
    let short = Duration::from_millis(300);
    let long = Duration::from_secs(60);
    let patient = || {
        site.serve()
            .head_timeout(long)
            .keep_alive(long)
            .write_timeout(long)
            .min_rate(0)
    };
    block_on(async {
        // One that takes nothing of its answer.
        let running = Running::on(patient().write_timeout(short), app());
        let client = site.http2(&running).await;
        let mut ready = client.clone().ready().await.unwrap();
        let (answer, _) = ready
            .send_request(request("GET", "https://localhost/endless").body(()).unwrap(), true)
            .unwrap();
        let mut body = answer.await.unwrap().into_body();
        // Without releasing capacity: the window closes.
        while let Some(Ok(_)) = body.data().await {}
        assert!(body.data().await.is_none_or(|data| data.is_err()));
        // One that sends nothing of its body.
        let running = Running::on(patient().head_timeout(short).min_rate(1_000), app());
        let client = site.http2(&running).await;
        assert_eq!(fetch(&client, "https://localhost/").await.0, StatusCode::OK);
        let mut ready = client.clone().ready().await.unwrap();
        let head = request("POST", "https://localhost/echo").body(()).unwrap();
        let (answer, _out) = ready.send_request(head, false).unwrap();
        let answer = answer.await;
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == StatusCode::REQUEST_TIMEOUT));
        // A handler that takes too long.
        let running = Running::on(patient().handler_timeout(short), app());
        let client = site.http2(&running).await;
        assert_eq!(
            fetch(&client, "https://localhost/stuck").await.0,
            StatusCode::SERVICE_UNAVAILABLE
        );
        assert_eq!(fetch(&client, "https://localhost/").await.0, StatusCode::OK);
        // One that has nothing to ask.
        let running = Running::on(patient().keep_alive(short), app());
        let (client, end) = site.connect(&running).await;
        assert_eq!(fetch(&client, "https://localhost/").await.0, StatusCode::OK);
        end.await.unwrap();
        // One that does not finish its handshake, and one that has never heard of TLS.
        let running = Running::on(patient().head_timeout(short), app());
        let mut end = [0; 10];
        assert_eq!(running.connect().read(&mut end).unwrap(), 0);
        let mut plain = running.connect();
        plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut rest = Vec::new();
        let _ = plain.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP/1.1 200"));
    });
}

/// Clients that have no certificate, one of somebody else, and the right one; and ciphers that one side does not have.
#[test]
fn clients_can_be_asked_for_certificates_and_ciphers() {
    // With the test below.
    covers!("server.tls");
    let site = Site::new();
    let made = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
    let authorities = site.folder.path().join("clients.pem");
    std::fs::write(&authorities, made.cert.pem()).unwrap();
    let get = |running: &Running, config: ClientConfig| {
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(connection, running.connect());
        let sent = stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        sent.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.ends_with("Hello, World!")
    };
    let with = |made: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        site.roots()
            .with_client_auth_cert(vec![made.cert.der().clone()], key)
            .unwrap()
    };
    let asked = Running::on(site.serve().tls_client_ca(&authorities), app());
    assert!(!get(&asked, site.roots().with_no_client_auth()));
    assert!(!get(
        &asked,
        with(&rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap())
    ));
    assert!(get(&asked, with(&made)));

    let one = "TLS13_AES_256_GCM_SHA384";
    let chosen = Running::on(site.serve().tls_ciphers([one]), app());
    let name = ServerName::try_from("localhost").unwrap();
    let config = Arc::new(site.roots().with_no_client_auth());
    let mut stream = StreamOwned::new(ClientConnection::new(config, name).unwrap(), chosen.connect());
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let suite = stream.conn.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(format!("{suite:?}"), one);
    let error = site.serve().tls_ciphers(["RC4"]).bind().err().unwrap().to_string();
    assert!(error.contains("RC4") && error.contains(one), "{error}");
}

#[cfg(unix)]
#[test]
fn a_certificate_is_renewed_while_the_server_runs() {
    // With the test above.
    covers!("server.tls");
    let mut site = Site::new();
    let running = Running::on(site.serve(), app());
    let works = |site: &Site| {
        let mut stream = site.raw(&running, &[]);
        let sent = stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        sent.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.ends_with("Hello, World!")
    };
    assert!(works(&site));
    let hangup = || {
        let pid = std::process::id().to_string();
        let kill = std::process::Command::new("kill").args(["-HUP", &pid]).status();
        assert!(kill.unwrap().success());
    };
    // What cannot be used changes nothing.
    let old = std::fs::read(&site.key).unwrap();
    std::fs::write(&site.key, "no key").unwrap();
    hangup();
    std::thread::sleep(Duration::from_millis(100));
    assert!(works(&site));
    std::fs::write(&site.key, old).unwrap();
    site.renew();
    assert!(!works(&site));
    hangup();
    while !works(&site) {
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn files_that_are_no_certificate_are_named() {
    let site = Site::new();
    let other = Site::new();
    let text = site.folder.path().join("text");
    std::fs::write(&text, "no certificate").unwrap();
    let none = site.folder.path().join("none");
    for (cert, key, named) in [
        (&text, &site.key, &text),
        (&none, &site.key, &none),
        (&site.cert, &text, &text),
        (&site.cert, &none, &none),
        (&site.cert, &other.key, &other.key),
    ] {
        let error = Serve::on("127.0.0.1:0")
            .tls(cert, key)
            .bind()
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(&named.display().to_string()), "{error}");
    }
}
