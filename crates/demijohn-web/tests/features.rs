//! What stands behind features: uploads, signed values, axum and tower.
#![allow(clippy::unwrap_used)]

use demijohn_core::settings::Sources;
use demijohn_covers::covers;
use demijohn_web::signing::{SignError, Signer};
use demijohn_web::test::{Parts, TestClient, block_on};
use demijohn_web::{Application, Files, Form, Pairs, Request, Response, Result, UploadLimits, current, get, post};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

#[test]
fn texts_and_files_of_one_form() {
    covers!(
        "flask.request.form",
        "flask.request.files",
        "http.request.files",
        "http.upload.memory_handler",
        "http.upload.multiple"
    );
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("saved.txt");
        async fn form(Form(texts): Form<Pairs>, files: Files) -> Result<String> {
            let mut text = format!("{:?}", texts.iter().collect::<Vec<_>>());
            for file in files.all("f") {
                let mut chunks = file.chunks().await?;
                let mut read = Vec::new();
                while let Some(chunk) = chunks.next().await? {
                    read.extend_from_slice(&chunk);
                }
                assert_eq!(read, file.bytes().await?);
                let read = String::from_utf8(read)?;
                text += &format!(
                    " {} {} {} {read:?} {:?}",
                    file.file_name(),
                    file.content_type(),
                    file.len(),
                    file.path()
                );
            }
            Ok(text)
        }
        #[derive(serde::Deserialize)]
        struct Typed {
            title: String,
        }
        let target = path.clone();
        let client = Application::new()
            .route("/", post(form))
            .route("/typed", post(async |Form(typed): Form<Typed>| typed.title))
            .route(
                "/save",
                post(move |files: Files| {
                    let target = target.clone();
                    async move {
                        files.get("f").expect("a file").save(target).await?;
                        Ok::<_, demijohn_web::Error>("saved")
                    }
                }),
            )
            .test_client();
        let parts = || {
            Parts::new()
                .text("title", "Tä")
                .file("f", "a.txt", "text/plain", "one")
                .file("f", "b.txt", "text/html", "two")
        };
        assert_eq!(
            client.post("/").multipart(parts()).await.text(),
            r#"[("title", "Tä")] a.txt text/plain 3 "one" None b.txt text/html 3 "two" None"#
        );
        assert_eq!(
            client.post("/").form([("title", "Tä")]).await.text(),
            r#"[("title", "Tä")]"#
        );
        for (multipart, status) in [(true, 400), (false, 400)] {
            let request = client.post("/typed");
            let request = match multipart {
                true => request.multipart(Parts::new().text("other", "x")),
                false => request.form([("other", "x")]),
            };
            assert_eq!(request.await.status().as_u16(), status, "a key is missing");
        }
        assert_eq!(client.post("/typed").multipart(parts()).await.text(), "Tä");
        assert_eq!(client.post("/save").multipart(parts()).await.text(), "saved");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        // Nothing is overwritten.
        assert_eq!(client.post("/save").multipart(parts()).await.status(), 500);
    });
}

#[test]
fn large_files_lie_on_disk_while_the_request_lasts() {
    covers!("http.upload.temp_handler");
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        async fn upload(files: Files) -> Result<String> {
            let file = files.get("f").expect("a file");
            let path = file.path().expect("on disk");
            assert!(path.exists());
            assert_eq!(file.bytes().await?.len(), 5 << 20);
            Ok(path.display().to_string())
        }
        let client = Application::new()
            .upload_limits(UploadLimits {
                temp_dir: Some(folder.path().to_owned()),
                ..UploadLimits::default()
            })
            .route("/", post(upload).max_body_bytes(6 << 20))
            .test_client();
        let response = client
            .post("/")
            .multipart(Parts::new().file("f", "big", "x/y", vec![7; 5 << 20]))
            .await;
        let path = std::path::PathBuf::from(response.text());
        assert!(path.starts_with(folder.path()), "{path:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let too_large = client
            .post("/")
            .multipart(Parts::new().file("f", "big", "x/y", vec![7; 7 << 20]))
            .await;
        assert_eq!(too_large.status(), 413);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    });
}

