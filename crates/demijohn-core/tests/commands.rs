//! Commands and checks: arguments, help, exit codes, and what is captured.

#![allow(clippy::unwrap_used)]

use demijohn_core::check::{Checks, Finding};
use demijohn_core::command::{
    Arg, ArgAction, Command, Commands, Outcome, Program, Runner, Style, builder, call_command, value_parser,
};
use demijohn_core::settings::{Settings, Sources};
use demijohn_core::{Error, Result};
use demijohn_covers::covers;
use std::io::Write;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Nothing here waits, so nothing needs a runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

fn program(commands: impl IntoIterator<Item = Command>) -> Arc<Program> {
    let mut all = Commands::default();
    all.add_builtin();
    for command in commands {
        all.add(command);
    }
    Program::new(all)
}

fn with_checks(checks: Checks, settings: Settings, commands: impl IntoIterator<Item = Command>) -> Arc<Program> {
    let mut program = Arc::into_inner(program(commands)).expect("not shared yet");
    program.checks = checks;
    program.settings = settings;
    program.version = "1.2.3".to_owned();
    Arc::new(program)
}

#[track_caller]
fn call(program: &Arc<Program>, line: &str) -> Outcome {
    block_on(call_command(program, line.split_whitespace()))
}

#[track_caller]
fn prints(program: &Arc<Program>, line: &str, expected: &str) {
    let outcome = call(program, line);
    assert_eq!(
        (outcome.code, outcome.stdout.trim_end()),
        (0, expected),
        "{line}: {}",
        outcome.stderr
    );
}

#[track_caller]
fn refused(program: &Arc<Program>, line: &str, parts: &[&str]) {
    let outcome = call(program, line);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{line}");
    for part in parts {
        assert!(outcome.stderr.contains(part), "no {part:?} in {}", outcome.stderr);
    }
}

fn seed() -> Command {
    Command::new("seed")
        .about("Fills the database with examples")
        .arg(
            Arg::new("n")
                .long("n")
                .value_parser(value_parser!(u32))
                .default_value("10")
                .help("how many"),
        )
        .arg(Arg::new("what").required(true).help("what to make"))
        .run(async |call| {
            let n: u32 = call.get("n")?;
            writeln!(call.out(), "{n} {}", call.get::<String>("what")?)?;
            Ok(())
        })
}

#[test]
fn options_and_arguments_are_typed() {
    covers!("click.command");
    let program = program([seed()]);
    prints(&program, "seed --n 3 cats", "3 cats");
    prints(&program, "seed cats", "10 cats");
    refused(&program, "seed --n many cats", &["--n <n>", "'many'", "--help"]);
    refused(&program, "seed", &["<what>", "Usage: program seed"]);
    refused(&program, "seed cats --m 3", &["'--m'", "Usage: program seed"]);
}

#[test]
fn an_argument_read_as_another_type_is_told_and_no_panic() {
    let program = program([
        Command::new("a")
            .arg(Arg::new("n").long("n").default_value("1"))
            .run(async |call| {
                call.get::<u32>("n")?;
                Ok(())
            }),
        Command::new("b").run(async |call| call.get::<String>("n").map(drop)),
        Command::new("twice")
            .arg(Arg::new("n"))
            .arg(Arg::new("n"))
            .run(async |_| Ok(())),
    ]);
    assert!(call(&program, "a").stderr.contains("value_parser!(u32)"));
    assert!(
        call(&program, "b")
            .stderr
            .contains("argument `n` of the command `b` is not declared")
    );
    // clap asserts these only in debug builds.
    if cfg!(debug_assertions) {
        refused(&program, "twice", &["declared wrongly"]);
    }
}

#[test]
fn groups_nest_and_list_their_commands() {
    covers!("click.groups");
    let db = Command::new("db").about("The database").command(
        Command::new("user")
            .about("Users of the database\nMore about them.")
            .command(
                Command::new("add")
                    .about("Adds one")
                    .run(async |call| Ok(writeln!(call.out(), "added")?)),
            )
            .command(Command::new("drop").about("Drops one").run(async |_| Ok(()))),
    );
    let program = program([db]);
    prints(&program, "db user add", "added");
    let help = call(&program, "db --help");
    assert_eq!(help.code, 0);
    assert!(help.stdout.contains("user  Users of the database\n"), "{}", help.stdout);
    assert!(!help.stdout.contains("More about"));
    assert!(call(&program, "db user --help").stdout.contains("add   Adds one"));
    refused(&program, "db user", &["add", "drop"]);
    refused(&program, "db usr add", &["user"]);
}

