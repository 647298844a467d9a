//! Settings: who wins, what is told when something does not fit, and what production refuses.

#![allow(clippy::unwrap_used)]

use demijohn_core::check::{Finding, Level};
use demijohn_core::settings::{Key, Origin, Secret, Settings, Sources};
use demijohn_covers::covers;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;

#[derive(Debug, Deserialize, PartialEq)]
struct Shop {
    currency: String,
    #[serde(default)]
    rates: Vec<f64>,
    #[serde(default)]
    per_country: BTreeMap<String, Rate>,
    mail: Option<Mail>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Rate {
    percent: u8,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Mail {
    host: String,
    port: u16,
    #[serde(default)]
    password: Secret,
    #[serde(default)]
    mode: Mode,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    #[default]
    Plain,
    StartTls,
}

fn shop(sources: Sources) -> Settings {
    let mut settings = Settings::new();
    settings.declare_section::<Shop>("shop", "the shop");
    settings.load(sources);
    settings
}

fn ids(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|f| f.id).collect()
}

/// All findings, one a line, as a user reads them.
fn told(settings: &Settings) -> String {
    let lines: Vec<String> = settings.findings().iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn later_sources_win_and_nested_names_are_parsed_as_json() {
    covers!("flask.config.sources");
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("settings.toml"),
        "workers = 2\nmax_body_bytes = 1000\n\n[shop]\ncurrency = \"EUR\"\nrates = [1, 2.5]\n[shop.mail]\nhost = \"a\"\nport = 25\n",
    )
    .unwrap();
    fs::write(folder.path().join(".env"), "WORKERS=3\nSHOP__MAIL__HOST=b\nOTHER=1\n").unwrap();
    let sources = Sources::none()
        .folder(folder.path())
        .var("SHOP__MAIL__PORT", "587")
        .var("SHOP__MAIL__MODE", "start-tls")
        .var("SHOP__PER_COUNTRY", r#"{"DE": {"percent": 19}}"#);
    let mut settings = Settings::new();
    settings.set_default("WORKERS", 1);
    settings.set_default("PAGE_SIZE", 20);
    settings.declare_section::<Shop>("shop", "");
    settings.load(sources);
    assert_eq!(settings.findings(), []);
    assert_eq!(settings.workers(), 3);
    assert_eq!(settings.max_body_bytes(), 1000);
    assert_eq!(settings.get::<u32>("PAGE_SIZE").unwrap(), 20);
    let shop: Shop = settings.section("shop").unwrap();
    assert_eq!(shop.rates, [1.0, 2.5]);
    assert_eq!(shop.per_country["DE"], Rate { percent: 19 });
    assert_eq!(
        shop.mail,
        Some(Mail {
            host: "b".to_owned(),
            port: 587,
            password: Secret::default(),
            mode: Mode::StartTls
        })
    );
    let origin = |name: &str| settings.origin(name).unwrap().to_string();
    let at = |file: &str| folder.path().join(file).display().to_string();
    assert_eq!(origin("workers"), format!("{}:1", at(".env")));
    assert_eq!(origin("shop.mail.host"), format!("{}:2", at(".env")));
    assert_eq!(origin("shop.currency"), format!("{}:5", at("settings.toml")));
    assert_eq!(origin("SHOP__MAIL__PORT"), "environment variable SHOP__MAIL__PORT");
    assert!(matches!(settings.origin("PAGE_SIZE"), Some(Origin::Code(at)) if at.file().ends_with("settings.rs")));
    assert_eq!(settings.origin("BIND"), Some(&Origin::Default));
}

#[test]
fn the_environment_wins_over_dotenv_and_options_over_all() {
    covers!("flask.config.dotenv");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".env"), "WORKERS=3\nBIND=127.0.0.1:1\n").unwrap();
    let mut settings = Settings::new();
    settings.load(
        Sources::none()
            .folder(folder.path())
            .var("WORKERS", "5")
            .var("BIND", ":2")
            .option("--bind", "BIND", ":3"),
    );
    assert_eq!(settings.workers(), 5);
    assert_eq!(settings.bind().port(), 3);
    assert_eq!(settings.origin("BIND"), Some(&Origin::Option("--bind")));
}

