//! Static files: found, named by their content, compressed, collected, and checked.
#![allow(clippy::unwrap_used)]

use demijohn_covers::covers;
use demijohn_web::test::block_on;
use demijohn_web::{Application, Result, StaticExt, StaticFolder, TemplatesExt, get};
use std::os::unix::fs::symlink;

/// A folder with these files, for as long as the program runs.
fn static_folder(files: &[(&str, &str)]) -> (tempfile::TempDir, StaticFolder) {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let path = folder.path().to_str().unwrap().to_owned().leak();
    (folder, StaticFolder::on_disk(path))
}

const PAGE: demijohn_template::Folder = demijohn_template::Folder::embedded(&[(
    "page.html",
    "{{ static_url('css/app.css') }} {{ static_url('img/a b.png') }}",
)]);

async fn page(request: demijohn_web::http::Uri, site: PageRequest) -> Result<String> {
    let _ = request;
    Ok(site.0)
}

struct PageRequest(String);

impl demijohn_web::Extract for PageRequest {
    async fn extract(request: &mut demijohn_web::Request) -> Result<Self, demijohn_web::Rejection> {
        Ok(PageRequest(demijohn_web::page::render_text(request, "page.html", ())?))
    }
}

#[test]
fn static_files_in_development() {
    covers!("http.static.serve_dev", "http.static.finders");
    block_on(async {
        let (of_site, site_files) = static_folder(&[("css/app.css", "site"), (".env", "secret"), ("img/a b.png", "")]);
        let (_of_blog, blog_files) = static_folder(&[("css/app.css", "blog"), ("blog/b.js", "b")]);
        let (extra, _) = static_folder(&[("x.txt", "extra"), ("css/app.css", "prefixed")]);
        symlink("/etc/passwd", of_site.path().join("passwd")).unwrap();
        symlink("/etc", of_site.path().join("etc")).unwrap();
        let mut app = Application::new()
            .mount("/blog", demijohn_web::Blueprint::new("blog").static_files(blog_files))
            .static_files(site_files)
            .templates(PAGE)
            .route("/", get(page));
        let dirs = vec![format!("vendor={}", extra.path().display())];
        app.site_mut().settings_mut().set_default("STATICFILES_DIRS", dirs);
        let client = app.test_client();
        assert_eq!(
            client.get("/").await.text(),
            "/static/css/app.css /static/img/a%20b.png"
        );
        let css = client.get("/static/css/app.css").await;
        assert_eq!(
            (css.text(), css.header("content-type")),
            ("site", Some("text/css; charset=utf-8"))
        );
        assert_eq!(css.header("cache-control"), Some("public, no-cache"));
        assert_eq!(css.header("x-content-type-options"), Some("nosniff"));
        let date = css.header("last-modified").unwrap();
        assert_eq!(
            client
                .get("/static/css/app.css")
                .header("if-modified-since", date)
                .await
                .status(),
            304
        );
        assert_eq!(client.get("/static/blog/b.js").await.text(), "b");
        assert_eq!(client.get("/static/vendor/x.txt").await.text(), "extra");
        assert_eq!(client.get("/static/vendor/css/app.css").await.text(), "prefixed");
        assert_eq!(client.get("/static/x.txt").await.status(), 404);
        assert_eq!(client.get("/static/img/a%20b.png").await.status(), 200);
        // A change is seen at once.
        std::fs::write(of_site.path().join("css/app.css"), "changed").unwrap();
        assert_eq!(client.get("/static/css/app.css").await.text(), "changed");
        for path in [
            ".env",
            "%2eenv",
            "passwd",
            "etc/passwd",
            "../secret",
            "%2e%2e%2fetc/passwd",
            "..%5cetc",
            "css",
            "css/",
            "",
            "css//app.css",
            "/css/app.css",
            "css/./app.css",
            "css/../css/app.css",
            "css%00",
            "CSS/APP.CSS",
            "css/app.css/",
        ] {
            let answer = client.get(&format!("/static/{path}")).await;
            assert!(
                [400, 404].contains(&answer.status().as_u16()),
                "{path}: {}",
                answer.status()
            );
        }
        assert_eq!(client.post("/static/css/app.css").await.status(), 405);
        assert_eq!(
            client.head("/static/css/app.css").await.header("content-length"),
            Some("7")
        );
    });
}

