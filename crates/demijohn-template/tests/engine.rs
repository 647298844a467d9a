//! What the engine promises, through its public face.

use demijohn_covers::covers;
use demijohn_template::{Context, Engine, Folder, Value, context};
use std::fs;

fn engine(files: &'static [(&'static str, &'static str)]) -> Engine {
    Engine::builder().folder(Folder::embedded(files)).build()
}

#[track_caller]
fn text(source: &str, context: impl Context) -> String {
    Engine::builder().build().render_text(source, context).expect("renders")
}

/// A folder on disk for one test. The path is leaked, as a `Folder` names a path of the program's whole life.
fn disk(files: &[(&str, &str)]) -> (tempfile::TempDir, Folder) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, source) in files {
        write(&dir, name, source);
    }
    let path = dir.path().to_str().expect("UTF-8").to_owned();
    (dir, Folder::on_disk(path.leak()))
}

fn write(dir: &tempfile::TempDir, name: &str, source: &str) {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("makes folders");
    fs::write(path, source).expect("writes");
}

#[test]
fn children_fill_the_blocks_of_their_parents() {
    covers!("jinja.inherit");
    let engine = engine(&[
        (
            "base.html",
            "<title>{% block title %}Site{% endblock %}</title><main>{% block main %}{% endblock %}</main>",
        ),
        (
            "page.html",
            "{% extends 'base.html' %}{% block title %}Page - {{ super() }}{% endblock %}",
        ),
    ]);
    assert_eq!(
        engine.render("page.html", ()).expect("renders"),
        "<title>Page - Site</title><main></main>"
    );
}

#[test]
fn the_first_of_several_includes_is_taken_and_missing_ones_can_be_passed_over() {
    covers!("jinja.include");
    let engine = engine(&[
        ("a.html", "{% include ['no.html', 'b.html', 'c.html'] %}"),
        ("b.html", "b"),
        ("c.html", "c"),
        ("d.html", "[{% include ['no.html', 'nor.html'] ignore missing %}]"),
    ]);
    assert_eq!(engine.render("a.html", ()).expect("renders"), "b");
    assert_eq!(engine.render("d.html", ()).expect("renders"), "[]");
}

#[test]
fn macros_are_imported() {
    covers!("jinja.import_macros");
    let m = "{% macro field(name, kind='text', size=20) %}<{{ name }} {{ kind }} {{ size }}>{% endmacro %}";
    let engine = Engine::builder()
        .folder(Folder::embedded(vec![("m.html", m)].leak()))
        .build();
    let use_it = "{{ field('a') }}{{ field('b', 'email', size=3) }}";
    let local = engine.render_text(&format!("{m}{use_it}"), ()).expect("renders");
    let imported = engine
        .render_text(&format!("{{% from 'm.html' import field %}}{use_it}"), ())
        .expect("renders");
    assert_eq!(local, "<a text 20><b email 3>");
    assert_eq!(imported, local);
}

#[test]
fn namespaces_keep_what_a_loop_sets() {
    covers!("jinja.set_namespace");
    let source = "{% set ns = namespace(n=0) %}{% for x in xs %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }}";
    assert_eq!(text(source, context! { xs => vec![1, 2, 3] }), "6");
}

#[test]
fn markup_is_escaped_by_the_ending_of_the_name() {
    covers!("flask.template.autoescape");
    for ending in ["html", "htm", "xml", "xhtml", "svg", "HTML"] {
        let name = format!("a.{ending}").leak() as &str;
        let engine = Engine::builder()
            .folder(Folder::embedded(vec![(name, "{{ v }}")].leak()))
            .build();
        let out = engine.render(name, context! { v => "<script>" }).expect("renders");
        assert_eq!(out, "&lt;script&gt;", "{name}");
    }
    assert_eq!(text("{{ v }}", context! { v => "<script>" }), "&lt;script&gt;");
    let plain = engine(&[("mail.txt", "{{ v }}")]);
    assert_eq!(
        plain.render("mail.txt", context! { v => "<script>" }).expect("renders"),
        "<script>"
    );
}

