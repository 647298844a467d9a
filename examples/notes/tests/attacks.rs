//! The site as an attacker meets it: in production, from outside, over sockets. Each test is a class of attacks and not one input of it.

mod site;

use serde_json::json;
use site::{Answer, Browser, PASSWORD, Site, form};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json");

/// No answer tells more than its status needs to.
#[track_caller]
fn tells_nothing(answer: &Answer) {
    let text = answer.text();
    let told = [
        "panicked",
        ".rs:",
        "src/",
        "SELECT",
        "sqlite",
        "backtrace",
        "stack",
        "/home/",
        "/tmp/",
        "demijohn",
        "SECRET",
        "argon2",
    ];
    for word in told {
        assert!(
            !text.to_lowercase().contains(&word.to_lowercase()),
            "`{word}` in {text}"
        );
    }
    assert!(answer.header("server").is_none(), "{answer:?}");
}

/// What every answer has.
#[track_caller]
fn is_protected(answer: &Answer) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name} of {answer:?}");
    }
    let policy = answer.header("content-security-policy").unwrap_or_default();
    for part in ["frame-ancestors 'none'", "base-uri 'none'", "form-action '"] {
        assert!(policy.contains(part), "{answer:?}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    if let Some(kind) = answer.header("content-type").filter(|kind| kind.starts_with("text/")) {
        assert!(kind.to_ascii_lowercase().contains("charset=utf-8"), "{kind}");
    }
}

fn origin(site: &Site) -> String {
    format!("http://{}", site.address)
}

/// The number of the newest note of this browser's user.
fn newest(browser: &mut Browser<'_>) -> i64 {
    let list = browser.get("/api/notes/").json();
    list["results"][0]["id"].as_i64().expect("a note")
}

#[test]
fn every_answer_is_protected_and_tells_nothing() {
    let site = Site::start_with(&[("DEMO_BOOM", "1")]);
    let mut alice = site.user("alice");
    let page = alice.get("/").text();
    let style = page
        .split("rel=\"stylesheet\" href=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let style = style.expect("a style sheet");
    assert!(
        style.starts_with("/static/notes/notes.") && style.len() > "/static/notes/notes.css".len(),
        "{style}"
    );
    for (path, status) in [
        ("/", 200),
        ("/login/", 200),
        ("/notes/", 200),
        ("/notes/new/", 200),
        ("/notes/99999/", 404),
        ("/notes/zzz/", 404),
        ("/search/?q=cork", 200),
        ("/search/?page=abc", 400),
        ("/api/notes/", 200),
        ("/api/notes/99999/", 404),
        ("/nothing/", 404),
        ("/boom/", 500),
        (style, 200),
        ("/static/nothing.css", 404),
        ("/media/nothing", 404),
        ("/admin/", 404),
        ("/ws/echo/", 426),
        ("/notes", 308),
        ("/%ff/", 404),
        ("/%00/", 404),
    ] {
        let answer = alice.get(path);
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        is_protected(&answer);
        if status >= 400 {
            tells_nothing(&answer);
            assert!(!answer.text().contains(path), "{path} is repeated: {answer:?}");
        }
    }
    for method in ["TRACE", "CONNECT", "PROPFIND", "get", "PUT", "DELETE"] {
        let answer = alice.send(method, "/", &[("origin", &origin(&site))], b"");
        assert!((400..=501).contains(&answer.status), "{method}: {answer:?}");
        is_protected(&answer);
    }
    assert_eq!(site.get("/").status, 200, "the site goes on");
    assert!(site.logs("boom"), "the log has what the visitor does not see");
}

#[test]
fn personal_answers_are_kept_by_nobody_and_others_have_no_cookie() {
    let site = Site::start();
    let mut alice = site.user("alice");
    for path in ["/", "/notes/", "/notes/new/", "/search/", "/api/notes/"] {
        let answer = alice.get(path);
        let cache = answer.header("cache-control").unwrap_or_default();
        assert!(
            cache.contains("private") && cache.contains("no-store"),
            "{path}: {answer:?}"
        );
        assert!(
            answer
                .header("vary")
                .unwrap_or_default()
                .to_lowercase()
                .contains("cookie"),
            "{path}: {answer:?}"
        );
    }
    let answer = site.get("/search/");
    assert!(answer.header("set-cookie").is_none(), "{answer:?}");
}

#[test]
fn logging_in_gives_a_new_session_whose_cookie_scripts_and_other_sites_do_not_get() {
    let site = Site::start();
    let mut alice = site.visitor();
    let planted = "0123456789abcdef".repeat(4);
    alice.cookies.insert("sessionid".to_owned(), planted.clone());
    let answer = alice.login("alice", PASSWORD);
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/notes/")),
        "{answer:?}"
    );
    let cookie = answer
        .headers
        .iter()
        .find(|(name, value)| name == "set-cookie" && value.starts_with("sessionid="))
        .map(|(_, value)| value.clone())
        .expect("a session");
    assert!(!cookie.contains(&planted), "the planted id is not adopted");
    for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    let first = alice.cookies["sessionid"].clone();
    assert!(first.len() >= 32, "{first}");
    // Again: the former id is over.
    let mut old = alice.clone();
    alice.login("alice", PASSWORD);
    assert_ne!(alice.cookies["sessionid"], first);
    assert_eq!(old.get("/api/notes/").status, 401, "the former id opens nothing");
    assert_eq!(alice.get("/api/notes/").status, 200);
    // And out: on the server, not in the browser alone.
    let mut copy = alice.clone();
    let answer = alice.submit("/notes/", "/logout/", &[]);
    assert_eq!(answer.status, 303, "{answer:?}");
    assert_eq!(copy.get("/api/notes/").status, 401);
    assert_eq!(alice.send("GET", "/logout/", &[], b"").status, 405);
}