#[test]
fn static_files_in_production() {
    covers!("templates.tag.static");
    block_on(async {
        let (folder, files) = static_folder(&[
            (
                "css/app.css",
                "@import 'more.css'; a{b:url(../img/a%20b.png?x#y)} c{d:url(data:x)}",
            ),
            (
                "css/more.css",
                "e{f:url(/static/img/a%20b.png)} /*# sourceMappingURL=no.map */",
            ),
            ("img/a b.png", "picture"),
            ("app.js", "f()"),
            ("app.js.gz", "zipped"),
            ("app.js.br", "brotli"),
            ("circle/a.css", "@import 'b.css'"),
            ("circle/b.css", "@import 'a.css'"),
            (".hidden", "secret"),
        ]);
        let site = |files| {
            Application::new()
                .static_files(files)
                .templates(PAGE)
                .route("/", get(page))
        };
        let client = site(files).test_production_client();
        let text = client.get("/").await.text().to_owned();
        let (css, picture) = text.split_once(' ').unwrap();
        let is_hashed = |url: &str, stem: &str, ending: &str| {
            let digest = url
                .strip_prefix(stem)
                .and_then(|rest| rest.strip_suffix(ending))
                .unwrap_or_default();
            digest.len() == 12 && digest.bytes().all(|b| b.is_ascii_hexdigit())
        };
        assert!(is_hashed(css, "/static/css/app.", ".css"), "{css}");
        assert!(is_hashed(picture, "/static/img/a%20b.", ".png"), "{picture}");
        let answer = client.get(css).await;
        assert_eq!(
            answer.header("cache-control"),
            Some("public, max-age=31536000, immutable")
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let file = picture.rsplit('/').next().unwrap();
        let (more, rest) = answer
            .text()
            .strip_prefix("@import '")
            .unwrap()
            .split_once('\'')
            .unwrap();
        assert!(is_hashed(more, "more.", ".css"), "{more}");
        assert_eq!(rest, format!("; a{{b:url(../img/{}?x#y)}} c{{d:url(data:x)}}", file));
        let more = client.get(&format!("/static/css/{more}")).await;
        assert_eq!(
            more.text(),
            format!("e{{f:url(/static/img/{})}} /*# sourceMappingURL=no.map */", file)
        );
        let etag = answer.header("etag").unwrap();
        let unchanged = client.get(css).header("if-none-match", etag).await;
        assert_eq!(unchanged.status(), 304);
        assert!(unchanged.header("content-security-policy").is_some());
        // Under its own name it is asked for each time.
        let plain = client.get("/static/css/app.css").await;
        assert_eq!(
            (plain.text(), plain.header("cache-control")),
            (answer.text(), Some("public, no-cache"))
        );
        for (accepted, content, coding) in [
            ("gzip, br, zstd", "brotli", Some("br")),
            ("gzip", "zipped", Some("gzip")),
            ("br;q=0, gzip;q=0.5", "zipped", Some("gzip")),
            ("zstd", "f()", None),
            ("", "f()", None),
        ] {
            let answer = client.get("/static/app.js").header("accept-encoding", accepted).await;
            assert_eq!(
                (answer.text(), answer.header("content-encoding")),
                (content, coding),
                "{accepted}"
            );
            assert_eq!(answer.header("vary"), Some("accept-encoding"));
            assert_eq!(answer.header("content-type"), Some("text/javascript; charset=utf-8"));
        }
        for path in [
            ".hidden",
            "circle",
            "app.js.zip",
            "../static/app.js",
            "css/app.000000000000.css",
            "img/a%2520b.png",
        ] {
            assert_eq!(client.get(&format!("/static/{path}")).await.status(), 404, "{path}");
        }
        assert_eq!(client.get("/static/circle/a.css").await.status(), 200);
        // What appears later is not there: nothing is looked for on disk.
        std::fs::write(folder.path().join("late.txt"), "late").unwrap();
        assert_eq!(client.get("/static/late.txt").await.status(), 404);
        assert_eq!(client.delete(css).await.status(), 405);
        // A program that carries its files gives the same names.
        let embedded = StaticFolder::embedded(&[("css/app.css", b"x"), ("img/a b.png", b"picture"), ("../x", b"out")]);
        let client = site(embedded).test_production_client();
        assert!(client.get("/").await.text().ends_with(picture));
        let answer = client.get(picture).header("range", "bytes=1-3").await;
        assert_eq!((answer.status().as_u16(), answer.text()), (206, "ict"));
    });
}

/// Runs a command of a site, and gives its exit code and what it printed.
fn run(site: Application, settings: &[(&str, &str)], args: &[&str]) -> (i32, String) {
    let sources = settings
        .iter()
        .fold(demijohn_core::settings::Sources::none(), |sources, (name, value)| {
            sources.var(*name, *value)
        });
    let mut site = site;
    site.site_mut().commands.add_builtin();
    let ready = site.build(sources).unwrap_or_else(|findings| panic!("{findings:?}"));
    let outcome = block_on(
        demijohn_core::command::Runner::new(ready.program())
            .args(args.iter().copied())
            .run(),
    );
    (outcome.code.into(), outcome.stdout + &outcome.stderr)
}

#[test]
fn files_in_the_program_are_compressed_once() {
    block_on(async {
        let text: &'static str = "a { color: red } ".repeat(100).leak();
        let files: &'static [(&'static str, &'static [u8])] = vec![
            ("a.css", text.as_bytes()),
            ("small.css", &b"a{}"[..]),
            ("x.png", text.as_bytes()),
        ]
        .leak();
        let client = Application::new()
            .static_files(StaticFolder::embedded(files))
            .test_production_client();
        let plain = client.get("/static/a.css").await;
        assert_eq!((plain.text(), plain.header("content-encoding")), (text, None));
        let mut tags = vec![plain.header("etag").unwrap().to_owned()];
        for coding in ["br", "zstd", "gzip"] {
            let ask = async || client.get("/static/a.css").header("accept-encoding", coding).await;
            let (first, again) = (ask().await, ask().await);
            assert_eq!(first.header("content-encoding"), Some(coding));
            assert_eq!(first.header("vary"), Some("accept-encoding"));
            assert!(first.bytes().len() < 200);
            assert_eq!(
                (first.bytes(), first.header("etag")),
                (again.bytes(), again.header("etag"))
            );
            let tag = first.header("etag").unwrap();
            assert!(tag.starts_with('"'), "it is these very bytes: {tag}");
            let known = client
                .get("/static/a.css")
                .header("accept-encoding", coding)
                .header("if-none-match", tag);
            assert_eq!(known.await.status(), 304);
            tags.push(tag.to_owned());
        }
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), 4);
        for name in ["small.css", "x.png"] {
            let answer = client
                .get(&format!("/static/{name}"))
                .header("accept-encoding", "br, gzip")
                .await;
            assert_eq!(
                (answer.status().as_u16(), answer.header("content-encoding")),
                (200, None),
                "{name}"
            );
        }
    });
}

