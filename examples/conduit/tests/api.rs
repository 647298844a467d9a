//! The RealWorld API, tested from outside: every endpoint, every error body, and the values that people send by mistake.

mod site;

use serde_json::{Value, json};
use site::{Answer, Site};

#[track_caller]
fn refused(answer: &Answer, status: u16, field: &str, message: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.json["errors"], json!({ field: [message] }), "{answer:?}");
}

/// Any refusal: a 4xx whose body has `errors`, as JSON.
#[track_caller]
fn refused_somehow(answer: &Answer) {
    assert!((400..500).contains(&answer.status), "{answer:?}");
    assert!(answer.content_type.starts_with("application/json"), "{answer:?}");
    assert!(
        answer.json["errors"].as_object().is_some_and(|e| !e.is_empty()),
        "{answer:?}"
    );
}

fn slugs(answer: &Answer) -> Vec<String> {
    let articles = answer.json["articles"].as_array().expect("articles");
    articles
        .iter()
        .map(|a| a["slug"].as_str().expect("slug").to_owned())
        .collect()
}

// users

#[test]
fn registration_answers_with_the_user_and_a_token() {
    let site = Site::new();
    let answer = site.post(
        "/api/users",
        None,
        json!({"user": {"username": "jake", "email": "jake@example.com", "password": "jakejake"}}),
    );
    assert_eq!(answer.status, 201);
    assert!(answer.content_type.starts_with("application/json"));
    let user = answer.json["user"].as_object().expect("user");
    let mut keys: Vec<_> = user.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["bio", "email", "image", "token", "username"]);
    assert_eq!(user["username"], "jake");
    assert_eq!(user["email"], "jake@example.com");
    assert_eq!(user["bio"], Value::Null);
    assert_eq!(user["image"], Value::Null);
    let token = user["token"].as_str().expect("token");
    assert_eq!(site.get("/api/user", Some(token)).json["user"]["username"], "jake");
}

#[test]
fn registration_wants_all_three_fields() {
    let site = Site::new();
    let whole = json!({"username": "jake", "email": "jake@example.com", "password": "jakejake"});
    for field in ["username", "email", "password"] {
        for bad in [None, Some(Value::Null), Some(json!(""))] {
            let mut user = whole.clone();
            let object = user.as_object_mut().expect("an object");
            match bad {
                None => drop(object.remove(field)),
                Some(value) => drop(object.insert(field.into(), value)),
            }
            refused(
                &site.post("/api/users", None, json!({ "user": user })),
                422,
                field,
                "can't be blank",
            );
        }
    }
    let all = site.post("/api/users", None, json!({"user": {}}));
    assert_eq!(all.status, 422);
    assert_eq!(
        all.json["errors"].as_object().map(|e| e.len()),
        Some(3),
        "all faults at once"
    );
    assert_eq!(site.post("/api/users", None, json!({})).status, 422);
}

#[test]
fn any_password_that_is_not_empty_is_taken() {
    let site = Site::new();
    for (name, password) in [
        ("a", "password"),
        ("b", "password123"),
        ("c", "x"),
        ("d", "pä💥 "),
        ("e", "   "),
        ("f", "a\0b"),
    ] {
        let token = site.register_with(name, password);
        assert!(!token.is_empty());
        assert_eq!(site.login(&format!("{name}@example.com"), password).status, 200);
        assert_eq!(
            site.login(&format!("{name}@example.com"), &format!("{password} "))
                .status,
            401
        );
    }
}

#[test]
fn names_and_addresses_are_taken_once() {
    let site = Site::new();
    site.register("jake");
    let again = |username: &str, email: &str| {
        site.post(
            "/api/users",
            None,
            json!({"user": {"username": username, "email": email, "password": "jakejake"}}),
        )
    };
    refused(
        &again("jake", "other@example.com"),
        409,
        "username",
        "has already been taken",
    );
    refused(
        &again("other", "jake@example.com"),
        409,
        "email",
        "has already been taken",
    );
    assert_eq!(again("jake", "jake@example.com").status, 409);
    assert_eq!(again("other", "other@example.com").status, 201);
}

#[test]
fn login_needs_the_right_pair() {
    let site = Site::new();
    site.register("jake");
    let answer = site.login("jake@example.com", "jakejake");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json["user"]["username"], "jake");
    assert!(answer.json["user"]["token"].is_string());
    refused(&site.login("jake@example.com", "wrong"), 401, "credentials", "invalid");
    refused(
        &site.login("nobody@example.com", "jakejake"),
        401,
        "credentials",
        "invalid",
    );
    refused(&site.login("", "jakejake"), 422, "email", "can't be blank");
    refused(&site.login("jake@example.com", ""), 422, "password", "can't be blank");
}