#[test]
fn login_answers_alike_whether_somebody_is_there_or_not() {
    let site = Site::start();
    let mut pages = Vec::new();
    for (name, password) in [
        ("alice", "wrong"),
        ("nobody", "wrong"),
        ("", ""),
        ("alice", &"x".repeat(5000)),
    ] {
        let mut visitor = site.visitor();
        let answer = visitor.login(name, password);
        assert!(answer.status == 200 || password.len() > 4096, "{answer:?}");
        assert!(!visitor.cookies.contains_key("sessionid") || site_is_closed(&mut visitor));
        if answer.status == 200 {
            let token = answer.token();
            pages.push(
                answer
                    .text()
                    .replace(&token, "")
                    .replace(&format!("value=\"{name}\""), "value=\"\""),
            );
        }
    }
    assert!(pages.windows(2).all(|two| two[0] == two[1]), "{pages:?}");
}

fn site_is_closed(visitor: &mut Browser<'_>) -> bool {
    visitor.get("/api/notes/").status == 401
}

#[test]
fn changing_the_password_ends_all_other_sessions() {
    let site = Site::start();
    let (mut here, mut there) = (site.user("pwchange"), site.user("pwchange"));
    let before = here.cookies["sessionid"].clone();
    let new = "another demijohn altogether";
    for fields in [
        [
            ("old_password", "wrong"),
            ("new_password1", new),
            ("new_password2", new),
        ],
        [
            ("old_password", PASSWORD),
            ("new_password1", new),
            ("new_password2", "typo"),
        ],
        [
            ("old_password", PASSWORD),
            ("new_password1", "short"),
            ("new_password2", "short"),
        ],
    ] {
        assert_eq!(here.submit("/password/", "/password/", &fields).status, 200);
        assert_eq!(there.get("/notes/").status, 200);
    }
    let fields = [
        ("old_password", PASSWORD),
        ("new_password1", new),
        ("new_password2", new),
    ];
    assert_eq!(here.submit("/password/", "/password/", &fields).status, 303);
    assert_eq!(here.get("/notes/").status, 200);
    assert_ne!(here.cookies["sessionid"], before);
    assert_eq!(there.get("/api/notes/").status, 401);
    assert_eq!(
        site.visitor().login("pwchange", PASSWORD).status,
        200,
        "the old one does not open"
    );
    assert_eq!(site.visitor().login("pwchange", new).status, 303);
}

#[test]
fn redirects_after_login_stay_on_the_site() {
    let site = Site::start();
    for next in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "http:evil.example",
        "javascript:alert(1)",
        "https:/evil.example",
        "/%0d%0aset-cookie:%20a=b/../..//evil.example\r\nset-cookie: a=b",
        "//127.0.0.1@evil.example/",
        "\u{0}//evil.example",
        " //evil.example",
        "///evil.example",
    ] {
        let mut alice = site.visitor();
        let fields = [("username", "alice"), ("password", PASSWORD), ("next", next)];
        let answer = alice.submit("/login/", "/login/", &fields);
        match answer.status {
            303 => assert_eq!(answer.header("location"), Some("/notes/"), "{next:?}: {answer:?}"),
            status => assert_eq!(status, 400, "{next:?}: {answer:?}"),
        }
    }
    let mut alice = site.visitor();
    let fields = [
        ("username", "alice"),
        ("password", PASSWORD),
        ("next", "/search/?q=a%20b"),
    ];
    let answer = alice.submit("/login/", "/login/", &fields);
    assert_eq!(answer.header("location"), Some("/search/?q=a%20b"));
    // Whoever must log in comes back to where they were.
    let answer = site.get("/notes/7/?a=b&c=d");
    assert_eq!(
        answer.header("location"),
        Some("/login/?next=%2Fnotes%2F7%2F%3Fa%3Db%26c%3Dd"),
        "{answer:?}"
    );
    // A slash that is appended leads to no other site.
    for path in [
        "//evil.example",
        "//evil.example/..",
        "/\\evil.example",
        "/%2f%2fevil.example",
        "/%5cevil.example",
    ] {
        let answer = site.get(path);
        assert!(
            answer.status >= 400 || !answer.header("location").unwrap_or_default().starts_with("//"),
            "{path}: {answer:?}"
        );
    }
}

