//! The pages, as a reader and a crawler find them.

mod site;

use serde_json::{Value, json};
use site::{Answer, Site};
use std::collections::{BTreeMap, VecDeque};

fn page(site: &Site, path: &str) -> Answer {
    let answer = site.get(path, None);
    assert_eq!(answer.status, 200, "{path}");
    assert!(answer.content_type.starts_with("text/html"), "{path}");
    answer
}

/// The values of an attribute, unescaped as far as links need it.
fn attributes(html: &str, name: &str) -> Vec<String> {
    let start = format!(" {name}=\"");
    html.match_indices(&start)
        .filter_map(|(at, _)| html[at + start.len()..].split('"').next())
        .map(|value| value.replace("&#39;", "'").replace("&amp;", "&"))
        .collect()
}

/// What every page owes its readers.
#[track_caller]
fn is_sound(path: &str, html: &str) {
    assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"), "{path}");
    assert_eq!(html.matches("<h1").count(), 1, "{path}: one heading of the first level");
    for landmark in [
        "<header",
        "<nav",
        "<main id=\"content\"",
        "<footer",
        "<title>",
        "name=\"viewport\"",
    ] {
        assert!(html.contains(landmark), "{path}: {landmark}");
    }
    assert!(
        !html.contains("<script") && !html.contains("javascript:"),
        "{path}: no script"
    );
    assert!(
        !html.contains(" style=\"") && !html.contains(" onclick"),
        "{path}: nothing that a strict policy refuses"
    );
    let mut ids = attributes(html, "id");
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "{path}: ids are unique");
    for reference in attributes(html, "aria-labelledby") {
        assert!(ids.contains(&reference), "{path}: {reference}");
    }
    // Elements that are opened are closed, in order.
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let end = rest.find('>').expect("a tag ends");
        let tag = &rest[..end];
        let name = tag
            .trim_start_matches('/')
            .split([' ', '\n', '/'])
            .next()
            .unwrap_or_default();
        if tag.starts_with('!') || tag.ends_with('/') || ["meta", "link", "br", "hr", "img", "input"].contains(&name) {
            continue;
        }
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{path}: </{name}>");
        } else {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{path}: {open:?}");
}

#[test]
fn every_link_leads_somewhere() {
    let site = Site::filled();
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut queue = VecDeque::from([("/".to_owned(), "the start".to_owned())]);
    while let Some((path, from)) = queue.pop_front() {
        if seen.contains_key(&path) || seen.len() > 400 {
            continue;
        }
        let answer = site.get(&path, None);
        assert_eq!(answer.status, 200, "{path}, linked from {from}");
        if answer.content_type.starts_with("text/html") && !path.starts_with("/admin/") && !path.starts_with("/data/") {
            is_sound(&path, &answer.body);
            for link in attributes(&answer.body, "href") {
                if link.starts_with('/') {
                    queue.push_back((link, path.clone()));
                } else {
                    assert_eq!(link, "#content", "{path}: the demonstration links nowhere else");
                }
            }
        }
        seen.insert(path, from);
    }
    assert!(seen.len() > 250, "200 articles and their lists: {}", seen.len());
}

#[test]
fn the_feed_comes_in_pages_of_ten() {
    let site = Site::filled();
    let first = page(&site, "/").body;
    assert_eq!(first.matches("<article class=\"card\"").count(), 10);
    assert!(first.contains("href=\"/?page=2\" rel=\"next\"") && !first.contains("rel=\"prev\""));
    let last = page(&site, "/?page=20").body;
    assert!(last.contains("href=\"/?page=19\" rel=\"prev\"") && !last.contains("rel=\"next\""));
    for nowhere in [
        "/?page=21",
        "/?page=0",
        "/?page=-1",
        "/?page=x",
        "/?page=99999999999999999999",
        "/tags/none",
        "/tags/%ff",
    ] {
        let answer = site.get(nowhere, None);
        assert_eq!(answer.status, 404, "{nowhere}");
    }
    assert_eq!(page(&site, "/?page=").status, 200);
}

#[test]
fn an_unknown_address_is_a_page_of_the_site() {
    let site = Site::new();
    for path in [
        "/nothing",
        "/articles/nothing",
        "/profiles/nobody",
        "/articles/%00",
        "/assets/x/y",
    ] {
        let answer = site.get(path, None);
        assert_eq!(answer.status, 404, "{path}");
        is_sound(path, &answer.body);
        assert!(answer.body.contains("Nothing in this bottle"));
    }
}

