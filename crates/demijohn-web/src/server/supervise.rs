//! A process that holds the socket and sees to it that another one serves.
//!
//! It answers no request and runs nothing of the site, so nothing in it fails or grows. The processes that serve have the socket from it, and a line to
//! it over which they say that they are ready; the line's end tells them to end. So a new one can take over at any time, a broken one is
//! replaced, and none is left over when the supervisor is killed.

use super::notify;
use super::stop::Stop;
use demijohn_core::{Error, Result};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Tells a process that it is supervised, and where the line is.
const LINE: &str = "DEMIJOHN_SUPERVISOR";
/// One that does not live so long is not started again at once.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// What the supervisor hears.
enum Event {
    /// SIGHUP: another one, please.
    Reload,
    /// SIGTERM or SIGINT.
    End,
    /// Who was to serve does.
    Ready(u32, tokio::net::UnixStream),
    /// Who served, or was to, has ended.
    Ended(u32, std::io::Result<ExitStatus>),
    /// It is time to try again.
    Again,
}

/// Whether this process is supervised itself.
pub(crate) fn is_supervised() -> bool {
    std::env::var_os(LINE).is_some()
}

/// Says to the supervisor that this process serves; when the supervisor wants no more of it, or is gone, the end begins.
pub(crate) fn report(stop: Stop) -> Result<()> {
    let Some(path) = std::env::var_os(LINE) else {
        return Ok(());
    };
    let mut line = UnixStream::connect(path)?;
    writeln!(line, "{}", std::process::id())?;
    std::thread::Builder::new()
        .name("supervised".to_owned())
        .spawn(move || {
            // Nothing is ever said.
            while line.read(&mut [0]).is_ok_and(|n| n > 0) {}
            stop.begin();
        })?;
    Ok(())
}

/// Keeps a process serving on this socket until SIGTERM or SIGINT. With SIGHUP a new one takes over, of the program as it is then.
pub(crate) async fn supervise(socket: TcpListener) -> Result<()> {
    let folder = Folder::new()?;
    let lines = UnixListener::bind(folder.line())?;
    let (events, mut heard) = mpsc::unbounded_channel();
    listen_for_signals(&events)?;
    tokio::spawn(listen_for_lines(lines, events.clone()));
    let mut crew = Crew {
        // As it is called now: a program that is replaced is started under its name.
        program: std::env::current_exe()?,
        arguments: std::env::args_os().skip(1).collect(),
        line: folder.line(),
        socket,
        events,
        serving: None,
        coming: None,
        alive: 0,
        was_ready: false,
        ends: false,
    };
    crew.start()?;
    while let Some(event) = heard.recv().await {
        crew.hear(event)?;
        if crew.ends && crew.alive == 0 {
            break;
        }
    }
    Ok(())
}

/// Those that serve, served, and will.
struct Crew {
    program: PathBuf,
    arguments: Vec<OsString>,
    line: PathBuf,
    socket: TcpListener,
    events: mpsc::UnboundedSender<Event>,
    /// The one that serves; it ends with its line.
    serving: Option<(u32, tokio::net::UnixStream)>,
    /// The one that is to serve next.
    coming: Option<(u32, Instant)>,
    alive: usize,
    was_ready: bool,
    ends: bool,
}

impl Crew {
    fn start(&mut self) -> Result<()> {
        let socket = OwnedFd::from(self.socket.try_clone()?);
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env(LINE, &self.line)
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDS_FIRST_FD", "0")
            .env_remove("LISTEN_PID")
            .env_remove("NOTIFY_SOCKET")
            .stdin(socket)
            .spawn()
            .map_err(|error| Error::internal(format!("{} cannot be started: {error}", self.program.display())))?;
        self.coming = Some((child.id(), Instant::now()));
        self.alive += 1;
        let events = self.events.clone();
        tokio::task::spawn_blocking(move || {
            let id = child.id();
            let status = child.wait();
            // Nobody is there to hear it when the supervisor was dropped.
            let _ = events.send(Event::Ended(id, status));
        });
        Ok(())
    }

    fn hear(&mut self, event: Event) -> Result<()> {
        match event {
            Event::End if self.ends => {
                tracing::warn!("second signal: ending at once");
                std::process::exit(130);
            }
            Event::End => {
                self.ends = true;
                self.serving = None;
            }
            Event::Reload | Event::Again => {
                if !self.ends && self.coming.is_none() {
                    return self.start();
                }
            }
            Event::Ready(id, line) => {
                if self.coming.is_some_and(|(coming, _)| coming == id) {
                    self.coming = None;
                    if !std::mem::replace(&mut self.was_ready, true) {
                        notify::ready();
                    }
                    // The one before hears that its line is at an end.
                    self.serving = (!self.ends).then_some((id, line));
                }
            }
            Event::Ended(id, status) => return self.ended(id, status),
        }
        Ok(())
    }

    fn ended(&mut self, id: u32, status: std::io::Result<ExitStatus>) -> Result<()> {
        self.alive -= 1;
        let said = match &status {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let came = self.coming.filter(|(coming, _)| *coming == id);
        if let Some((_, since)) = came {
            self.coming = None;
            if self.ends {
                return Ok(());
            }
            if !self.was_ready {
                return Err(Error::internal(format!("the server does not come up: {said}")));
            }
            match self.serving {
                Some(_) => tracing::error!("the new server does not come up, and the old one goes on: {said}"),
                None => self.try_again(since.elapsed()),
            }
        } else if self.serving.as_ref().is_some_and(|(serving, _)| *serving == id) {
            self.serving = None;
            if !self.ends && self.coming.is_none() {
                tracing::error!("the server has ended and is started again: {said}");
                return self.start();
            }
        }
        Ok(())
    }

    fn try_again(&self, lived: Duration) {
        let events = self.events.clone();
        tokio::spawn(async move {
            tokio::time::sleep(SHORT_LIFE.saturating_sub(lived)).await;
            let _ = events.send(Event::Again);
        });
    }
}

fn listen_for_signals(events: &mpsc::UnboundedSender<Event>) -> Result<()> {
    let kinds: [(SignalKind, fn() -> Event); 3] = [
        (SignalKind::hangup(), || Event::Reload),
        (SignalKind::terminate(), || Event::End),
        (SignalKind::interrupt(), || Event::End),
    ];
    for (kind, event) in kinds {
        let mut signal = signal(kind)?;
        let events = events.clone();
        tokio::spawn(async move { while signal.recv().await.is_some() && events.send(event()).is_ok() {} });
    }
    Ok(())
}

async fn listen_for_lines(lines: UnixListener, events: mpsc::UnboundedSender<Event>) {
    while let Ok((line, _)) = lines.accept().await {
        let mut line = BufReader::new(line);
        let mut said = String::new();
        let read = tokio::time::timeout(SHORT_LIFE, line.read_line(&mut said)).await;
        if let (Ok(Ok(_)), Ok(id)) = (read, said.trim().parse())
            && events.send(Event::Ready(id, line.into_inner())).is_err()
        {
            return;
        }
    }
}

/// A folder that nobody else can enter, while it is in use.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder> {
        let name = format!("demijohn-{}", demijohn_core::request::new_nonce()?);
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Folder(path))
    }

    fn line(&self) -> PathBuf {
        Path::new(&self.0).join("line")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // At worst it stays.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
