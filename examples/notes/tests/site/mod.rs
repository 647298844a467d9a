//! The program itself in production, and browsers that talk to it: bytes over sockets, nothing of the framework's own on this side.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "a demijohn of plum wine";

/// A running site with a database and folders of its own.
pub(crate) struct Site {
    child: Child,
    pub(crate) address: String,
    pub(crate) folder: TempDir,
}

#[allow(dead_code, reason = "each test program uses some of it")]
impl Site {
    pub(crate) fn start() -> Site {
        Site::start_with(&[])
    }

    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Site {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = Command::new(env!("CARGO_BIN_EXE_notes"))
            .current_dir(folder.path())
            .env_clear()
            .envs([
                ("DEBUG", "false"),
                (
                    "SECRET_KEY",
                    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
                ),
                ("ALLOWED_HOSTS", "127.0.0.1"),
                ("DEMO_PASSWORD", PASSWORD),
            ])
            .envs(settings.iter().copied())
            .args(["serve", "--bind", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.path().join("log")).expect("a log"))
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let address = loop {
            let line = match lines.next() {
                Some(line) => line.expect("text"),
                None => panic!("the program ended: {}", log(&folder)),
            };
            if let Some((_, rest)) = line.split_once("http://") {
                break rest.split('/').next().expect("an address").to_owned();
            }
        };
        // Whoever prints into a pipe that nobody reads stands still one day.
        std::thread::spawn(move || lines.for_each(drop));
        Site { child, address, folder }
    }

    /// Waits until the log has this. Lines are gathered before they are written.
    pub(crate) fn logs(&self, words: &str) -> bool {
        (0..200).any(|_| {
            let found = log(&self.folder).contains(words);
            if !found {
                std::thread::sleep(Duration::from_millis(50));
            }
            found
        })
    }

    /// Somebody who has not been here.
    pub(crate) fn visitor(&self) -> Browser<'_> {
        Browser {
            site: self,
            cookies: BTreeMap::new(),
        }
    }

    /// Somebody who is logged in.
    pub(crate) fn user(&self, name: &str) -> Browser<'_> {
        let mut browser = self.visitor();
        let answer = browser.login(name, PASSWORD);
        assert_eq!(answer.status, 303, "{answer:?}");
        browser
    }

    /// Sends these bytes on a connection of their own and reads until it ends or nothing more comes.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("a time-out");
        // A site that refuses early may close before it has read everything.
        let _ = stream.write_all(bytes);
        Answer::read(&mut stream)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.visitor().get(path)
    }
}

fn log(folder: &TempDir) -> String {
    std::fs::read_to_string(folder.path().join("log")).unwrap_or_default()
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct Answer {
    /// 0 when the connection ended without an answer.
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = self.text();
        text.truncate(text.floor_char_boundary(2000));
        write!(f, "{} {:?}\n{text}", self.status, self.headers)
    }
}

#[allow(dead_code, reason = "each test program uses some of it")]
impl Answer {
    fn read(stream: &mut TcpStream) -> Answer {
        let mut bytes = Vec::new();
        let mut piece = [0; 16384];
        let head = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            match stream.read(&mut piece) {
                Ok(0) | Err(_) => {
                    return Answer {
                        status: 0,
                        headers: Vec::new(),
                        body: bytes,
                    };
                }
                Ok(length) => bytes.extend_from_slice(&piece[..length]),
            }
        };
        let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.get(9..12)?.parse().ok()).unwrap_or(0);
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut body = bytes.split_off(head + 4);
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length: Option<usize> = length.and_then(|(_, value)| value.parse().ok());
        let closes = headers
            .iter()
            .any(|(name, value)| name == "connection" && value == "close");
        while closes || length.is_some_and(|length| body.len() < length) {
            match stream.read(&mut piece) {
                Ok(0) | Err(_) => {
                    break;
                }
                Ok(read) => body.extend_from_slice(&piece[..read]),
            }
        }
        Answer { status, headers, body }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The token in the page's form.
    pub(crate) fn token(&self) -> String {
        let page = self.text();
        let after = page.split("name=\"csrfmiddlewaretoken\" value=\"").nth(1);
        after
            .and_then(|rest| rest.split('"').next())
            .unwrap_or_else(|| panic!("no token in {page}"))
            .to_owned()
    }

    fn cookies(&self) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
            .map(|(_, value)| value.as_str())
    }
}

/// Keeps cookies, and says where a request comes from, as browsers do.
#[derive(Clone)]
pub(crate) struct Browser<'s> {
    pub(crate) site: &'s Site,
    pub(crate) cookies: BTreeMap<String, String>,
}

#[allow(dead_code, reason = "each test program uses some of it")]
impl Browser<'_> {
    /// The request with exactly these headers beside host, cookies and length.
    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.site.address);
        if !self.cookies.is_empty() {
            let cookies: Vec<String> = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            head += &format!("cookie: {}\r\n", cookies.join("; "));
        }
        if !body.is_empty() || !matches!(method, "GET" | "HEAD") {
            head += &format!("content-length: {}\r\n", body.len());
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let mut bytes = (head + "\r\n").into_bytes();
        bytes.extend_from_slice(body);
        let answer = self.site.raw(&bytes);
        for cookie in answer.cookies() {
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').expect("a cookie has a name");
            match attributes.to_ascii_lowercase().contains("max-age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    fn origin(&self) -> String {
        format!("http://{}", self.site.address)
    }

    /// Fills in the form of the page at `at` and sends it to `path`.
    pub(crate) fn submit(&mut self, at: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.get(at).token();
        let body = form(fields.iter().copied().chain([("csrfmiddlewaretoken", token.as_str())]));
        let origin = self.origin();
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("origin", &origin),
        ];
        self.send("POST", path, &headers, body.as_bytes())
    }

    pub(crate) fn login(&mut self, name: &str, password: &str) -> Answer {
        self.submit("/login/", "/login/", &[("username", name), ("password", password)])
    }

    /// What a script of the site's own pages sends.
    pub(crate) fn api(&mut self, method: &str, path: &str, body: &serde_json::Value) -> Answer {
        let token = self.get("/notes/new/").token();
        let origin = self.origin();
        let headers = [
            ("content-type", "application/json"),
            ("origin", origin.as_str()),
            ("x-csrftoken", token.as_str()),
        ];
        self.send(method, path, &headers, body.to_string().as_bytes())
    }
}

/// A form's body.
pub(crate) fn form<'f>(fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}
