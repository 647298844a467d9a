//! Services that tests need: a program of a Debian package, started on a private port in a folder of its own.
//!
//! A new service is one entry in [`SERVICES`]. Its tests take the address with `demijohn_covers::service("TEST_..")`, which
//! panics where the service is missing, so that no test passes without it.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Result;
use crate::debian;
use crate::process::{Group, free_port};
use crate::rows::sources;
use crate::workspace::Workspace;

struct Service {
    /// What a person calls it.
    name: &'static str,
    /// Tells tests where it is; it is started only when the sources name this variable.
    variable: &'static str,
    program: &'static str,
    packages: &'static [&'static str],
    /// Makes the command that serves on this port with its files in this folder, and the address for the tests.
    command: fn(&Path, u16) -> Result<(Command, String)>,
}

const SERVICES: &[Service] = &[Service {
    name: "Chromium by WebDriver",
    variable: "TEST_WEBDRIVER",
    program: "chromedriver",
    packages: &["chromium", "chromium-driver"],
    command: |folder, port| {
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}")).env("TMPDIR", folder);
        Ok((command, format!("http://127.0.0.1:{port}")))
    },
}];

/// Generous: a machine that also compiles may need long to start a database.
const START: Duration = Duration::from_secs(60);

/// A service that runs until this is dropped.
pub(crate) struct Running {
    pub(crate) variable: &'static str,
    pub(crate) place: String,
    group: Group,
}

/// Starts what the sources ask for. A service that cannot start is reported and left out: the tests that need it fail.
pub(crate) fn start(workspace: &Workspace) -> Result<Vec<Running>> {
    let sources = sources(&workspace.root)?;
    let wanted = |service: &&Service| sources.iter().any(|source| source.text.contains(service.variable));
    let mut running = Vec::new();
    for service in SERVICES.iter().filter(wanted) {
        // Whoever sets the variable brings the service along.
        if std::env::var_os(service.variable).is_some_and(|place| !place.is_empty()) {
            continue;
        }
        match service.start(workspace) {
            Ok(started) => running.push(started),
            Err(error) => eprintln!(
                "error: {}: {error}\n  tests that need {} will fail",
                service.name, service.variable
            ),
        }
    }
    Ok(running)
}

impl Service {
    fn start(&self, workspace: &Workspace) -> Result<Running> {
        debian::provide(self.program, self.packages)?;
        let port = free_port()?;
        let folder = workspace.scratch(&format!("services/{}-{port}", self.program))?;
        let (mut command, place) = (self.command)(&folder, port)?;
        let log = std::fs::File::create(folder.join("log"))?;
        let group = Group::start(command.stdout(log.try_clone()?).stderr(log))?;
        let mut running = Running {
            variable: self.variable,
            place,
            group,
        };
        let deadline = Instant::now() + START;
        while TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_err() {
            if let Some(status) = running.group.ended()? {
                return Err(format!("ended with {status}; see {}", folder.join("log").display()).into());
            }
            if Instant::now() > deadline {
                return Err(format!("does not answer on port {port}; see {}", folder.join("log").display()).into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        println!("{}: {}={}", self.name, self.variable, running.place);
        Ok(running)
    }
}