#[test]
fn another_file_by_option_or_variable() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (one, two) = (path("one.toml", "workers = 11"), path("two.toml", "workers = 12"));
    path("settings.toml", "workers = 10");
    let workers = |sources: Sources| {
        let mut settings = Settings::new();
        settings.load(sources.folder(folder.path()));
        assert_eq!(settings.findings(), []);
        settings.workers()
    };
    assert_eq!(workers(Sources::none()), 10);
    let by_variable = Sources::none().var("DEMIJOHN_SETTINGS", one.display().to_string());
    assert_eq!(workers(by_variable.clone()), 11);
    assert_eq!(workers(by_variable.file(two)), 12);
}

#[test]
fn tables_of_the_mode_lie_over_the_file_and_under_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("settings.toml"),
        "workers = 1\nallowed_hosts = [\"all\"]\n[development]\nworkers = 2\n[production]\nworkers = 3\nallowed_hosts = [\"prod\"]\n",
    )
    .unwrap();
    let load = |sources: Sources| {
        let mut settings = Settings::new();
        settings.load(sources.folder(folder.path()));
        assert_eq!(settings.findings(), []);
        (settings.workers(), settings.allowed_hosts().join(","))
    };
    assert_eq!(load(Sources::none().var("DEBUG", "true")), (2, "all".to_owned()));
    assert_eq!(load(Sources::none().var("DEBUG", "0")), (3, "prod".to_owned()));
    assert_eq!(
        load(Sources::none().var("DEBUG", "0").var("WORKERS", "9")),
        (9, "prod".to_owned())
    );
}

#[test]
fn all_faults_are_told_together_with_key_origin_and_expectation() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    fs::write(
        &file,
        "workers = \"many\"\ndebug = 1\nalowed_hosts = []\n[shop]\nrates = [1, \"x\"]\ncurency = \"EUR\"\n[shop.mail]\nport = 70000\nmode = \"tls\"\n",
    )
    .unwrap();
    let settings = shop(Sources::none().folder(folder.path()).var("MAX_BODY_BYTES", "2MB"));
    let at = |line: u32| format!("({}:{line})", file.display());
    let findings = settings.findings();
    let find = |object: &str| {
        let mut found = findings.iter().filter(|f| f.object == object);
        let finding = found
            .next()
            .unwrap_or_else(|| panic!("nothing on {object}: {findings:#?}"));
        assert!(found.next().is_none(), "{findings:#?}");
        (finding.id, finding.message.as_str(), finding.hint.as_str())
    };
    let (id, message, _) = find("WORKERS");
    assert_eq!(id, "settings.E001");
    assert_eq!(
        message,
        format!("expected a whole number of 0 to 65535, found \"many\" {}", at(1))
    );
    assert_eq!(find("DEBUG").1, format!("expected true or false, found 1 {}", at(2)));
    assert_eq!(
        find("MAX_BODY_BYTES").1,
        "expected a whole number, 0 or more, found \"2MB\" (environment variable MAX_BODY_BYTES)"
    );
    assert_eq!(
        find("shop.currency"),
        (
            "settings.E002",
            "it is required, and not set",
            "set `currency` under [shop] in settings.toml, or the environment variable SHOP__CURRENCY"
        )
    );
    assert_eq!(find("shop.mail.host").0, "settings.E002");
    assert_eq!(
        find("shop.rates.1").1,
        format!("expected a number, found \"x\" {}", at(5))
    );
    assert_eq!(
        find("shop.mail.port").1,
        format!("expected a whole number of 0 to 65535, found 70000 {}", at(8))
    );
    assert_eq!(
        find("shop.mail.mode").1,
        format!("expected one of plain, start-tls, found \"tls\" {}", at(9))
    );
    assert_eq!(
        find("shop.curency"),
        (
            "settings.W001",
            format!("there is no such setting {}", at(6)).as_str(),
            "did you mean `currency`?"
        )
    );
    assert_eq!(find("ALOWED_HOSTS").2, "did you mean `ALLOWED_HOSTS`?");
}

#[test]
fn unknown_access_is_an_error_with_the_near_name() {
    let settings = Settings::from_pairs([("DEMO_PASSWORD", "x")]);
    let error = settings.get::<Option<u16>>("WORKRES").unwrap_err();
    assert_eq!(error.hint, "did you mean `WORKERS`?");
    assert!(settings.get::<String>("NOTHING_LIKE_IT").is_err());
    assert_eq!(
        settings.get::<String>("DEMO_PASSWORD").unwrap(),
        "x",
        "a variable needs no declaration"
    );
    assert!(settings.get::<u32>("DEBUG").is_err());
}

