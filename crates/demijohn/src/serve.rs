//! `serve`: the site behind a socket.

use demijohn_core::check::{Level, Selection};
use demijohn_core::command::{Arg, Command, Console};
use demijohn_core::{Error, Result};
use demijohn_web::Ready;
use demijohn_web::server::Serve;

pub(crate) const NAME: &str = "serve";

pub(crate) fn command() -> Command {
    Command::new(NAME)
        .about("Serves the site; this is what the program does when no command is named")
        .arg(
            Arg::new("bind")
                .long("bind")
                .value_name("ADDR:PORT")
                .help("Where to listen: 127.0.0.1:8000, 8000, 0.0.0.0:80, [::1]:8000 [env: BIND]"),
        )
        .option_is_setting("bind", "BIND")
        .unchecked()
        // `App::run` serves: a server has runtimes of its own and does not run inside another.
        .run(async |_| {
            Err(Error::internal(
                "`serve` is for the command line; tests use `test_client`, embedders `demijohn::web::server::Serve`",
            ))
        })
}

/// Serves until a signal ends it; gives the exit code.
pub(crate) fn serve(ready: &Ready, console: &Console) -> u8 {
    let report = ready.program().check(&Selection::default());
    if !report.findings().is_empty() {
        console.problem(&report.to_string());
    }
    if report.fails(Level::Error) {
        return 1;
    }
    match listen(ready, console) {
        Ok(()) => 0,
        Err(error) => {
            console.error(&error.source().map_or_else(|| error.to_string(), ToString::to_string));
            1
        }
    }
}

fn listen(ready: &Ready, console: &Console) -> Result<()> {
    let settings = ready.settings();
    let bind = settings.bind();
    let address = bind.address().map_err(|error| {
        Error::internal(format!(
            "cannot find the address of `{}`: {error}; write an address such as 127.0.0.1:8000",
            bind.host()
        ))
    })?;
    let bound = Serve::on(address.to_string()).workers(settings.workers()).bind()?;
    let mode = match settings.debug() {
        true => "development",
        false => "production",
    };
    console.say(&format!(
        "Serving on http://{}/ ({mode}; end with Ctrl+C)",
        bound.address()
    ));
    bound.run(ready)
}