#[test]
fn limits_and_odd_names_of_forms() {
    covers!("flask.request.limits.form", "http.upload.name_sanitise");
    block_on(async {
        async fn names(files: Files) -> String {
            files.iter().map(|file| file.file_name()).collect::<Vec<_>>().join(" ")
        }
        let client = Application::new()
            .max_body_bytes(10 << 20)
            .route("/", post(names))
            .test_client();
        let mut parts = Parts::new();
        for name in ["../../etc/x", "C:\\\\dir\\\\y", "..", ".", ""] {
            parts = parts.file("f", name, "text/plain", "x");
        }
        assert_eq!(client.post("/").multipart(parts).await.text(), "x y");
        let long = Parts::new().text("a", &"x".repeat(500_001));
        assert_eq!(client.post("/").multipart(long).await.status(), 413);
        let many = (0..1001).fold(Parts::new(), |parts, _| parts.text("a", ""));
        assert_eq!(client.post("/").multipart(many).await.status(), 413);
        for (content_type, body) in [
            ("multipart/form-data", "x"),
            (
                "multipart/form-data; boundary=x",
                "--x\r\ncontent-disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\ncut off",
            ),
            ("multipart/form-data; boundary=x", "nothing of the kind"),
        ] {
            let response = client.post("/").header("content-type", content_type).body(body).await;
            assert_eq!(response.status(), 400, "{content_type} {body}");
        }
    });
}

#[test]
fn signatures() {
    covers!("itsdangerous.sign", "itsdangerous.salt", "itsdangerous.rotation");
    let signer = Signer::new("key", "activation");
    let signed = signer.sign("val.ue");
    assert_eq!(signer.unsign(&signed), Ok("val.ue"));
    for i in 0..signed.len() {
        let mut changed = signed.clone().into_bytes();
        changed[i] ^= 1;
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(signer.unsign(&changed), Err(SignError::BadSignature), "{changed}");
    }
    for other in [Signer::new("key", "password-reset"), Signer::new("other", "activation")] {
        assert_eq!(other.unsign(&signed), Err(SignError::BadSignature));
    }
    for odd in ["", ".", "val.ue", "val.ue.", "val.ue.!"] {
        assert_eq!(signer.unsign(odd), Err(SignError::BadSignature));
    }
    let rotated = Signer::with_secrets(["newest", "key"], "activation");
    assert_eq!(rotated.unsign(&signed), Ok("val.ue"));
    assert!(signer.unsign(&rotated.sign("x")).is_err());
    assert_eq!(Signer::new("newest", "activation").unsign(&rotated.sign("x")), Ok("x"));
}

#[test]
fn signatures_that_expire() {
    covers!("itsdangerous.timed", "itsdangerous.urlsafe");
    let signer = Signer::new("key", "salt");
    let minute = Duration::from_secs(60);
    let signed_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let signed = signer.sign_at("value", signed_at);
    assert_eq!(
        signer.unsign_at(&signed, minute, signed_at + minute).unwrap().value,
        "value"
    );
    let late = signer.unsign_at(&signed, minute, signed_at + minute * 2);
    assert_eq!(late, Err(SignError::Expired { signed_at }));
    assert_eq!(signer.unsign_timed("x.y", minute), Err(SignError::BadSignature));

    let small = BTreeMap::from([("id", "7"), ("name", "Ann+/?")]);
    let large = BTreeMap::from([("text", "ha".repeat(500))]);
    let token = signer.dump(&small).unwrap();
    assert!(
        token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)),
        "{token}"
    );
    let back: BTreeMap<String, String> = signer.load(&token).unwrap();
    assert_eq!(back["name"], "Ann+/?");
    let packed = signer.dump(&large).unwrap();
    assert!(packed.len() < 200, "{}", packed.len());
    assert_eq!(
        signer.load::<BTreeMap<String, String>>(&packed).unwrap()["text"].len(),
        1000
    );
    assert_eq!(signer.load::<Vec<u8>>(&token), Err(SignError::Malformed));
}

#[test]
fn signatures_as_django_writes_them() {
    covers!(
        "security.signing.signer",
        "security.signing.timestamp",
        "security.signing.objects"
    );
    let signer = Signer::new("key", "salt").separated_by(':').unwrap();
    let signed = signer.sign("hello");
    let (value, signature) = signed.split_once(':').unwrap();
    assert_eq!((value, signature.len()), ("hello", 43));
    assert_eq!(signer.unsign(&signed), Ok("hello"));
    for i in 0..signed.len() {
        let mut changed = signed.clone().into_bytes();
        changed[i] ^= 1;
        assert_eq!(
            signer.unsign(&String::from_utf8(changed).unwrap()),
            Err(SignError::BadSignature)
        );
    }
    for bad in ['a', 'Z', '0', '-', '_', '='] {
        assert!(Signer::new("key", "salt").separated_by(bad).is_err(), "{bad}");
    }

    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let timed = signer.sign_at("hello", then);
    let after = |seconds| signer.unsign_at(&timed, Duration::from_secs(20), then + Duration::from_secs(seconds));
    assert_eq!(after(20).unwrap().value, "hello");
    assert_eq!(after(21), Err(SignError::Expired { signed_at: then }));

    let object = BTreeMap::from([("a", 1)]);
    let long = BTreeMap::from([("a", "b".repeat(1000))]);
    let (small, packed) = (signer.dump(&object).unwrap(), signer.dump(&long).unwrap());
    assert_eq!(signer.load::<BTreeMap<String, i32>>(&small).unwrap()["a"], 1);
    assert_eq!(
        signer.load::<BTreeMap<String, String>>(&packed).unwrap()["a"],
        long["a"]
    );
    assert!(!small.starts_with('.') && packed.starts_with('.') && packed.len() < 200);
    let other = Signer::new("key", "another salt").separated_by(':').unwrap();
    assert_eq!(
        other.load::<BTreeMap<String, i32>>(&small),
        Err(SignError::BadSignature)
    );
}

