//! Pages from templates, through the test client.
#![cfg(feature = "template")]

use demijohn_core::settings::Sources;
use demijohn_template::{Context, Folder, Template, Value, context};
use demijohn_web::http::StatusCode;
use demijohn_web::test::block_on;
use demijohn_web::{Application, Blueprint, Page, Path, Ready, TemplatesExt, get, render};

/// What `#[derive(Context)] #[template("blog/index.html")]` writes.
struct Index {
    title: String,
}

impl Context for Index {
    fn into_value(self) -> Value {
        context! { title => self.title }
    }
}

impl Template for Index {
    const NAME: &'static str = "blog/index.html";
    const FIELDS: &'static [&'static str] = &["title"];
}

async fn index() -> Page<Index> {
    Page(Index {
        title: "<Cellar>".to_owned(),
    })
}

async fn detail(Path(slug): Path<String>) -> String {
    slug
}

fn blog(files: &'static [(&'static str, &'static str)]) -> Blueprint {
    Blueprint::new("blog")
        .templates(Folder::embedded(files))
        .route("/", get(index))
        .route("/{slug}/", get(detail))
}

#[track_caller]
fn build(app: Application) -> Ready {
    app.build(Sources::none())
        .unwrap_or_else(|findings| panic!("{findings:?}"))
}

fn findings(app: Application) -> Vec<String> {
    let ready = build(app);
    let mut findings = Vec::new();
    for check in ready.program().checks.0.iter().filter(|check| check.tag == "templates") {
        (check.run)(ready.site(), ready.settings(), &mut findings);
    }
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_page_is_rendered_with_links() {
    let app = Application::new().mount("/blog", blog(&[(
        "blog/index.html",
        "{{ title }} {{ url_for('blog.detail', slug='a b', page=2) }} {{ url_for('.index') }} {{ request.method }} {{ request.path }} {{ request.args.q }} {{ request.route }}",
    )]));
    block_on(async {
        let answer = build(app).test_client().get("/blog/?q=x").await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(
            answer.text(),
            "&lt;Cellar&gt; /blog/a%20b/?page=2 /blog/ GET /blog/ x blog.index"
        );
    });
}

#[test]
fn the_site_overrides_templates_of_its_blueprints() {
    block_on(async {
        let site = Folder::embedded(&[("blog/index.html", "the site's")]);
        let files = &[("blog/index.html", "the blueprint's")];
        for app in [
            Application::new().templates(site).mount("/", blog(files)),
            Application::new().mount("/", blog(files)).templates(site),
        ] {
            assert_eq!(build(app).test_client().get("/").await.text(), "the site's");
        }
    });
}

#[test]
fn filters_functions_and_globals_reach_every_template() {
    let app = Application::new()
        .template_filter("twice", |n: i64| n * 2)
        .template_function("half", |n: i64| n / 2)
        .template_global("site", "Cellar")
        .templates(Folder::embedded(&[
            ("a.txt", "{{ 2 | twice }} {{ half(4) }} {{ site }}"),
            ("b.txt", "{{ site }}"),
        ]))
        .route("/a", get(async || render("a.txt", ())))
        .route("/b", get(async || render("b.txt", ())));
    block_on(async {
        let client = build(app).test_client();
        let answer = client.get("/a").await;
        assert_eq!(
            (answer.text(), answer.header("content-type")),
            ("4 2 Cellar", Some("text/plain; charset=utf-8"))
        );
        assert_eq!(client.get("/b").await.text(), "Cellar");
    });
}

#[test]
fn a_failing_template_is_a_500_that_says_nothing_to_the_client() {
    let app = Application::new()
        .templates(Folder::embedded(&[
            ("a.html", "{{ secret_name }}"),
            ("b.html", "{{ url_for('nowhere') }}"),
        ]))
        .route("/a", get(async || render("a.html", ())))
        .route("/b", get(async || render("b.html", ())))
        .route("/c", get(async || render("c.html", ())));
    block_on(async {
        let client = app.test_production_client();
        for path in ["/a", "/b", "/c"] {
            let answer = client.get(path).await;
            assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert!(!answer.text().contains("secret_name"), "{}", answer.text());
        }
    });
}

#[test]
fn the_developers_page_shows_the_line() {
    let app = Application::new()
        .templates(Folder::embedded(&[("a.html", "<p>\n{{ titel | upper }}</p>")]))
        .route("/a", get(async || render("a.html", ())));
    let ready = app
        .build(Sources::none().var("DEBUG", "true"))
        .unwrap_or_else(|findings| panic!("{findings:?}"));
    block_on(async {
        let answer = ready.test_client().get("/a").header("accept", "text/html").await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(
            answer.text().contains("a.html:2") && answer.text().contains("2 | {{ titel | upper }}"),
            "{}",
            answer.text()
        );
    });
}

#[test]
fn check_finds_templates_that_are_not_there_and_names_that_nobody_hands_over() {
    let found = findings(Application::new().mount("/blog", blog(&[("blog/indx.html", "")])));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("templates.E002") && found[0].contains("did you mean `blog/indx.html`?"),
        "{}",
        found[0]
    );

    let found = findings(Application::new().mount(
        "/blog",
        blog(&[(
            "blog/index.html",
            "{{ titel }}\n{{ url_for('blog.detial') }}\n{% include 'no.html' %}",
        )]),
    ));
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[0].starts_with("blog/index.html:3: (templates.E001) no template `no.html`"),
        "{}",
        found[0]
    );
    assert!(
        found[1].starts_with("blog/index.html:2: (templates.E003) no route `blog.detial`; did you mean `blog.detail`?"),
        "{}",
        found[1]
    );
    assert!(
        found[2].contains("(templates.W001)") && found[2].contains("did you mean `title`?"),
        "{}",
        found[2]
    );

    let fine =
        findings(Application::new().mount("/blog", blog(&[("blog/index.html", "{{ title }} {{ request.path }}")])));
    assert!(fine.is_empty(), "{fine:?}");
}
