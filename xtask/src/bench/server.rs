//! A server under load: started, asked whether it answers, measured.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::Result;
use crate::bench::machine::Machine;
use crate::process::{Group, free_port};

/// How to start a server, and what it must answer before it is measured.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    /// `{address}` stands for the address and the port.
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
    pub(crate) folder: PathBuf,
    /// Paths and what their answers contain.
    pub(crate) paths: Vec<Path>,
}

#[derive(Clone, Copy)]
pub(crate) struct Path {
    pub(crate) path: &'static str,
    pub(crate) contains: &'static str,
}

/// A started subject.
pub(crate) struct Server {
    pub(crate) subject: Subject,
    pub(crate) group: Group,
    pub(crate) address: SocketAddr,
    output: std::fs::File,
    /// From the start of the process to its first right answer.
    pub(crate) first_answer: Duration,
}

/// Generous: filling a database counts in.
const START: Duration = Duration::from_secs(30);

impl Server {
    /// Starts a subject and waits until all its paths answer as they should.
    ///
    /// # Errors
    /// When it ends or does not answer in time; its output is in the file that the error names.
    pub(crate) fn start(machine: &Machine, subject: &Subject, logs: &std::path::Path) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let log_file = logs.join(format!(
            "{}.log",
            subject.name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
        ));
        let log = std::fs::File::create(&log_file)?;
        let mut command = machine.on_server_core(&subject.program);
        command.args(
            subject
                .arguments
                .iter()
                .map(|argument| argument.replace("{address}", &address.to_string())),
        );
        command
            .envs(subject.environment.iter().cloned())
            .current_dir(&subject.folder);
        let started = Instant::now();
        let group = Group::start(command.stdout(log.try_clone()?).stderr(log.try_clone()?))?;
        let mut server = Self {
            subject: subject.clone(),
            group,
            address,
            output: log,
            first_answer: Duration::ZERO,
        };
        for (index, path) in subject.paths.iter().enumerate() {
            loop {
                let answer = get(address, path.path);
                if answer
                    .as_ref()
                    .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200") && answer.contains(path.contains))
                {
                    break;
                }
                let at = || format!("{} (its output: {})", path.path, log_file.display());
                if let Some(status) = server.group.ended()? {
                    return Err(format!("ended with {status} instead of answering {}", at()).into());
                }
                if started.elapsed() > START {
                    return Err(match answer {
                        Ok(answer) => format!(
                            "wrong answer to {}:\n{}",
                            at(),
                            answer.lines().next().unwrap_or_default()
                        ),
                        Err(error) => format!("no answer to {}: {error}", at()),
                    }
                    .into());
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            if index == 0 {
                server.first_answer = started.elapsed();
            }
        }
        Ok(server)
    }

    /// Empties the file of the output: a request log of many bursts would fill the disk.
    pub(crate) fn forget_output(&self) {
        // It is only housekeeping: a file that stays long is no reason to stop.
        let _ = self.output.set_len(0);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.subject.paths.iter().any(|known| known.path == path)
    }
}

/// The whole answer to one GET request as text.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
