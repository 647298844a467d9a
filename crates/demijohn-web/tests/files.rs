//! Files on their way in and out: limits of forms, storage, media, static files.
#![allow(clippy::unwrap_used)]

use demijohn_covers::covers;
use demijohn_web::test::{Parts, TestClient, block_on};
use demijohn_web::{Application, Body, Files, Form, Json, Pairs, Query, Result, UploadLimits, post};
use std::path::Path;

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn client() -> TestClient {
    Application::new()
        .max_body_bytes(10 << 20)
        .route("/form", post(async |Form(pairs): Form<Pairs>| pairs.len().to_string()))
        .route(
            "/query",
            post(async |Query(pairs): Query<Pairs>| pairs.len().to_string()),
        )
        .route("/files", post(async |files: Files| files.len().to_string()))
        .route("/json", post(async |Json(_): Json<serde_json::Value>| "fine"))
        .test_client()
}

#[test]
fn counts_of_fields_and_files() {
    covers!("security.upload.field_limit", "security.upload.file_limit");
    block_on(async {
        let client = client();
        for (count, status) in [(1000, 200), (1001, 400)] {
            let pairs = vec!["a=1"; count].join("&");
            assert_eq!(client.post(&format!("/query?{pairs}")).await.status(), status);
            let form = client
                .post("/form")
                .header("content-type", "application/x-www-form-urlencoded")
                .body(pairs);
            assert_eq!(form.await.status(), status);
        }
        for (count, status) in [(100, 200), (101, 400)] {
            // Whether they have a name or not.
            for name in ["a.txt", ""] {
                let parts = (0..count).fold(Parts::new(), |parts, _| parts.file("f", name, "text/plain", "x"));
                assert_eq!(
                    client.post("/files").multipart(parts).await.status(),
                    status,
                    "{name:?}"
                );
            }
        }
    });
}

#[test]
fn limits_are_settings() {
    block_on(async {
        let client = Application::new()
            .upload_limits(UploadLimits {
                max_fields: 2,
                max_files: 1,
                max_text_bytes: 10,
                ..UploadLimits::default()
            })
            .route(
                "/",
                post(async |Form(pairs): Form<Pairs>, files: Files| format!("{}{}", pairs.len(), files.len())),
            )
            .test_client();
        let texts = |count: usize| (0..count).fold(Parts::new(), |parts, _| parts.text("a", "1"));
        assert_eq!(client.post("/").multipart(texts(2)).await.text(), "20");
        assert_eq!(client.post("/").multipart(texts(3)).await.status(), 413);
        let file = |parts: Parts| parts.file("f", "a", "text/plain", "more than ten bytes");
        assert_eq!(client.post("/").multipart(file(texts(1))).await.text(), "11");
        assert_eq!(client.post("/").multipart(file(file(texts(1)))).await.status(), 400);
        let long = Parts::new().text("a", "1234567890");
        assert_eq!(
            client.post("/").multipart(long).await.status(),
            413,
            "the name counts too"
        );
        assert_eq!(
            client
                .post("/")
                .form([("a", "1"), ("b", "2"), ("c", "3")])
                .await
                .status(),
            400
        );
    });
}

#[test]
fn bodies_are_counted_as_they_come() {
    block_on(async {
        let client = Application::new()
            .route("/form", post(async |Form(_): Form<Pairs>| "read"))
            .route("/files", post(async |_: Files| "read"))
            .route("/json", post(async |Json(_): Json<serde::de::IgnoredAny>| "read"))
            .test_client();
        let boundary = "multipart/form-data; boundary=x";
        let file = format!(
            "--x\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n{}\r\n--x--",
            "y".repeat(3 << 20)
        );
        for (path, content_type, body) in [
            ("/form", "application/x-www-form-urlencoded", "a".repeat(3 << 20)),
            ("/files", boundary, file),
            ("/json", "application/json", format!("\"{}\"", "a".repeat(3 << 20))),
        ] {
            let response = client.post(path).header("content-type", content_type).body(body).await;
            assert_eq!(response.status(), 413, "{path}");
        }
    });
}

