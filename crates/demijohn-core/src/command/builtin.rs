//! The commands that every site has.

use super::{Arg, ArgAction, Call, Command, Style, value_parser};
use crate::check::{Level, Selection};
use crate::error::{Error, Result};
use crate::settings::Origin;
use clap::builder::PossibleValuesParser;
use std::io::Write;

pub(super) fn all() -> [Command; 3] {
    [check(), settings(), version()]
}

fn check() -> Command {
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new("check")
        .about("Examines the site and tells all that is wrong with it, without a database or a port\nEnds with code 1 when something is as grave as --fail-level.")
        .arg(flag("deploy", "Also what matters only in production: every protection that is off"))
        .arg(
            Arg::new("tag")
                .long("tag")
                .short('t')
                .value_name("TAG")
                .action(ArgAction::Append)
                .help("Only checks of this tag; may be given several times"),
        )
        .arg(flag("list-tags", "List the tags"))
        .arg(
            Arg::new("fail-level")
                .long("fail-level")
                .value_name("LEVEL")
                .ignore_case(true)
                .value_parser(PossibleValuesParser::new(["INFO", "WARNING", "ERROR"]))
                .default_value("ERROR")
                .help("The level from which the command fails"),
        )
        .arg(
            Arg::new("database")
                .long("database")
                .value_name("NAME")
                .action(ArgAction::Append)
                .help("Also checks that ask this database; none is asked otherwise"),
        )
        .unchecked()
        .unstarted()
        .run(run_check)
}

async fn run_check(call: Call) -> Result<()> {
    let selection = Selection {
        deploy: call.flag("deploy"),
        tags: call.all("tag")?,
        databases: call.all("database")?,
    };
    let known = call.program().checks.tags(selection.deploy);
    if call.flag("list-tags") {
        for tag in known {
            writeln!(call.out(), "{tag}")?;
        }
        return Ok(());
    }
    for tag in &selection.tags {
        if !call.program().checks.tags(true).contains(&tag.as_str()) {
            return Err(Error::internal(format!(
                "there is no check with the tag `{tag}`; `check --list-tags` lists them"
            )));
        }
    }
    let level = match call.get::<String>("fail-level")?.to_ascii_uppercase().as_str() {
        "INFO" => Level::Info,
        "WARNING" => Level::Warning,
        _ => Level::Error,
    };
    let report = call.program().check(&selection);
    match report.fails(level) {
        true => Err(Error::internal(report.to_string())),
        false => {
            writeln!(call.out(), "{report}")?;
            Ok(())
        }
    }
}

fn settings() -> Command {
    Command::new("settings")
        .about("Lists the settings with their values and where these come from; secrets are masked")
        .arg(
            Arg::new("changed")
                .long("changed")
                .action(ArgAction::SetTrue)
                .help("Only those that differ from the default of their declaration"),
        )
        .arg(
            Arg::new("name")
                .value_name("NAME")
                .num_args(0..)
                .value_parser(value_parser!(String))
                .help("Only these"),
        )
        .without_site()
        .unstarted()
        .run(async |call: Call| {
            let names: Vec<String> = call.all("name")?;
            let rows = call.settings().rows();
            for name in &names {
                if !rows.iter().any(|row| is_or_holds(name, &row.name)) {
                    // The message of an unknown name, with the near one.
                    call.settings().get::<serde_json::Value>(name)?;
                }
            }
            let wanted = rows.iter().filter(|row| {
                let named = names.is_empty() || names.iter().any(|name| is_or_holds(name, &row.name));
                named && !(call.flag("changed") && row.origin == Origin::Default)
            });
            for row in wanted {
                let origin = format!("# {}", row.origin);
                writeln!(
                    call.out(),
                    "{} = {}  {}",
                    row.name,
                    row.value,
                    call.styled(Style::Heading, &origin)
                )?;
            }
            Ok(())
        })
}

/// `shop` is or holds `shop.currency`.
fn is_or_holds(name: &str, row: &str) -> bool {
    let (name, row) = (name.to_ascii_lowercase().replace("__", "."), row.to_ascii_lowercase());
    row.strip_prefix(&name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn version() -> Command {
    Command::new("version")
        .about("Prints the version of the program")
        .without_site()
        .unstarted()
        .run(async |call: Call| {
            let program = call.program();
            writeln!(call.out(), "{} {}", program.name, program.version)?;
            Ok(())
        })
}
