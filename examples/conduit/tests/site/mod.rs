//! A site of its own for each test, in memory, and calls that read like the API's documentation.

use demijohn::http::Method;
use demijohn::settings::Sources;
use demijohn::test::{TestClient, block_on};
use serde_json::{Value, json};

pub(crate) struct Site {
    client: TestClient,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
    /// `null` when the body is no JSON.
    pub(crate) json: Value,
    headers: Vec<(String, String)>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

#[allow(dead_code, reason = "each test program uses some of it")]
impl Site {
    /// An empty site.
    pub(crate) fn new() -> Self {
        Site::build(false)
    }

    /// A site with the demonstration's articles.
    pub(crate) fn filled() -> Self {
        Site::build(true)
    }

    fn build(filled: bool) -> Self {
        let sources = Sources::none()
            .var("DATABASE_URL", "sqlite::memory:")
            .var("DEMO_PASSWORD", "demo");
        let app = match filled {
            true => conduit::app().on_start(conduit::fill),
            false => conduit::app(),
        };
        let ready = app.build(sources).unwrap_or_else(|findings| panic!("{findings:?}"));
        Site {
            client: ready.test_client().enforce_csrf(),
        }
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send_bytes(method, path, headers, body.as_bytes().to_vec())
    }

    pub(crate) fn send_bytes(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let method: Method = method.parse().expect("a method");
        let mut request = self
            .client
            .request(method, path)
            .header("content-type", "application/json")
            .body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        block_on(async {
            let response = request.await;
            let body = String::from_utf8_lossy(response.bytes()).into_owned();
            Answer {
                status: response.status().as_u16(),
                content_type: response.header("content-type").unwrap_or_default().to_owned(),
                json: serde_json::from_str(&body).unwrap_or(Value::Null),
                body,
                headers: response
                    .headers()
                    .iter()
                    .map(|(n, v)| {
                        (
                            n.as_str().to_owned(),
                            String::from_utf8_lossy(v.as_bytes()).into_owned(),
                        )
                    })
                    .collect(),
            }
        })
    }

    fn call(&self, method: &str, path: &str, token: Option<&str>, body: Value) -> Answer {
        let header = token.map(|token| format!("Token {token}"));
        let headers: Vec<(&str, &str)> = header.iter().map(|h| ("authorization", h.as_str())).collect();
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(method, path, &headers, &body)
    }

    pub(crate) fn get(&self, path: &str, token: Option<&str>) -> Answer {
        self.call("GET", path, token, Value::Null)
    }

    pub(crate) fn post(&self, path: &str, token: Option<&str>, body: Value) -> Answer {
        self.call("POST", path, token, body)
    }

    pub(crate) fn put(&self, path: &str, token: Option<&str>, body: Value) -> Answer {
        self.call("PUT", path, token, body)
    }

    pub(crate) fn delete(&self, path: &str, token: Option<&str>) -> Answer {
        self.call("DELETE", path, token, Value::Null)
    }

    /// Registers `name` with the address `name@example.com` and gives the token.
    #[track_caller]
    pub(crate) fn register(&self, name: &str) -> String {
        self.register_with(name, "jakejake")
    }

    #[track_caller]
    pub(crate) fn register_with(&self, name: &str, password: &str) -> String {
        let user = json!({"username": name, "email": format!("{name}@example.com"), "password": password});
        let answer = self.post("/api/users", None, json!({ "user": user }));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json["user"]["token"].as_str().expect("a token").to_owned()
    }

    pub(crate) fn login(&self, email: &str, password: &str) -> Answer {
        self.post(
            "/api/users/login",
            None,
            json!({"user": {"email": email, "password": password}}),
        )
    }

    /// Publishes an article and gives its slug.
    #[track_caller]
    pub(crate) fn publish(&self, token: &str, title: &str, tags: &[&str]) -> String {
        let article = json!({"title": title, "description": "About it.", "body": "All of it.", "tagList": tags});
        let answer = self.post("/api/articles", Some(token), json!({ "article": article }));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json["article"]["slug"].as_str().expect("a slug").to_owned()
    }

    /// Comments on an article and gives the comment's id.
    #[track_caller]
    pub(crate) fn comment(&self, token: &str, slug: &str, body: &str) -> i64 {
        let path = format!("/api/articles/{slug}/comments");
        let answer = self.post(&path, Some(token), json!({"comment": {"body": body}}));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json["comment"]["id"].as_i64().expect("an id")
    }
}