#[test]
fn lists_and_booleans_of_the_environment() {
    let hosts = |text: &str| Settings::from_pairs([("ALLOWED_HOSTS", text)]).allowed_hosts().to_vec();
    assert_eq!(hosts("a, b ,,c"), ["a", "b", "c"]);
    assert_eq!(hosts("[\"a,b\", \"c\"]"), ["a,b", "c"]);
    assert!(hosts(" ").is_empty());
    for (text, on) in [
        ("true", true),
        ("1", true),
        ("Yes", true),
        ("off", false),
        ("0", false),
        ("FALSE", false),
    ] {
        assert_eq!(Settings::from_pairs([("DEBUG", text)]).debug(), on, "{text}");
    }
    assert_eq!(
        ids(&Settings::from_pairs([("DEBUG", "maybe")]).findings()),
        ["settings.E001"]
    );
}

#[test]
fn a_variable_named_as_a_section_means_something_else() {
    let settings = shop(Sources::none().var("SHOP", "/usr/bin").var("SHOP__CURRENCY", "EUR"));
    assert_eq!(settings.findings(), []);
    let settings = shop(Sources::none().var("SHOP", r#"{"currency": "CHF"}"#));
    assert_eq!(settings.section::<Shop>("shop").unwrap().currency, "CHF");
}

#[test]
fn what_replaces_a_default_of_code_is_of_its_kind() {
    let mut settings = Settings::new();
    settings.set_default("PAGE_SIZE", 20);
    settings.set_default("COLOURS", ["red"]);
    settings.set_default("DEMO_PASSWORD", None::<String>);
    settings.load(
        Sources::none()
            .var("PAGE_SIZE", "lots")
            .var("COLOURS", "red,blue")
            .var("DEMO_PASSWORD", "x"),
    );
    assert_eq!(ids(&settings.findings()), ["settings.E001"]);
    assert!(told(&settings).contains("PAGE_SIZE"), "{}", told(&settings));
    assert_eq!(settings.get::<Vec<String>>("COLOURS").unwrap(), ["red", "blue"]);
    assert_eq!(
        settings.get::<Option<String>>("DEMO_PASSWORD").unwrap().as_deref(),
        Some("x")
    );
}

#[test]
fn a_key_without_a_default_is_required() {
    const GATEWAY: Key<u16> = Key::new("GATEWAY", "", "the gateway");
    let mut settings = Settings::new();
    settings.declare(&GATEWAY);
    assert_eq!(ids(&settings.findings()), ["settings.E002"]);
    settings.load(Sources::none().var("GATEWAY", "8"));
    assert_eq!(settings.value(&GATEWAY).unwrap(), 8);
}

#[test]
fn files_that_cannot_be_read_are_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let load = |sources: Sources| {
        let mut settings = Settings::new();
        settings.load(sources);
        settings.findings()
    };
    let missing = load(Sources::none().file(at("none.toml")));
    assert_eq!(ids(&missing), ["settings.E003"]);
    assert_eq!(missing[0].object, at("none.toml").display().to_string());
    assert!(missing[0].message.contains("--settings"));
    fs::create_dir(at("folder.toml")).unwrap();
    assert_eq!(ids(&load(Sources::none().file(at("folder.toml")))), ["settings.E003"]);
    fs::write(at("bytes.toml"), b"workers = 1\nname = \"\xff\"\n").unwrap();
    assert!(
        load(Sources::none().file(at("bytes.toml")))[0]
            .message
            .contains("UTF-8 at line 2")
    );
    fs::write(at("bad.toml"), "workers = 1\nsecret_key = hush\n[shop\n").unwrap();
    let bad = load(Sources::none().file(at("bad.toml")));
    assert!(bad.len() >= 2, "{bad:#?}");
    assert!(
        bad.iter()
            .all(|f| f.id == "settings.E004" && !f.message.contains("hush")),
        "{bad:#?}"
    );
    assert_eq!(bad[0].object, format!("{}:2", at("bad.toml").display()));
    fs::write(at("twice.toml"), "workers = 1\nWORKERS = 2\n").unwrap();
    assert_eq!(
        load(Sources::none().file(at("twice.toml")))[0].object,
        format!("{}:2", at("twice.toml").display())
    );
    fs::write(at(".env"), "A=1\noops\nB='x\n").unwrap();
    let bad = load(Sources::none().folder(folder.path()));
    assert_eq!(ids(&bad), ["settings.E005", "settings.E005"]);
    assert_eq!(bad[0].object, format!("{}:2", at(".env").display()));
    // Nothing there is nothing wrong.
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(load(Sources::none().folder(empty.path())), []);
    assert_eq!(load(Sources::none().folder(empty.path().join("gone"))), []);
}

#[test]
fn slips_in_dotenv_are_told_but_not_what_is_for_others() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".env"), "POSTGRES_USER=x\nWORKRES=2\n").unwrap();
    let mut settings = Settings::new();
    settings.load(Sources::none().folder(folder.path()));
    let findings = settings.findings();
    assert_eq!(ids(&findings), ["settings.W001"]);
    assert_eq!(
        (findings[0].object.as_str(), findings[0].level),
        ("WORKRES", Level::Warning)
    );
}