#[test]
fn forms_of_other_sites_are_refused() {
    let site = Site::start();
    let mut alice = site.user("alice");
    let own = origin(&site);
    let port = site.address.rsplit(':').next().expect("a port").to_owned();
    let token = alice.get("/notes/new/").token();
    let body = form([("text", "forged"), ("csrfmiddlewaretoken", token.as_str())]);
    let before = alice.get("/api/notes/").json()["count"].clone();
    // With a good token: where it comes from counts.
    let strangers = [
        "https://evil.example".to_owned(),
        "null".to_owned(),
        String::new(),
        format!("https://127.0.0.1:{port}"),
        "http://127.0.0.1".to_owned(),
        format!("http://127.0.0.1:{port}.evil.example"),
        format!("http://127.0.0.1.evil.example:{port}"),
        format!("http://127.0.0.1:{port}@evil.example"),
        format!("http://evil.example/127.0.0.1:{port}"),
        format!("{own}, https://evil.example"),
        format!("{own} "),
        format!("http://localhost:{port}"),
    ];
    for stranger in strangers.iter().filter(|o| o.trim() != own) {
        let answer = alice.send("POST", "/notes/new/", &[FORM, ("origin", stranger)], body.as_bytes());
        assert_eq!(answer.status, 403, "origin {stranger:?}: {answer:?}");
        tells_nothing(&answer);
    }
    for referer in [
        "https://evil.example/",
        "http://evil.example/?http://127.0.0.1/",
        "garbage",
        "about:blank",
        "",
    ] {
        let answer = alice.send("POST", "/notes/new/", &[FORM, ("referer", referer)], body.as_bytes());
        assert_eq!(answer.status, 403, "referer {referer:?}: {answer:?}");
    }
    for fetch in ["cross-site", "same-site", "none"] {
        let answer = alice.send(
            "POST",
            "/notes/new/",
            &[FORM, ("sec-fetch-site", fetch)],
            body.as_bytes(),
        );
        assert_eq!(answer.status, 403, "sec-fetch-site {fetch:?}: {answer:?}");
    }
    assert_eq!(
        alice.send("POST", "/notes/new/", &[FORM], body.as_bytes()).status,
        403,
        "nothing says where from"
    );
    // From here: the token counts.
    let mut bob = site.user("bob");
    let foreign = bob.get("/notes/new/").token();
    let mut visitor = site.visitor();
    let anonymous = visitor.get("/login/").token();
    for bad in [
        "",
        "x",
        &foreign,
        &anonymous,
        &token[1..],
        &format!("{token}x"),
        &"a".repeat(64),
        "\u{e9}",
        &"t".repeat(10_000),
    ] {
        let body = form([("text", "forged"), ("csrfmiddlewaretoken", bad)]);
        let answer = alice.send("POST", "/notes/new/", &[FORM, ("origin", &own)], body.as_bytes());
        assert_eq!(answer.status, 403, "token {bad:?}: {answer:?}");
    }
    let bare = form([("text", "forged")]);
    let in_url = format!("/notes/new/?csrfmiddlewaretoken={token}");
    assert_eq!(
        alice
            .send("POST", &in_url, &[FORM, ("origin", &own)], bare.as_bytes())
            .status,
        403
    );
    // Every way that writes, and the kinds of body that a form of any site can send.
    let note = newest(&mut bob);
    for (method, path) in [
        ("POST", "/logout/".to_owned()),
        ("POST", "/login/".to_owned()),
        ("POST", "/password/".to_owned()),
        ("POST", "/upload/".to_owned()),
        ("POST", "/api/notes/".to_owned()),
        ("PUT", format!("/api/notes/{note}/")),
        ("PATCH", format!("/api/notes/{note}/")),
        ("DELETE", format!("/api/notes/{note}/")),
        ("POST", format!("/notes/{note}/delete/")),
    ] {
        for kind in [
            FORM,
            JSON,
            ("content-type", "text/plain"),
            ("content-type", "multipart/form-data; boundary=x"),
        ] {
            let answer = bob.send(method, &path, &[kind, ("origin", "https://evil.example")], b"{}");
            assert_eq!(answer.status, 403, "{method} {path} {kind:?}: {answer:?}");
            let answer = bob.send(method, &path, &[kind, ("origin", &own)], b"{}");
            // What is no form of its kind is 400.
            let is_refused = matches!(answer.status, 400 | 403);
            assert!(is_refused, "{method} {path} {kind:?} without a token: {answer:?}");
        }
    }
    assert_eq!(bob.get(&format!("/api/notes/{note}/")).status, 200);
    assert_eq!(alice.get("/api/notes/").json()["count"], before);
    // What is right still works, the header's way too.
    let answer = alice.send("POST", "/notes/new/", &[FORM, ("origin", &own)], body.as_bytes());
    assert_eq!(answer.status, 303, "{answer:?}");
    let headers = [FORM, ("origin", own.as_str()), ("x-csrftoken", token.as_str())];
    assert_eq!(alice.send("POST", "/notes/new/", &headers, bare.as_bytes()).status, 303);
    // A login makes the tokens before it worthless.
    let stale = alice.get("/notes/new/").token();
    alice.login("alice", PASSWORD);
    let body = form([("text", "forged"), ("csrfmiddlewaretoken", stale.as_str())]);
    assert_eq!(
        alice
            .send("POST", "/notes/new/", &[FORM, ("origin", &own)], body.as_bytes())
            .status,
        403
    );
}

