//! From words on the command line to a command with its arguments.

use super::{Action, Command, Commands, Console};
use crate::settings::Sources;
use clap::{Arg, ArgAction, ArgMatches};
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

/// The command that is meant when none is named.
const DEFAULT: &str = "serve";

/// How wide texts of help are.
const WIDTH: usize = 96;

/// A command line that was understood.
pub struct Parsed {
    /// The command and those above it: `["db", "init"]`.
    pub path: Vec<String>,
    pub(super) matches: ArgMatches,
    pub(super) action: Option<Action>,
    pub(super) choices: Vec<(String, Vec<String>)>,
    /// Runs even when checks find errors.
    pub unchecked: bool,
    /// Runs even when the site cannot be built.
    pub without_site: bool,
    /// Runs without the start of the site.
    pub unstarted: bool,
    settings_file: Option<PathBuf>,
    /// Option, setting, value.
    settings: Vec<(&'static str, &'static str, String)>,
}

impl Parsed {
    /// The sources with what the command line says about settings.
    pub fn sources(&self, mut sources: Sources) -> Sources {
        if let Some(path) = &self.settings_file {
            sources = sources.file(path);
        }
        for (option, setting, value) in &self.settings {
            sources = sources.option(option, *setting, value);
        }
        sources
    }

    /// True when colours were declined.
    pub fn no_color(&self) -> bool {
        self.matches
            .try_get_one::<bool>("no-color")
            .ok()
            .flatten()
            .copied()
            .unwrap_or(false)
    }
}

/// A command line that asks for help, or was not understood.
#[derive(Debug)]
pub struct Usage {
    /// 0 for help, 2 for a mistake.
    pub code: u8,
    /// What to print: on standard output for help, on standard error for a mistake.
    pub text: String,
}

impl Usage {
    /// Prints it where it belongs, and gives the exit code.
    pub fn print(&self, console: &Console) -> u8 {
        let text = self.text.trim_end();
        let _ = match self.code {
            0 => writeln!(console.out(), "{text}"),
            _ => writeln!(console.err(), "{text}"),
        };
        console.flush();
        self.code
    }
}

impl Commands {
    /// Parses the arguments of the program `name`, without the name itself.
    ///
    /// # Errors
    /// What to print when the arguments ask for help or are wrong.
    pub fn parse(
        &self,
        name: &str,
        version: &str,
        mut args: Vec<OsString>,
        console: &Console,
    ) -> Result<Parsed, Usage> {
        if let Some(at) = default_command_at(&args).filter(|_| self.iter().any(|command| command.name == DEFAULT)) {
            args.insert(at, DEFAULT.into());
        }
        args.insert(0, name.into());
        // clap asserts that arguments are declared in a way that makes sense, by panics.
        let parsed = catch_unwind(AssertUnwindSafe(|| {
            self.root(name, version, console).try_get_matches_from(args)
        }));
        let matches = match parsed {
            Ok(Ok(matches)) => matches,
            Ok(Err(error)) => {
                return Err(Usage {
                    code: u8::try_from(error.exit_code()).unwrap_or(2),
                    text: error.render().to_string(),
                });
            }
            Err(panic) => {
                return Err(Usage {
                    code: 2,
                    text: format!(
                        "error: the arguments of a command are declared wrongly: {}",
                        super::panic_text(&*panic)
                    ),
                });
            }
        };
        let settings_file = matches.try_get_one::<PathBuf>("settings").ok().flatten().cloned();
        self.find(matches, settings_file).ok_or_else(|| Usage {
            code: 2,
            text: format!("error: no command was named; `{name} help` lists them"),
        })
    }

    fn find(&self, matches: ArgMatches, settings_file: Option<PathBuf>) -> Option<Parsed> {
        let mut path = Vec::new();
        let mut commands = &self.all;
        let mut matches = matches;
        loop {
            let (word, inner) = matches.remove_subcommand()?;
            let command = commands.iter().find(|command| command.name == word)?;
            path.push(word);
            if inner.subcommand_name().is_some() {
                matches = inner;
                commands = &command.commands;
                continue;
            }
            let settings = command.settings.iter().filter_map(|(arg, setting)| {
                let option = command.args.iter().find(|a| a.get_id() == arg)?.get_long()?;
                let value = inner.try_get_one::<String>(arg).ok()??;
                // Named as it is typed; there are a handful in the life of a process.
                let option: &'static str = format!("--{option}").leak();
                Some((option, *setting, value.clone()))
            });
            return Some(Parsed {
                path,
                settings: settings.collect(),
                settings_file: inner
                    .try_get_one::<PathBuf>("settings")
                    .ok()
                    .flatten()
                    .cloned()
                    .or(settings_file),
                action: command.action.clone(),
                choices: command.choices.clone(),
                unchecked: command.unchecked,
                without_site: command.without_site,
                unstarted: command.unstarted,
                matches: inner,
            });
        }
    }