#[test]
fn protected_endpoints_want_a_good_token() {
    let site = Site::new();
    let token = site.register("jake");
    let slug = site.publish(&token, "Mine", &[]);
    let id = site.comment(&token, &slug, "hello");
    let forged = format!("{}x", &token[..token.len() - 1]);
    let endpoints = [
        ("GET", "/api/user".to_owned()),
        ("PUT", "/api/user".to_owned()),
        ("POST", "/api/profiles/jake/follow".to_owned()),
        ("DELETE", "/api/profiles/jake/follow".to_owned()),
        ("POST", "/api/profiles/nobody/follow".to_owned()),
        ("GET", "/api/articles/feed".to_owned()),
        ("POST", "/api/articles".to_owned()),
        ("PUT", format!("/api/articles/{slug}")),
        ("PUT", "/api/articles/no-such".to_owned()),
        ("DELETE", format!("/api/articles/{slug}")),
        ("DELETE", "/api/articles/no-such".to_owned()),
        ("POST", format!("/api/articles/{slug}/favorite")),
        ("DELETE", format!("/api/articles/{slug}/favorite")),
        ("POST", format!("/api/articles/{slug}/comments")),
        ("DELETE", format!("/api/articles/{slug}/comments/{id}")),
        ("DELETE", format!("/api/articles/{slug}/comments/999999")),
    ];
    for (method, path) in &endpoints {
        let none = site.send(method, path, &[], "");
        refused(&none, 401, "token", "is missing");
        for header in [
            format!("Token {forged}"),
            format!("Token {}", &token[..token.len() / 2]),
            "Token".to_owned(),
            "Token ".to_owned(),
            "Token a.b.c".to_owned(),
            token.clone(),
            "Basic amFrZTpqYWtl".to_owned(),
        ] {
            let answer = site.send(method, path, &[("authorization", &header)], "{ not even JSON");
            refused(&answer, 401, "token", "is missing");
        }
    }
}

#[test]
fn a_bad_token_is_nobody_where_none_is_needed() {
    let site = Site::new();
    let token = site.register("jake");
    let slug = site.publish(&token, "Mine", &[]);
    for path in [
        "/api/articles".to_owned(),
        format!("/api/articles/{slug}"),
        format!("/api/articles/{slug}/comments"),
        "/api/profiles/jake".to_owned(),
        "/api/tags".to_owned(),
    ] {
        let answer = site.send("GET", &path, &[("authorization", "Token a.b.c")], "");
        assert_eq!(answer.status, 200, "{path}");
    }
}

#[test]
fn a_user_changes_what_was_sent_and_nothing_else() {
    let site = Site::new();
    let token = site.register("jake");
    let change = |user: Value| site.put("/api/user", Some(&token), json!({ "user": user }));

    let answer = change(json!({"bio": "I read.", "image": "https://example.com/me.png"}));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json["user"]["bio"], "I read.");
    assert_eq!(answer.json["user"]["image"], "https://example.com/me.png");
    assert_eq!(answer.json["user"]["email"], "jake@example.com");
    assert!(answer.json["user"]["token"].is_string());

    assert_eq!(change(json!({})).json["user"]["bio"], "I read.");
    assert_eq!(change(json!({"bio": null})).json["user"]["bio"], Value::Null);
    assert_eq!(change(json!({"image": ""})).json["user"]["image"], Value::Null);
    assert_eq!(change(json!({"bio": "again"})).json["user"]["bio"], "again");
    assert_eq!(change(json!({"bio": ""})).json["user"]["bio"], Value::Null);
    for field in ["username", "email", "password"] {
        refused(&change(json!({ field: null })), 422, field, "can't be blank");
        refused(&change(json!({ field: "" })), 422, field, "can't be blank");
    }
    let seen = site.get("/api/user", Some(&token)).json;
    assert_eq!(seen["user"]["username"], "jake");

    let answer = change(json!({"username": "jacob", "email": "jacob@example.com", "password": "new one"}));
    assert_eq!(answer.json["user"]["username"], "jacob");
    assert_eq!(site.login("jacob@example.com", "new one").status, 200);
    assert_eq!(site.login("jacob@example.com", "jakejake").status, 401);
    assert_eq!(site.login("jake@example.com", "new one").status, 401);
    assert_eq!(site.get("/api/profiles/jacob", None).status, 200);
    assert_eq!(site.get("/api/profiles/jake", None).status, 404);

    site.register("ann");
    refused(
        &change(json!({"username": "ann"})),
        409,
        "username",
        "has already been taken",
    );
    refused(
        &change(json!({"email": "ann@example.com"})),
        409,
        "email",
        "has already been taken",
    );
    // One's own name is not taken.
    assert_eq!(
        change(json!({"username": "jacob", "email": "jacob@example.com"})).status,
        200
    );
}

// profiles