#[test]
fn collected_files_are_small_and_kept_for_a_year() {
    covers!("deploy.static");
    let css = format!("b{{c:url(../d.png)}}{}", "/* words and words again */".repeat(50));
    let (_folder, files) = static_folder(&[("css/a.css", &css), ("d.png", "d")]);
    let target = tempfile::tempdir().unwrap();
    let root = target.path().to_str().unwrap();
    let site = || Application::new().static_files(files);
    let (code, text) = run(site(), &[("STATIC_ROOT", root)], &["collectstatic"]);
    assert_eq!(code, 0, "{text}");
    block_on(async {
        let sources = demijohn_core::settings::Sources::none()
            .set("DEBUG", false)
            .var("STATIC_ROOT", root);
        let client = site()
            .build(sources)
            .unwrap_or_else(|findings| panic!("{findings:?}"))
            .test_client();
        let files = client.site().get::<demijohn_web::Static>().unwrap();
        let (url, picture) = (files.url("css/a.css").unwrap(), files.url("d.png").unwrap());
        let plain = client.get(&url).header("accept-encoding", "identity").await;
        let name = picture.rsplit('/').next().unwrap();
        assert!(plain.text().contains(&format!("url(../{name})")), "{}", plain.text());
        let mut tags = vec![plain.header("etag").unwrap().to_owned()];
        for coding in ["br", "zstd", "gzip"] {
            let answer = client.get(&url).header("accept-encoding", coding).await;
            assert_eq!(answer.header("content-encoding"), Some(coding));
            assert_eq!(
                answer.header("cache-control"),
                Some("public, max-age=31536000, immutable")
            );
            assert_eq!(answer.header("content-type"), Some("text/css; charset=utf-8"));
            assert!(answer.bytes().len() * 2 < plain.bytes().len());
            let mut unpacked = Vec::new();
            let mut bytes = answer.bytes();
            match coding {
                "br" => drop(brotli::BrotliDecompress(&mut bytes, &mut unpacked)),
                "zstd" => unpacked = zstd::decode_all(bytes).unwrap(),
                _ => drop(std::io::Read::read_to_end(
                    &mut flate2::read::GzDecoder::new(bytes),
                    &mut unpacked,
                )),
            }
            assert_eq!(unpacked, plain.bytes());
            tags.push(answer.header("etag").unwrap().to_owned());
        }
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), 4);
        assert_eq!(client.get(&picture).await.header("content-encoding"), None);
    });
}

