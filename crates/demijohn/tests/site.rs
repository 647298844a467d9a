//! The facade without a process: settings, commands and checks of a site and its blueprints.
#![allow(clippy::unwrap_used)]

use demijohn::check::Finding;
use demijohn::command::Runner;
use demijohn::prelude::*;
use demijohn::settings::Sources;
use demijohn::test::{block_on, call_command};
use demijohn_covers::covers;
use std::io::Write;

#[derive(serde::Deserialize)]
struct Shop {
    currency: String,
    #[serde(default)]
    tax: u8,
}

async fn prices(shop: State<Shop>) -> String {
    format!("in {}, {}% tax", shop.currency, shop.tax)
}

fn shop() -> Blueprint {
    Blueprint::new("shop")
        .route("/prices", get(prices))
        .settings::<Shop>("shop")
        .command(
            Command::new("restock").about("Orders what is short"),
            async |call: Call| {
                writeln!(call.out(), "paid in {}", call.state::<Shop>()?.currency)?;
                Ok(())
            },
        )
        .check("shop", |_, settings, findings| {
            if settings
                .get::<String>("shop.currency")
                .is_ok_and(|currency| currency == "DEM")
            {
                findings.push(
                    Finding::error("shop.E001", "the mark is no more")
                        .on("shop.currency")
                        .hint("use EUR"),
                );
            }
        })
}

fn app() -> App {
    App::new()
        .version("1.2.3")
        .mount("/shop", shop())
        .route("/", get(async || "Hello, World!").name("home"))
}

#[test]
fn a_section_is_what_handlers_take_as_state() {
    block_on(async {
        let client = app().setting("shop.currency", "EUR").test_client();
        assert_eq!(client.get("/shop/prices").await.text(), "in EUR, 0% tax");
        let sources = Sources::none().var("SHOP__CURRENCY", "CHF").var("SHOP__TAX", "8");
        let site = app().setting("shop.currency", "EUR").build(sources).ok().unwrap();
        assert_eq!(site.test_client().get("/shop/prices").await.text(), "in CHF, 8% tax");
    });
}

#[test]
fn a_missing_setting_is_found_before_the_first_request_and_with_all_else() {
    let sources = Sources::none().var("WORKERS", "many").var("SHOP__TAX", "300");
    let findings = app().build(sources).err().unwrap();
    let told: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let told = told.join("\n");
    for part in [
        "shop.currency: (settings.E002)",
        "WORKERS: (settings.E001)",
        "shop.tax: (settings.E001)",
    ] {
        assert!(told.contains(part), "no {part} in {told}");
    }
}

#[test]
fn commands_of_the_project_are_in_help_and_see_the_site() {
    covers!("flask.cli.custom");
    block_on(async {
        let site = app()
            .command(Command::new("greet").about("Says hello"), async |call| {
                let home = call.provided::<demijohn::Routes>()?.list().len();
                writeln!(call.out(), "hello, {home} routes")?;
                Ok(())
            })
            .build(Sources::none().var("SHOP__CURRENCY", "EUR"))
            .ok()
            .unwrap();
        let help = call_command(site.program(), ["help"]).await.stdout;
        // The columns are as wide as the longest name of the features that are on.
        let words: Vec<&str> = help.split_whitespace().collect();
        let words = words.join(" ");
        assert!(words.contains("Commands: greet Says hello [shop]"), "{help}");
        assert!(
            words.contains("[shop] restock Orders what is short [demijohn]"),
            "{help}"
        );
        assert_eq!(
            call_command(site.program(), ["greet"]).await.stdout,
            "hello, 2 routes\n"
        );
        assert_eq!(call_command(site.program(), ["restock"]).await.stdout, "paid in EUR\n");
        assert!(
            call_command(site.program(), ["version"])
                .await
                .stdout
                .ends_with(" 1.2.3\n")
        );
    });
}

#[test]
fn routes_lists_what_is_answered() {
    block_on(async {
        let site = app().build(Sources::none().var("SHOP__CURRENCY", "EUR")).ok().unwrap();
        let outcome = call_command(site.program(), ["routes"]).await;
        let lines: Vec<&str> = outcome.stdout.lines().collect();
        assert!(lines[0].starts_with("GET  /shop/prices  shop.prices"), "{lines:#?}");
        assert!(lines[1].starts_with("GET  /             home"), "{lines:#?}");
        let sorted = call_command(site.program(), ["routes", "--sort", "path"]).await.stdout;
        assert!(sorted.starts_with("GET  / "), "{sorted}");
    });
}