#[test]
fn profiles_show_no_secrets() {
    let site = Site::new();
    site.register("jake");
    let answer = site.get("/api/profiles/jake", None);
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json,
        json!({"profile": {"username": "jake", "bio": null, "image": null, "following": false}})
    );
    refused(&site.get("/api/profiles/nobody", None), 404, "profile", "not found");
}

#[test]
fn following_can_be_said_twice() {
    let site = Site::new();
    let jake = site.register("jake");
    site.register("ann");
    for _ in 0..2 {
        let answer = site.post("/api/profiles/ann/follow", Some(&jake), Value::Null);
        assert_eq!(
            (answer.status, &answer.json["profile"]["following"]),
            (200, &json!(true))
        );
    }
    assert_eq!(
        site.get("/api/profiles/ann", Some(&jake)).json["profile"]["following"],
        true
    );
    assert_eq!(site.get("/api/profiles/ann", None).json["profile"]["following"], false);
    assert_eq!(
        site.get("/api/profiles/jake", Some(&jake)).json["profile"]["following"],
        false
    );
    for _ in 0..2 {
        let answer = site.delete("/api/profiles/ann/follow", Some(&jake));
        assert_eq!(
            (answer.status, &answer.json["profile"]["following"]),
            (200, &json!(false))
        );
    }
    refused(
        &site.post("/api/profiles/nobody/follow", Some(&jake), Value::Null),
        404,
        "profile",
        "not found",
    );
    refused(
        &site.delete("/api/profiles/nobody/follow", Some(&jake)),
        404,
        "profile",
        "not found",
    );
}

#[test]
fn names_of_other_scripts_are_names() {
    let site = Site::new();
    site.register("søren");
    let answer = site.get("/api/profiles/s%C3%B8ren", None);
    assert_eq!(answer.json["profile"]["username"], "søren");
    let odd = "a/b ?#%";
    site.register(odd);
    assert_eq!(
        site.get("/api/profiles/a%2Fb%20%3F%23%25", None).json["profile"]["username"],
        odd
    );
}

// articles

#[test]
fn an_article_has_all_its_fields() {
    let site = Site::new();
    let token = site.register("jake");
    let answer = site.post(
        "/api/articles",
        Some(&token),
        json!({"article": {"title": "How to train your dragon", "description": "Ever wonder how?",
            "body": "Very carefully.", "tagList": ["training", "dragons", "dragons"]}}),
    );
    assert_eq!(answer.status, 201, "{answer:?}");
    let article = &answer.json["article"];
    assert_eq!(article["slug"], "how-to-train-your-dragon");
    assert_eq!(article["title"], "How to train your dragon");
    assert_eq!(article["description"], "Ever wonder how?");
    assert_eq!(article["body"], "Very carefully.");
    assert_eq!(article["tagList"], json!(["dragons", "training"]));
    assert_eq!(article["favorited"], false);
    assert_eq!(article["favoritesCount"], 0);
    assert_eq!(
        article["author"],
        json!({"username": "jake", "bio": null, "image": null, "following": false})
    );
    for time in ["createdAt", "updatedAt"] {
        let text = article[time].as_str().expect("a time");
        let (day, clock) = text.split_once('T').expect("ISO 8601");
        assert_eq!(day.len(), 10, "{text}");
        assert!(
            clock.ends_with('Z') && clock.len() >= "04:05:06.789Z".len() && &clock[8..9] == ".",
            "{text}"
        );
    }
    assert_eq!(
        site.get("/api/articles/how-to-train-your-dragon", None).json["article"],
        *article
    );
    let plain = site.post(
        "/api/articles",
        Some(&token),
        json!({"article": {"title": "No tags", "description": "d", "body": "b"}}),
    );
    assert_eq!((plain.status, &plain.json["article"]["tagList"]), (201, &json!([])));
}

#[test]
fn an_article_wants_title_description_and_body() {
    let site = Site::new();
    let token = site.register("jake");
    let whole = json!({"title": "T", "description": "d", "body": "b"});
    for field in ["title", "description", "body"] {
        for bad in [None, Some(Value::Null), Some(json!(""))] {
            let mut article = whole.clone();
            let object = article.as_object_mut().expect("an object");
            match bad {
                None => drop(object.remove(field)),
                Some(value) => drop(object.insert(field.into(), value)),
            }
            let answer = site.post("/api/articles", Some(&token), json!({ "article": article }));
            refused(&answer, 422, field, "can't be blank");
        }
    }
    assert_eq!(site.get("/api/articles", None).json["articlesCount"], 0);
}

#[test]
fn titles_may_repeat_and_slugs_do_not() {
    let site = Site::new();
    let token = site.register("jake");
    let all: Vec<String> = (0..5).map(|_| site.publish(&token, "Same title", &[])).collect();
    let mut different = all.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), 5, "{all:?}");
    for slug in &all {
        assert!(slug.starts_with("same-title"));
        assert!(slug.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
        assert_eq!(
            site.get(&format!("/api/articles/{slug}"), None).json["article"]["title"],
            "Same title"
        );
    }
}