#[test]
fn notes_of_others_are_not_there() {
    let site = Site::start();
    let (mut alice, mut bob) = (site.user("alice"), site.user("bob"));
    let list = bob.get("/api/notes/").json();
    let private = list["results"]
        .as_array()
        .expect("notes")
        .iter()
        .find(|n| n["public"] == false)
        .expect("one");
    let id = private["id"].as_i64().expect("an id");
    for path in ["", "edit/", "delete/"] {
        assert_eq!(alice.get(&format!("/notes/{id}/{path}")).status, 404);
    }
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        let answer = alice.api(method, &format!("/api/notes/{id}/"), &json!({"text": "mine now"}));
        assert_eq!(answer.status, 404, "{method}: {answer:?}");
        tells_nothing(&answer);
    }
    assert_eq!(
        alice
            .submit("/notes/new/", &format!("/notes/{id}/edit/"), &[("text", "mine now")])
            .status,
        404
    );
    assert_eq!(
        alice.submit("/notes/new/", &format!("/notes/{id}/delete/"), &[]).status,
        404
    );
    assert_eq!(bob.get(&format!("/api/notes/{id}/")).json(), *private);
    // Owner, id and times are the site's to say.
    let claim = json!({"text": "mine", "owner": 1, "owner_id": 1, "id": id, "created_at": "1999-01-01T00:00:00Z", "is_staff": true});
    let answer = alice.api("POST", "/api/notes/", &claim);
    assert_eq!(answer.status, 201, "{answer:?}");
    let made = answer.json();
    assert_ne!(made["id"], id);
    assert!(!made["created_at"].as_str().expect("a time").starts_with("1999"));
    assert_eq!(alice.get(answer.header("location").expect("where")).json(), made);
    let answer = alice.api(
        "PATCH",
        answer.header("location").expect("where"),
        &json!({"owner": 3, "id": id}),
    );
    assert_eq!(answer.json()["id"], made["id"]);
    // Search finds what is public and nothing else.
    assert!(!site.get("/search/?q=corks").text().contains("Buy corks"));
    assert!(site.get("/search/?q=barrel").text().contains("small barrel"));
    for path in ["/notes/", "/notes/new/", "/upload/", "/password/"] {
        assert_eq!(site.get(path).status, 302, "{path}");
    }
    for path in ["/api/notes/", "/api/notes/1/"] {
        assert_eq!(site.get(path).status, 401, "{path}");
    }
}