#[test]
fn help_shows_usage_defaults_variables_and_required_marks() {
    covers!("click.help");
    let words = "many words that go on and on ".repeat(8);
    let send = Command::new("send")
        .about(format!("Sends mail\n{words}"))
        .arg(
            Arg::new("host")
                .long("host")
                .value_name("HOST")
                .env("MAIL_HOST")
                .required(true)
                .help("the relay"),
        )
        .arg(
            Arg::new("port")
                .long("port")
                .default_value("25")
                .value_parser(value_parser!(u16))
                .help("its port"),
        )
        .run(async |call| Ok(writeln!(call.out(), "{}", call.get::<String>("host")?)?));
    let program = program([send]);
    let help = call(&program, "send --help").stdout;
    for part in [
        "Usage: program send [OPTIONS] --host <HOST>",
        "the relay [required] [env: MAIL_HOST]",
        "its port",
        "[default: 25]",
        "Sends mail\nmany words",
    ] {
        assert!(help.contains(part), "no {part:?} in {help}");
    }
    assert!(help.lines().all(|line| line.len() <= 100), "{help}");
    assert_eq!(call(&program, "help send").stdout, help);
    refused(&program, "send", &["--host <HOST>"]);
    let by_variable = block_on(Runner::new(&program).args(["send"]).var("MAIL_HOST", "relay").run());
    assert_eq!(by_variable.stdout, "relay\n", "{}", by_variable.stderr);
    let help = block_on(
        Runner::new(&program)
            .args(["send", "--help"])
            .var("MAIL_HOST", "hush")
            .run(),
    );
    assert!(!help.stdout.contains("hush"), "{}", help.stdout);
}

#[test]
fn flags() {
    covers!("click.flags");
    let say = Command::new("say")
        .switch("shout", "in capitals")
        .arg(Arg::new("verbose").short('v').action(ArgAction::Count))
        .choice("case", [("upper", "upper case"), ("lower", "lower case")])
        .run(async |call| {
            let (shout, verbose) = (call.switch("shout"), call.count("verbose"));
            writeln!(call.out(), "{shout:?} {verbose} {:?}", call.chosen("case"))?;
            Ok(())
        });
    let program = program([say]);
    prints(&program, "say", "None 0 None");
    prints(&program, "say --shout -vvv --upper", "Some(true) 3 Some(\"upper\")");
    prints(
        &program,
        "say --shout --no-shout --upper --lower",
        "Some(false) 0 Some(\"lower\")",
    );
    prints(
        &program,
        "say --no-shout --shout -v --lower --upper",
        "Some(true) 1 Some(\"upper\")",
    );
}