#[test]
fn titles_of_any_script_have_safe_slugs() {
    let site = Site::new();
    let token = site.register("jake");
    for title in [
        "フレームワーク",
        "Über Flüsse",
        "🍷🍷🍷",
        "???",
        "  spaces  ",
        "a/b/c",
        "../../etc",
        "%00",
        "feed",
        "\u{202e}x",
    ] {
        let slug = site.publish(&token, title, &[]);
        assert!(
            !slug.is_empty() && slug.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'),
            "{slug}"
        );
        let answer = site.get(&format!("/api/articles/{slug}"), None);
        assert_eq!(answer.json["article"]["title"], title, "{slug}: {answer:?}");
    }
}

#[test]
fn the_author_changes_an_article() {
    let site = Site::new();
    let token = site.register("jake");
    let slug = site.publish(&token, "First title", &["one", "two"]);
    let path = format!("/api/articles/{slug}");
    let before = site.get(&path, None).json["article"].clone();
    let change = |article: Value| site.put(&path, Some(&token), json!({ "article": article }));

    let answer = change(json!({"body": "Another body"}));
    assert_eq!(answer.status, 200);
    let article = &answer.json["article"];
    assert_eq!(article["body"], "Another body");
    assert_eq!(article["slug"], before["slug"]);
    assert_eq!(article["title"], before["title"]);
    assert_eq!(article["tagList"], json!(["one", "two"]));
    assert_eq!(article["createdAt"], before["createdAt"]);
    assert_eq!(before["updatedAt"], before["createdAt"]);
    let mut last = before["updatedAt"].clone();
    for n in 0..5 {
        let article = change(json!({"body": n.to_string()})).json["article"].clone();
        assert!(article["updatedAt"].as_str() > last.as_str(), "{article} after {last}");
        last = article["updatedAt"].clone();
    }
    change(json!({"body": "Another body"}));

    assert_eq!(change(json!({})).json["article"]["body"], "Another body");
    let tags = change(json!({"tagList": ["three", "one"]}));
    assert_eq!(tags.json["article"]["tagList"], json!(["one", "three"]));
    assert_eq!(tags.json["article"]["slug"], before["slug"]);
    assert_eq!(
        change(json!({"description": "d2"})).json["article"]["tagList"],
        json!(["one", "three"])
    );
    refused(&change(json!({"tagList": null})), 422, "tagList", "can't be blank");
    assert_eq!(change(json!({"tagList": []})).json["article"]["tagList"], json!([]));
    for field in ["title", "description", "body"] {
        refused(&change(json!({ field: null })), 422, field, "can't be blank");
        refused(&change(json!({ field: "" })), 422, field, "can't be blank");
    }

    let renamed = change(json!({"title": "Second title"}));
    assert_eq!(renamed.status, 200);
    let slug = renamed.json["article"]["slug"].as_str().expect("a slug").to_owned();
    let found = site.get(&format!("/api/articles/{slug}"), None);
    assert_eq!(found.json["article"]["title"], "Second title");
}

#[test]
fn tests_come_in_order_token_existence_ownership_content() {
    let site = Site::new();
    let (jake, ann) = (site.register("jake"), site.register("ann"));
    let slug = site.publish(&jake, "Mine", &[]);
    let path = format!("/api/articles/{slug}");
    let id = site.comment(&jake, &slug, "mine");
    let bad = json!({"article": {"title": ""}});

    refused(
        &site.put("/api/articles/no-such", Some(&jake), bad.clone()),
        404,
        "article",
        "not found",
    );
    refused(&site.put(&path, Some(&ann), bad.clone()), 403, "article", "forbidden");
    refused(&site.put(&path, Some(&jake), bad), 422, "title", "can't be blank");
    for text in ["{ broken", "[]", "7", ""] {
        let send =
            |path: &str, token: &str| site.send("PUT", path, &[("authorization", &format!("Token {token}"))], text);
        refused(&send("/api/articles/no-such", &jake), 404, "article", "not found");
        refused(&send(&path, &ann), 403, "article", "forbidden");
        refused_somehow(&send(&path, &jake));
    }

    refused(
        &site.delete("/api/articles/no-such", Some(&jake)),
        404,
        "article",
        "not found",
    );
    refused(&site.delete(&path, Some(&ann)), 403, "article", "forbidden");

    let comments = "/api/articles/no-such/comments";
    refused(
        &site.post(comments, Some(&jake), json!({"comment": {}})),
        404,
        "article",
        "not found",
    );
    refused(&site.get(comments, None), 404, "article", "not found");
    let of_comment = |slug: &str, id: &str| format!("/api/articles/{slug}/comments/{id}");
    let id = id.to_string();
    refused(
        &site.delete(&of_comment("no-such", &id), Some(&jake)),
        404,
        "article",
        "not found",
    );
    for unknown in ["999999", "0", "-1", "x", "99999999999999999999", "1.5"] {
        refused(
            &site.delete(&of_comment(&slug, unknown), Some(&jake)),
            404,
            "comment",
            "not found",
        );
    }
    refused(
        &site.delete(&of_comment(&slug, &id), Some(&ann)),
        403,
        "comment",
        "forbidden",
    );
    // A comment is found under its own article alone.
    let other = site.publish(&jake, "Other", &[]);
    refused(
        &site.delete(&of_comment(&other, &id), Some(&jake)),
        404,
        "comment",
        "not found",
    );
    assert_eq!(site.delete(&of_comment(&slug, &id), Some(&jake)).status, 204);
    refused(
        &site.delete(&of_comment(&slug, &id), Some(&jake)),
        404,
        "comment",
        "not found",
    );
}

