//! The project tool: `demijohn new` makes a project, `demijohn add` a blueprint in it, `demijohn dev` serves it and builds
//! it again whenever it changes.
//!
//! What a site does by itself (`serve`, `check`, its own commands) is in its own program: `cargo run -- help`.

mod add;
mod dev;
mod fill;
mod name;
mod new;
mod watch;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// What went wrong, worded for whoever typed the command.
type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    // `cargo demijohn new shop` reads well too, when the program is there under the name `cargo-demijohn`.
    let mut args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|word| word == "demijohn") {
        args.remove(1);
    }
    let matches = command().get_matches_from(args);
    let done = match matches.subcommand() {
        Some(("new", call)) => new::new(call),
        Some(("add", call)) => add::add(call),
        Some(("dev", call)) => dev::dev(call),
        _ => Ok(ExitCode::from(2)),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

fn command() -> Command {
    Command::new("demijohn")
        .about("Starts Demijohn projects and serves them while you edit")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("new")
                .visible_alias("startproject")
                .about("Makes a project that runs: a site with one page, its test, and a SECRET_KEY of its own")
                .arg(Arg::new("name").value_name("NAME").required(true).help("the name of the package"))
                .arg(
                    Arg::new("folder")
                        .value_name("FOLDER")
                        .value_parser(value_parser!(PathBuf))
                        .help("where to put it, made if it is not there; ./NAME otherwise"),
                )
                .arg(
                    Arg::new("template")
                        .long("template")
                        .value_name("FOLDER_OR_URL")
                        .help("begins with this folder, or with what `git clone` fetches from this address"),
                )
                .arg(several("extension", 'e', "EXT", "fills in files of this ending too; rs, toml and md are filled in, and names of files always"))
                .arg(several("name-of-file", 'n', "NAME", "fills in files of this name too").long("file"))
                .arg(several("exclude", 'x', "FOLDER", "leaves out folders of this name; .git and target are always left out"))
                .arg(
                    Arg::new("demijohn")
                        .long("demijohn")
                        .value_name("FOLDER")
                        .value_parser(value_parser!(PathBuf))
                        .help("a checkout of Demijohn to build against; the one that this program was built from, while it is there"),
                ),
        )
        .subcommand(
            Command::new("add")
                .visible_alias("startapp")
                .about("Adds a blueprint to the project: a module with a model, a page and a test, and its template")
                .arg(Arg::new("name").value_name("NAME").required(true).help("the name of the module")),
        )
        .subcommand(
            Command::new("dev")
                .visible_alias("runserver")
                .about("Serves the site in development, and builds and restarts it when a file changes\nFiles are looked at four times a second; the site that runs goes on until the next one is built.")
                .arg(Arg::new("package").long("package").short('p').value_name("NAME").help("the package to run, where there are several"))
                .arg(Arg::new("bind").long("bind").value_name("ADDR:PORT").help("where to listen; 127.0.0.1:8000 unless a setting says otherwise"))
                .arg(several("include", 'i', "PATTERN", "starts the site anew when a file of such a name changes too, as in '*.sql'"))
                .arg(several("exclude", 'x', "PATTERN", "leaves files and folders of such names aside"))
                .arg(
                    Arg::new("args")
                        .value_name("ARGS")
                        .last(true)
                        .num_args(0..)
                        .value_parser(value_parser!(OsString))
                        .help("given to the site's program; `serve` and its options otherwise"),
                ),
        )
}

fn several(id: &'static str, short: char, value: &'static str, help: &'static str) -> Arg {
    Arg::new(id)
        .long(id)
        .short(short)
        .value_name(value)
        .action(ArgAction::Append)
        .help(help)
}

/// All values of an option.
fn all(call: &ArgMatches, id: &str) -> Vec<String> {
    call.get_many::<String>(id).into_iter().flatten().cloned().collect()
}