#[test]
fn choices_ranges_paths_and_own_types() {
    covers!("click.types");
    let date = |text: &str| -> Result<(u16, u8, u8), String> {
        let parts: Vec<&str> = text.split('-').collect();
        match parts.as_slice() {
            [y, m, d] => Ok((
                y.parse().map_err(|_| "no year")?,
                m.parse().map_err(|_| "no month")?,
                d.parse().map_err(|_| "no day")?,
            )),
            _ => Err("write 2026-01-31".to_owned()),
        }
    };
    let id = |text: &str| match text.len() == 36 && text.split('-').count() == 5 {
        true => Ok(text.to_owned()),
        false => Err("is no UUID"),
    };
    let load = Command::new("load")
        .arg(
            Arg::new("format")
                .long("format")
                .value_parser(builder::PossibleValuesParser::new(["json", "csv"]))
                .default_value("json"),
        )
        .arg(
            Arg::new("size")
                .long("size")
                .value_parser(value_parser!(u16).range(1..=100))
                .default_value("1"),
        )
        .arg(Arg::new("since").long("since").value_parser(date))
        .arg(Arg::new("id").long("id").value_parser(id))
        .arg(
            Arg::new("file")
                .value_parser(value_parser!(std::path::PathBuf))
                .default_value("-"),
        )
        .run(async |call| {
            let bytes = call.read(call.get::<std::path::PathBuf>("file")?)?;
            let since = call.opt::<(u16, u8, u8)>("since")?;
            writeln!(call.out(), "{} {since:?}", bytes.len())?;
            Ok(())
        });
    let program = program([load]);
    refused(&program, "load --format xml", &["--format", "json, csv"]);
    refused(&program, "load --size 101", &["--size", "1..=100"]);
    refused(&program, "load --since yesterday", &["--since", "write 2026-01-31"]);
    refused(&program, "load --id 7", &["--id", "is no UUID"]);
    prints(
        &program,
        "load --since 2026-01-31 --id 00000000-0000-0000-0000-000000000000",
        "0 Some((2026, 1, 31))",
    );
    let piped = block_on(Runner::new(&program).args(["load", "-"]).input("12345").run());
    assert_eq!(piped.stdout, "5 None\n");
    let missing = call(&program, "load none.json");
    assert_eq!(missing.code, 1);
    assert!(
        missing.stderr.starts_with("error: cannot read none.json: "),
        "{}",
        missing.stderr
    );
}

#[test]
fn the_runner_gives_input_variables_and_a_folder_of_its_own() {
    covers!("click.runner");
    let ask = Command::new("ask").run(async |call| {
        let name = call.read_line()?;
        writeln!(call.out(), "hello {name}")?;
        writeln!(call.err(), "{:?} {:?}", call.var("COLOUR"), call.var("PATH"))?;
        call.write("answer.txt", name.as_bytes())
    });
    let program = program([ask]);
    let run = || {
        Runner::new(&program)
            .args(["ask"])
            .input("ann\nbob\n")
            .var("COLOUR", "red")
            .isolated()
    };
    let (one, two) = (block_on(run().run()), block_on(run().run()));
    assert_eq!((one.code, one.stdout.as_str()), (0, "hello ann\n"));
    assert_eq!(one.stderr, "Some(\"red\") None\n");
    let folder = one.folder().expect("isolated").to_owned();
    assert_ne!(Some(folder.as_path()), two.folder());
    assert_eq!(std::fs::read_to_string(folder.join("answer.txt")).unwrap(), "ann");
    drop(one);
    assert!(!folder.exists());
}

#[test]
fn commands_of_the_site_are_listed_run_and_fail_with_a_message() {
    covers!("platform.cmd.custom");
    let fail = Command::new("fail").about("Fails").run(async |call| {
        writeln!(call.out(), "{}", call.styled(Style::Success, "so far so good"))?;
        Err(Error::internal("no such author"))
    });
    let io = Command::new("io").run(async |_| {
        std::fs::read("/nowhere/at/all")?;
        Ok(())
    });
    let program = program([seed(), fail, io]);
    assert!(call(&program, "help").stdout.contains("seed      Fills the database"));
    let failed = call(&program, "fail");
    assert_eq!((failed.code, failed.stdout.as_str()), (1, "so far so good\n"));
    assert_eq!(failed.stderr, "error: no such author\n");
    let coloured = block_on(Runner::new(&program).args(["fail"]).color().run());
    assert_eq!(coloured.stdout, "\u{1b}[32mso far so good\u{1b}[0m\n");
    let io = call(&program, "io");
    assert_eq!(io.code, 1);
    assert!(io.stderr.starts_with("error: No such file"), "{}", io.stderr);
}

#[test]
fn a_panicking_command_fails_with_its_message() {
    let program = program([Command::new("boom").run(async |_| panic!("at the wall"))]);
    let outcome = call(&program, "boom");
    assert_eq!(outcome.code, 1);
    assert_eq!(outcome.stderr, "error: the command `boom` panicked: at the wall\n");
}