#[test]
fn the_five_characters_are_escaped_and_no_other() {
    let v = "a/b & <c> \"d\" 'e' ä\u{1f377}";
    assert_eq!(
        text("{{ v }}", context! { v }),
        "a/b &amp; &lt;c&gt; &quot;d&quot; &#39;e&#39; ä\u{1f377}"
    );
    assert_eq!(text("{{ v }}", context! { v => vec!["<"] }), "[&#39;&lt;&#39;]");
}

#[test]
fn safe_values_are_not_escaped_again() {
    let context = || context! { raw => "<i>", safe => Value::from_safe_string("<b>".into()) };
    assert_eq!(
        text("{{ raw }}{{ safe }}{{ raw | safe }}", context()),
        "&lt;i&gt;<b><i>"
    );
    assert_eq!(
        text(
            "{% autoescape false %}{{ raw }}{% endautoescape %}{{ raw | e }}",
            context()
        ),
        "<i>&lt;i&gt;"
    );
}

#[test]
fn undefined_names_are_errors() {
    let engine = engine(&[]);
    for source in [
        "{{ titel }}",
        "{% if titel %}x{% endif %}",
        "{% for t in titel %}x{% endfor %}",
        "{{ a.titel }}",
    ] {
        let error = engine
            .render_text(source, context! { a => context! { b => 1 } })
            .expect_err(source);
        assert!(error.to_string().contains("titel"), "{source}: {error}");
    }
    assert_eq!(
        text("{{ titel | default('-') }}{% if titel is defined %}x{% endif %}", ()),
        "-"
    );
}

#[test]
fn errors_point_into_the_included_template() {
    covers!("jinja.error_lines");
    let engine = engine(&[
        ("page.html", "<p>\n{% include 'part.html' %}\n</p>"),
        ("part.html", "one\ntwo\n\t<b>{{ wrong | upper }}</b>"),
    ]);
    let error = engine.render("page.html", ()).expect_err("`wrong` is not there");
    assert_eq!((error.template(), error.line()), (Some("part.html"), Some(3)));
    let long = format!("{error:#}");
    assert!(
        long.contains("3 | \t<b>{{ wrong | upper }}</b>\n  | \t              ^^^^^"),
        "{long}"
    );
    assert!(long.ends_with("  from page.html:2\n"), "{long}");
}

#[test]
fn errors_of_functions_are_kept_as_the_source() {
    let engine = Engine::builder()
        .function("fetch", || -> Result<String, minijinja::Error> {
            Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, "no")
                .with_source(std::io::Error::other("disk full")))
        })
        .build();
    let error = engine.render_text("{{ fetch() }}", ()).expect_err("fails");
    let source = std::error::Error::source(&error).expect("a source");
    assert_eq!(source.to_string(), "disk full");
}

#[test]
fn filters_functions_tests_and_globals_can_be_added() {
    covers!("jinja.custom");
    let engine = Engine::builder()
        .folder(Folder::embedded(&[(
            "a.txt",
            "{{ 2 | twice }} {{ add(1, 2) }} {{ 3 is odd_one }} {{ site }}",
        )]))
        .filter("twice", |n: i64| n * 2)
        .function("add", |a: i64, b: i64| a + b)
        .test("odd_one", |n: i64| n % 2 == 1)
        .global("site", "Demijohn")
        .build();
    assert_eq!(engine.render("a.txt", ()).expect("renders"), "4 3 True Demijohn");
}

#[test]
fn earlier_folders_hide_later_ones() {
    let site = Folder::embedded(&[("blog/index.html", "site"), ("own.html", "own")]);
    let blog = Folder::embedded(&[("blog/index.html", "blog"), ("blog/detail.html", "detail")]);
    let engine = Engine::builder().folder(site).folder(blog).build();
    assert_eq!(engine.render("blog/index.html", ()).expect("renders"), "site");
    assert_eq!(engine.render("blog/detail.html", ()).expect("renders"), "detail");
    assert_eq!(engine.names(), ["blog/detail.html", "blog/index.html", "own.html"]);

    let (_dir, disk) = disk(&[("blog/index.html", "disk")]);
    let engine = Engine::builder().folder(disk).folder(site).build();
    assert_eq!(engine.render("blog/index.html", ()).expect("renders"), "disk");
    let engine = Engine::builder().folder(site).folder(disk).build();
    assert_eq!(engine.render("blog/index.html", ()).expect("renders"), "site");
}