#[test]
fn a_deleted_article_takes_its_comments_and_favorites_along() {
    let site = Site::new();
    let (jake, ann) = (site.register("jake"), site.register("ann"));
    let slug = site.publish(&jake, "Gone", &["tag-of-gone"]);
    site.comment(&ann, &slug, "hello");
    site.post(&format!("/api/articles/{slug}/favorite"), Some(&ann), Value::Null);
    let answer = site.delete(&format!("/api/articles/{slug}"), Some(&jake));
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    refused(
        &site.get(&format!("/api/articles/{slug}"), None),
        404,
        "article",
        "not found",
    );
    refused(
        &site.delete(&format!("/api/articles/{slug}"), Some(&jake)),
        404,
        "article",
        "not found",
    );
    assert_eq!(site.get("/api/articles?favorited=ann", None).json["articlesCount"], 0);
    // A new article with the same title begins anew.
    let again = site.publish(&jake, "Gone", &[]);
    let article = site.get(&format!("/api/articles/{again}"), None).json["article"].clone();
    assert_eq!(article["favoritesCount"], 0);
    assert_eq!(
        site.get(&format!("/api/articles/{again}/comments"), None).json["comments"],
        json!([])
    );
}

#[test]
fn favorites_count_people() {
    let site = Site::new();
    let (jake, ann) = (site.register("jake"), site.register("ann"));
    let slug = site.publish(&jake, "Liked", &[]);
    let path = format!("/api/articles/{slug}/favorite");
    for _ in 0..2 {
        let answer = site.post(&path, Some(&ann), Value::Null);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json["article"]["favorited"], true);
        assert_eq!(answer.json["article"]["favoritesCount"], 1);
        assert!(answer.json["article"]["body"].is_string());
    }
    assert_eq!(
        site.post(&path, Some(&jake), Value::Null).json["article"]["favoritesCount"],
        2
    );
    let one = format!("/api/articles/{slug}");
    assert_eq!(site.get(&one, Some(&ann)).json["article"]["favorited"], true);
    assert_eq!(site.get(&one, None).json["article"]["favorited"], false);
    assert_eq!(
        site.get("/api/articles", Some(&ann)).json["articles"][0]["favorited"],
        true
    );
    for _ in 0..2 {
        let answer = site.delete(&path, Some(&ann));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json["article"]["favorited"], false);
        assert_eq!(answer.json["article"]["favoritesCount"], 1);
    }
    let unknown = "/api/articles/no-such/favorite";
    refused(
        &site.post(unknown, Some(&ann), Value::Null),
        404,
        "article",
        "not found",
    );
    refused(&site.delete(unknown, Some(&ann)), 404, "article", "not found");
}

#[test]
fn lists_are_filtered_and_newest_first() {
    let site = Site::new();
    let (jake, ann) = (site.register("jake"), site.register("ann"));
    let a = site.publish(&jake, "A", &["x", "y"]);
    let b = site.publish(&ann, "B", &["x"]);
    let c = site.publish(&jake, "C", &["y"]);
    site.post(&format!("/api/articles/{a}/favorite"), Some(&ann), Value::Null);
    site.post(&format!("/api/articles/{b}/favorite"), Some(&ann), Value::Null);
    let list = |query: &str| {
        let answer = site.get(&format!("/api/articles{query}"), None);
        assert_eq!(answer.status, 200, "{query}");
        let slugs = slugs(&answer);
        assert_eq!(answer.json["articlesCount"], slugs.len(), "{query}");
        slugs
    };
    assert_eq!(list(""), [c.as_str(), &b, &a]);
    assert_eq!(list("?tag=x"), [b.as_str(), &a]);
    assert_eq!(list("?author=jake"), [c.as_str(), &a]);
    assert_eq!(list("?favorited=ann"), [b.as_str(), &a]);
    assert_eq!(list("?favorited=ann&author=jake"), [a.as_str()]);
    assert_eq!(list("?tag=y&author=jake&favorited=ann"), [a.as_str()]);
    for nothing in [
        "?tag=none",
        "?author=nobody",
        "?favorited=nobody",
        "?tag=x&author=nobody",
        "?favorited=jake",
    ] {
        assert!(list(nothing).is_empty(), "{nothing}");
    }
    let answer = site.get("/api/articles", None);
    for article in answer.json["articles"].as_array().expect("articles") {
        let mut keys: Vec<_> = article
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            [
                "author",
                "createdAt",
                "description",
                "favorited",
                "favoritesCount",
                "slug",
                "tagList",
                "title",
                "updatedAt"
            ]
        );
    }
}