#[test]
fn collecting_static_files() {
    covers!("http.static.collect", "http.static.manifest", "platform.cmd.findstatic");
    let (folder, files) = static_folder(&[
        ("css/a.css", "b{c:url(../d.png)}"),
        ("d.png", "d"),
        ("note.txt", "n"),
        ("x~", "editor's"),
    ]);
    let (_other, hidden) = static_folder(&[("d.png", "other")]);
    let target = tempfile::tempdir().unwrap();
    let root = target.path().join("collected");
    let root_text = root.to_str().unwrap();
    let site = || Application::new().static_files(files).static_files(hidden);
    let collect = |args: &[&str]| {
        let args: Vec<&str> = std::iter::once("collectstatic").chain(args.iter().copied()).collect();
        run(site(), &[("STATIC_ROOT", root_text)], &args)
    };
    let (code, text) = collect(&["--dry-run"]);
    assert!(
        code == 0 && text.contains("Copying 'css/a.css'") && text.contains("3 static files copied"),
        "{text}"
    );
    assert!(!root.exists());
    let (code, text) = collect(&["--ignore", "*.txt"]);
    assert_eq!(
        (code, text),
        (
            0,
            format!("2 static files copied to '{root_text}', 2 post-processed.\n")
        )
    );
    let manifest = std::fs::read_to_string(root.join("staticfiles.json")).unwrap();
    let paths: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let css = paths["paths"]["css/a.css"].as_str().unwrap();
    let digest = css
        .strip_prefix("css/a.")
        .and_then(|rest| rest.strip_suffix(".css"))
        .unwrap();
    assert_eq!(digest.len(), 12);
    let picture = paths["paths"]["d.png"].as_str().unwrap();
    assert_eq!(
        std::fs::read_to_string(root.join(css)).unwrap(),
        format!("b{{c:url(../{picture})}}")
    );
    assert_eq!(
        std::fs::read_to_string(root.join("css/a.css")).unwrap(),
        "b{c:url(../d.png)}"
    );
    assert_eq!(std::fs::read_to_string(root.join("d.png")).unwrap(), "d");
    // Again: nothing changes, the manifest is the same byte for byte.
    let (code, text) = collect(&["-i", "*.txt"]);
    assert_eq!(
        (code, text),
        (
            0,
            format!("0 static files copied to '{root_text}', 2 unmodified, 2 post-processed.\n")
        )
    );
    assert_eq!(
        std::fs::read_to_string(root.join("staticfiles.json")).unwrap(),
        manifest
    );
    // In production the collected files are served.
    block_on(async {
        let sources = demijohn_core::settings::Sources::none()
            .set("DEBUG", false)
            .var("STATIC_ROOT", root_text);
        let client = site()
            .build(sources)
            .unwrap_or_else(|findings| panic!("{findings:?}"))
            .test_client();
        let answer = client.get(&format!("/static/{css}")).await;
        assert_eq!(
            answer.header("cache-control"),
            Some("public, max-age=31536000, immutable")
        );
        assert_eq!(answer.text(), format!("b{{c:url(../{picture})}}"));
        assert_eq!(client.get("/static/staticfiles.json").await.status(), 404);
    });
    std::fs::write(root.join("old.txt"), "old").unwrap();
    let (code, text) = collect(&["--clear", "--link", "--no-input"]);
    assert!(code == 0 && text.contains("3 static files linked"), "{text}");
    assert!(!root.join("old.txt").exists());
    assert_eq!(
        root.join("d.png").read_link().unwrap(),
        folder.path().canonicalize().unwrap().join("d.png")
    );
    let (code, text) = collect(&["--link", "--no-post-process"]);
    assert!(
        code == 0 && text.contains("0 static files linked") && !text.contains("post-processed"),
        "{text}"
    );
    // A reference into nothing stops it before anything is written.
    std::fs::write(folder.path().join("css/a.css"), "b{c:url(gone.png)}").unwrap();
    let (code, text) = collect(&["--clear"]);
    assert!(code != 0 && text.contains("`css/a.css` refers to `gone.png`"), "{text}");
    assert!(root.join("d.png").exists());
    let (code, text) = run(site(), &[("STATIC_ROOT", "/")], &["collectstatic", "--clear"]);
    assert!(code != 0, "{text}");
    let (code, text) = run(
        Application::new(),
        &[("STATIC_ROOT", ".")],
        &["collectstatic", "--clear", "--dry-run"],
    );
    assert!(code != 0 && text.contains("where you are"), "{text}");
    // Two folders in each other, and none at all.
    let inside = folder.path().join("out");
    let (code, text) = run(site(), &[("STATIC_ROOT", inside.to_str().unwrap())], &["collectstatic"]);
    assert!(code != 0 && text.contains("lie in each other"), "{text}");
    let (code, text) = run(site(), &[], &["collectstatic"]);
    assert!(code != 0 && text.contains("STATIC_ROOT is empty"), "{text}");
    let (code, text) = run(site(), &[], &["findstatic", "d.png"]);
    assert_eq!((code, text.lines().count()), (0, 2), "{text}");
    let (code, text) = run(site(), &[], &["findstatic", "--first", "d.png"]);
    assert_eq!((code, text.trim()), (0, folder.path().join("d.png").to_str().unwrap()));
    let (code, text) = run(site(), &[], &["findstatic", "d.pgn"]);
    assert!(code != 0 && text.contains("did you mean `d.png`"), "{text}");
}