#[test]
fn a_changed_file_changes_the_next_page() {
    covers!("jinja.auto_reload");
    let (dir, folder) = disk(&[
        ("base.html", "1{% block b %}{% endblock %}"),
        ("a.html", "{% extends 'base.html' %}"),
    ]);
    let engine = Engine::builder().folder(folder).build();
    assert_eq!(engine.render("a.html", ()).expect("renders"), "1");
    write(&dir, "base.html", "two");
    assert_eq!(engine.render("a.html", ()).expect("renders"), "two");
    fs::remove_file(dir.path().join("a.html")).expect("removes");
    assert!(engine.render("a.html", ()).expect_err("it is gone").is_not_found());
}

#[test]
fn names_do_not_leave_the_folder() {
    covers!("templates.engine.filesystem_loader");
    let (dir, folder) = disk(&[
        ("sub/a.html", "inside"),
        ("secret.txt", "secret"),
        (".hidden", "hidden"),
    ]);
    let sub = Folder::on_disk(dir.path().join("sub").to_str().expect("UTF-8").to_owned().leak());
    let engine = Engine::builder().folder(sub).build();
    for name in [
        "../secret.txt",
        "./a.html",
        "x/../../secret.txt",
        "/a.html",
        "..\\secret.txt",
        "a.html\0",
        "",
    ] {
        assert!(engine.render(name, ()).expect_err(name).is_not_found(), "{name}");
    }
    // The first folder that has the name wins.
    write(&dir, "a.html", "outside");
    let engine = Engine::builder().folder(sub).folder(folder).build();
    assert_eq!(engine.render("a.html", ()).expect("renders"), "inside");
    assert!(engine.render(".hidden", ()).expect_err("hidden").is_not_found());
}

#[test]
fn a_missing_template_names_the_one_that_was_meant() {
    let engine = engine(&[("blog/index.html", "")]);
    let error = engine.render("blog/indx.html", ()).expect_err("not there");
    assert!(
        error.to_string().ends_with("did you mean `blog/index.html`?"),
        "{error}"
    );
}

#[test]
fn check_finds_what_does_not_parse_and_what_is_not_there() {
    let (_dir, folder) = disk(&[
        ("ok.html", "{% include 'part.html' %}"),
        ("part.html", "fine"),
        ("broken.html", "<ul>\n{% for x in xs %}\n</ul>"),
        ("lost.html", "a\n{% extends 'prat.html' %}"),
    ]);
    for folder in [
        folder,
        Folder::embedded(&[
            ("ok.html", "{% include 'part.html' %}"),
            ("part.html", "fine"),
            ("broken.html", "<ul>\n{% for x in xs %}\n</ul>"),
            ("lost.html", "a\n{% extends 'prat.html' %}"),
        ]),
    ] {
        let engine = Engine::builder().folder(folder).build();
        let faults = engine.check();
        let seen: Vec<(&str, usize)> = faults.iter().map(|f| (f.template.as_str(), f.line)).collect();
        assert_eq!(seen, [("broken.html", 3), ("lost.html", 2)], "{faults:?}");
        assert!(
            faults[0].message.contains("expected end of block"),
            "{}",
            faults[0].message
        );
        assert_eq!(faults[1].message, "no template `prat.html`; did you mean `part.html`?");
        assert_eq!(faults[0].file.is_some(), folder.path().is_some());
        let error = engine.render("broken.html", ()).expect_err("does not parse");
        assert!(error.to_string().contains("expected end of block"), "{error}");
    }
}

#[test]
fn check_finds_a_folder_that_is_not_there() {
    let engine = Engine::builder()
        .folder(Folder::on_disk("/nonexistent/templates"))
        .build();
    assert_eq!(engine.check().len(), 1);
    let error = engine.render("a.html", ()).expect_err("not there");
    assert!(
        error.to_string().contains("/nonexistent/templates is not there"),
        "{error}"
    );
}

#[test]
fn free_names_are_those_that_a_page_must_hand_over() {
    let engine = Engine::builder()
        .folder(Folder::embedded(&[
            ("base.html", "{{ site }} {{ title }}{% block b %}{% endblock %}"),
            (
                "page.html",
                "{% extends 'base.html' %}{% block b %}{% for a in articles %}{{ a.name }}{% endfor %}{% endblock %}",
            ),
        ]))
        .global("site", "x")
        .build();
    assert_eq!(engine.free_names("page.html").expect("there"), ["articles", "title"]);
}