#[test]
fn commands_call_commands() {
    covers!("platform.cmd.call", "flask.test.cli");
    let program = program([
        seed(),
        Command::new("all").run(async |call| {
            call.command(["seed", "--n", "2", "dogs"]).await?;
            let captured = call.capture(["seed", "birds"]).run().await;
            writeln!(call.out(), "captured: {}", captured.stdout.trim())?;
            call.command(["nothing"]).await
        }),
    ]);
    let outcome = call(&program, "all");
    assert_eq!(outcome.code, 1);
    assert_eq!(outcome.stdout, "2 dogs\ncaptured: 10 birds\n");
    assert!(
        outcome
            .stderr
            .ends_with("error: the command `nothing` ended with code 2\n"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn help_version_and_near_names() {
    covers!("platform.cmd.help_version");
    let mut program = Arc::into_inner(with_checks(Checks::default(), Settings::new(), [seed()])).unwrap();
    let publish = Command::new("publish").about("Publishes drafts").run(async |_| Ok(()));
    program.commands.add_from("blog", publish);
    let program = Arc::new(program);
    let help = call(&program, "help").stdout;
    let place = |text: &str| help.find(text).unwrap_or_else(|| panic!("no {text} in {help}"));
    assert!(
        place("  seed ") < place("[blog]\n  publish   Publishes drafts"),
        "{help}"
    );
    assert!(place("[blog]") < place("[demijohn]\n  check  "), "{help}");
    assert_eq!(call(&program, "--help").stdout, help);
    assert!(call(&program, "help seed").stdout.contains("--n <n>"));
    prints(&program, "version", "program 1.2.3");
    prints(&program, "--version", "program 1.2.3");
    refused(&program, "chekc", &["chekc", "check"]);
    refused(&program, "", &["Usage: program"]);
}

#[test]
fn invalid_utf8_in_arguments_is_refused() {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        let bad = std::ffi::OsString::from_vec(vec![b'x', 0xff]);
        let program = program([seed()]);
        let outcome = block_on(call_command(&program, ["seed".into(), bad.clone()]));
        assert_eq!(outcome.code, 2, "{}", outcome.stderr);
        assert_eq!(block_on(call_command(&program, [bad])).code, 2);
    }
}

fn some_checks() -> Checks {
    let mut checks = Checks::default();
    checks.add("shop", |_, settings, findings| {
        if settings.get::<bool>("BROKEN").unwrap_or(false) {
            findings.push(Finding::error("shop.E001", "no currency").on("Shop").hint("set one"));
        }
        findings.push(Finding::warning("shop.W001", "no tax").on("Shop"));
    });
    checks.add("mail", |_, _, findings| {
        findings.push(Finding::info("mail.I001", "mail is printed"))
    });
    checks.add_deploy("security", |_, _, findings| {
        findings.push(Finding::warning("security.W001", "no HSTS"))
    });
    checks.add("database", |_, _, findings| {
        findings.push(Finding::warning("db.W001", "asked the database"))
    });
    checks
}

#[test]
fn check_chooses_prints_and_fails_by_level() {
    covers!("platform.cmd.check");
    let site = with_checks(some_checks(), Settings::new(), []);
    let outcome = call(&site, "check");
    assert_eq!(outcome.code, 0);
    assert_eq!(
        outcome.stdout,
        "System check identified some issues:\n\nWARNINGS:\nShop: (shop.W001) no tax\n\nINFOS:\n(mail.I001) mail is printed\n\n\
         System check identified 2 issues (0 silenced).\n"
    );
    assert!(call(&site, "check --deploy").stdout.contains("security.W001"));
    let tagged = call(&site, "check --tag mail").stdout;
    assert!(tagged.contains("mail.I001") && !tagged.contains("shop"), "{tagged}");
    assert!(call(&site, "check --database default").stdout.contains("db.W001"));
    prints(&site, "check --list-tags", "database\nmail\nshop");
    prints(&site, "check --deploy --list-tags", "database\nmail\nsecurity\nshop");
    assert_eq!(call(&site, "check --fail-level warning").code, 1);
    assert_eq!(call(&site, "check --fail-level WARNING --tag mail").code, 0);
    assert_eq!(call(&site, "check --tag mial").code, 1);
    refused(&site, "check --fail-level grave", &["INFO, WARNING, ERROR"]);
    let broken = with_checks(some_checks(), Settings::from_pairs([("BROKEN", "true")]), []);
    let outcome = call(&broken, "check");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""));
    assert!(
        outcome
            .stderr
            .contains("ERRORS:\nShop: (shop.E001) no currency\n\tHINT: set one\n"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn checks_run_before_commands_and_errors_stop_them() {
    covers!("platform.checks.framework");
    let commands = || {
        [
            seed(),
            Command::new("mend")
                .unchecked()
                .run(async |call| Ok(writeln!(call.out(), "mended")?)),
        ]
    };
    let site = with_checks(some_checks(), Settings::new(), commands());
    prints(&site, "seed cats", "10 cats");
    let broken = with_checks(some_checks(), Settings::from_pairs([("BROKEN", "true")]), commands());
    let outcome = call(&broken, "seed cats");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""));
    assert!(
        outcome
            .stderr
            .contains("Shop: (shop.E001) no currency\n\tHINT: set one"),
        "{}",
        outcome.stderr
    );
    prints(&broken, "mend", "mended");
}

#[test]
fn silenced_ids_are_not_shown_but_errors_are() {
    covers!("platform.checks.silence");
    let pairs = [("BROKEN", "true"), ("SILENCED_CHECKS", "shop.W001,shop.E001")];
    let outcome = call(&with_checks(some_checks(), Settings::from_pairs(pairs), []), "check");
    assert_eq!(outcome.code, 1);
    assert!(!outcome.stderr.contains("shop.W001"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("shop.E001"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("2 issues (1 silenced)"), "{}", outcome.stderr);
}

#[test]
fn a_panicking_check_is_a_finding() {
    let mut checks = Checks::default();
    checks.add("odd", |_, _, _| panic!("oops"));
    let outcome = call(&with_checks(checks, Settings::new(), []), "check");
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.stderr.contains("odd: (checks.E001) a check panicked: oops"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn settings_lists_values_and_origins_without_secrets() {
    let mut settings = Settings::new();
    settings.set_default("PAGE_SIZE", 20);
    settings.load(Sources::none().var("SECRET_KEY", "hush").var("WORKERS", "3"));
    let site = with_checks(Checks::default(), settings, []);
    let all = call(&site, "settings").stdout;
    assert!(all.contains("WORKERS = 3  # environment variable WORKERS\n"), "{all}");
    assert!(
        all.contains("SECRET_KEY = ***  # environment variable SECRET_KEY\n"),
        "{all}"
    );
    assert!(all.contains("BIND = 127.0.0.1:8000  # default\n"), "{all}");
    let changed = call(&site, "settings --changed").stdout;
    assert!(
        !changed.contains("BIND") && changed.contains("PAGE_SIZE = 20  # "),
        "{changed}"
    );
    prints(&site, "settings workers", "WORKERS = 3  # environment variable WORKERS");
    assert!(
        call(&site, "settings WORKRES")
            .stderr
            .contains("did you mean `WORKERS`?")
    );
}

#[test]
fn options_of_the_line_are_settings() {
    let mut commands = Commands::default();
    commands.add(
        Command::new("serve")
            .arg(Arg::new("bind").long("bind"))
            .option_is_setting("bind", "BIND")
            .run(async |_| Ok(())),
    );
    let console = demijohn_core::command::Console::process();
    let bind = |line: &str| {
        let args = line.split_whitespace().map(Into::into).collect();
        let parsed = commands
            .parse("program", "", args, &console)
            .unwrap_or_else(|usage| panic!("{}", usage.text));
        assert_eq!(parsed.path, ["serve"]);
        let mut settings = Settings::new();
        settings.load(parsed.sources(Sources::none().var("BIND", ":1")));
        (settings.bind().port(), settings.origin("BIND").unwrap().to_string())
    };
    assert_eq!(bind(""), (1, "environment variable BIND".to_owned()));
    assert_eq!(bind("serve --bind :9"), (9, "option --bind".to_owned()));
    assert_eq!(bind("--bind :9"), (9, "option --bind".to_owned()));
}
