//! Management commands: the program is its own `manage.py`.
//!
//! A command is a name, arguments in clap's terms, and an async function. Parts and sites add theirs; `help` lists all.
//!
//! ```
//! use demijohn_core::command::{Arg, Command, Commands, Program, Runner, value_parser};
//! use std::io::Write;
//!
//! let seed = Command::new("seed")
//!     .about("Fills the database with examples")
//!     .arg(Arg::new("n").long("n").value_parser(value_parser!(u32)).default_value("10").help("how many"))
//!     .run(async |call| {
//!         let n: u32 = call.get("n")?;
//!         writeln!(call.out(), "made {n} articles")?;
//!         Ok(())
//!     });
//! # fn block_on<T>(future: impl Future<Output = T>) -> T {
//! #     let mut future = std::pin::pin!(future);
//! #     let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
//! #     loop { if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut cx) { return value } }
//! # }
//! # block_on(async {
//! let mut commands = Commands::default();
//! commands.add(seed);
//! let program = Program::new(commands);
//!
//! let outcome = Runner::new(&program).args(["seed", "--n", "3"]).run().await;
//! assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "made 3 articles\n"));
//!
//! let outcome = Runner::new(&program).args(["seed", "--n", "many"]).run().await;
//! assert_eq!(outcome.code, 2);
//! assert!(outcome.stderr.contains("--n <n>"));
//! # });
//! ```
//!
//! # Exit codes
//! 0 when all went well; 1 when the command failed, with `error: ..` on stderr; 2 when it was called wrongly, with its usage. A
//! command that panics fails: the user reads a message and no backtrace.

mod builtin;
mod call;
mod console;
mod folder;
mod line;
mod runner;

pub use call::Call;
pub use clap::{Arg, ArgAction, ArgGroup, ArgMatches, builder, value_parser};
pub use console::{Console, Output, Style};
pub use folder::TemporaryFolder;
pub use line::{Parsed, Usage};
pub use runner::{Outcome, Runner, call_command};

use crate::BoxFuture;
use crate::check::{Checks, Finding, Level, Report, Selection};
use crate::error::{Error, Result};
use crate::settings::Settings;
use crate::site::{Bag, Lifecycle};
use std::ffi::OsString;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub(crate) type Action = Arc<dyn Fn(Call) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// A word that the program understands, `cargo run -- NAME ..`, or a group of such.
#[derive(Clone)]
pub struct Command {
    name: String,
    about: String,
    args: Vec<Arg>,
    groups: Vec<ArgGroup>,
    commands: Vec<Command>,
    /// One value out of several flags: the name of the value, and the flags.
    choices: Vec<(String, Vec<String>)>,
    /// Options that are settings: the argument, and the setting.
    settings: Vec<(&'static str, &'static str)>,
    action: Option<Action>,
    unchecked: bool,
    without_site: bool,
    unstarted: bool,
    /// The blueprint that it came from.
    owner: String,
}

impl Command {
    /// A command of this name, in lower case with `-` or without.
    pub fn new(name: impl Into<String>) -> Self {
        Command {
            name: name.into(),
            about: String::new(),
            args: Vec::new(),
            groups: Vec::new(),
            commands: Vec::new(),
            choices: Vec::new(),
            settings: Vec::new(),
            action: None,
            unchecked: false,
            without_site: false,
            unstarted: false,
            owner: String::new(),
        }
    }

    /// What it does. `help` lists the first line; the command's own help shows all.
    #[must_use]
    pub fn about(mut self, text: impl Into<String>) -> Self {
        self.about = text.into();
        self
    }

    /// An option or an argument, in clap's terms.
    ///
    /// A variable named by [`Arg::env`] is looked up in the environment and in `.env`.
    #[must_use]
    pub fn arg(mut self, arg: Arg) -> Self {
        self.args.push(arg);
        self
    }

    /// Arguments that belong together, in clap's terms.
    #[must_use]
    pub fn group(mut self, group: ArgGroup) -> Self {
        self.groups.push(group);
        self
    }

    /// A pair of flags, `--NAME` and `--no-NAME`, of which the later one counts; read by [`Call::switch`].
    #[must_use]
    pub fn switch(mut self, name: &str, help: &str) -> Self {
        let no = format!("no-{name}");
        let flag = |name: &str, other: &str| {
            Arg::new(name.to_owned())
                .long(name.to_owned())
                .action(ArgAction::SetTrue)
                .overrides_with(other.to_owned())
        };
        self.args.push(flag(name, &no).help(help.to_owned()));
        self.args
            .push(flag(&no, name).help(format!("the opposite of --{name}")));
        self
    }