#[test]
fn what_is_shown_is_text_whatever_was_written() {
    let site = Site::start();
    let mut alice = site.user("alice");
    for text in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "'><svg/onload=alert(1)>",
        "</textarea><script>alert(1)</script>",
        "{{ 7 * 7 }}${7*7}<%= 7*7 %>{% raw %}",
        "&lt;b&gt; javascript:alert(1)",
    ] {
        assert_eq!(
            alice
                .submit("/notes/new/", "/notes/new/", &[("text", text), ("public", "on")])
                .status,
            303
        );
        let id = newest(&mut alice);
        for path in [
            "/".to_owned(),
            "/notes/".to_owned(),
            format!("/notes/{id}/"),
            format!("/notes/{id}/edit/"),
        ] {
            let page = alice.get(&path).text();
            for tag in [
                "<script>alert",
                "<img src=x",
                "<svg/onload",
                "</textarea><script",
                ">49<",
            ] {
                assert!(!page.contains(tag), "{text:?} on {path}");
            }
        }
        let query: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let page = site.get(&format!("/search/?q={query}")).text();
        assert!(
            !page.contains("<script>alert") && !page.contains("<img src=x") && !page.contains("<svg/"),
            "{page}"
        );
        assert_eq!(
            alice.get(&format!("/api/notes/{id}/")).json()["text"],
            text,
            "nothing is lost"
        );
    }
    for url in [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:alert(1)",
        "java\tscript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "//evil.example",
        "http://",
        "http://user:pass@example.org/",
        "ftp://example.org/",
        "https://exa mple.org/",
        "https:\\\\example.org",
    ] {
        let answer = alice.submit("/notes/new/", "/notes/new/", &[("text", "x"), ("url", url)]);
        assert_eq!(answer.status, 200, "{url:?}: the form again");
        assert!(answer.text().contains("begins with http"), "{url:?}");
        let answer = alice.api("POST", "/api/notes/", &json!({"text": "x", "url": url}));
        assert_eq!(answer.status, 400, "{url:?}: {answer:?}");
    }
}

#[test]
fn bad_input_is_refused_and_breaks_nothing() {
    let site = Site::start();
    let mut alice = site.user("alice");
    let own = origin(&site);
    let token = alice.get("/notes/new/").token();
    let headers = |kind: &'static str| {
        [
            ("content-type", kind),
            ("origin", own.as_str()),
            ("x-csrftoken", token.as_str()),
        ]
    };
    for (kind, body, status) in [
        ("application/json", &b"{"[..], 400),
        ("application/json", b"", 400),
        ("application/json", b"[]", 400),
        ("application/json", b"null", 400),
        ("application/json", b"{\"text\": 5}", 400),
        ("application/json", b"{\"text\": \"a\", \"text\": \"b\"}", 400),
        ("application/json", b"{\"text\": \"a\\u0000b\"}", 400),
        ("application/json", b"{\"text\": \"\\ud800\"}", 400),
        ("application/json", b"{\"text\": \"\xff\"}", 400),
        ("application/json", b"{\"text\": \"a\", \"public\": \"yes\"}", 400),
        ("application/json", b"{\"text\": \"a\"} x", 400),
        ("text/plain", b"{\"text\": \"a\"}", 415),
        ("application/xml", b"<a/>", 415),
        ("application/x-www-form-urlencoded", b"text=a", 415),
    ] {
        let answer = alice.send("POST", "/api/notes/", &headers(kind), body);
        assert_eq!(
            answer.status,
            status,
            "{kind} {:?}: {answer:?}",
            String::from_utf8_lossy(body)
        );
        tells_nothing(&answer);
    }
    let deep = "[".repeat(100_000);
    let answer = alice.send(
        "POST",
        "/api/notes/",
        &headers("application/json"),
        format!("{{\"text\": {deep}").as_bytes(),
    );
    assert_eq!(answer.status, 400);
    let long = vec![b'a'; 3 << 20];
    let answer = alice.send("POST", "/api/notes/", &headers("application/json"), &long);
    assert_eq!(answer.status, 413, "{answer:?}");
    for body in [&b"text=%ff"[..], b"text=%00", b"text=\xff"] {
        let answer = alice.send(
            "POST",
            "/notes/new/",
            &headers("application/x-www-form-urlencoded"),
            body,
        );
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    let many = "a=1&".repeat(2000);
    let answer = alice.send(
        "POST",
        "/notes/new/",
        &headers("application/x-www-form-urlencoded"),
        many.as_bytes(),
    );
    assert!((400..=413).contains(&answer.status), "{answer:?}");
    for path in [
        "/notes/9223372036854775808/",
        "/notes/-1/",
        "/notes/1%20/",
        "/notes/01x/",
        "/notes/%31%00/",
        "/notes/1;a/",
        "/api/notes/1e3/",
        "/search/?q=%ff",
        "/search/?q=%00",
        "/search/?page=0",
        "/search/?page=-1",
        "/search/?page=99999999999999999999",
        "/api/notes/?page=18446744073709551615",
    ] {
        let answer = alice.get(path);
        assert!((400..=404).contains(&answer.status), "{path}: {answer:?}");
        tells_nothing(&answer);
    }
    for q in ["%25", "_", "'", "%27%20OR%201%3D1--", "%5C", "%22", "%F0%9F%98%80"] {
        assert_eq!(site.get(&format!("/search/?q={q}")).status, 200, "{q}");
    }
    assert!(
        !site.get("/search/?q=%25").text().contains("small barrel"),
        "a percent sign is no wildcard"
    );
    for cookies in [
        "sessionid=\u{1}",
        "sessionid",
        "=;=;=",
        "sessionid=a; sessionid=b",
        "a=\"b;c\"",
        ";;;;",
    ] {
        let head = format!(
            "GET / HTTP/1.1\r\nhost: {}\r\ncookie: {cookies}\r\nconnection: close\r\n\r\n",
            site.address
        );
        let answer = site.raw(head.as_bytes());
        assert!(answer.status == 200 || answer.status == 400, "{cookies:?}: {answer:?}");
    }
}