#[test]
fn former_secrets_still_verify() {
    covers!("security.signing.fallback_keys");
    const OLD: &str = "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz";
    const NEW: &str = "zyxwvutsrqponmlkjihgfedcba9876543210zyxwvutsrqponmlkjihgfedcba";
    async fn sign(request: &mut Request) -> Result<Option<String>> {
        let signer = Signer::of(request, "purpose")?;
        Ok(match request.query_value("token") {
            Some(token) => Some(signer.unsign(&token).map_or("bad".to_owned(), str::to_owned)),
            None => Some(signer.sign("value")),
        })
    }
    let site = |settings: &[(&'static str, &str)]| {
        let sources = settings
            .iter()
            .fold(Sources::none(), |all, (name, value)| all.var(*name, *value));
        let app = Application::new().route("/", get(async || "").before(sign));
        app.build(sources).ok().unwrap().test_client()
    };
    block_on(async {
        let before = site(&[("SECRET_KEY", OLD)]);
        let both = site(&[("SECRET_KEY", NEW), ("SECRET_KEY_FALLBACKS", OLD)]);
        let after = site(&[("SECRET_KEY", NEW)]);
        let unsign =
            async |site: &TestClient, token: &str| site.get("/").query([("token", token)]).await.text().to_owned();
        let old = before.get("/").await.text().to_owned();
        let new = both.get("/").await.text().to_owned();
        assert_eq!(unsign(&both, &old).await, "value");
        assert_eq!(unsign(&after, &old).await, "bad");
        // The first key signs.
        assert_eq!(unsign(&after, &new).await, "value");
        assert_eq!(unsign(&before, &new).await, "bad");
    });
}

#[test]
fn layers_and_services_of_tower() {
    use axum::routing;
    use demijohn_web::Next;
    use tower::ServiceBuilder;
    block_on(async {
        let foreign = axum::Router::new()
            .route(
                "/hello/{name}",
                routing::get(async |axum::extract::Path(name): axum::extract::Path<String>| name),
            )
            .route("/echo", routing::post(async |body: String| body));
        let layer = ServiceBuilder::new()
            .map_request(|mut request: http::Request<demijohn_web::Body>| {
                request
                    .headers_mut()
                    .insert("x-in", http::HeaderValue::from_static("1"));
                request
            })
            .map_response(|mut response: Response| {
                response
                    .headers_mut()
                    .insert("x-out", http::HeaderValue::from_static("2"));
                response
            })
            .into_inner();
        let client = Application::new()
            .layer(layer)
            .layer(tower::layer::layer_fn(|inner| {
                tower::limit::ConcurrencyLimit::new(inner, 1)
            }))
            .middleware(async |request: &mut Request, next: Next<'_>| next.run(request).await)
            .route(
                "/",
                post(async |headers: http::HeaderMap, body: String| format!("{:?} {body}", headers.get("x-in"))),
            )
            .route(
                "/current",
                get(async || current::with(|request| request.path().to_owned())),
            )
            .mount_service("/old", foreign)
            .test_client();
        let response = client.post("/").body("body").await;
        assert_eq!(
            (response.text(), response.header("x-out")),
            ("Some(\"1\") body", Some("2"))
        );
        assert_eq!(client.get("/current").await.text(), "/current");
        assert_eq!(client.get("/old/hello/ann").await.text(), "ann");
        assert_eq!(client.post("/old/echo").body("x").await.text(), "x");
        assert_eq!(client.get("/old/none").await.status(), 404);
        assert_eq!(client.get("/old/echo").await.status(), 405);
        assert_eq!(client.get("/none").await.header("x-out"), Some("2"));
        assert_eq!(client.get("/older").await.status(), 404);
    });
}
