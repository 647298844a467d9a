//! The server: listeners, connections, and a gentle end.
//!
//! In production one runtime per core has a listener of its own on the same port (SO_REUSEPORT), so the kernel spreads
//! connections and no request crosses threads. In development one is enough.

mod accept;
mod connection;
#[cfg(feature = "tls")]
mod http2;
mod limits;
mod listen;
mod notify;
mod stop;
#[cfg(unix)]
mod supervise;
#[cfg(feature = "tls")]
mod tls;

pub use stop::Stop;

pub(crate) use limits::{add_checks, declare};
pub(crate) use stop::on_signals;
#[cfg(unix)]
pub(crate) use supervise::{is_supervised, report, supervise};

use crate::app::Ready;
use accept::{Door, Handover, accept};
use demijohn_core::settings::{REUSE_PORT, Settings};
use demijohn_core::site::Lifecycle;
use demijohn_core::{Bag, Error, Result};
use limits::Limits;
use listen::{explain, resolve};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// How a site is served.
#[derive(Clone, Debug)]
pub struct Serve {
    address: String,
    workers: usize,
    joins: bool,
    limits: Limits,
    tls: Option<TlsFiles>,
}

/// What https is made with.
#[derive(Clone, Debug, Default)]
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "nothing makes one"))]
struct TlsFiles {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
    ciphers: Vec<String>,
}

impl Serve {
    /// On this address, `127.0.0.1:8000`; port 0 takes a free one.
    pub fn on(address: impl Into<String>) -> Serve {
        Serve {
            address: address.into(),
            workers: 1,
            joins: false,
            limits: Limits::default(),
            tls: None,
        }
    }

