//! `App::run`: the program as its own management command.

use crate::app::App;
use crate::log;
use demijohn_core::check::{Level, Report, Selection};
use demijohn_core::command::{Console, Parsed, Program};
use demijohn_core::settings::Sources;
use demijohn_core::site::Lifecycle;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

impl App {
    /// Does what the command line says: serves when it says nothing.
    ///
    /// Settings are read from the working folder and the environment; see [`settings`](crate::settings). Exit codes are 0, 1
    /// for failure, 2 for a command line that is wrong. A panic hook is set that logs one line, and a log is set up
    /// (settings `LOG` and `LOG_FORMAT`) unless the program has one already.
    #[must_use = "return it from `main`"]
    pub fn run(self) -> ExitCode {
        self.run_from(std::env::args_os().skip(1))
    }

    /// The same with these arguments in place of the command line's.
    #[must_use = "return it from `main`"]
    pub fn run_from<A: Into<OsString>>(self, args: impl IntoIterator<Item = A>) -> ExitCode {
        ExitCode::from(self.obey(args.into_iter().map(Into::into).collect()))
    }

    fn obey(mut self, args: Vec<OsString>) -> u8 {
        let mut console = Console::process();
        let (name, version) = self.web.name_and_version();
        let commands = self.site_mut().commands.clone();
        let parsed = match commands.parse(&name, &version, args, &console) {
            Ok(parsed) => parsed,
            Err(usage) => return usage.print(&console),
        };
        if parsed.no_color() {
            console = console.plain();
        }
        let sources = parsed.sources(Sources::process());
        // The log is there before anything is built; building reads the same sources again, with all declarations in.
        let settings = self.site_mut().settings_mut();
        settings.load(sources.clone());
        let settings = settings.clone();
        let log = log::start(&settings, &console, &name);
        let code = match self.build(sources) {
            Ok(ready) => {
                // Warnings would disturb what other commands print; `check` tells them.
                if parsed.path == ["serve"] {
                    let report = ready.program().check(&Selection::default());
                    if !report.findings().is_empty() && !report.fails(Level::Error) {
                        console.problem(&report.to_string());
                    }
                }
                run_command(ready.program(), &parsed, console)
            }
            Err(findings) => {
                let report = Report::new(findings, &[]);
                console.problem(&report.to_string());
                match parsed.without_site {
                    false => 1,
                    true => {
                        let program = Program {
                            name,
                            version,
                            settings,
                            ..Program::of(commands)
                        };
                        run_command(&Arc::new(program), &parsed, console)
                    }
                }
            }
        };
        log.finish();
        code
    }
}

fn run_command(program: &Arc<Program>, parsed: &Parsed, console: Console) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(async {
            let code = program.run(parsed, Arc::new(console)).await;
            // What a command started is brought to its end, as after a server.
            for error in Lifecycle::stop(&program.site).await {
                tracing::error!("a stop hook failed: {error}");
            }
            code
        }),
        Err(error) => {
            console.error(&format!("the system gives nothing to run on: {error}"));
            1
        }
    }
}
