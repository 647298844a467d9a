//! What clients may take: settings, and what `check --deploy` says of them.

use super::TlsFiles;
use crate::patience::Times;
use demijohn_core::check::{Checks, Finding};
use demijohn_core::settings::{Key, Settings};
use demijohn_core::{Error, Result};
use std::path::PathBuf;
use std::time::Duration;

const HEAD_SECONDS: Key<u64> = Key::new(
    "REQUEST_HEAD_SECONDS",
    "10",
    "how long the head of a request may take in all, and a new connection until its first byte; 0 for ever",
);
const IDLE_SECONDS: Key<u64> = Key::new(
    "KEEP_ALIVE_SECONDS",
    "60",
    "how long a connection is kept for its next request; 0 for ever",
);
const WRITE_SECONDS: Key<u64> = Key::new(
    "WRITE_SECONDS",
    "30",
    "how long a client may take nothing of an answer; 0 for ever",
);
const MIN_RATE: Key<u32> = Key::new(
    "MIN_BYTES_PER_SECOND",
    "500",
    "the slowest that bodies may come, and answers may be taken, over about ten seconds; 0 for as slow as can be",
);
const HANDLER_SECONDS: Key<u64> = Key::new(
    "HANDLER_SECONDS",
    "0",
    "how long a handler may take to answer while its client sends nothing; then it is ended, and the answer is 503; 0 for ever",
);
const MAX_CONNECTIONS: Key<usize> = Key::new(
    "MAX_CONNECTIONS",
    "0",
    "connections at a time, of which those above are answered 503 at once; 0 for three quarters of the files that the system lets \
     the process open, 10000 at most",
);
const GRACE_SECONDS: Key<u64> = Key::new(
    "GRACE_SECONDS",
    "30",
    "how long requests may go on after the signal to stop",
);

const TLS_CERT: Key<String> = Key::new(
    "TLS_CERT",
    "",
    "a file with the site's certificate and those above it, in PEM; with TLS_KEY the server speaks https, and HTTP/2",
);
const TLS_KEY: Key<String> = Key::new("TLS_KEY", "", "a file with the private key of TLS_CERT, in PEM");

const TLS_CLIENT_CA: Key<String> = Key::new(
    "TLS_CLIENT_CA",
    "",
    "a file with the authorities (PEM) of which clients need a certificate; without it they need none",
);
const TLS_CIPHERS: Key<Vec<String>> = Key::new(
    "TLS_CIPHERS",
    "",
    "the only ciphers of https, such as `TLS13_AES_256_GCM_SHA384`; when empty, all of rustls",
);

/// What https is made with, where there is https.
pub(super) fn tls_files(settings: &Settings) -> Result<Option<TlsFiles>> {
    let [cert, key] = [settings.value(&TLS_CERT)?, settings.value(&TLS_KEY)?];
    match (cert.is_empty(), key.is_empty()) {
        (true, true) => Ok(None),
        (false, false) if cfg!(feature = "tls") => Ok(Some(TlsFiles {
            cert: cert.into(),
            key: key.into(),
            client_ca: Some(settings.value(&TLS_CLIENT_CA)?)
                .filter(|file| !file.is_empty())
                .map(PathBuf::from),
            ciphers: settings.value(&TLS_CIPHERS)?,
        })),
        (false, false) => Err(Error::internal(
            "TLS_CERT is set, and the program was built without https; add the feature `tls` of demijohn",
        )),
        _ => Err(Error::internal(
            "TLS_CERT and TLS_KEY go together: set both for https, or none",
        )),
    }
}

/// What a server gives its connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) grace: Duration,
    pub(crate) times: Times,
    pub(crate) connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            grace: Duration::from_secs(30),
            times: Times {
                head: Some(Duration::from_secs(10)),
                idle: Some(Duration::from_secs(60)),
                write: Some(Duration::from_secs(30)),
                handler: None,
                rate: 500,
            },
            connections: fitting_connections(),
        }
    }
}

impl Limits {
    /// Reads them; what is of the wrong type was found before.
    pub(crate) fn read(settings: &Settings) -> Limits {
        let seconds = |key| settings.value(key).ok().map(Duration::from_secs);
        let time = |key, default| match seconds(key) {
            Some(Duration::ZERO) => None,
            set => set.or(default),
        };
        let default = Limits::default();
        Limits {
            grace: seconds(&GRACE_SECONDS).unwrap_or(default.grace),
            times: Times {
                head: time(&HEAD_SECONDS, default.times.head),
                idle: time(&IDLE_SECONDS, default.times.idle),
                write: time(&WRITE_SECONDS, default.times.write),
                handler: time(&HANDLER_SECONDS, default.times.handler),
                rate: settings.value(&MIN_RATE).unwrap_or(default.times.rate),
            },
            connections: match settings.value(&MAX_CONNECTIONS) {
                Ok(0) | Err(_) => default.connections,
                Ok(connections) => connections,
            },
        }
    }
}

/// As many connections as leave files for everything else.
fn fitting_connections() -> usize {
    const MOST: usize = 10_000;
    // "Max open files            1024                 1048576              files"
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = files.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    soft.map_or(MOST, |files| (files / 4 * 3).clamp(1, MOST))
}

pub(crate) fn declare(settings: &mut Settings) {
    for key in [
        &HEAD_SECONDS,
        &IDLE_SECONDS,
        &WRITE_SECONDS,
        &HANDLER_SECONDS,
        &GRACE_SECONDS,
    ] {
        settings.declare(key);
    }
    settings.declare(&MIN_RATE);
    settings.declare(&MAX_CONNECTIONS);
    for key in [&TLS_CERT, &TLS_KEY, &TLS_CLIENT_CA] {
        settings.declare(key);
    }
    settings.declare(&TLS_CIPHERS);
}

pub(crate) fn add_checks(checks: &mut Checks) {
    checks.add_deploy("security", |_, settings, findings| {
        let Times {
            head,
            idle,
            write,
            rate,
            ..
        } = Limits::read(settings).times;
        let off = [
            ("security.W050", HEAD_SECONDS.name(), head.is_none()),
            ("security.W051", IDLE_SECONDS.name(), idle.is_none()),
            ("security.W052", WRITE_SECONDS.name(), write.is_none()),
            ("security.W053", MIN_RATE.name(), rate == 0),
        ];
        for (id, name, _) in off.into_iter().filter(|(_, _, off)| *off) {
            let what = "it is 0: clients can hold connections for ever, until there are no more for others";
            findings.push(Finding::warning(id, what).on(name).hint("take the setting out"));
        }
    });
}