    /// As the settings say: `BIND`, `WORKERS` and the limits of clients.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn by_settings(settings: &Settings) -> Result<Serve> {
        let mut serve = Serve::on(settings.bind().to_string()).workers(settings.workers());
        serve.joins = settings.get(REUSE_PORT.name())?;
        serve.limits = Limits::read(settings);
        serve.tls = limits::tls_files(settings)?;
        Ok(serve)
    }

    /// With so many runtimes, one thread each; 0 means one per core.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Serve {
        self.workers = match workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        self
    }

    /// Shares the port with a process that shares it too, so that the next one serves before the last one ends. Without it a
    /// port that is taken is an error. (Both must belong to the same user; where the system cannot do it, nothing changes.)
    #[must_use]
    pub fn reuse_port(mut self) -> Serve {
        self.joins = true;
        self
    }

    /// How long requests may go on after the signal to stop; 30 seconds unless set.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Serve {
        self.limits.grace = grace;
        self
    }

    /// How long the head of a request may take in all, and a new connection until its first byte: 10 seconds unless set, and with
    /// `None` for ever.
    #[must_use]
    pub fn head_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Serve {
        self.limits.times.head = timeout.into();
        self
    }

    /// How long a connection is kept for its next request: 60 seconds unless set, and with `None` for ever.
    #[must_use]
    pub fn keep_alive(mut self, timeout: impl Into<Option<Duration>>) -> Serve {
        self.limits.times.idle = timeout.into();
        self
    }

    /// How long a client may take nothing of an answer: 30 seconds unless set, and with `None` for ever.
    #[must_use]
    pub fn write_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Serve {
        self.limits.times.write = timeout.into();
        self
    }

    /// How long a handler may take to answer while its client sends nothing; then it is ended, and the answer is 503. For ever unless
    /// set. (Bodies that come piece by piece take what they need.)
    #[must_use]
    pub fn handler_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Serve {
        self.limits.times.handler = timeout.into();
        self
    }

    /// The slowest that bodies may come and answers may be taken, in bytes a second: 500 unless set; 0 for as slow as can be.
    #[must_use]
    pub fn min_rate(mut self, bytes_per_second: u32) -> Serve {
        self.limits.times.rate = bytes_per_second;
        self
    }

    /// How many connections there may be; those above are answered 503 at once. Unless set, three quarters of the files that the
    /// system lets the process open, and 10,000 at most.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Serve {
        self.limits.connections = connections;
        self
    }

    /// By HTTPS, with the chain of certificates and the private key in these files (PEM), with TLS 1.2 and 1.3; clients may speak HTTP/2.
    /// SIGHUP has them read again.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Serve {
        let files = self.tls.get_or_insert_default();
        (files.cert, files.key) = (cert.into(), key.into());
        self
    }

    /// After [`tls`](Self::tls), for clients alone that have a certificate of one of the authorities in this file (PEM).
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls_client_ca(mut self, authorities: impl Into<PathBuf>) -> Serve {
        self.tls.get_or_insert_default().client_ca = Some(authorities.into());
        self
    }

    /// After [`tls`](Self::tls), with these ciphers alone: `TLS13_AES_256_GCM_SHA384`. Without it all that rustls has, which are all good.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls_ciphers<C: Into<String>>(mut self, ciphers: impl IntoIterator<Item = C>) -> Serve {
        self.tls.get_or_insert_default().ciphers = ciphers.into_iter().map(Into::into).collect();
        self
    }

    /// On the sockets that whoever started the program passed on (systemd's `LISTEN_FDS`), else on new ones as [`bind`](Self::bind) makes
    /// them. A socket that is passed on outlives its servers, so connections wait in it while one goes and the next one comes.
    ///
    /// # Errors
    /// Those of `bind`, and what is passed on and is no listening socket.
    pub fn inherit_or_bind(self) -> Result<Bound> {
        let passed = listen::inherited()?;
        let Some(first) = passed.first() else {
            return self.bind();
        };
        let address = first.local_addr()?;
        let workers = self.workers.max(passed.len());
        let listeners = passed
            .iter()
            .cycle()
            .take(workers)
            .map(std::net::TcpListener::try_clone);
        Ok(Bound {
            listeners: listeners.collect::<std::io::Result<_>>()?,
            address,
            limits: self.limits,
            handover: Handover::Kept,
            #[cfg(feature = "tls")]
            tls: private(self.tls.as_ref())?,
        })
    }

    /// One socket for others to serve on.
    #[cfg(unix)]
    pub(crate) fn socket(&self) -> Result<std::net::TcpListener> {
        if let Some(passed) = listen::inherited()?.into_iter().next() {
            return Ok(passed);
        }
        let address = resolve(&self.address)?;
        let socket = listen::bind(address, self.joins).map_err(|error| explain(error, &self.address))?;
        listen::open(&socket).map_err(|error| explain(error, &self.address))?;
        Ok(socket)
    }

    /// Opens the listeners.
    ///
    /// # Errors
    /// An address that is none, or is taken, in words that say what to do.
    pub fn bind(self) -> Result<Bound> {
        let Serve {
            address,
            workers,
            joins,
            limits,
            ..
        } = self;
        #[cfg(feature = "tls")]
        let tls = private(self.tls.as_ref())?;
        let wanted = resolve(&address)?;
        let shared = workers > 1 || joins;
        let taken = |error| explain(error, &address);
        if workers > 1 && !joins && wanted.port() != 0 {
            // A shared port hides that another program is on it, so look first.
            let look = listen::bind(wanted, false).map_err(taken)?;
            listen::open(&look).map_err(taken)?;
        }
        let first = listen::bind(wanted, shared).map_err(taken)?;
        // With port 0 the others take the port that the first was given.
        let bound = first.local_addr()?;
        let mut listeners = vec![first];
        for _ in 1..workers {
            listeners.push(listen::bind(bound, true).map_err(taken)?);
        }
        let handover = if joins { Handover::Shared } else { Handover::None };
        if handover == Handover::None {
            for listener in &listeners {
                listen::open(listener).map_err(taken)?;
            }
        }
        Ok(Bound {
            listeners,
            address: bound,
            limits,
            handover,
            #[cfg(feature = "tls")]
            tls,
        })
    }
}