#[test]
fn a_built_front_end() {
    covers!("fastapi.static");
    block_on(async {
        let (_folder, files) = static_folder(&[
            ("index.html", "<script src=\"/assets/app-1.js\"></script>"),
            ("assets/app-1.js", "run()"),
            ("assets/app.css", "a{b:url(/assets/x.png)}"),
            ("assets/x.png", "x"),
        ]);
        let site = || {
            Application::new()
                .front_end(files)
                .route(
                    "/api/items/{id}",
                    get(async |demijohn_web::Path(id): demijohn_web::Path<u32>| id.to_string()),
                )
                .mount(
                    "/panel",
                    demijohn_web::Blueprint::new("panel")
                        .front_end(files)
                        .route("/health", get(async || "well")),
                )
        };
        for client in [site().test_client(), site().test_production_client()] {
            assert_eq!(client.get("/api/items/7").await.text(), "7");
            assert_eq!(client.get("/panel/health").await.text(), "well");
            let browse = async |path: &str| {
                let accepted = "text/html,application/xhtml+xml,*/*;q=0.8";
                let answer = client.get(path).header("accept", accepted).await;
                (answer.status().as_u16(), answer.text().contains("app-1.js"))
            };
            for page in [
                "/",
                "/settings/profile",
                "/settings/",
                "/panel/",
                "/panel/a/b",
                "/api/unknown",
            ] {
                assert_eq!(browse(page).await, (200, true), "{page}");
            }
            let page = client.get("/settings").header("accept", "text/html").await;
            assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
            assert_eq!(page.header("cache-control"), Some("public, no-cache"));
            assert_eq!(client.get("/assets/app-1.js").await.text(), "run()");
            assert_eq!(client.get("/panel/assets/app-1.js").await.text(), "run()");
            for missing in [
                "/assets/gone.js",
                "/favicon.ico",
                "/panel/x.png",
                "/.env",
                "/..%2findex.html",
            ] {
                assert_eq!(browse(missing).await.0, 404, "{missing}");
            }
            // A script asks for something else than a page.
            assert_eq!(
                client
                    .get("/settings")
                    .header("accept", "application/json")
                    .await
                    .status(),
                404
            );
            let css = client.get("/assets/app.css").await.text().to_owned();
            let picture = css
                .strip_prefix("a{b:url(")
                .and_then(|rest| rest.strip_suffix(")}"))
                .unwrap();
            assert_eq!(client.get(picture).await.text(), "x", "{css}");
        }
    });
}