#[test]
fn calls_with_literal_names_can_be_judged() {
    let engine = engine(&[("a.html", "x\n{{ url_for('home') }}{{ url_for('hme') }}")]);
    let faults = engine.check_calls("url_for", |name| (name != "home").then(|| format!("no route `{name}`")));
    assert_eq!(faults.len(), 1);
    assert_eq!(
        (faults[0].place().as_str(), faults[0].message.as_str()),
        ("a.html:2", "no route `hme`")
    );
}

#[test]
fn endless_recursion_is_an_error() {
    let engine = engine(&[("a.html", "{% include 'a.html' %}")]);
    assert!(engine.render("a.html", ()).is_err());
    let deep = format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(engine.render_text(&format!("{{{{ {deep} }}}}"), ()).is_err());
}

#[test]
fn context_takes_values_by_either_trait() {
    #[derive(serde::Serialize)]
    struct Plain {
        n: i32,
    }
    let source = "{{ a }} {{ p.n }} {{ ps[1].n }} {{ o is none }} {{ m.k }}";
    let m = std::collections::BTreeMap::from([("k", 5)]);
    let context =
        context! { a => "x", p => Plain { n: 1 }, ps => [Plain { n: 2 }, Plain { n: 3 }], o => None::<i64>, m };
    assert_eq!(text(source, context), "x 1 3 True 5");
}

/// Pairs of a template and what it renders to.
#[track_caller]
fn renders(cases: &[(&str, &str)]) {
    for (source, expected) in cases {
        let engine = Engine::builder().build();
        let context = context! { n => 5, items => vec![3, 1, 2], name => "<Ann>", users => users() };
        match engine.render_text(source, context) {
            Ok(text) => assert_eq!(&text, expected, "{source}"),
            Err(error) => panic!("{source}: {error}"),
        }
    }
}

fn users() -> Value {
    let user = |name: &str, city: &str, age: u32| context! { name => name, city => city, age => age };
    Value::from(vec![
        user("Ann", "Oslo", 30),
        user("Bob", "Lyon", 20),
        user("Cyd", "Oslo", 40),
    ])
}

#[test]
fn loops_know_where_they_are() {
    covers!("jinja.for_loop");
    renders(&[
        (
            "{% for i in items %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}/{{ loop.length }} {% endfor %}",
            "1032/3 2121/3 3210/3 ",
        ),
        (
            "{% for i in items %}{{ loop.first }}-{{ loop.last }} {% endfor %}",
            "True-False False-False False-True ",
        ),
        ("{% for i in items %}{{ loop.cycle('a', 'b') }}{% endfor %}", "aba"),
        (
            "{% for i in items %}{{ loop.previtem | default('-') }}<{{ loop.nextitem | default('-') }} {% endfor %}",
            "-<1 3<2 1<- ",
        ),
        (
            "{% for u in users | sort(attribute='city') %}{% if loop.changed(u.city) %}[{{ u.city }}]{% endif %}{{ u.name }}{% endfor %}",
            "[Lyon]Bob[Oslo]AnnCyd",
        ),
        ("{% for i in [] %}some{% else %}none{% endfor %}", "none"),
        (
            "{% for i in items if i > 1 %}{{ loop.index }}:{{ i }} {% endfor %}",
            "1:3 2:2 ",
        ),
        ("{% for i in items if i > 9 %}{{ i }}{% else %}none{% endfor %}", "none"),
        (
            "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}{{ v }}{% endfor %}",
            "a1b2",
        ),
    ]);
}