#[test]
fn lists_come_in_pages() {
    let site = Site::new();
    let jake = site.register("jake");
    let mut all: Vec<String> = (0..25)
        .map(|n| site.publish(&jake, &format!("Number {n}"), &[]))
        .collect();
    all.reverse();
    let page = |query: &str| {
        let answer = site.get(&format!("/api/articles{query}"), None);
        assert_eq!(
            (answer.status, &answer.json["articlesCount"]),
            (200, &json!(25)),
            "{query}"
        );
        slugs(&answer)
    };
    assert_eq!(page(""), all[..20]);
    assert_eq!(page("?limit=3"), all[..3]);
    assert_eq!(page("?limit=3&offset=2"), all[2..5]);
    assert_eq!(page("?offset=20"), all[20..]);
    assert_eq!(page("?limit=100"), all);
    assert!(page("?offset=25").is_empty());
    assert!(page("?offset=9223372036854775807").is_empty());
    assert!(page("?limit=0").is_empty());
}

#[test]
fn bad_numbers_of_pages_are_refused() {
    let site = Site::new();
    let jake = site.register("jake");
    for path in ["/api/articles", "/api/articles/feed"] {
        for key in ["limit", "offset"] {
            for bad in [
                "-1",
                "x",
                "1.5",
                "1e3",
                "%00",
                "+1",
                "NaN",
                "0x10",
                "1%20",
                "%F0%9F%8D%B7",
            ] {
                let answer = site.get(&format!("{path}?{key}={bad}"), Some(&jake));
                refused_somehow(&answer);
                assert!(answer.json["errors"][key].is_array(), "{answer:?}");
            }
            for fine in ["", "99999999999999999999999", "18446744073709551615", "007"] {
                assert_eq!(
                    site.get(&format!("{path}?{key}={fine}"), Some(&jake)).status,
                    200,
                    "{key}={fine}"
                );
            }
        }
    }
}

#[test]
fn the_feed_has_the_articles_of_followed_authors() {
    let site = Site::new();
    let (jake, ann, bob) = (site.register("jake"), site.register("ann"), site.register("bob"));
    let a = site.publish(&ann, "By Ann", &["t"]);
    site.publish(&bob, "By Bob", &[]);
    site.publish(&jake, "By Jake", &[]);
    let feed = |query: &str| site.get(&format!("/api/articles/feed{query}"), Some(&jake));
    assert_eq!(feed("").json, json!({"articles": [], "articlesCount": 0}));
    site.post("/api/profiles/ann/follow", Some(&jake), Value::Null);
    let answer = feed("");
    assert_eq!(slugs(&answer), [a.as_str()]);
    assert_eq!(answer.json["articlesCount"], 1);
    assert_eq!(answer.json["articles"][0]["author"]["following"], true);
    assert!(answer.json["articles"][0].get("body").is_none());
    let b = site.publish(&ann, "By Ann again", &[]);
    assert_eq!(slugs(&feed("")), [b.as_str(), &a]);
    assert_eq!(slugs(&feed("?limit=1&offset=1")), [a.as_str()]);
    assert_eq!(feed("?limit=1").json["articlesCount"], 2);
    site.delete("/api/profiles/ann/follow", Some(&jake));
    assert_eq!(feed("").json["articlesCount"], 0);
}

#[test]
fn tags_come_without_repeats() {
    let site = Site::new();
    let jake = site.register("jake");
    site.publish(&jake, "A", &["x", "y"]);
    site.publish(&jake, "B", &["y", "z", "ü"]);
    let answer = site.get("/api/tags", None);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json, json!({"tags": ["x", "y", "z", "ü"]}));
}

// comments