/// A handshake with these headers beside those that every one has.
fn handshake(site: &Site, path: &str, headers: &str) -> Answer {
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n",
        site.address
    );
    site.raw(head.as_bytes())
}

#[test]
fn sockets_are_for_pages_of_the_site_and_for_whoever_is_logged_in() {
    let site = Site::start();
    let alice = site.user("alice");
    let cookie = format!("cookie: sessionid={}\r\n", alice.cookies["sessionid"]);
    let own = origin(&site);
    let from = |origin: &str| format!("{cookie}origin: {origin}\r\n");
    assert_eq!(handshake(&site, "/ws/echo/", &from(&own)).status, 101);
    for stranger in [
        "https://evil.example",
        "null",
        "",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        &format!("{own}.evil.example"),
    ] {
        let answer = handshake(&site, "/ws/echo/", &from(stranger));
        assert_eq!(answer.status, 403, "{stranger:?}: {answer:?}");
        tells_nothing(&answer);
        is_protected(&answer);
    }
    assert_eq!(
        handshake(&site, "/ws/echo/", &cookie).status,
        403,
        "cookies without an origin"
    );
    assert_eq!(handshake(&site, "/ws/echo/", &format!("origin: {own}\r\n")).status, 401);
    let planted = format!("cookie: sessionid={}\r\norigin: {own}\r\n", "0".repeat(64));
    assert_eq!(handshake(&site, "/ws/echo/", &planted).status, 401);
}