#[test]
fn what_people_write_is_text() {
    let site = Site::new();
    let evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let token = site.register(evil);
    site.put(
        "/api/user",
        Some(&token),
        json!({"user": {"bio": evil, "image": "javascript:alert(1)"}}),
    );
    let article = json!({"title": evil, "description": evil, "body": evil, "tagList": [evil]});
    let answer = site.post("/api/articles", Some(&token), json!({ "article": article }));
    let slug = answer.json["article"]["slug"].as_str().expect("a slug").to_owned();
    site.comment(&token, &slug, evil);
    let mut paths = vec!["/".to_owned(), "/tags".to_owned(), format!("/articles/{slug}")];
    for path in paths.clone() {
        let html = page(&site, &path).body;
        let inner = attributes(&html, "href").into_iter();
        paths.extend(inner.filter(|link| link.starts_with("/tags/") || link.starts_with("/profiles/")));
    }
    assert!(paths.len() > 5);
    for path in paths {
        let html = page(&site, &path).body;
        is_sound(&path, &html);
        assert!(!html.contains("<img"), "{path}");
    }
}

#[test]
fn markdown_is_formatted() {
    let site = Site::new();
    let token = site.register("jake");
    let body = "# Big\n\nSome *words* and `code`.\n\n- one\n- two\n\n> said\n\n[away](https://example.com/?a=1&b=2)";
    let article = json!({"title": "T", "description": "d", "body": body});
    site.post("/api/articles", Some(&token), json!({ "article": article }));
    let html = page(&site, "/articles/t").body;
    for expected in [
        "<h2>Big</h2>",
        "<em>words</em>",
        "<code>code</code>",
        "<li>one</li>",
        "<blockquote>",
        "<a rel=\"nofollow ugc noopener\" href=\"https://example.com/?a=1&amp;b=2\">away</a>",
    ] {
        assert!(html.contains(expected), "{expected} in {html}");
    }
}

#[test]
fn an_empty_site_says_so() {
    let site = Site::new();
    assert!(page(&site, "/").body.contains("No articles here yet."));
    assert!(page(&site, "/tags").body.contains("No tags yet."));
    site.register("jake");
    let html = page(&site, "/profiles/jake").body;
    assert!(html.contains("Nothing written yet.") && html.contains("<b>0</b> articles"));
}

#[test]
fn the_style_sheet_may_be_kept() {
    let site = Site::new();
    let html = page(&site, "/").body;
    let sheet = attributes(&html, "href")
        .into_iter()
        .find(|link| link.ends_with(".css"))
        .expect("a sheet");
    let answer = site.get(&sheet, None);
    assert_eq!(answer.status, 200);
    assert!(answer.content_type.starts_with("text/css"));
    assert!(
        answer
            .header("cache-control")
            .is_some_and(|value| value.contains("immutable"))
    );
    assert_eq!(
        site.get("/assets/old/conduit.css", None).header("cache-control"),
        Some("no-store")
    );
}

#[test]
fn the_demonstration_is_whole() {
    let site = Site::filled();
    let count = |path: &str| site.get(path, None).json["articlesCount"].as_i64().expect("a count");
    assert_eq!(count("/api/articles"), 200);
    assert!(
        site.get("/api/tags", None).json["tags"]
            .as_array()
            .is_some_and(|tags| tags.len() > 20)
    );
    let login = site.login("ada@example.com", "demo");
    assert_eq!(login.status, 200);
    let token = login.json["user"]["token"].as_str().expect("a token");
    let feed = site.get("/api/articles/feed", Some(token));
    assert!(feed.json["articlesCount"].as_i64() > Some(0), "ada follows somebody");
    assert!(count("/api/articles?favorited=ada") > 0);
    let mut authors: Vec<String> = Vec::new();
    let mut titles: Vec<String> = Vec::new();
    for article in site.get("/api/articles?limit=200", None).json["articles"]
        .as_array()
        .expect("articles")
    {
        authors.push(article["author"]["username"].to_string());
        titles.push(article["title"].to_string());
        assert_ne!(article["tagList"], Value::Array(Vec::new()));
        let text = article.to_string();
        assert!(
            !text.contains('{') || !text.contains("{thing"),
            "a word is missing: {text}"
        );
    }
    authors.sort();
    authors.dedup();
    assert_eq!(authors.len(), 20);
    titles.sort();
    titles.dedup();
    assert!(titles.len() > 180, "titles differ: {}", titles.len());
}

#[test]
fn check_has_nothing_to_say_of_the_templates() {
    use demijohn::settings::Sources;
    use demijohn::test::{block_on, call_command};
    let ready = conduit::app()
        .build(Sources::none().var("DATABASE_URL", "sqlite::memory:"))
        .unwrap_or_else(|findings| panic!("{findings:?}"));
    let outcome = block_on(call_command(ready.program(), ["check"]));
    assert!(!format!("{outcome:?}").contains("templates."), "{outcome:?}");
}