#[test]
fn comments_come_and_go() {
    let site = Site::new();
    let (jake, ann) = (site.register("jake"), site.register("ann"));
    let slug = site.publish(&jake, "Talk", &[]);
    let path = format!("/api/articles/{slug}/comments");
    assert_eq!(site.get(&path, None).json, json!({"comments": []}));
    let answer = site.post(&path, Some(&ann), json!({"comment": {"body": "First!"}}));
    assert_eq!(answer.status, 201);
    let comment = answer.json["comment"].clone();
    let mut keys: Vec<_> = comment
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    assert_eq!(keys, ["author", "body", "createdAt", "id", "updatedAt"]);
    assert!(comment["id"].is_i64());
    assert_eq!(comment["body"], "First!");
    assert_eq!(comment["author"]["username"], "ann");
    assert_eq!(site.get(&path, None).json["comments"], json!([comment]));

    site.post("/api/profiles/ann/follow", Some(&jake), Value::Null);
    assert_eq!(
        site.get(&path, Some(&jake)).json["comments"][0]["author"]["following"],
        true
    );

    for bad in [json!({}), json!({"body": null}), json!({"body": ""})] {
        refused(
            &site.post(&path, Some(&ann), json!({ "comment": bad })),
            422,
            "body",
            "can't be blank",
        );
    }
    let id = comment["id"].as_i64().expect("an id");
    let answer = site.delete(&format!("{path}/{id}"), Some(&ann));
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    assert_eq!(site.get(&path, None).json["comments"], json!([]));
}

// what people send by mistake

#[test]
fn bodies_that_are_no_json_are_refused() {
    let site = Site::new();
    let jake = site.register("jake");
    let slug = site.publish(&jake, "Mine", &[]);
    let header = format!("Token {jake}");
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_object = "{\"user\":".repeat(100_000);
    let endpoints = [
        ("POST", "/api/users".to_owned()),
        ("POST", "/api/users/login".to_owned()),
        ("PUT", "/api/user".to_owned()),
        ("POST", "/api/articles".to_owned()),
        ("PUT", format!("/api/articles/{slug}")),
        ("POST", format!("/api/articles/{slug}/comments")),
    ];
    for (method, path) in &endpoints {
        for body in [
            "",
            "{",
            "{\"user\":",
            "not json",
            "\u{feff}{}",
            "[]",
            "null",
            "7",
            "\"text\"",
            "{}{}",
            "{\"a\":1,}",
            &deep,
            &deep_object,
        ] {
            refused_somehow(&site.send(method, path, &[("authorization", &header)], body));
        }
        let bytes = site.send_bytes(
            method,
            path,
            &[("authorization", &header)],
            b"{\"user\": {\"username\": \"\xff\xfe\"}}".to_vec(),
        );
        refused_somehow(&bytes);
    }
    assert_eq!(site.get("/api/tags", None).status, 200);
}

#[test]
fn values_of_the_wrong_type_are_refused() {
    let site = Site::new();
    let jake = site.register("jake");
    let wrong = [
        json!(7),
        json!(1.5),
        json!(true),
        json!([]),
        json!(["a"]),
        json!({}),
        json!({"a": 1}),
    ];
    for value in &wrong {
        for field in ["username", "email", "password"] {
            let mut user = json!({"username": "u", "email": "e@example.com", "password": "p"});
            user[field] = value.clone();
            refused_somehow(&site.post("/api/users", None, json!({ "user": user })));
        }
        for field in ["email", "password"] {
            let mut user = json!({"email": "jake@example.com", "password": "jakejake"});
            user[field] = value.clone();
            refused_somehow(&site.post("/api/users/login", None, json!({ "user": user })));
        }
        for field in ["username", "email", "password", "bio", "image"] {
            refused_somehow(&site.put("/api/user", Some(&jake), json!({"user": {field: value}})));
        }
        for field in ["title", "description", "body"] {
            let mut article = json!({"title": "T", "description": "d", "body": "b"});
            article[field] = value.clone();
            refused_somehow(&site.post("/api/articles", Some(&jake), json!({ "article": article })));
        }
    }
    for tags in [
        json!("a"),
        json!(7),
        json!({"a": 1}),
        json!([7]),
        json!([null]),
        json!([["a"]]),
        json!([""]),
    ] {
        let article = json!({"title": "T", "description": "d", "body": "b", "tagList": tags});
        refused_somehow(&site.post("/api/articles", Some(&jake), json!({ "article": article })));
    }
    for wrapper in [json!(7), json!("x"), json!([]), json!(null)] {
        refused_somehow(&site.post("/api/users", None, json!({ "user": wrapper })));
        refused_somehow(&site.post("/api/articles", Some(&jake), json!({ "article": wrapper })));
    }
    assert_eq!(site.get("/api/user", Some(&jake)).json["user"]["username"], "jake");
    assert_eq!(site.get("/api/articles", None).json["articlesCount"], 0);
}