    fn root(&self, name: &str, version: &str, console: &Console) -> clap::Command {
        let mut root = clap::Command::new(name.to_owned())
            .bin_name(name.to_owned())
            .subcommand_required(true)
            .disable_version_flag(version.is_empty())
            .help_template("{usage-heading} {usage}{after-help}\n\nOptions:\n{options}")
            .after_help(self.list())
            .arg(
                Arg::new("settings")
                    .long("settings")
                    .value_name("FILE")
                    .value_parser(clap::value_parser!(PathBuf))
                    .global(true)
                    .help_heading("Common options")
                    .help("The settings file, in place of settings.toml [env: DEMIJOHN_SETTINGS]"),
            )
            .arg(
                Arg::new("no-color")
                    .long("no-color")
                    .action(ArgAction::SetTrue)
                    .global(true)
                    .help_heading("Common options")
                    .help("Print without colours"),
            );
        if !version.is_empty() {
            root = root.version(version.to_owned());
        }
        root.subcommands(self.all.iter().map(|command| command.clap(console)))
    }

    /// The commands by who brought them, the site's own first.
    fn list(&self) -> String {
        let mut owners: Vec<&str> = Vec::new();
        for command in &self.all {
            if !owners.contains(&command.owner.as_str()) {
                owners.push(&command.owner);
            }
        }
        owners.sort_by_key(|owner| (!owner.is_empty(), *owner == "demijohn"));
        let width = self
            .all
            .iter()
            .map(|command| command.name.len())
            .max()
            .unwrap_or(0)
            .max("help".len());
        let mut text = String::from("Commands:");
        for owner in owners {
            match owner {
                "" => text.push('\n'),
                owner => text.push_str(&format!("\n[{owner}]\n")),
            }
            let mine = self.all.iter().filter(|command| command.owner == owner);
            let mut lines: Vec<(&str, &str)> = mine
                .map(|command| (command.name.as_str(), command.about.lines().next().unwrap_or("")))
                .collect();
            if owner == "demijohn" {
                lines.push(("help", "Lists the commands, or explains one: help NAME"));
            }
            for (name, about) in lines {
                let about =
                    wrap(about, WIDTH.saturating_sub(width + 4)).replace('\n', &format!("\n{:1$}", "", width + 4));
                text.push_str(format!("  {name:width$}  {about}").trim_end());
                text.push('\n');
            }
        }
        text.trim_end().to_owned()
    }
}

impl Command {
    /// The command as clap sees it.
    fn clap(&self, console: &Console) -> clap::Command {
        let first = self.about.lines().next().unwrap_or("").to_owned();
        clap::Command::new(self.name.clone())
            .about(first)
            .long_about(wrap(&self.about, WIDTH))
            .args(self.args.iter().map(|arg| explained(arg.clone(), console)))
            .groups(self.groups.iter().cloned())
            .subcommands(self.commands.iter().map(|command| command.clap(console)))
            .subcommand_required(self.action.is_none() && !self.commands.is_empty())
    }
}

/// The argument with its variable looked up on our console, and its help wrapped and marked.
fn explained(mut arg: Arg, console: &Console) -> Arg {
    let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    if arg.is_required_set() {
        help.push_str(" [required]");
    }
    if let Some(name) = arg.get_env().map(OsStr::to_os_string) {
        let name = name.to_string_lossy().into_owned();
        help.push_str(&format!(" [env: {name}]"));
        arg = arg.env(None::<&'static str>);
        if let Some(value) = console.variable(&name) {
            // Its value is not for the eyes of whoever reads the help.
            arg = arg
                .required(false)
                .hide_default_value(true)
                .default_value(value.to_owned());
        }
    }
    match help.trim_start() {
        "" => arg,
        help => arg.help(wrap(help, WIDTH - 26)),
    }
}

/// Where `serve` belongs in arguments that name no command: before options of its own, after those of all.
fn default_command_at(args: &[OsString]) -> Option<usize> {
    let mut at = 0;
    loop {
        let Some(word) = args.get(at) else {
            return Some(at.min(args.len()));
        };
        match word.to_str() {
            Some("--settings") => at += 2,
            Some("--no-color") => at += 1,
            Some(word) if word.starts_with("--settings=") => at += 1,
            Some("-h" | "--help" | "-V" | "--version") => return None,
            Some(word) if word.starts_with('-') => return Some(at),
            _ => return None,
        }
    }
}

/// Breaks lines at spaces; a line that begins with a space is left as it is.
fn wrap(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for (n, line) in text.lines().enumerate() {
        if n > 0 {
            out.push('\n');
        }
        if line.starts_with(' ') {
            out.push_str(line);
            continue;
        }
        let mut used = 0;
        for word in line.split(' ') {
            let length = word.chars().count();
            if used > 0 && used + 1 + length > width {
                out.push('\n');
                used = 0;
            } else if used > 0 {
                out.push(' ');
                used += 1;
            }
            out.push_str(word);
            used += length;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{default_command_at, wrap};

    #[test]
    fn where_serve_belongs() {
        let at = |line: &str| default_command_at(&line.split_whitespace().map(Into::into).collect::<Vec<_>>());
        assert_eq!(at(""), Some(0));
        assert_eq!(at("--bind :1"), Some(0));
        assert_eq!(at("--settings a.toml"), Some(2));
        assert_eq!(at("--settings"), Some(1));
        assert_eq!(at("--settings=a --no-color --bind :1"), Some(2));
        assert_eq!(at("check --deploy"), None);
        assert_eq!(at("--help"), None);
    }

    #[test]
    fn long_lines_are_broken_at_spaces() {
        assert_eq!(wrap("one two three", 8), "one two\nthree");
        assert_eq!(wrap("one\n  kept as it is\nlast", 6), "one\n  kept as it is\nlast");
        assert_eq!(wrap("unbreakable word", 3), "unbreakable\nword");
    }
}