#[test]
fn expressions_are_those_of_jinja() {
    covers!("jinja.expressions");
    renders(&[
        (
            "{{ 7 / 2 }} {{ 7 // 2 }} {{ 7 % 3 }} {{ 2 ** 10 }} {{ -3 + 1 * 2 }} {{ (1 + 2) * 1.5 }}",
            "3.5 3 1 1024 -1 4.5",
        ),
        (
            "{{ 1 < n <= 5 }} {{ 1 < 3 < 2 }} {{ n == 5 and n != 4 }} {{ not n > 4 or false }}",
            "True False True False",
        ),
        (
            "{{ 'abcdef'[1:3] }} {{ items[-1] }} {{ items[::-1] }} {{ items[:2] }} {{ items[::2] }}",
            "bc 2 [2, 1, 3] [3, 1] [3, 2]",
        ),
        ("{{ 'big' if n > 3 else 'small' }} {{ 'x' if n > 9 }}", "big "),
        ("{{ 'a' ~ 1 ~ 'b' }} {{ 'a' + 'b' }} {{ 'ab' * 2 }}", "a1b ab abab"),
        (
            "{{ 1 in items }} {{ 9 not in items }} {{ 'nn' in name }} {{ 'k' in {'k': 1} }}",
            "True True True True",
        ),
        (
            "{{ n is odd }} {{ n is not odd }} {{ n is divisibleby 5 }} {{ n is divisibleby(2) }}",
            "True False True False",
        ),
        (
            "{{ 'ann'.upper() }} {{ 'a,b'.split(',') }} {{ {'a': 1}.get('b', 2) }} {{ ' x '.strip() }} {{ 'Ann'.startswith('A') }}",
            "ANN [&#39;a&#39;, &#39;b&#39;] 2 x True",
        ),
        (
            "{{ {'a': 1}.keys() | list }} {{ 'a-b'.replace('-', '+') }} {{ [1, 1, 2].count(1) }}",
            "[&#39;a&#39;] a+b 2",
        ),
        (
            "{{ (1, 2) }} {{ {'a': {'b': 3}}.a['b'] }} {{ users[0].name }} {{ 'x' | upper ~ 'y' }}",
            "(1, 2) 3 Ann Xy",
        ),
    ]);
}

#[test]
fn tests_are_those_of_jinja() {
    covers!("jinja.tests");
    renders(&[
        (
            "{{ n is defined }} {{ nothing is defined }} {{ nothing is undefined }}",
            "True False True",
        ),
        (
            "{{ 4 is even }} {{ 4 is odd }} {{ 9 is divisibleby 3 }} {{ none is none }} {{ 0 is none }}",
            "True False True True False",
        ),
        (
            "{{ {} is mapping }} {{ [] is mapping }} {{ [] is sequence }} {{ 1 is sequence }} {{ [] is iterable }} {{ 1 is iterable }}",
            "True False True False True False",
        ),
        (
            "{{ n is sameas n }} {{ 1 is sameas true }} {{ 1 is in [1, 2] }} {{ 3 is in [1, 2] }}",
            "True False True False",
        ),
        (
            "{{ 1 is eq 1 }} {{ 1 is equalto 2 }} {{ 1 is ne 2 }} {{ 2 is gt 1 }} {{ 2 is greaterthan 3 }}",
            "True False True True False",
        ),
        (
            "{{ 2 is ge 2 }} {{ 1 is lt 2 }} {{ 1 is lessthan 1 }} {{ 1 is le 1 }}",
            "True True False True",
        ),
        (
            "{{ 'a' is string }} {{ 1 is string }} {{ 1 is number }} {{ 1 is integer }} {{ 1.5 is float }} {{ 1 is float }}",
            "True False True True True False",
        ),
        (
            "{{ true is boolean }} {{ 1 is boolean }} {{ true is true }} {{ false is false }} {{ 1 is true }}",
            "True False True True False",
        ),
        (
            "{{ 'AB' is upper }} {{ 'ab' is lower }} {{ ('a' | safe) is escaped }} {{ 'a' is escaped }}",
            "True True True False",
        ),
        (
            "{{ 'upper' is filter }} {{ 'odd' is test }} {{ 'nope' is filter }}",
            "True True False",
        ),
        (
            "{% macro m() %}{% endmacro %}{{ range is callable }} {{ m is callable }} {{ 1 is callable }} {{ items is callable }}",
            "True True False False",
        ),
    ]);
}

