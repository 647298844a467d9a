//! `demijohn` as its user meets it: what it makes compiles, passes its tests, and is served anew when it changes.
#![allow(clippy::unwrap_used, missing_docs)]

use demijohn_covers::covers;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(300);

fn tool(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demijohn"));
    command.current_dir(folder).args(line.split_whitespace());
    command
}

/// Whether it went well, and what it said.
fn run(command: &mut Command) -> (bool, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

#[track_caller]
fn works(command: &mut Command) -> String {
    let (well, said) = run(command);
    assert!(well, "{command:?} failed: {said}");
    said
}

#[track_caller]
fn refuses(command: &mut Command, because: &str) {
    let (well, said) = run(command);
    assert!(
        !well && said.contains(because),
        "{command:?} does not say `{because}`: {said}"
    );
}

/// Projects of these tests are built in a folder that stays, so that only the first run builds the framework.
fn target_folder() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_demijohn"))
        .ancestors()
        .nth(2)
        .unwrap()
        .join("tests/demijohn-cli")
}

/// The versions of the workspace, which are there without a network.
fn lock(project: &Path) {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    fs::copy(ours, project.join("Cargo.lock")).unwrap();
}

fn building(command: &mut Command) -> &mut Command {
    for name in [
        "CARGO_MANIFEST_DIR",
        "RUSTFLAGS",
        "DATABASE_URL",
        "DEBUG",
        "SECRET_KEY",
        "RUST_LOG",
        "BIND",
    ] {
        command.env_remove(name);
    }
    command
        .env("CARGO_TARGET_DIR", target_folder())
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
}