/// Open listeners, ready to serve.
pub struct Bound {
    listeners: Vec<std::net::TcpListener>,
    address: SocketAddr,
    limits: Limits,
    handover: Handover,
    #[cfg(feature = "tls")]
    tls: Option<tls::Tls>,
}

#[cfg(feature = "tls")]
fn private(files: Option<&TlsFiles>) -> Result<Option<tls::Tls>> {
    files.map(tls::Tls::new).transpose()
}

impl Bound {
    /// The address that clients reach.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether they reach it by https.
    pub fn is_secure(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        false
    }

    /// Serves until SIGTERM or SIGINT, then lets requests finish. A second signal ends the program at once.
    ///
    /// # Errors
    /// When a runtime cannot be made, or a start hook fails.
    pub fn run(self, ready: &Ready) -> Result<()> {
        let site = Arc::clone(ready.site());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let result = runtime.block_on(async {
            let stop = Stop::new();
            on_signals(stop.clone());
            self.serve(site, stop).await
        });
        // What hangs in blocking threads does not keep the program from ending.
        runtime.shutdown_timeout(Duration::from_millis(100));
        result
    }

    /// Serves a built site until `stop` begins, each listener on a thread of its own. Dropping the future stops them.
    ///
    /// # Errors
    /// When a start hook fails, a thread cannot be made, or one panics.
    pub async fn serve(self, site: Arc<Bag>, stop: Stop) -> Result<()> {
        self.open(site).await?.serve(stop).await
    }

    /// Runs the site's start hooks; with success connections come in, and [`Open::serve`] answers them.
    ///
    /// # Errors
    /// When a start hook fails.
    pub async fn open(self, site: Arc<Bag>) -> Result<Open> {
        Lifecycle::start(&site).await?;
        if self.handover == Handover::Shared {
            // Not before: a server that does not come up takes no connections from the one that serves.
            for listener in &self.listeners {
                listen::open(listener).map_err(|error| explain(error, &self.address.to_string()))?;
            }
        }
        notify::ready();
        Ok(Open { bound: self, site })
    }
}

/// A server that clients can connect to.
pub struct Open {
    bound: Bound,
    site: Arc<Bag>,
}

impl Open {
    /// Serves until `stop` begins, as [`Bound::serve`] does.
    ///
    /// # Errors
    /// When a thread cannot be made, or one panics.
    pub async fn serve(self, stop: Stop) -> Result<()> {
        let Open { bound, site } = self;
        let _ending = StopOnDrop(stop.clone());
        let mut workers = Vec::new();
        #[cfg_attr(not(feature = "tls"), expect(unused_mut))]
        let mut door = Door::new(Arc::clone(&site), stop, bound.limits, bound.handover);
        #[cfg(feature = "tls")]
        if let Some(tls) = bound.tls {
            tls.reload_on_signal();
            door.tls = Some(tls);
        }
        for (i, listener) in bound.listeners.into_iter().enumerate() {
            let door = door.clone();
            let (done, finished) = tokio::sync::oneshot::channel();
            std::thread::Builder::new()
                .name(format!("worker-{}", i + 1))
                .spawn(move || {
                    // Nobody is there to hear it when the server was dropped.
                    let _ = done.send(work(listener, door));
                })?;
            workers.push(finished);
        }
        let mut result = Ok(());
        for finished in workers {
            let ended = finished
                .await
                .unwrap_or_else(|_| Err(Error::internal("a worker thread panicked")));
            result = result.and(ended);
        }
        for error in Lifecycle::stop(&site).await {
            tracing::error!("a stop hook failed: {error}");
        }
        result
    }
}

/// One worker: a runtime of its own, whose connections are tasks of a local set. Such a task is woken from another
/// thread (a database's) by one system call for all that wait together, a task of the runtime by one each.
fn work(listener: std::net::TcpListener, door: Door) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = tokio::task::LocalSet::new().block_on(&runtime, async {
        accept(TcpListener::from_std(listener)?, door).await;
        Ok(())
    });
    // What hangs in blocking threads does not keep the program from ending.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

/// Begins the end when it is dropped: no worker outlives its server.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.begin();
    }
}
