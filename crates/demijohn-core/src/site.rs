//! Assembly: parts write into the site's typed bag; when all are in, build steps turn them into what serves.

use crate::check::{Checks, Finding};
use crate::command::Commands;
use crate::settings::Settings;
use crate::{BoxFuture, Error, Result};
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;

/// Something that a blueprint or the site takes in: models, an admin page, a database, a cache.
///
/// This is the one open door: our own batteries and other people's crates come in by it.
pub trait Part: Send + 'static {
    /// Writes what this part brings into the site. Nothing is built yet, so the order of parts never matters;
    /// what needs the whole is registered by [`Site::on_build`].
    fn install(self: Box<Self>, site: &mut Site);
}

/// Whatever takes parts: the site and every blueprint. Batteries add their methods to it by extension traits
/// (`.models(..)`, `.admin(..)`, `.resource(..)`), which is how a blueprint has them without seeing them.
pub trait Assemble: Sized {
    /// Takes a part in.
    #[must_use]
    fn with(self, part: impl Part) -> Self;
}

/// Phases of building, in the order they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Open what others stand on: databases, caches, template engines.
    Provide,
    /// Make routes, commands and pages out of what was collected.
    Derive,
    /// Last: what reads the finished whole (API documents).
    Finish,
}

type Step = Box<dyn FnOnce(&mut Site) -> Result<(), Finding> + Send>;

/// A site under assembly.
pub struct Site {
    bag: Bag,
    scope: Vec<Scope>,
    steps: Vec<(Phase, Step)>,
    /// What `check` runs.
    pub checks: Checks,
    /// What the program does when it is called with a word: `serve`, `check`, ..
    pub commands: Commands,
    settings: Settings,
}

/// The blueprint whose parts are being installed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The blueprint's name; empty for the site itself.
    pub blueprint: String,
    /// The path that it is mounted at, without a slash at its end.
    pub prefix: String,
}

impl Default for Site {
    fn default() -> Self {
        Site::new()
    }
}

impl Site {
    /// An empty site.
    pub fn new() -> Self {
        Site {
            bag: Bag::default(),
            scope: vec![Scope::default()],
            steps: Vec::new(),
            checks: Checks::default(),
            commands: Commands::default(),
            settings: Settings::default(),
        }
    }

    /// The value of type `T`, made by `Default` when nobody asked for it before: how parts meet (a registry of models,
    /// a table of routes).
    pub fn entry<T: Default + Send + Sync + 'static>(&mut self) -> &mut T {
        self.bag.entry()
    }

    /// What is there.
    pub fn bag(&self) -> &Bag {
        &self.bag
    }

    /// The same, to put values in.
    pub fn bag_mut(&mut self) -> &mut Bag {
        &mut self.bag
    }

    /// The blueprint whose parts are being installed.
    pub fn scope(&self) -> &Scope {
        self.scope.last().expect("the root scope is never popped")
    }

    /// Installs parts in the scope of a blueprint.
    pub fn within(&mut self, scope: Scope, install: impl FnOnce(&mut Site)) {
        self.scope.push(scope);
        install(self);
        self.scope.pop();
    }

    /// Runs when all parts are installed and settings are read.
    pub fn on_build(&mut self, phase: Phase, step: impl FnOnce(&mut Site) -> Result<(), Finding> + Send + 'static) {
        self.steps.push((phase, Box::new(step)));
    }

    /// Runs before the first request; an error keeps the site from serving.
    pub fn on_start<F>(&mut self, hook: impl Fn(Arc<Bag>) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let lifecycle: &mut Lifecycle = self.entry();
        lifecycle.start.push(Box::new(move |site| Box::pin(hook(site))));
    }

    /// Runs when a server has finished its last request.
    pub fn on_stop<F>(&mut self, hook: impl Fn(Arc<Bag>) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let lifecycle: &mut Lifecycle = self.entry();
        lifecycle.stop.push(Box::new(move |site| Box::pin(hook(site))));
    }

    /// The settings, as read so far; in build steps they are complete.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The same, to declare settings or give defaults.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// Runs the build steps. Steps may add steps of their own phase or a later one.
    ///
    /// # Errors
    /// All that went wrong, not only the first; a failed step does not stop the others of its phase.
    pub fn build(&mut self) -> Result<(), Vec<Finding>> {
        let mut findings = Vec::new();
        for phase in [Phase::Provide, Phase::Derive, Phase::Finish] {
            loop {
                let (now, later) = std::mem::take(&mut self.steps)
                    .into_iter()
                    .partition(|(p, _)| *p <= phase);
                self.steps = later;
                let now: Vec<(Phase, Step)> = now;
                if now.is_empty() {
                    break;
                }
                for (_, step) in now {
                    if let Err(finding) = step(self) {
                        findings.push(finding);
                    }
                }
            }
            if !findings.is_empty() {
                return Err(findings);
            }
        }
        Ok(())
    }

    /// Takes the bag out, for serving.
    pub fn into_bag(self) -> Bag {
        self.bag
    }
}

