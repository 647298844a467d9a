//! `#[derive(Context)]`, `#[template]` and `templates!` as a site uses them.
#![cfg(feature = "templates")]

use demijohn::prelude::*;
use demijohn::template::{Context as _, Engine, Folder, Template as _};
use demijohn::test::block_on;
use serde::Serialize;
use std::collections::HashMap;

fn show(source: &str, context: impl demijohn::template::Context) -> String {
    let engine = Engine::builder().build();
    engine.render_text(source, context).expect("renders")
}

#[derive(Context)]
struct Author<'a> {
    name: &'a str,
    born: Option<u16>,
}

/// Known to serde alone.
#[derive(Serialize)]
struct Place {
    city: String,
}

#[derive(Context)]
struct Book<'a> {
    title: String,
    author: Author<'a>,
    editors: Vec<Author<'a>>,
    place: Place,
    places: Vec<Place>,
    prices: HashMap<&'static str, f64>,
    r#type: &'static str,
    pair: [i64; 2],
    note: Option<String>,
    markup: demijohn::template::Value,
}

#[test]
fn fields_are_read_by_context_or_by_serde() {
    let place = |city: &str| Place { city: city.to_owned() };
    let book = Book {
        title: "<On glass>".to_owned(),
        author: Author {
            name: "Ada",
            born: Some(1815),
        },
        editors: vec![
            Author { name: "B", born: None },
            Author {
                name: "C",
                born: Some(1900),
            },
        ],
        place: place("Ghent"),
        places: vec![place("Oslo"), place("Lyon")],
        prices: HashMap::from([("eur", 12.5)]),
        r#type: "essay",
        pair: [1, 2],
        note: None,
        markup: demijohn::template::Value::from_safe_string("<b>".to_owned()),
    };
    let source = "{{ title }}|{{ author.name }} {{ author.born }}|{% for e in editors %}{{ e.name }}{{ e.born is none }};{% endfor %}\
                  |{{ place.city }} {{ places[1].city }}|{{ prices.eur }}|{{ type }}|{{ pair | sum }}|{{ note is none }}|{{ markup }}";
    assert_eq!(
        show(source, book),
        "&lt;On glass&gt;|Ada 1815|BTrue;CFalse;|Ghent Lyon|12.5|essay|3|True|<b>"
    );
}

#[derive(Context)]
struct Wrapper<T> {
    inner: T,
}

#[derive(Context)]
struct Nothing {}

#[test]
fn generic_and_empty_structs_are_contexts() {
    assert_eq!(
        show(
            "{{ inner.inner }}",
            Wrapper {
                inner: Wrapper { inner: 7 }
            }
        ),
        "7"
    );
    assert_eq!(show("{{ inner is mapping }}", Wrapper { inner: Nothing {} }), "True");
    // A struct is something, even without fields.
    assert_eq!(
        show("{% if inner %}yes{% endif %}", Wrapper { inner: Nothing {} }),
        "yes"
    );
    let error = Engine::builder()
        .build()
        .render_text("{{ outer }}", Wrapper { inner: 7 })
        .expect_err("not there");
    assert!(error.to_string().contains("`outer`"), "{error}");
}

#[derive(Context)]
#[template("hello.html")]
struct Hello {
    name: String,
}

#[test]
fn a_template_is_named_with_its_fields() {
    assert_eq!(Hello::NAME, "hello.html");
    assert_eq!(Hello::FIELDS, ["name"]);
    assert_eq!(Hello { name: "A".into() }.into_value().to_string(), "{'name': 'A'}");
}

#[test]
fn a_folder_beside_the_manifest_is_a_folder_of_templates() {
    async fn hello(Path(name): Path<String>) -> Page<Hello> {
        Page(Hello { name })
    }
    let app = App::new()
        .templates(templates!("tests/templates"))
        .route("/{name}", get(hello));
    block_on(async {
        let answer = app.test_client().get("/%3CAnn%3E").await;
        assert_eq!(answer.text(), "<p>Hello, &lt;Ann&gt;!</p>\n");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    });
}

#[test]
fn check_tells_a_page_without_its_template() {
    use demijohn::settings::Sources;
    use demijohn::test::call_command;
    let app = App::new()
        .templates(Folder::embedded(&[("helo.html", "")]))
        .route("/", get(async || Page(Hello { name: String::new() })));
    let ready = app
        .build(Sources::none())
        .unwrap_or_else(|findings| panic!("{findings:?}"));
    let outcome = block_on(call_command(ready.program(), ["check"]));
    let text = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(
        text.contains("templates.E002") && text.contains("did you mean `helo.html`?"),
        "{text}"
    );
    assert_ne!(outcome.code, 0, "{text}");
}