#[test]
fn odd_forms_are_400() {
    block_on(async {
        let client = client();
        for body in ["a=%ff", "%ff=a", "a=%00", "a%00=b", "a=%ed%a0%80"] {
            let form = client
                .post("/form")
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body);
            assert_eq!(form.await.status(), 400, "{body}");
            assert_eq!(client.post(&format!("/query?{body}")).await.status(), 400, "{body}");
        }
        // A semicolon separates nothing.
        assert_eq!(client.post("/query?a=1;b=2").await.text(), "1");
        for text in [r#""\ud800""#, r#"{"x": "\udfff"}"#, "NaN", "[1e999999]", "\"\u{0}\""] {
            let json = client
                .post("/json")
                .header("content-type", "application/json")
                .body(text);
            assert_eq!(json.await.status(), 400, "{text}");
        }
        let part = |headers: &str| format!("--x\r\n{headers}\r\n\r\n1\r\n--x--\r\n");
        let name = "Content-Disposition: form-data; name=\"a\"";
        for (content_type, body) in [
            ("boundary=x", part("Content-Disposition: form-data; name=\"a\0\"")),
            ("boundary=x", part("X: y")),
            ("boundary=x", part(&format!("{name}; filename*=UTF-8''%ff"))),
            ("boundary=x", part(&format!("{name}\r\n{name}"))),
            (
                "boundary=x",
                part(&format!("{name}\r\nContent-Type: multipart/mixed; boundary=y")),
            ),
            ("boundary=x", part(name).replace("--x--", "")),
            ("boundary=x; boundary=y", part(name)),
            ("boundary=\"\"", part(name)),
            ("charset=utf-8", part(name)),
        ] {
            let content_type = format!("multipart/form-data; {content_type}");
            for path in ["/form", "/files"] {
                let request = client
                    .post(path)
                    .header("content-type", &content_type)
                    .body(body.clone());
                assert_eq!(request.await.status(), 400, "{content_type} {body}");
            }
        }
        let long = part(&format!("{name}\r\nX: {}", "y".repeat(9000)));
        let request = client
            .post("/form")
            .header("content-type", "multipart/form-data; boundary=x")
            .body(long);
        assert_eq!(request.await.status(), 431);
    });
}

#[test]
fn disks_that_fail_leave_nothing() {
    block_on(async {
        let gone = tempfile::tempdir().unwrap();
        let client = Application::new()
            .upload_limits(UploadLimits {
                memory_bytes: 10,
                temp_dir: Some(gone.path().join("missing")),
                ..UploadLimits::default()
            })
            .route("/", post(async |files: Files| files.len().to_string()))
            .test_client();
        let large = Parts::new().file("f", "a", "text/plain", vec![1; 1000]);
        assert_eq!(client.post("/").multipart(large.clone()).await.status(), 503);
        let small = Parts::new().file("f", "a", "text/plain", "1");
        assert_eq!(client.post("/").multipart(small).await.text(), "1");
        // It recovers without a restart.
        std::fs::create_dir(gone.path().join("missing")).unwrap();
        assert_eq!(client.post("/").multipart(large).await.text(), "1");
        assert!(entries(&gone.path().join("missing")).is_empty());
    });
}

#[test]
fn temporary_files_go_however_the_request_ends() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let client = Application::new()
            .upload_limits(UploadLimits {
                memory_bytes: 10,
                temp_dir: Some(folder.path().to_owned()),
                ..UploadLimits::default()
            })
            .route(
                "/panic",
                post(async |files: Files| -> Result<String> {
                    assert!(files.is_empty(), "a test");
                    Ok(String::new())
                }),
            )
            .route(
                "/mode",
                post(move |files: Files| {
                    let path = path.clone();
                    async move {
                        use std::os::unix::fs::PermissionsExt;
                        let file = files.get("f").and_then(|file| file.path()).unwrap().to_owned();
                        assert_eq!(entries(&path).len(), 1);
                        format!("{:o}", std::fs::metadata(file).unwrap().permissions().mode() & 0o777)
                    }
                }),
            )
            .test_client();
        let large = || Parts::new().file("f", "a", "text/plain", vec![1; 1000]);
        assert_eq!(client.post("/mode").multipart(large()).await.text(), "600");
        assert!(entries(folder.path()).is_empty());
        assert_eq!(client.post("/panic").multipart(large()).await.status(), 500);
        assert!(entries(folder.path()).is_empty());
        // Cut off behind a part that lies on disk.
        let cut = format!(
            "--x\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n{}",
            "y".repeat(600 << 10)
        );
        let request = client
            .post("/mode")
            .header("content-type", "multipart/form-data; boundary=x")
            .body(Body::from(cut));
        assert_eq!(request.await.status(), 400);
        assert!(entries(folder.path()).is_empty());
    });
}