/// What runs once before the first request and once after the last, in the order of registration.
#[derive(Default)]
pub struct Lifecycle {
    /// Before a server takes its first connection, a test client sends its first request, or a command of the site runs.
    pub start: Vec<LifecycleHook>,
    /// When a server has finished its last request, or the program ends whose command started the site.
    pub stop: Vec<LifecycleHook>,
    state: AtomicU8,
}

const IDLE: u8 = 0;
const STARTING: u8 = 1;
const STARTED: u8 = 2;

/// One of them, with what the site provides.
pub type LifecycleHook = Box<dyn Fn(Arc<Bag>) -> BoxFuture<'static, Result<()>> + Send + Sync>;

impl Lifecycle {
    /// Runs what is to run before the first request, unless that was done: a server, a test client and a command that
    /// meet in one process start the site once.
    ///
    /// # Errors
    /// The first that failed: the site cannot serve. The next caller tries again.
    pub async fn start(site: &Arc<Bag>) -> Result<()> {
        let Some(lifecycle) = site.get::<Lifecycle>() else {
            return Ok(());
        };
        let begun = poll_fn(|cx| {
            let state = &lifecycle.state;
            match state.compare_exchange(IDLE, STARTING, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => Poll::Ready(true),
                Err(STARTED) => Poll::Ready(false),
                // Another task is at it; that happens once in the life of a site, so asking again will do.
                Err(_) => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            }
        });
        if !begun.await {
            return Ok(());
        }
        let mut attempt = Attempt(&lifecycle.state, IDLE);
        for hook in &lifecycle.start {
            hook(site.clone()).await?;
        }
        attempt.1 = STARTED;
        Ok(())
    }

    /// Runs what is to run after the last request of a site that was started; what failed is told, and keeps nothing
    /// else from running.
    pub async fn stop(site: &Arc<Bag>) -> Vec<Error> {
        let mut failed = Vec::new();
        let Some(lifecycle) = site.get::<Lifecycle>() else {
            return failed;
        };
        if lifecycle.state.swap(IDLE, Ordering::AcqRel) == STARTED {
            for hook in &lifecycle.stop {
                failed.extend(hook(site.clone()).await.err());
            }
        }
        failed
    }
}

/// Leaves the state behind that was reached, also when the start failed or was dropped half-way.
struct Attempt<'l>(&'l AtomicU8, u8);

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.0.store(self.1, Ordering::Release);
    }
}

/// Values by type. One look-up is one hash of a type's id, which is a hash already.
#[derive(Default)]
pub struct Bag(HashMap<TypeId, Box<dyn Any + Send + Sync>, BuildHasherDefault<TypeIdHasher>>);

impl Bag {
    /// Puts a value in, and gives back the one of this type that was there.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) -> Option<T> {
        let old = self.0.insert(TypeId::of::<T>(), Box::new(value))?;
        old.downcast().ok().map(|b| *b)
    }

    /// The value of this type.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }

    /// The same, to change.
    pub fn get_mut<T: Send + Sync + 'static>(&mut self) -> Option<&mut T> {
        self.0.get_mut(&TypeId::of::<T>())?.downcast_mut()
    }

    /// Takes the value of this type out.
    pub fn take<T: Send + Sync + 'static>(&mut self) -> Option<T> {
        self.0.remove(&TypeId::of::<T>())?.downcast().ok().map(|b| *b)
    }

    /// The value of this type, made by `Default` when it is not there.
    pub fn entry<T: Default + Send + Sync + 'static>(&mut self) -> &mut T {
        self.0
            .entry(TypeId::of::<T>())
            .or_insert_with(|| Box::new(T::default()))
            .downcast_mut()
            .expect("the key is the type's own id")
    }

    /// True when a value of the type with this id is there.
    pub fn has(&self, type_id: TypeId) -> bool {
        self.0.contains_key(&type_id)
    }
}

/// Hands a `TypeId`'s own bits on: they are a hash already.
#[derive(Default)]
struct TypeIdHasher(u64);

impl Hasher for TypeIdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(word);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 ^= word;
    }
}