#[test]
fn secrets_are_masked_wherever_settings_are_shown() {
    let mut settings = Settings::new();
    settings.set_default("DATABASE_URL", "");
    settings.declare_section::<Shop>("shop", "");
    settings.load(
        Sources::none()
            .var("SECRET_KEY", "hush-hush")
            .var("DATABASE_URL", "postgres://user:hush@host/db")
            .var("SHOP__MAIL__PASSWORD", "hush")
            .var("SHOP__CURRENCY", "EUR")
            .var("SECRET_KEY_FALLBACKS", "hush"),
    );
    let shown = format!("{settings:?}\n{:?}\n{}", settings.rows(), told(&settings));
    assert!(!shown.contains("hush"), "{shown}");
    assert!(shown.contains("postgres://user:***@host/db"), "{shown}");
    assert!(shown.contains("EUR"), "{shown}");
    assert_eq!(settings.secret_key().unwrap().expose(), "hush-hush");
}

const GOOD_KEY: &str = "0123456789abcdefghij0123456789abcdefghij0123456789abcdefghij";

fn production(sources: Sources, secret: bool) -> Vec<Finding> {
    let mut settings = Settings::new();
    if secret {
        settings.needs_secret("the session");
    }
    settings.load(sources.set("DEBUG", false));
    settings.findings()
}

#[test]
fn production_needs_a_good_secret_key_once_something_signs() {
    covers!("platform.settings.secret_required");
    assert_eq!(production(Sources::none(), false), []);
    let missing = production(Sources::none(), true);
    assert_eq!(ids(&missing), ["settings.E007"]);
    assert!(
        missing[0].to_string().contains("needed by the session"),
        "{}",
        missing[0]
    );
    assert_eq!(
        ids(&production(Sources::none().var("SECRET_KEY", ""), true)),
        ["settings.E007"]
    );
    for weak in ["short", &"ab".repeat(40), &format!("insecure{GOOD_KEY}")] {
        assert_eq!(
            ids(&production(Sources::none().var("SECRET_KEY", weak), true)),
            ["settings.E008"]
        );
    }
    let good = Sources::none().var("SECRET_KEY", GOOD_KEY);
    assert_eq!(production(good.clone(), true), []);
    assert_eq!(
        ids(&production(good.var("SECRET_KEY_FALLBACKS", "old"), true)),
        ["settings.E008"]
    );
}

#[test]
fn production_needs_allowed_hosts_unless_it_listens_on_loopback() {
    assert_eq!(production(Sources::none().var("BIND", "127.0.0.1:80"), false), []);
    let open = Sources::none().var("BIND", "0.0.0.0:80");
    assert_eq!(ids(&production(open.clone(), false)), ["settings.E009"]);
    assert_eq!(production(open.var("ALLOWED_HOSTS", "www.example.org"), false), []);
}

#[test]
fn development_makes_a_random_key_per_site() {
    let settings = || Settings::from_pairs([("DEBUG", "true")]);
    let (a, b) = (settings(), settings());
    let key = a.secret_key().unwrap().expose().to_owned();
    assert_eq!(a.secret_key().unwrap().expose(), key);
    assert_eq!(a.clone().secret_key().unwrap().expose(), key);
    assert_ne!(b.secret_key().unwrap().expose(), key);
    assert!(Settings::from_pairs([("DEBUG", "false")]).secret_key().is_err());
}