#[test]
fn files_of_a_blueprint() {
    covers!("flask.blueprint.resources");
    block_on(async {
        let templates = demijohn_template::Folder::embedded(&[
            ("shop/own.html", "{{ static_url('shop/shop.css') }}"),
            ("shop/shared.html", "the group's"),
        ]);
        let of_site = demijohn_template::Folder::embedded(&[("shop/shared.html", "the site's")]);
        let (_folder, files) = static_folder(&[("shop/shop.css", "css")]);
        let shop = demijohn_web::Blueprint::new("shop")
            .templates(templates)
            .static_files(files)
            .route("/own", get(async || demijohn_web::render("shop/own.html", ())))
            .route("/shared", get(async || demijohn_web::render("shop/shared.html", ())));
        let client = Application::new().mount("/shop", shop).templates(of_site).test_client();
        assert_eq!(client.get("/shop/own").await.text(), "/static/shop/shop.css");
        assert_eq!(client.get("/static/shop/shop.css").await.text(), "css");
        assert_eq!(client.get("/shop/shared").await.text(), "the site's");
    });
}

#[test]
fn static_files_that_are_not_there_are_found_by_check() {
    let (folder, files) = static_folder(&[("app.css", "a{b:url(gone.png)}")]);
    let page = demijohn_template::Folder::embedded(&[("a.html", "<link href=\"{{ static_url('ap.css') }}\">")]);
    let site = || Application::new().static_files(files).templates(page);
    for debug in ["true", "false"] {
        let (code, text) = run(site(), &[("DEBUG", debug)], &["check"]);
        assert!(
            code != 0 && text.contains("templates.E004") && text.contains("did you mean `app.css`"),
            "{text}"
        );
        assert!(text.contains("staticfiles.W001") && text.contains("gone.png"), "{text}");
    }
    let inside = folder.path().join("uploads");
    let (code, text) = run(site(), &[("FILE_UPLOAD_TEMP_DIR", "/nowhere/at/all")], &["check"]);
    assert!(code != 0 && text.contains("files.E001"), "{text}");
    let apart = [("MEDIA_ROOT", inside.to_str().unwrap()), ("MEDIA_URL", "/static/m/")];
    let (code, text) = run(site(), &apart, &["check"]);
    assert!(
        code != 0 && text.contains("staticfiles.E008") && text.contains("staticfiles.E009"),
        "{text}"
    );
    for (name, value) in [
        ("STATIC_URL", "static/"),
        ("STATIC_URL", "//cdn"),
        ("STATICFILES_DIRS", "../x=y"),
        ("MEDIA_URL", "media"),
    ] {
        let sources = demijohn_core::settings::Sources::none()
            .var(name, value)
            .var("MEDIA_ROOT", "x");
        assert!(site().build(sources).is_err(), "{name}={value}");
    }
    let sources = demijohn_core::settings::Sources::none().var("STATIC_URL", "https://cdn.example/s");
    let client = site()
        .build(sources)
        .unwrap_or_else(|findings| panic!("{findings:?}"))
        .test_client();
    let files = client.site().get::<demijohn_web::Static>().unwrap();
    assert_eq!(
        files.url("app.css?v=1#x").unwrap(),
        "https://cdn.example/s/app.css?v=1#x"
    );
    assert!(files.url("../app.css").is_err());
}