fn cargo(project: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(project).args(line.split_whitespace());
    building(&mut command);
    command
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "no `{from}` in {text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

/// `demijohn dev`, and what it and its site say.
struct Dev {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Dev {
    fn start(project: &Path, line: &str) -> Dev {
        let mut command = tool(project, line);
        let mut child = building(&mut command)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let outputs: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for output in outputs {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        Dev { child, lines }
    }

    /// The next line with this in it.
    #[track_caller]
    fn says(&self, part: &str) -> String {
        let mut heard = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            if line.contains(part) {
                return line;
            }
            heard.push(line);
        }
        panic!("`{part}` was not said: {heard:#?}");
    }
}

impl Dev {
    fn address(&self) -> String {
        self.says("http://")
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        // Asked gently, it ends its site too.
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
    }
}

/// A test of the project: what surrounds it before anybody added a line.
const SAFE: &str = r#"
use demijohn::settings::Sources;
use demijohn::test::block_on;

#[test]
fn a_new_project_is_safe_as_it_is() {
    block_on(async {
        let client = my_shop::app().test_production_client();
        let development = Sources::none().var("DATABASE_URL", "sqlite::memory:").var("SECURE_HSTS_SECONDS", "31536000");
        let development = my_shop::app().build(development).ok().unwrap().test_client();
        let admin = development.get("/admin/").https().await;
        admin.assert_status(200);
        for answer in [client.get("/").https().await, client.get("/none").https().await, admin] {
            answer
                .assert_header("x-frame-options", "DENY")
                .assert_header("x-content-type-options", "nosniff")
                .assert_header("referrer-policy", "same-origin")
                .assert_header("cross-origin-opener-policy", "same-origin");
            assert!(answer.header("strict-transport-security").unwrap().contains("max-age=31536000"));
            assert!(answer.header("content-security-policy").unwrap().contains("default-src 'self'"));
            // Nothing in the page would be refused by it.
            let page = answer.text();
            assert!(!page.contains(" style=") && !page.contains(" onclick=") && !page.contains("javascript:"), "{page}");
            assert_eq!(page.matches("<style").count(), page.matches("<style nonce=").count(), "{page}");
            assert_eq!(page.matches("<script").count(), page.matches("<script nonce=").count(), "{page}");
        }
        // Plain http says nothing of https.
        assert!(client.get("/").await.header("strict-transport-security").is_none());
        let nonce = async || {
            let answer = client.get("/none").await;
            let policy = answer.header("content-security-policy").unwrap().to_owned();
            let (_, rest) = policy.split_once("'nonce-").expect("a page with a style of its own has a nonce");
            let nonce = rest.split('\'').next().unwrap().to_owned();
            assert!(answer.text().contains(&format!("nonce=\"{nonce}\"")), "{}", answer.text());
            nonce
        };
        assert_ne!(nonce().await, nonce().await);
        let only_told = Sources::none().var("DATABASE_URL", "sqlite::memory:").var("SECURE_CSP", "").var("SECURE_CSP_REPORT_ONLY", "default-src 'self'");
        let client = my_shop::app().build(only_told).ok().unwrap().test_client();
        let answer = client.get("/").await;
        answer.assert_header("content-security-policy-report-only", "default-src 'self'");
        assert!(answer.header("content-security-policy").is_none());
    });
}
"#;

fn get(address: &str, path: &str) -> String {
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: text/html\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[cfg(unix)]
#[test]
fn a_new_project_grows_passes_its_tests_and_is_served_anew_when_it_changes() {
    covers!(
        "flask.cli.run",
        "platform.cmd.runserver",
        "server.reload_dev",
        "sec.headers",
        "sec.csp"
    );
    // At the same place in every run, or cargo would keep what it built for each.
    let folder = target_folder().join("projects");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let said = works(&mut tool(&folder, "new my-shop"));
    assert!(said.contains("cd my-shop"), "{said}");
    let project = folder.join("my-shop");
    lock(&project);
    works(&mut tool(&project, "add blog"));
    edit(
        &project.join("src/lib.rs"),
        "pub mod home;",
        "pub mod blog;\npub mod home;",
    );
    edit(
        &project.join("src/lib.rs"),
        ".mount(\"/\", home::blueprint())",
        ".mount(\"/\", home::blueprint())\n.mount(\"/blog\", blog::blueprint())",
    );
    fs::write(project.join("tests/safe.rs"), SAFE).unwrap();
    let said = works(&mut cargo(&project, "test"));
    assert!(said.contains("a_new_project_is_safe_as_it_is ... ok"), "{said}");
    assert!(said.contains("the_front_page_is_there ... ok"), "{said}");
    assert!(said.contains("the_list_shows_what_the_database_holds ... ok"), "{said}");
    let said = works(&mut cargo(&project, "run -- check --deploy"));
    assert!(!said.contains("warning: unused"), "{said}");

    let dev = Dev::start(&project, "dev --bind 127.0.0.1:0 --include *.sql --exclude draft*");
    let address = dev.address();
    dev.says("not for production");
    let page = get(&address, "/");
    assert!(
        page.contains("<h1>my-shop</h1>") && page.contains("/static/site.css"),
        "{page}"
    );
    assert!(get(&address, "/static/site.css").contains("max-width"));
    assert!(get(&address, "/blog/").contains("Nothing yet"));

    // What does not compile leaves the site as it is.
    edit(
        &project.join("src/home.rs"),
        "title: \"my-shop\"",
        "title: \"our shop\" + 1",
    );
    dev.says("src/home.rs changed");
    dev.says("cannot add");
    dev.says("it does not compile");
    assert!(get(&address, "/").contains("<h1>my-shop</h1>"));
    edit(&project.join("src/home.rs"), "\"our shop\" + 1", "\"our shop\"");
    let address = dev.address();
    assert!(get(&address, "/").contains("<h1>our shop</h1>"));

    // A file that somebody named counts too, and what somebody left out does not, though it is a source.
    fs::write(project.join("src/draft.rs"), "no Rust at all").unwrap();
    fs::write(project.join("data.sql"), "select 1").unwrap();
    dev.says("data.sql changed");
    let address = dev.address();
    assert!(get(&address, "/").contains("<h1>our shop</h1>"));

    // Settings are read anew without a build, and a site that ends is told.
    fs::write(project.join("settings.toml"), "workers = \"many\"").unwrap();
    dev.says("settings.toml changed");
    // It is checked before it serves.
    dev.says("settings.E001");
    dev.says("the site ended");
    fs::write(
        project.join("settings.toml"),
        "debug = false\nallowed_hosts = [\"localhost\"]",
    )
    .unwrap();
    let address = dev.address();
    // Development, whatever the file says.
    assert!(get(&address, "/none").contains("blog"), "{}", get(&address, "/none"));
    drop(dev);

    let said = works(&mut cargo(&project, "run -- settings bind"));
    assert!(said.contains("127.0.0.1:8000"), "{said}");
    let dev = Dev::start(&project, "runserver --bind [::1]:0");
    let address = dev.address();
    assert!(get(&address, "/").contains("<h1>our shop</h1>"));
}

#[test]
fn a_project_has_a_key_of_its_own_and_a_folder_that_is_made() {
    let folder = tempfile::tempdir().unwrap();
    works(&mut tool(folder.path(), "new shop deep/inside"));
    works(&mut tool(folder.path(), "startproject shop other"));
    let key = |project: &str| {
        let env = fs::read_to_string(folder.path().join(project).join(".env")).unwrap();
        let key = env
            .lines()
            .find_map(|line| line.strip_prefix("SECRET_KEY="))
            .unwrap()
            .to_owned();
        assert_eq!(key.len(), 64);
        key
    };
    assert_ne!(key("deep/inside"), key("other"));
    refuses(
        &mut tool(folder.path(), "new shop other"),
        "would be overwritten; nothing was made",
    );
    for (name, because) in [
        ("2shop", "such as `shop`"),
        ("Shop", "such as `shop`"),
        ("async", "a word of Rust's own"),
        ("demijohn", "the project has already"),
    ] {
        refuses(&mut tool(folder.path(), &format!("new {name} none")), because);
    }
    assert!(!folder.path().join("none").exists());
    refuses(
        &mut tool(folder.path(), "new shop none --demijohn nowhere"),
        "no checkout of Demijohn at `nowhere`",
    );
    refuses(
        &mut tool(folder.path(), "new shop none --template nowhere"),
        "`nowhere/` cannot be read",
    );
}

#[test]
fn projects_begin_with_templates_of_ones_own() {
    if Command::new("git").arg("--version").output().is_err() {
        return demijohn_covers::skip!("git is not here");
    }
    covers!("platform.cmd.startproject");
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("template");
    for (name, text) in [
        (
            "Cargo.toml",
            "name = \"{{ project_name }}\"\ndemijohn = { {{ demijohn }} }",
        ),
        ("src/crate_name.rs", "mod {{ crate_name }};"),
        ("src/main.rs-tpl", "{{ crate_name }} {{ unknown }}"),
        ("page.html", "{{ project_name }}"),
        ("Makefile", "{{ project_name }}"),
        ("other.txt", "{{ project_name }}"),
        ("drafts/a.md", "{{ project_name }}"),
        ("target/a.md", "{{ project_name }}"),
    ] {
        let path = template.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let read = |name: &str| fs::read_to_string(folder.path().join("shop").join(name)).unwrap();
    let line = "new my-shop shop --template template --extension html --file Makefile --exclude drafts";
    works(&mut tool(folder.path(), line));
    assert!(read("Cargo.toml").starts_with("name = \"my-shop\"\ndemijohn = { path = '"));
    assert_eq!(read("src/my_shop.rs"), "mod my_shop;");
    assert_eq!(read("src/main.rs"), "my_shop {{ unknown }}");
    assert_eq!(read("page.html"), "my-shop");
    assert_eq!(read("Makefile"), "my-shop");
    assert_eq!(read("other.txt"), "{{ project_name }}");
    assert!(!folder.path().join("shop/drafts").exists() && !folder.path().join("shop/target").exists());

    // By its address.
    let git = |line: &str| works(Command::new("git").current_dir(&template).args(line.split_whitespace()));
    git("init -q");
    git("add -A");
    git("-c user.name=a -c user.email=a@b -c commit.gpgsign=false commit -q -m all");
    let url = format!("file://{}", template.display());
    works(&mut tool(folder.path(), &format!("new second --template {url}")));
    let name = fs::read_to_string(folder.path().join("second/Cargo.toml")).unwrap();
    assert!(name.starts_with("name = \"second\""), "{name}");
    assert!(!folder.path().join("second/.git").exists());
    refuses(
        &mut tool(folder.path(), "new third --template file:///nowhere/at-all.git"),
        "did not fetch",
    );
    // Random key, folder that is made: proven above for the project of our own, which the other test builds.
    works(&mut tool(folder.path(), "new own made/for/it"));
    assert!(
        fs::read_to_string(folder.path().join("made/for/it/.env"))
            .unwrap()
            .contains("SECRET_KEY=")
    );
}

#[test]
fn a_blueprint_clashes_with_no_module_and_no_crate() {
    covers!("platform.cmd.startapp");
    let folder = tempfile::tempdir().unwrap();
    refuses(&mut tool(folder.path(), "add blog"), "no Cargo.toml here or above");
    works(&mut tool(folder.path(), "new shop ."));
    works(&mut tool(folder.path(), "startapp blog-posts"));
    let made = fs::read_to_string(folder.path().join("src/blog_posts.rs")).unwrap();
    assert!(made.contains("pub struct BlogPostsItem"), "{made}");
    assert!(folder.path().join("templates/blog_posts/index.html").is_file());
    // From inside of the project too.
    refuses(
        &mut tool(&folder.path().join("src"), "add blog_posts"),
        "a module `blog_posts` already",
    );
    refuses(&mut tool(folder.path(), "add home"), "a module `home` already");
    refuses(
        &mut tool(folder.path(), "add demijohn"),
        "a crate that the project uses",
    );
    refuses(&mut tool(folder.path(), "add shop"), "the project itself");
    refuses(&mut tool(folder.path(), "add std"), "a word of Rust's own");
}