#[test]
fn a_request_has_one_meaning_or_none() {
    let site = Site::start();
    let host = &site.address;
    let port = host.rsplit(':').next().expect("a port").to_owned();
    for (head, status) in [
        (format!("GET / HTTP/1.1\r\nhost: {host}\r\nhost: {host}\r\n\r\n"), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nhost: evil.example\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\nhost: evil.example:{port}\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\nhost: {host}@evil.example\r\n\r\n"), 400),
        (
            format!("GET http://evil.example/ HTTP/1.1\r\nhost: {host}\r\n\r\n"),
            400,
        ),
        (
            format!("POST /login/ HTTP/1.1\r\nhost: {host}\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc"),
            400,
        ),
        (
            format!("POST /login/ HTTP/1.1\r\nhost: {host}\r\ncontent-length: 3, 3\r\n\r\nabc"),
            400,
        ),
        (
            format!("POST /login/ HTTP/1.1\r\nhost: {host}\r\ncontent-length: +3\r\n\r\nabc"),
            400,
        ),
        (
            format!("POST /login/ HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0x3\r\n\r\nabc"),
            400,
        ),
        (
            format!(
                "POST /login/ HTTP/1.1\r\nhost: {host}\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
            400,
        ),
        (
            format!("POST /login/ HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (
            format!("POST /login/ HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (format!("GET / HTTP/1.1\r\nhost: {host}\r\nx: a\nb: c\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\nhost: {host}\r\nx: a\0b\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\nhost: {host}\r\n x: folded\r\n\r\n"), 400),
        (
            format!("GET / HTTP/1.1\r\nhost: {host}\r\nx: {}\r\n\r\n", "a".repeat(40_000)),
            431,
        ),
        (
            format!("GET / HTTP/1.1\r\nhost: {host}\r\n{}\r\n", "a: b\r\n".repeat(150)),
            431,
        ),
        (
            format!("GET /{} HTTP/1.1\r\nhost: {host}\r\n\r\n", "a".repeat(9_000)),
            414,
        ),
        ("G E T / HTTP/1.1\r\n\r\n".to_owned(), 400),
    ] {
        let answer = site.raw(head.as_bytes());
        assert_eq!(answer.status, status, "{head:.200}: {answer:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{head:.200}: {answer:?}");
        tells_nothing(&answer);
        is_protected(&answer);
    }
    // What is not the site's own proxy says nothing of where a request came from.
    for header in [
        "x-forwarded-host: evil.example",
        "x-forwarded-proto: https",
        "x-forwarded-for: 6.6.6.6",
        "forwarded: host=evil.example",
        "x-original-url: /boom/",
        "x-http-method-override: DELETE",
        "x_forwarded_host: evil.example",
    ] {
        let answer = site.raw(format!("GET /login/ HTTP/1.1\r\nhost: {host}\r\n{header}\r\n\r\n").as_bytes());
        assert_eq!(answer.status, 200, "{header}");
        assert!(!format!("{answer:?}").contains("evil.example"), "{header}: {answer:?}");
        assert!(answer.header("strict-transport-security").is_none() && !format!("{answer:?}").contains("__Host-"));
    }
    // Nobody reads from other sites.
    for origin in ["https://evil.example", "null"] {
        let answer = site.visitor().send(
            "OPTIONS",
            "/api/notes/",
            &[("origin", origin), ("access-control-request-method", "POST")],
            b"",
        );
        assert!(
            answer
                .headers
                .iter()
                .all(|(name, _)| !name.starts_with("access-control")),
            "{answer:?}"
        );
    }
}

/// Uploads a file and gives the answer.
fn upload(browser: &mut Browser<'_>, file_name: &str, kind: &str, content: &[u8]) -> Answer {
    let token = browser.get("/upload/").token();
    let mut body = format!(
        "--edge\r\ncontent-disposition: form-data; name=\"csrfmiddlewaretoken\"\r\n\r\n{token}\r\n--edge\r\n\
         content-disposition: form-data; name=\"file\"; filename=\"{file_name}\"\r\ncontent-type: {kind}\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(content);
    body.extend_from_slice(b"\r\n--edge--\r\n");
    let own = origin(browser.site);
    let headers = [
        ("content-type", "multipart/form-data; boundary=edge"),
        ("origin", own.as_str()),
    ];
    browser.send("POST", "/upload/", &headers, &body)
}

/// Where the newest file is served.
fn newest_file(browser: &mut Browser<'_>) -> String {
    let page = browser.get("/upload/").text();
    let after = page
        .split("href=\"/media/")
        .nth(1)
        .unwrap_or_else(|| panic!("no file in {page}"));
    format!("/media/{}", after.split('"').next().expect("an end"))
}

#[test]
fn uploads_are_kept_where_and_served_as_they_harm_nobody() {
    let site = Site::start();
    let mut alice = site.user("alice");
    let mut seen = std::collections::BTreeSet::new();
    for (name, kind) in [
        ("page.html", "text/html"),
        ("picture.svg", "image/svg+xml"),
        ("script.js", "text/javascript"),
        ("page.html", "image/png"),
        ("a.xml", "application/xml"),
        ("a.php", "application/x-php"),
        ("../../../etc/passwd", "text/plain"),
        ("..\\\\..\\\\evil.html", "text/html"),
        ("/etc/cron.d/x", "text/plain"),
        (".htaccess", "text/plain"),
        ("a.html;.png", "image/png"),
        ("a.png.html", "image/png"),
        ("", "text/plain"),
        ("con", "text/plain"),
        ("caf\u{e9}.html", "text/html"),
    ] {
        let answer = upload(&mut alice, name, kind, b"<script>alert(1)</script>");
        if answer.status != 303 {
            assert!((200..=400).contains(&answer.status), "{name}: {answer:?}");
            continue;
        }
        let path = newest_file(&mut alice);
        assert!(seen.insert(path.clone()), "{name}: {path} was there before");
        assert!(
            !path.contains("passwd") && !path.contains("evil") && !path.contains(".."),
            "{path}"
        );
        let served = site.get(&path);
        assert_eq!(served.status, 200, "{path}: {served:?}");
        assert_eq!(served.text(), "<script>alert(1)</script>");
        is_protected_file(&served);
    }
    assert!(seen.len() > 8);
    // A picture is shown as one.
    upload(&mut alice, "a.png", "text/html", b"\x89PNG");
    let path = newest_file(&mut alice);
    assert!(path.ends_with(".png"));
    assert_eq!(site.get(&path).header("content-type"), Some("image/png"));
    assert_eq!(
        alice.send("POST", &path, &[("origin", &origin(&site))], b"").status,
        405
    );
    // On the disk: no client's name, and for nobody else's eyes.
    for entry in walk(site.folder.path().join("media")) {
        use std::os::unix::fs::PermissionsExt;
        let mode = entry.metadata().expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode, if entry.is_dir() { 0o700 } else { 0o600 }, "{entry:?}");
    }
    assert!(
        !walk(site.folder.path().to_owned())
            .iter()
            .any(|path| path.ends_with("passwd"))
    );
    // Too large, without an end, with too many parts.
    assert_eq!(upload(&mut alice, "a.bin", "x/y", &vec![0; 6 << 20]).status, 413);
    let own = origin(&site);
    let token = alice.get("/upload/").token();
    let headers = [
        ("content-type", "multipart/form-data; boundary=edge"),
        ("origin", own.as_str()),
        ("x-csrftoken", token.as_str()),
    ];
    let part = "--edge\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\nx\r\n";
    let file = "--edge\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n";
    let long = format!(
        "--edge\r\ncontent-disposition: form-data; name=\"a\"\r\nx: {}\r\n\r\nx\r\n--edge--\r\n",
        "y".repeat(10_000)
    );
    for body in [
        part.to_owned(),
        part.repeat(1500) + "--edge--\r\n",
        file.repeat(150) + "--edge--\r\n",
        long,
        "--edge".to_owned(),
        "--edge--".to_owned(),
    ] {
        let answer = alice.send("POST", "/upload/", &headers, body.as_bytes());
        assert!(
            (400..=431).contains(&answer.status) || answer.text().contains("Choose a file"),
            "{body:.100}: {answer:?}"
        );
    }
    let files = walk(site.folder.path().join("media"))
        .iter()
        .filter(|path| path.is_file())
        .count();
    assert_eq!(files, seen.len() + 1, "nothing half is left behind");
}

/// Nothing that a browser would run as a page of the site.
#[track_caller]
fn is_protected_file(served: &Answer) {
    assert_eq!(served.header("x-content-type-options"), Some("nosniff"));
    let kind = served.header("content-type").unwrap_or_default();
    let is_active = ["html", "svg", "xml", "javascript"]
        .iter()
        .any(|active| kind.contains(active));
    let disposition = served.header("content-disposition").unwrap_or_default();
    let policy = served.header("content-security-policy").unwrap_or_default();
    assert!(
        !is_active || disposition.starts_with("attachment") && policy.contains("sandbox"),
        "{served:?}"
    );
    assert!(
        policy.contains("sandbox") || policy.contains("default-src"),
        "{served:?}"
    );
}

fn walk(folder: std::path::PathBuf) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(walk(path.clone()));
        }
        found.push(path);
    }
    found
}

#[test]
fn files_are_served_from_their_folders_alone() {
    let site = Site::start();
    let mut alice = site.user("alice");
    upload(&mut alice, "a.txt", "text/plain", b"hello");
    std::fs::write(site.folder.path().join("media/.hidden"), "secret").expect("writes");
    std::os::unix::fs::symlink("/etc/passwd", site.folder.path().join("media/link.txt")).expect("links");
    for base in ["/media/", "/static/", "/static/notes/"] {
        for escape in [
            "../notes.sqlite3",
            "..%2fnotes.sqlite3",
            "%2e%2e/notes.sqlite3",
            "%2e%2e%2fnotes.sqlite3",
            "..%5cnotes.sqlite3",
            "..\\notes.sqlite3",
            "....//notes.sqlite3",
            "..%252fnotes.sqlite3",
            "..%c0%afnotes.sqlite3",
            "%00",
            "files/%00.txt",
            "/etc/passwd",
            "//etc/passwd",
            "%2fetc%2fpasswd",
            "file:///etc/passwd",
            "",
            ".",
            "files",
            "files/",
            ".hidden",
            "files/.hidden",
            "link.txt",
            "notes.css/",
            "NOTES.CSS",
        ] {
            let answer = site.get(&format!("{base}{escape}"));
            assert!((400..=404).contains(&answer.status), "{base}{escape}: {answer:?}");
            tells_nothing(&answer);
        }
    }
    let path = newest_file(&mut alice);
    for (range, status) in [
        ("bytes=0-1", 206),
        ("bytes=-2", 206),
        ("bytes=4-", 206),
        ("bytes=9-", 416),
        ("bytes=3-1", 200),
        ("bytes=-0", 416),
        ("bytes=a-b", 200),
        ("lines=0-1", 200),
        ("bytes=99999999999999999999-", 416),
        (&format!("bytes={}", "0-1,".repeat(1000)), 200),
    ] {
        let answer = alice.send("GET", &path, &[("range", range)], b"");
        assert!(
            answer.status == status || answer.status == 200,
            "{range:.60}: {answer:?}"
        );
    }
}