#[test]
fn space_around_tags_is_taken_away_where_the_template_or_the_engine_says_so() {
    covers!("jinja.whitespace");
    renders(&[
        ("a  {%- if true -%}  b  {%- endif -%}  c", "abc"),
        ("a  {{- n -}}  b {#- no -#} c", "a5bc"),
        ("a\n  {%- if true %}\nb{% endif %}\n", "ab"),
        // On by themselves: tags on a line of their own leave nothing of it.
        (
            "<ul>\n  {% for i in items %}\n  <li>{{ i }}\n  {% endfor %}\n</ul>\n",
            "<ul>\n  <li>3\n  <li>1\n  <li>2\n</ul>\n",
        ),
        ("a\n  {%+ if true %}b{% endif %}", "a\n  b"),
    ]);
    let as_written = Engine::builder().environment(|env| {
        let mut syntax = demijohn_template::minijinja::syntax::SyntaxConfig::builder();
        syntax.trim_blocks(false).lstrip_blocks(false);
        env.set_syntax(syntax.build().expect("valid"));
    });
    let text = as_written
        .build()
        .render_text("a\n  {% if true %}\nb{% endif %}", ())
        .expect("renders");
    assert_eq!(text, "a\n  \nb");
}

#[test]
fn what_is_safe_stays_so_and_nothing_else_becomes_it() {
    covers!("jinja.autoescape");
    renders(&[
        (
            "{{ name }} {{ name | safe }} {{ name | e }} {{ name | e | e }} {{ name | safe | e }}",
            "&lt;Ann&gt; <Ann> &lt;Ann&gt; &lt;Ann&gt; <Ann>",
        ),
        (
            "{{ '<b>' | safe ~ name }} {{ name ~ '<b>' | safe }} {{ ('<b>' | safe) + name }}",
            "<b>&lt;Ann&gt; &lt;Ann&gt;<b> <b>&lt;Ann&gt;",
        ),
        (
            "{{ ['<b>' | safe, name] | join('') }} {{ [name, name] | join('<br>' | safe) }}",
            "<b>&lt;Ann&gt; &lt;Ann&gt;<br>&lt;Ann&gt;",
        ),
        ("{{ '<b>%s</b>' | safe | format(name) }}", "<b>&lt;Ann&gt;</b>"),
        (
            "{% autoescape false %}{{ name }}{% autoescape true %}{{ name }}{% endautoescape %}{% endautoescape %}{{ name }}",
            "<Ann>&lt;Ann&gt;&lt;Ann&gt;",
        ),
        (
            "{% macro b(x) %}<b>{{ x }}</b>{% endmacro %}{{ b(name) }}{% set x %}<i>{{ name }}</i>{% endset %}{{ x }}",
            "<b>&lt;Ann&gt;</b><i>&lt;Ann&gt;</i>",
        ),
        (
            "{{ '<' | safe | upper }} {{ ('<b>' | safe).replace('b', 'i') }}",
            "< &lt;i&gt;",
        ),
        ("{{ ('<b>' | safe) | forceescape }}", "&lt;b&gt;"),
    ]);
}