#[test]
fn a_check_of_a_blueprint_stops_commands() {
    block_on(async {
        let site = app().build(Sources::none().var("SHOP__CURRENCY", "DEM")).ok().unwrap();
        let outcome = call_command(site.program(), ["restock"]).await;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""));
        assert!(
            outcome
                .stderr
                .contains("shop.currency: (shop.E001) the mark is no more"),
            "{}",
            outcome.stderr
        );
    });
}

#[test]
fn check_deploy_lists_protections_that_are_off() {
    block_on(async {
        let site = App::new().build(Sources::none().var("DEBUG", "true")).ok().unwrap();
        let plain = call_command(site.program(), ["check"]).await;
        assert_eq!(
            (plain.code, plain.stdout.as_str()),
            (0, "System check identified no issues (0 silenced).\n")
        );
        let deploy = call_command(site.program(), ["check", "--deploy"]).await.stdout;
        for id in ["security.W018", "security.W020"] {
            assert!(deploy.contains(id), "{deploy}");
        }
        let sources = Sources::none()
            .var("DEBUG", "false")
            .var("ALLOWED_HOSTS", "www.example.org");
        let site = App::new().build(sources).ok().unwrap();
        let deploy = call_command(site.program(), ["check", "--deploy"]).await;
        assert!(
            !deploy.stdout.contains("DEBUG") && !deploy.stdout.contains("ALLOWED_HOSTS"),
            "{}",
            deploy.stdout
        );
    });
}

#[test]
fn tests_override_settings_and_edit_lists() {
    covers!("platform.test.override_settings");
    // What all tests of a file share,
    let shared = || {
        Sources::none()
            .set("ALLOWED_HOSTS", ["a", "b"])
            .set("shop.currency", "EUR")
    };
    let hosts = |sources: Sources| {
        let site = app().build(sources).ok().unwrap();
        site.settings().allowed_hosts().join(",")
    };
    assert_eq!(hosts(shared()), "a,b");
    // what one test changes,
    let mine = || shared().append("ALLOWED_HOSTS", ["c"]).prepend("ALLOWED_HOSTS", ["z"]);
    assert_eq!(hosts(mine()), "z,a,b,c");
    // and what a block of it does.
    assert_eq!(hosts(mine().remove("ALLOWED_HOSTS", ["b", "z"])), "a,c");
    assert_eq!(hosts(mine().set("ALLOWED_HOSTS", ["x"])), "x");
    assert_eq!(hosts(mine()), "z,a,b,c");
    // A list of another source is edited too.
    let by_variable = Sources::none()
        .var("SHOP__CURRENCY", "EUR")
        .var("ALLOWED_HOSTS", "a, b");
    assert_eq!(hosts(by_variable.append("ALLOWED_HOSTS", ["c"])), "a,b,c");
}

#[test]
fn two_sites_in_one_process_share_nothing() {
    block_on(async {
        let (one, two) = ("EUR", "CHF");
        let site = |currency: &str| {
            app()
                .build(Sources::none().var("SHOP__CURRENCY", currency))
                .ok()
                .unwrap()
        };
        let (one, two) = (site(one), site(two));
        assert_eq!(one.test_client().get("/shop/prices").await.text(), "in EUR, 0% tax");
        assert_eq!(two.test_client().get("/shop/prices").await.text(), "in CHF, 0% tax");
        let outcome = Runner::new(two.program()).args(["restock"]).run().await;
        assert_eq!(outcome.stdout, "paid in CHF\n");
    });
}

#[test]
fn the_hosts_that_are_answered_are_a_setting() {
    block_on(async {
        let app = || App::new().route("/", get(async || "home"));
        let site = app()
            .build(Sources::none().var("ALLOWED_HOSTS", ".example.org"))
            .ok()
            .unwrap();
        let status = async |client: &demijohn::test::TestClient, host: &str| {
            let request = client.get("/").without_header("host").header("host", host);
            request.await.status().as_u16()
        };
        let client = site.test_client();
        assert_eq!(status(&client, "www.example.org").await, 200);
        assert_eq!(status(&client, "evil.example").await, 400);
        // While none is named, names of this machine are.
        let client = app().test_client();
        for host in ["127.0.0.1:8000", "[::1]:8000", "shop.localhost"] {
            assert_eq!(status(&client, host).await, 200, "{host}");
        }
        assert_eq!(status(&client, "evil.example").await, 400);
    });
}