#[test]
fn development_that_others_can_reach_is_told() {
    let settings = Settings::from_pairs([("DEBUG", "true"), ("BIND", "0.0.0.0:8000")]);
    let expected = if cfg!(debug_assertions) {
        "settings.W002"
    } else {
        "settings.E010"
    };
    assert_eq!(ids(&settings.findings()), [expected]);
}

#[test]
fn a_value_that_its_own_type_refuses_hides_no_other_fault() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Relay {
        listen: demijohn_core::settings::Bind,
        retries: std::num::NonZeroU8,
        port: u16,
    }
    let mut settings = Settings::new();
    settings.declare_section::<Relay>("relay", "");
    settings.load(
        Sources::none()
            .var("RELAY__LISTEN", "nowhere")
            .var("RELAY__RETRIES", "0")
            .var("RELAY__PORT", "x"),
    );
    let findings = settings.findings();
    let mut objects: Vec<&str> = findings.iter().map(|f| f.object.as_str()).collect();
    objects.sort_unstable();
    assert_eq!(
        objects,
        ["relay.listen", "relay.port", "relay.retries"],
        "{findings:#?}"
    );
    assert!(told(&settings).contains("expected an address and a port such as 127.0.0.1:8000"));
}

#[test]
fn the_settings_of_two_sites_are_their_own() {
    let (a, b) = (
        Settings::from_pairs([("WORKERS", "2")]),
        Settings::from_pairs([("WORKERS", "3")]),
    );
    assert_eq!((a.workers(), b.workers()), (2, 3));
}

#[cfg(unix)]
#[test]
fn a_value_that_is_no_utf8_is_told_by_the_name_of_its_variable() {
    use std::os::unix::ffi::OsStringExt;
    let bad = || std::ffi::OsString::from_vec(vec![b'x', 0xff]);
    let settings = shop(
        Sources::none()
            .var_os("WORKERS", bad())
            .var_os("SHOP__CURRENCY", bad())
            .var_os("OTHER", bad()),
    );
    let findings = settings.findings();
    assert_eq!(ids(&findings), ["settings.E006", "settings.E006"], "{findings:#?}");
    assert!(findings[0].message.contains("environment variable WORKERS"));
    assert!(findings[1].message.contains("environment variable SHOP__CURRENCY"));
}

#[test]
fn what_no_host_is_called_is_told_with_the_name_in_it() {
    let hint = |hosts: &str| {
        let settings = Settings::from_pairs([("ALLOWED_HOSTS", hosts), ("DEBUG", "true")]);
        settings
            .findings()
            .iter()
            .map(|f| format!("{} {}", f.id, f.hint))
            .collect::<Vec<_>>()
            .join("; ")
    };
    for good in [
        "*",
        "localhost",
        "www.example.org",
        ".example.org",
        "192.0.2.7",
        "[::1]",
        "my_host,a-b.c",
    ] {
        assert_eq!(hint(good), "", "{good}");
    }
    for (bad, name) in [
        ("https://www.example.org/", "www.example.org"),
        ("www.example.org:8000", "www.example.org"),
        ("*.example.org", ".example.org"),
        ("example.org.", "example.org"),
        ("::1", "[::1]"),
    ] {
        assert_eq!(hint(bad), format!("settings.E011 write `{name}`"), "{bad}");
    }
    assert!(hint("bücher.example").contains("xn--"));
    assert!(hint("a b").contains("names such as"));
    assert!(hint("good.example,[x]").contains("names such as"));
}

#[test]
fn a_value_that_does_not_fit_is_told_once_with_where_to_mend_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    fs::write(&file, "debug = true\n[bind]\nx = 1\n").unwrap();
    let mut settings = Settings::new();
    settings.load(Sources::none().file(&file).var("WORKERS", "many"));
    let told: Vec<(String, String)> = settings
        .findings()
        .iter()
        .map(|f| (f.object.clone(), f.hint.clone()))
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(
        told[0],
        ("BIND".to_owned(), format!("mend line 2 of {}", file.display()))
    );
    let variable = "set the environment variable WORKERS to such a value, or unset it";
    assert_eq!(told[1], ("WORKERS".to_owned(), variable.to_owned()));
}