#[test]
fn filters_are_those_of_jinja() {
    covers!("jinja.filters");
    renders(&[
        (
            "{{ -2 | abs }} {{ users[0] | attr('name') }} {{ 'ann lee' | capitalize }} [{{ 'ab' | center(6) }}]",
            "2 Ann Ann lee [  ab  ]",
        ),
        (
            "{{ items | batch(2) | list }} {{ items | batch(2, 0) | list }} {{ items | slice(2) | list }}",
            "[[3, 1], [2]] [[3, 1], [2, 0]] [[3, 1], [2]]",
        ),
        (
            "{{ items | count }} {{ nothing | d('x') }} {{ nothing | default('y') }} {{ '' | default('z', true) }}",
            "3 x y z",
        ),
        (
            "{% for k, v in {'b': 1, 'a': 2} | dictsort %}{{ k }}{{ v }}{% endfor %} {% for k, v in {'b': 1, 'a': 2} | dictsort(by='value') %}{{ k }}{{ v }}{% endfor %}",
            "a2b1 b1a2",
        ),
        (
            "{{ '<' | e }} {{ '<' | escape }} {{ '<' | safe | forceescape }}",
            "&lt; &lt; &lt;",
        ),
        (
            "{{ 13 | filesizeformat }} {{ 4096 | filesizeformat(true) }} {{ 4100000 | filesizeformat }}",
            "13 Bytes 4.0 KiB 4.1 MB",
        ),
        (
            "{{ items | first }} {{ items | last }} {{ '1.5' | float }} {{ '42' | int }} {{ 'x' | int(7) }} {{ 'x' | float(0.5) }}",
            "3 2 1.5 42 7 0.5",
        ),
        ("{{ '%s, %s!' | format('Hello', 'World') }}", "Hello, World!"),
        (
            "{% for g in users | groupby('city') %}{{ g.grouper }}:{{ g.list | map(attribute='name') | join('+') }} {% endfor %}",
            "Lyon:Bob Oslo:Ann+Cyd ",
        ),
        (
            "{{ 'a\nb' | indent }}|{{ 'a\nb' | indent(2, true) }}",
            "a\n    b|  a\n  b",
        ),
        (
            "{% for k, v in {'a': 1} | items %}{{ k }}{{ v }}{% endfor %} {{ items | join(', ') }} {{ users | join('/', attribute='name') }}",
            "a1 3, 1, 2 Ann/Bob/Cyd",
        ),
        (
            "{{ items | length }} {{ 'abc' | list }} {{ 'ABC' | lower }} {{ 'abc' | upper }} {{ 'ann of green gables' | title }}",
            "3 [&#39;a&#39;, &#39;b&#39;, &#39;c&#39;] abc ABC Ann Of Green Gables",
        ),
        (
            "{{ ['a', 'b'] | map('upper') | join }} {{ users | map(attribute='age') | list }}",
            "AB [30, 20, 40]",
        ),
        (
            "{{ items | max }} {{ items | min }} {{ items | sum }} {{ users | sum(attribute='age') }} {{ users | map(attribute='age') | max }}",
            "3 1 6 90 40",
        ),
        (
            "{{ [7] | random }} {{ items | reverse | list }} {{ 'abc' | reverse }} {{ 'Hello World' | replace('Hello', 'Goodbye') }}",
            "7 [2, 1, 3] cba Goodbye World",
        ),
        (
            "{{ 42.55 | round }} {{ 42.55 | round(1, 'floor') }} {{ 2.1 | round(method='ceil') }}",
            "43.0 42.5 3.0",
        ),
        (
            "{{ items | select('odd') | list }} {{ items | reject('odd') | list }} {{ [0, 1] | select | list }}",
            "[3, 1] [2] [1]",
        ),
        (
            "{{ users | selectattr('age', 'gt', 25) | map(attribute='name') | list | join(',') }} {{ users | rejectattr('city', 'eq', 'Oslo') | map(attribute='name') | join }}",
            "Ann,Cyd Bob",
        ),
        (
            "{{ items | sort }} {{ items | sort(reverse=true) }} {{ users | sort(attribute='age') | map(attribute='name') | join }}",
            "[1, 2, 3] [3, 2, 1] BobAnnCyd",
        ),
        (
            "{{ 1 | string ~ 2 }} {{ '<p>Hello &amp; <b>World</b></p>' | striptags }} {{ ' x ' | trim }}|{{ '--x-' | trim('-') }}",
            "12 Hello &amp; World x|x",
        ),
        (
            "{{ {'a': '</script>'} | tojson }}",
            "{\"a\": \"\\u003c/script\\u003e\"}",
        ),
        (
            "{{ 'foo bar baz qux' | truncate(9) }} {{ 'foo bar baz qux' | truncate(9, true) }} {{ 'foo bar baz qux' | truncate(11) }} {{ 'foo bar baz qux' | truncate(11, false, '...', leeway=0) }}",
            "foo... foo ba... foo bar baz qux foo bar...",
        ),
        (
            "{{ ['foo', 'bar', 'foobar', 'FooBar'] | unique | list | join(',') }}",
            "foo,bar,foobar",
        ),
        (
            "{{ 'a b&c/d' | urlencode }} {{ {'a': 1, 'b': 'x y'} | urlencode }}",
            "a%20b%26c/d a=1&amp;b=x%20y",
        ),
        ("{{ 'one two_three, four' | wordcount }}", "3"),
        ("{{ 'the quick brown fox' | wordwrap(10) }}", "the quick\nbrown fox"),
        (
            "<ul{{ {'class': 'my list', 'missing': none, 'id': 'list-' ~ n} | xmlattr }}>",
            "<ul class=\"my list\" id=\"list-5\">",
        ),
    ]);
    // Each of the documented names is there.
    let names = "abs attr batch capitalize center count d default dictsort e escape filesizeformat first float forceescape format groupby indent \
        int items join last length list lower map max min pprint random reject rejectattr replace reverse round safe select selectattr slice sort \
        string striptags sum title tojson trim truncate unique upper urlencode urlize wordcount wordwrap xmlattr";
    for name in names.split_whitespace() {
        renders(&[(&format!("{{{{ '{name}' is filter }}}}"), "True")]);
    }
}