    /// Flags that set one value between them, of which the last one counts: `--upper`, `--lower`; read by [`Call::chosen`].
    #[must_use]
    pub fn choice<'f>(mut self, name: &str, flags: impl IntoIterator<Item = (&'f str, &'f str)>) -> Self {
        let flags: Vec<(&str, &str)> = flags.into_iter().collect();
        let names: Vec<String> = flags.iter().map(|(flag, _)| (*flag).to_owned()).collect();
        for (flag, help) in flags {
            self.args.push(
                Arg::new(flag.to_owned())
                    .long(flag.to_owned())
                    .action(ArgAction::SetTrue)
                    .overrides_with_all(names.iter().cloned())
                    .help(help.to_owned()),
            );
        }
        self.choices.push((name.to_owned(), names));
        self
    }

    /// A command below this one, `NAME SUB ..`. A command with others below it needs no function of its own.
    #[must_use]
    pub fn command(mut self, command: Command) -> Self {
        self.commands.push(command);
        self
    }

    /// An option whose value is a setting for this run, over all other sources: `--bind` is `BIND`.
    #[must_use]
    pub fn option_is_setting(mut self, arg: &'static str, setting: &'static str) -> Self {
        self.settings.push((arg, setting));
        self
    }

    /// Runs even when checks find errors, for what mends them.
    #[must_use]
    pub fn unchecked(mut self) -> Self {
        self.unchecked = true;
        self
    }

    /// Runs even when the site cannot be built, with what settings there are and nothing provided.
    #[must_use]
    pub fn without_site(mut self) -> Self {
        self.without_site = true;
        self.unchecked()
    }

    /// Runs without the start of the site: for what asks no database, or starts the site itself as `serve` does.
    ///
    /// Other commands find everything that a request would find: hooks of `on_start` have run, so tables are there.
    #[must_use]
    pub fn unstarted(mut self) -> Self {
        self.unstarted = true;
        self
    }

    /// What it does.
    #[must_use]
    pub fn run<F, Fut>(mut self, action: F) -> Self
    where
        F: Fn(Call) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.action = Some(Arc::new(move |call| Box::pin(action(call))));
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// All commands of a site.
#[derive(Clone, Default)]
pub struct Commands {
    all: Vec<Command>,
}

impl Commands {
    /// Adds a command of the site itself; it takes the place of one of the same name.
    pub fn add(&mut self, command: Command) {
        self.add_from("", command);
    }

    /// Adds a command that a blueprint or a battery brings; `help` lists it under this name.
    pub fn add_from(&mut self, owner: &str, mut command: Command) {
        command.owner = owner.to_owned();
        self.all.retain(|other| other.name != command.name);
        self.all.push(command);
    }

    /// Adds `check`, `settings` and `version`.
    pub fn add_builtin(&mut self) {
        for command in builtin::all() {
            self.add_from("demijohn", command);
        }
    }

    /// Commands in the order added.
    pub fn iter(&self) -> impl Iterator<Item = &Command> {
        self.all.iter()
    }
}

/// A built site as far as commands see it.
pub struct Program {
    /// What the program is called, in usage and `version`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its commands.
    pub commands: Commands,
    /// Its checks.
    pub checks: Checks,
    /// What the site provides.
    pub site: Arc<Bag>,
    /// Its settings.
    pub settings: Settings,
    /// What was found while it was built, short of errors.
    pub findings: Vec<Finding>,
}

impl Program {
    /// A program of these commands, without a site: for tests of commands.
    pub fn new(commands: Commands) -> Arc<Self> {
        Arc::new(Program::of(commands))
    }

    /// The same, to fill in.
    pub fn of(commands: Commands) -> Self {
        Program {
            name: "program".to_owned(),
            version: String::new(),
            commands,
            checks: Checks::default(),
            site: Arc::default(),
            settings: Settings::new(),
            findings: Vec::new(),
        }
    }

    /// Parses arguments (without the program's name) and runs the command; gives the exit code.
    pub async fn call(self: &Arc<Self>, args: Vec<OsString>, console: Arc<Console>) -> u8 {
        match self.commands.parse(&self.name, &self.version, args, &console) {
            Ok(parsed) => self.run(&parsed, console).await,
            Err(usage) => usage.print(&console),
        }
    }

    /// Everything that building and the chosen checks found.
    pub fn check(&self, selection: &Selection) -> Report {
        let mut findings = match selection.tags.is_empty() {
            true => self.findings.clone(),
            false => Vec::new(),
        };
        findings.extend(self.checks.run(&self.site, &self.settings, selection));
        Report::new(findings, self.settings.silenced_checks())
    }

    /// Runs a command that was parsed; gives the exit code. Errors of checks keep it from running.
    pub async fn run(self: &Arc<Self>, parsed: &Parsed, console: Arc<Console>) -> u8 {
        let Some(action) = parsed.action.clone() else {
            console.error("this command does nothing by itself");
            return 2;
        };
        if !parsed.unchecked {
            let report = self.check(&Selection::default());
            if report.fails(Level::Error) {
                console.problem(&report.to_string());
                return 1;
            }
        }
        let call = Call::new(Arc::clone(self), parsed, Arc::clone(&console));
        let site = Arc::clone(&self.site);
        let starts = !parsed.unstarted;
        let run = async move {
            if starts {
                Lifecycle::start(&site).await?;
            }
            action(call).await
        };
        let code = match contained(run).await {
            Ok(Ok(())) => 0,
            Ok(Err(error)) => {
                // Who closed the pipe does not want to read more.
                if !is_broken_pipe(&error) {
                    console.error(&message(&error));
                }
                1
            }
            Err(panic) => {
                console.error(&format!("the command `{}` panicked: {panic}", parsed.path.join(" ")));
                1
            }
        };
        console.flush();
        code
    }
}

/// Runs a future; a panic inside becomes an error, its message.
async fn contained<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = std::pin::pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(payload) => std::task::Poll::Ready(Err(panic_text(&*payload))),
    })
    .await
}

/// What a panic said.
pub(crate) fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it did not say why").to_owned()
}

/// The message of an error for whoever typed the command: nobody there asks for a status.
fn message(error: &Error) -> String {
    let text = error.to_string();
    let phrase = error.status().canonical_reason().unwrap_or_default();
    match error.source() {
        Some(_) if error.client_text() == phrase => text
            .strip_prefix(phrase)
            .and_then(|t| t.strip_prefix(": "))
            .unwrap_or(&text)
            .to_owned(),
        _ => text,
    }
}

fn is_broken_pipe(error: &Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