#[test]
fn very_long_values_are_refused_or_kept_whole() {
    let site = Site::new();
    let jake = site.register("jake");
    let long = "ä".repeat(100_000);
    for field in ["username", "email"] {
        refused_somehow(&site.put("/api/user", Some(&jake), json!({"user": {field: long}})));
    }
    let answer = site.post(
        "/api/articles",
        Some(&jake),
        json!({"article": {"title": "T", "description": "d", "body": long, "tagList": []}}),
    );
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json["article"]["body"], long);
    let title = site.post(
        "/api/articles",
        Some(&jake),
        json!({"article": {"title": long, "description": "d", "body": "b"}}),
    );
    refused_somehow(&title);
    let many: Vec<String> = (0..10_000).map(|n| format!("t{n}")).collect();
    refused_somehow(&site.post(
        "/api/articles",
        Some(&jake),
        json!({"article": {"title": "T", "description": "d", "body": "b", "tagList": many}}),
    ));
    let path = format!("/api/articles/{}", "x".repeat(5_000));
    refused(&site.get(&path, None), 404, "article", "not found");
}

#[test]
fn a_body_of_ten_megabytes_is_refused() {
    let site = Site::new();
    let jake = site.register("jake");
    let big = json!({"article": {"title": "T", "description": "d", "body": "x".repeat(10_000_000)}});
    let answer = site.post("/api/articles", Some(&jake), big);
    assert_eq!(answer.status, 413, "{}", answer.status);
    refused_somehow(&answer);
}

#[test]
fn text_with_nul_is_refused() {
    let site = Site::new();
    let jake = site.register("jake");
    refused_somehow(&site.put("/api/user", Some(&jake), json!({"user": {"bio": "a\0b"}})));
    for path in ["/api/profiles/a%00b", "/api/articles/a%00b"] {
        assert_eq!(site.get(path, None).status, 404);
    }
    assert_eq!(site.get("/api/articles?tag=a%00b", None).status / 100, 2);
}

#[test]
fn bytes_that_are_no_utf8_are_refused() {
    let site = Site::new();
    for path in [
        "/api/profiles/%ff%fe",
        "/api/articles/%ff",
        "/api/articles?tag=%ff%fe",
        "/api/articles?%ff=1&limit=%ff",
    ] {
        let answer = site.get(path, None);
        assert!(answer.status < 500, "{path}: {answer:?}");
    }
}

#[test]
fn unknown_addresses_and_methods_answer_in_json() {
    let site = Site::new();
    for path in ["/api/nothing", "/api/users/1/2/3", "/api/articles/a/b/c/d"] {
        let answer = site.get(path, None);
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        refused_somehow(&answer);
    }
    let answer = site.send("PATCH", "/api/tags", &[], "");
    assert_eq!(answer.status, 405);
    refused_somehow(&answer);
    assert!(answer.header("allow").is_some_and(|allow| allow.contains("GET")));
}

// from other origins

#[test]
fn pages_of_any_origin_may_write_with_a_token() {
    let site = Site::new();
    let json = ("content-type", "application/json");
    let foreign = [
        ("origin", "https://front.example"),
        ("cookie", "csrftoken=x; sessionid=y"),
        json,
    ];
    let body = json!({"user": {"username": "jake", "email": "jake@example.com", "password": "jakejake"}}).to_string();
    assert_eq!(site.send("POST", "/api/users", &foreign, &body).status, 201);
    let body = json!({"user": {"email": "jake@example.com", "password": "jakejake"}}).to_string();
    let answer = site.send("POST", "/api/users/login", &foreign, &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = format!("Token {}", answer.json["user"]["token"].as_str().expect("a token"));
    let headers = [&foreign[..], &[("authorization", token.as_str())]].concat();
    let body = json!({"user": {"bio": "I write elsewhere"}}).to_string();
    assert_eq!(site.send("PUT", "/api/user", &headers, &body).status, 200);
}

#[test]
fn any_origin_may_call() {
    let site = Site::new();
    let origin = ("origin", "https://front.example");
    for path in ["/api/tags", "/api/user", "/api/articles/no-such", "/api/nothing"] {
        let answer = site.send("GET", path, &[origin], "");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
    }
    for (path, method) in [
        ("/api/users", "POST"),
        ("/api/user", "PUT"),
        ("/api/articles/some-slug", "DELETE"),
        ("/api/articles/some-slug/comments/1", "DELETE"),
    ] {
        let answer = site.send(
            "OPTIONS",
            path,
            &[
                origin,
                ("access-control-request-method", method),
                ("access-control-request-headers", "authorization, content-type"),
            ],
            "",
        );
        assert!([200, 204].contains(&answer.status), "{path}: {answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        let methods = answer
            .header("access-control-allow-methods")
            .expect("methods")
            .to_owned();
        assert!(methods.contains(method), "{methods}");
        let headers = answer
            .header("access-control-allow-headers")
            .expect("headers")
            .to_lowercase();
        assert!(
            headers.contains("authorization") && headers.contains("content-type"),
            "{headers}"
        );
        // Whoever asks without naming a method is told the same.
        let plain = site.send("OPTIONS", path, &[origin], "");
        assert!([200, 204].contains(&plain.status), "{path}: {plain:?}");
        assert!(
            plain
                .header("access-control-allow-methods")
                .is_some_and(|m| m.contains(method))
        );
    }
}