#[test]
fn addresses_become_links_that_carry_nothing_else() {
    let urlize = |source: &str| text("{{ source | urlize }}", context! { source });
    let link = |href: &str, shown: &str| format!("<a href=\"{href}\" rel=\"noopener\">{shown}</a>");
    assert_eq!(
        urlize("see https://a.example/x?y=1&z=2, or www.b.example."),
        format!(
            "see {}, or {}.",
            link("https://a.example/x?y=1&amp;z=2", "https://a.example/x?y=1&amp;z=2"),
            link("https://www.b.example", "www.b.example")
        )
    );
    assert_eq!(urlize("(c.org/d)"), format!("({})", link("https://c.org/d", "c.org/d")));
    assert_eq!(
        urlize("http://a.example/w_(x)"),
        link("http://a.example/w_(x)", "http://a.example/w_(x)")
    );
    assert_eq!(
        urlize("<https://a.example>"),
        format!("&lt;{}&gt;", link("https://a.example", "https://a.example"))
    );
    assert_eq!(
        urlize("ann@a.example"),
        "<a href=\"mailto:ann@a.example\">ann@a.example</a>"
    );
    for plain in [
        "javascript:alert(1)",
        "https://",
        "a.b",
        "ftp://x",
        "@",
        "www.",
        "x@y",
        "data:text/html,x",
    ] {
        assert_eq!(urlize(plain), plain);
    }
    // What would leave the attribute is escaped before it is looked at.
    let attack = urlize("https://a.example/\"onmouseover=\"alert(1) http://x'><script>");
    assert!(
        !attack.contains("\"onmouseover") && !attack.contains("<script"),
        "{attack}"
    );
    let markup =
        context! { source => Value::from_safe_string("<a href=\"http://a.example\">http://a.example</a>".into()) };
    assert_eq!(
        text("{{ source | urlize }}", markup),
        "<a href=\"http://a.example\">http://a.example</a>"
    );
    let long = "{{ 'https://a.example/long' | urlize(12, nofollow=true, target='_blank') }}";
    assert_eq!(
        text(long, ()),
        "<a href=\"https://a.example/long\" rel=\"nofollow noopener\" target=\"_blank\">https://a.ex...</a>"
    );
}

#[test]
fn keys_of_attributes_are_names_and_lines_break_where_they_may() {
    for key in ["a b", "a=b", "a>b", "a/b", "a\"b", "", "a\tb", "a\u{c}b"] {
        let engine = Engine::builder().build();
        let refused = engine.render_text(
            "<p{{ attributes | xmlattr }}>",
            context! { attributes => std::collections::BTreeMap::from([(key, 1)]) },
        );
        assert!(
            refused.is_err_and(|error| error.to_string().contains("no name of an attribute")),
            "{key:?}"
        );
    }
    renders(&[
        (
            "{{ {'title': name} | xmlattr }}|{{ {'a': 1} | xmlattr(false) }}|{{ {} | xmlattr }}",
            " title=\"&lt;Ann&gt;\"|a=\"1\"|",
        ),
        ("{{ 'abcdefghij kl' | wordwrap(4) }}", "abcd\nefgh\nij\nkl"),
        (
            "{{ 'abcdefghij kl' | wordwrap(4, break_long_words=false) }}",
            "abcdefghij\nkl",
        ),
        (
            "{{ 'well-known' | wordwrap(6) }} {{ 'well-known' | wordwrap(6, break_on_hyphens=false, break_long_words=false) }}",
            "well-\nknown well-known",
        ),
        ("{{ 'a\n\nb c' | wordwrap(1, wrapstring='/') }}", "a//b/c"),
        (
            "{{ '' | wordwrap }}{{ 'äöü ß' | wordwrap(3) }}{{ '' | wordcount }}",
            "äöü\nß0",
        ),
        ("[{{ 'x' | center(4) }}] [{{ 'long' | center(2) }}]", "[ x  ] [long]"),
    ]);
}
