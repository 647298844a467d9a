//! Files on their way in and out: limits of forms, storage, media.
#![allow(clippy::unwrap_used)]

use demijohn_core::faults::FileFaults;
use demijohn_core::storage::{Details, Listing};
use demijohn_core::{BoxFuture, Error};
use demijohn_covers::covers;
use demijohn_web::test::{Parts, TestClient, block_on};
use demijohn_web::{
    Application, Body, FileStorage, Files, Form, Json, Media, MemoryStorage, Pairs, Query, Result, Storage, StorageExt,
    Storages, TemplatesExt, UploadLimits, get, post,
};
use http_body_util::BodyExt;
use std::collections::BTreeMap;
use std::ops::Range;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

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
        // What a handler writes itself is told as well.
        for (kind, status) in [
            (std::io::ErrorKind::StorageFull, 507),
            (std::io::ErrorKind::ReadOnlyFilesystem, 503),
            (std::io::ErrorKind::NotFound, 500),
        ] {
            let client = Application::new()
                .route(
                    "/",
                    get(move || async move { Err::<String, Error>(std::io::Error::from(kind).into()) }),
                )
                .test_production_client();
            assert_eq!(client.get("/").await.status(), status);
        }
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

#[test]
fn a_client_that_goes_away_leaves_no_temporary_file() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let client = Application::new()
            .upload_limits(UploadLimits {
                memory_bytes: 10,
                temp_dir: Some(folder.path().to_owned()),
                ..UploadLimits::default()
            })
            .route("/", post(async |files: Files| files.len().to_string()))
            .test_client();
        let head = "--x\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n";
        let sending = client
            .post("/")
            .header("content-type", "multipart/form-data; boundary=x")
            .body(Body::stream(Stalls(vec![head.into(), vec![1; 1 << 20].into()])));
        let mut sending = std::pin::pin!(sending.into_future());
        // It is on the disk, and then the client is gone.
        while entries(folder.path()).is_empty() {
            let wait = std::time::Duration::from_millis(1);
            assert!(
                tokio::time::timeout(wait, &mut sending).await.is_err(),
                "the body never ends"
            );
        }
    });
    assert_eq!(entries(folder.path()), [""; 0]);
}

/// These pieces, and then nothing for ever.
struct Stalls(Vec<bytes::Bytes>);

impl http_body::Body for Stalls {
    type Data = bytes::Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, &'static str>>> {
        match self.0.is_empty() {
            true => std::task::Poll::Pending,
            false => std::task::Poll::Ready(Some(Ok(http_body::Frame::data(self.0.remove(0))))),
        }
    }
}

#[test]
fn many_files_take_no_more_memory_than_one() {
    block_on(async {
        let client = Application::new()
            .upload_limits(UploadLimits {
                memory_bytes: 1000,
                ..UploadLimits::default()
            })
            .route(
                "/",
                post(async |files: Files| {
                    let places = files.iter().map(|file| if file.path().is_some() { 'd' } else { 'm' });
                    places.collect::<String>()
                }),
            )
            .test_client();
        let form = |sizes: &[usize]| {
            sizes.iter().fold(Parts::new(), |parts, size| {
                parts.file("f", "a", "text/plain", vec![1; *size])
            })
        };
        for (sizes, places) in [
            (&[400, 600, 1, 0][..], "mmdm"),
            (&[2000, 1000, 1], "dmd"),
            (&[1000], "m"),
            (&[1001], "d"),
        ] {
            assert_eq!(
                client.post("/").multipart(form(sizes)).await.text(),
                places,
                "{sizes:?}"
            );
        }
    });
}

#[test]
fn files_of_a_form_small_and_large() {
    covers!("fastapi.files");
    block_on(async {
        let client = Application::new()
            .max_body_bytes(10 << 20)
            .route(
                "/",
                post(async |Form(texts): Form<Pairs>, files: Files| -> Result<String> {
                    let Some(small) = files.get("f") else {
                        return Ok(format!("{} {}", files.is_empty(), texts.len()));
                    };
                    let mut told = format!("{} {:?} ", texts.get("title").unwrap_or_default(), small.charset());
                    for file in files.all("f") {
                        let mut chunks = file.chunks().await?;
                        let (mut count, mut pieces) = (0, 0);
                        while let Some(piece) = chunks.next().await? {
                            count += piece.len() as u64;
                            pieces += 1;
                        }
                        assert_eq!((count, file.bytes().await?.len() as u64), (file.len(), file.len()));
                        let place = if file.path().is_some() { "disk" } else { "memory" };
                        told += &format!(
                            "{} {} {} {place} {}; ",
                            file.file_name(),
                            file.content_type(),
                            file.len(),
                            pieces > 1
                        );
                    }
                    Ok(told)
                }),
            )
            .test_client();
        let parts = Parts::new()
            .text("title", "T")
            .file("f", "a.txt", "text/plain; charset=\"iso-8859-1\"", "small")
            .file("f", "b.bin", "application/x-b", vec![1; 4 << 20]);
        assert_eq!(
            client.post("/").multipart(parts).await.text(),
            "T Some(\"iso-8859-1\") a.txt text/plain; charset=\"iso-8859-1\" 5 memory false; b.bin application/x-b 4194304 disk true; "
        );
        let none = Parts::new().text("title", "T");
        assert_eq!(client.post("/").multipart(none).await.text(), "true 1");
        assert_eq!(client.post("/").form([("title", "T")]).await.text(), "true 1");
    });
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// All files below a folder, the hidden ones too.
fn tree(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for name in entries(folder) {
        let path = folder.join(&name);
        match path.is_dir() {
            true => files.extend(tree(&path).into_iter().map(|below| format!("{name}/{below}"))),
            false => files.push(name),
        }
    }
    files
}

async fn whole(body: Body) -> Result<Vec<u8>> {
    let whole = body.collect().await.map_err(demijohn_core::request::broken_body)?;
    Ok(whole.to_bytes().to_vec())
}

#[test]
fn files_of_a_storage() {
    covers!("http.storage.filesystem");
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let storage = FileStorage::new(folder.path().join("root"))
            .base_url("/media/")
            .keep_names();
        let before = SystemTime::now() - std::time::Duration::from_secs(5);
        assert_eq!(storage.save("a.txt", "one".into()).await.unwrap(), "a.txt");
        let second = storage.save("a.txt", "second".into()).await.unwrap();
        let random = second
            .strip_prefix("a_")
            .and_then(|rest| rest.strip_suffix(".txt"))
            .unwrap();
        assert_eq!(random.len(), 7, "{second}");
        assert_eq!(whole(storage.open("a.txt").await.unwrap()).await.unwrap(), b"one");
        assert_eq!(whole(storage.open(&second).await.unwrap()).await.unwrap(), b"second");
        assert_eq!(whole(storage.read(&second, 2..4).await.unwrap()).await.unwrap(), b"co");
        assert_eq!(whole(storage.read(&second, 9..12).await.unwrap()).await.unwrap(), b"");
        assert!(storage.exists("a.txt").await.unwrap() && !storage.exists("b.txt").await.unwrap());
        assert_eq!(storage.size(&second).await.unwrap(), 6);
        assert_eq!(storage.url("a b/\u{e4}?.txt").unwrap(), "/media/a%20b/%C3%A4%3F.txt");
        let folded = storage.save("x/y/../c.d.html", "h".into()).await;
        assert_eq!(folded.unwrap_err().status(), 400);
        assert_eq!(storage.save("x/y/c.d.html", "h".into()).await.unwrap(), "x/y/c_d_html");
        let details = storage.details("a.txt").await.unwrap();
        for time in [details.modified, details.created, details.accessed] {
            assert!(time.unwrap() > before && time.unwrap() <= SystemTime::now());
        }
        let listing = storage.list("").await.unwrap();
        assert_eq!(listing.folders, ["x"]);
        assert_eq!(listing.files, ["a.txt".to_owned(), second.clone()]);
        assert_eq!(storage.list("x/").await.unwrap().folders, ["y"]);
        assert_eq!(storage.list("nothing").await.unwrap(), Listing::default());
        storage.delete("a.txt").await.unwrap();
        storage.delete("a.txt").await.unwrap();
        assert!(!storage.exists("a.txt").await.unwrap());
        std::fs::write(folder.path().join("outside"), "secret").unwrap();
        symlink(folder.path().join("outside"), folder.path().join("root/link")).unwrap();
        for name in [
            "../outside",
            "/etc/passwd",
            "x/../../outside",
            "link",
            "x\\..\\outside",
            "",
            ".",
            "..",
            "x",
            "a\0",
        ] {
            assert_eq!(storage.details(name).await.unwrap_err().status(), 404, "{name}");
            assert_eq!(storage.open(name).await.unwrap_err().status(), 404, "{name}");
            storage.delete(name).await.ok();
        }
        assert_eq!(storage.list("..").await.unwrap_err().status(), 404);
        assert!(folder.path().join("outside").exists());
        for name in ["../a.txt", "/tmp/a.txt", ".hidden/a.txt", "a//b.txt", "a\\b/c.txt"] {
            assert_eq!(
                storage.save(name, "x".into()).await.unwrap_err().status(),
                400,
                "{name}"
            );
        }
    });
}

#[test]
fn names_nobody_can_guess() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("uploads");
        let storage = FileStorage::new(&root);
        let mut names = Vec::new();
        for (wanted, ending) in [
            ("notes/me.PNG", ".png"),
            ("notes/page.html", ""),
            ("notes/x.svg", ""),
            ("notes/x.png.php", ""),
            ("notes/.png", ""),
            ("notes/..", ""),
            ("notes/", ""),
            ("notes/a\0b\u{202e}.jpg", ".jpg"),
        ] {
            let name = storage.save(wanted, "x".into()).await.unwrap();
            let stem = name
                .strip_prefix("notes/")
                .and_then(|rest| rest.strip_suffix(ending))
                .unwrap();
            assert!(stem.len() == 26 && !stem.contains('.'), "{wanted} {name}");
            assert_eq!(mode(&root.join(&name)), 0o600);
            names.push(name);
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 8);
        assert_eq!((mode(&root), mode(&root.join("notes"))), (0o700, 0o700));
        assert!(storage.url("x").is_err());
        // A body that breaks off leaves nothing.
        let broken = futures(vec![Ok("some"), Err("gone")]);
        assert_eq!(storage.save("notes/", broken).await.unwrap_err().status(), 400);
        assert_eq!(tree(&root).len(), 8);
    });
}

/// A body of these pieces.
fn futures(pieces: Vec<Result<&'static str, &'static str>>) -> Body {
    let frames = pieces
        .into_iter()
        .map(|piece| piece.map(|text| http_body::Frame::data(text.into())));
    let frames: Vec<Result<http_body::Frame<bytes::Bytes>, &str>> = frames.collect();
    Body::stream(Pieces(frames.into_iter()))
}

struct Pieces(std::vec::IntoIter<Result<http_body::Frame<bytes::Bytes>, &'static str>>);

impl http_body::Body for Pieces {
    type Data = bytes::Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, &'static str>>> {
        std::task::Poll::Ready(self.0.next())
    }
}

#[test]
fn a_caller_that_goes_away_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let storage = FileStorage::new(folder.path());
        let saving = storage.save("a.txt", Body::stream(Stalls(vec![vec![1; 1 << 20].into()])));
        assert!(
            tokio::time::timeout(std::time::Duration::from_millis(200), saving)
                .await
                .is_err()
        );
    });
    assert_eq!(tree(folder.path()), [""; 0]);
    // At every point where it can be left; what runs on other threads is waited for when the runtime ends.
    for polls in 0..30 {
        block_on(async {
            let storage = FileStorage::new(folder.path());
            let mut saving = storage.save("a.txt", "some".into());
            for _ in 0..polls {
                let mut polled =
                    std::pin::pin!(tokio::time::timeout(std::time::Duration::from_micros(100), &mut saving));
                if polled.as_mut().await.is_ok() {
                    for name in storage.list("").await.unwrap().files {
                        storage.delete(&name).await.unwrap();
                    }
                    return;
                }
            }
        });
        assert_eq!(tree(folder.path()), [""; 0], "left after {polls} polls");
    }
}

#[test]
fn modes_and_overwriting() {
    covers!("http.storage.permissions", "http.storage.overwrite");
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let mut site = Application::new().media(folder.path().join("m"));
        let settings = site.site_mut().settings_mut();
        settings.set_default("FILE_UPLOAD_PERMISSIONS", "0o646");
        settings.set_default("FILE_UPLOAD_DIRECTORY_PERMISSIONS", "757");
        let client = site
            .route("/", get(async |media: Media| media.save("x/y", "1", "a.txt").await))
            .test_client();
        let name = client.get("/").await.text().to_owned();
        let root = folder.path().join("m");
        assert_eq!(mode(&root.join(name)), 0o646);
        assert_eq!((mode(&root.join("x")), mode(&root.join("x/y"))), (0o757, 0o757));

        let storage = FileStorage::new(folder.path().join("over")).overwrite();
        for content in ["one", "two"] {
            assert_eq!(storage.save("a.txt", content.into()).await.unwrap(), "a.txt");
        }
        assert_eq!(std::fs::read(folder.path().join("over/a.txt")).unwrap(), b"two");
        assert_eq!(entries(&folder.path().join("over")).len(), 1);
    });
}

/// Files in memory, as somebody else would write it.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Memory {
    fn get(&self, name: &str) -> Result<Vec<u8>> {
        let found = self.0.lock().unwrap().get(name).cloned();
        found.ok_or_else(|| Error::not_found("no such file"))
    }
}

impl Storage for Memory {
    fn save<'a>(&'a self, name: &'a str, content: Body) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let name = demijohn_core::storage::generated_name(name)?;
            let content = whole(content).await?;
            self.0.lock().unwrap().insert(name.clone(), content);
            Ok(name)
        })
    }

    fn details<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Details>> {
        Box::pin(async move {
            let size = self.get(name)?.len() as u64;
            Ok(Details {
                size,
                ..Details::default()
            })
        })
    }

    fn read<'a>(&'a self, name: &'a str, part: Range<u64>) -> BoxFuture<'a, Result<Body>> {
        Box::pin(async move {
            let content = self.get(name)?;
            let end = usize::try_from(part.end).unwrap().min(content.len());
            let content = content[usize::try_from(part.start).unwrap()..end].to_vec();
            // In pieces, as from a network.
            let pieces: Vec<_> = content
                .chunks(3)
                .map(|piece| Ok(http_body::Frame::data(piece.to_vec().into())))
                .collect();
            Ok(Body::stream(Pieces(pieces.into_iter())))
        })
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.0.lock().unwrap().remove(name);
            Ok(())
        })
    }

    fn list<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Listing>> {
        Box::pin(async { Ok(Listing::default()) })
    }

    fn url(&self, name: &str) -> Result<String> {
        Ok(format!("/media/{name}"))
    }
}

#[test]
fn files_in_memory() {
    covers!("http.storage.inmemory");
    block_on(async {
        let files = MemoryStorage::new();
        let name = files.save("x/y/a.txt", "0123".into()).await.unwrap();
        let second = files.save("x/b.html", "1".into()).await.unwrap();
        assert!(name.starts_with("x/y/") && name.ends_with(".txt") && !second.contains('.'));
        let shared: Arc<dyn Storage> = Arc::new(files.clone());
        assert_eq!(whole(shared.open(&name).await.unwrap()).await.unwrap(), b"0123");
        assert_eq!(whole(shared.read(&name, 1..9).await.unwrap()).await.unwrap(), b"123");
        assert_eq!(whole(shared.read(&name, 8..9).await.unwrap()).await.unwrap(), b"");
        assert!(shared.details(&name).await.unwrap().created.is_some());
        assert_eq!(
            (shared.size(&name).await.unwrap(), shared.exists("x").await.unwrap()),
            (4, false)
        );
        let listing = shared.list("x/").await.unwrap();
        assert_eq!((listing.folders, listing.files.len()), (vec!["y".to_owned()], 1));
        assert_eq!(shared.list("").await.unwrap().folders, ["x"]);
        assert_eq!(shared.list("../x").await.unwrap_err().status(), 404);
        assert_eq!(shared.save("../a", "".into()).await.unwrap_err().status(), 400);
        shared.delete(&name).await.unwrap();
        assert_eq!(shared.open(&name).await.unwrap_err().status(), 404);
        assert_eq!(shared.url(&second).unwrap(), format!("/media/{second}"));
    });
}

#[test]
fn storages_of_others() {
    covers!("http.storage.aliases");
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let client = Application::new()
            .storage("default", Memory::default())
            .storage(
                "archive",
                FileStorage::new(folder.path()).base_url("https://files.example/"),
            )
            .storage("plain", FileStorage::new(folder.path().join("plain")).keep_names())
            .route(
                "/save",
                get(async |media: Media| -> Result<String> {
                    let name = media.save("", "0123456789", "a.txt").await?;
                    media.url(&name)
                }),
            )
            .route(
                "/archive",
                get(
                    async |request: demijohn_web::http::Uri, state: Aliases| -> Result<String> {
                        let _ = request;
                        let archive = state.0.get("archive")?;
                        let name = archive.save("x/a.txt", "1".into()).await?;
                        let plain = state.0.get("plain")?.save("a.txt", "1".into()).await?;
                        Ok(format!(
                            "{} {plain} {:?}",
                            archive.url(&name)?,
                            state.0.get("other").is_err()
                        ))
                    },
                ),
            )
            .test_client();
        let url = client.get("/save").await.text().to_owned();
        assert!(url.starts_with("/media/") && url.ends_with(".txt"), "{url}");
        let answer = client.get(&url).await;
        assert_eq!(
            (answer.text(), answer.header("content-length")),
            ("0123456789", Some("10"))
        );
        let part = client.get(&url).header("range", "bytes=2-8").await;
        assert_eq!((part.status().as_u16(), part.text()), (206, "2345678"));
        let parts = client.get(&url).header("range", "bytes=0-1,5-9").await;
        assert!(parts.text().contains("\r\n\r\n01\r\n--") && parts.text().contains("\r\n\r\n56789\r\n--"));
        assert_eq!(client.get("/media/nothing").await.status(), 404);
        let archived = client.get("/archive").await.text().to_owned();
        assert!(
            archived.starts_with("https://files.example/x/") && archived.ends_with(".txt a.txt true"),
            "{archived}"
        );
        assert_eq!(tree(folder.path()).len(), 2);
    });
}

struct Aliases(Storages);

impl demijohn_web::Extract for Aliases {
    async fn extract(request: &mut demijohn_web::Request) -> Result<Self, demijohn_web::Rejection> {
        Ok(Aliases(request.provided::<Storages>()?.clone()))
    }
}

/// A site that keeps uploads, and the folders of what is kept and of what is on its way.
struct Uploads {
    client: TestClient,
    kept: tempfile::TempDir,
    coming: tempfile::TempDir,
    faults: FileFaults,
}

fn uploads() -> Uploads {
    let (kept, coming) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let faults = FileFaults::default();
    let mut site = Application::new()
        .media(kept.path())
        .upload_limits(UploadLimits {
            memory_bytes: 1000,
            temp_dir: Some(coming.path().to_owned()),
            ..UploadLimits::default()
        })
        .max_body_bytes(10 << 20)
        .route(
            "/upload",
            post(async |files: Files, media: Media| -> Result<String> {
                let file = files.get("f").ok_or_else(|| Error::bad_request("no file"))?;
                let name = media.save_upload("notes", file).await?;
                media.url(&name)
            }),
        );
    site.site_mut().bag_mut().insert(faults.clone());
    Uploads {
        client: site.test_production_client(),
        kept,
        coming,
        faults,
    }
}

impl Uploads {
    async fn send(&self, file_name: &str, content: impl AsRef<[u8]>) -> String {
        let parts = Parts::new().file("f", file_name, "image/png", content);
        let answer = self.client.post("/upload").multipart(parts).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.text().to_owned()
    }
}

#[test]
fn whatever_step_fails_files_are_whole_or_not_there() {
    block_on(async {
        for size in [10, 1 << 20] {
            let site = uploads();
            let content = vec![7; size];
            let mut kept = 0;
            for n in 1.. {
                site.faults.0.fail_at(n);
                let parts = Parts::new().file("f", "a.png", "image/png", &content);
                let answer = site.client.post("/upload").multipart(parts).await;
                let struck = site.faults.0.passed() >= n;
                site.faults.0.fail_at(0);
                assert_eq!(tree(site.coming.path()), [""; 0], "step {n}");
                if answer.status() == 200 {
                    kept += 1;
                } else {
                    assert_eq!(answer.status(), 507, "step {n}");
                    assert!(!answer.text().contains("storage"), "{}", answer.text());
                }
                let files = tree(site.kept.path());
                assert_eq!(files.len(), kept, "step {n}: {files:?}");
                assert!(files.iter().all(|name| !name.contains("/.")));
                // And the next request is a good one.
                let url = site.send("b.png", &content).await;
                kept += 1;
                assert_eq!(site.client.get(&url).await.bytes(), content);
                if !struck {
                    assert!(n > 6, "the seam is passed");
                    break;
                }
            }
            // Reading fails as cleanly.
            let url = site.send("b.png", &content).await;
            for n in 1..=4 {
                site.faults.0.fail_at(n);
                let answer = site.client.get(&url).await;
                match site.faults.0.passed() >= n {
                    true => assert_eq!(answer.status(), 507),
                    false => assert_eq!(answer.bytes(), content),
                }
                site.faults.0.fail_at(0);
                assert_eq!(site.client.get(&url).await.bytes(), content);
            }
        }
    });
}

#[test]
fn templates_know_where_uploads_are() {
    block_on(async {
        let page = demijohn_template::Folder::embedded(&[("a.html", "<a href=\"{{ media_url('x/a b.png') }}\">")]);
        let site = || {
            Application::new()
                .templates(page)
                .route("/", get(async || demijohn_web::render("a.html", ())))
        };
        let folder = tempfile::tempdir().unwrap();
        let client = site().media(folder.path()).test_client();
        assert_eq!(client.get("/").await.text(), "<a href=\"/media/x/a%20b.png\">");
        assert_eq!(site().test_client().get("/").await.status(), 500);
    });
}

#[test]
fn uploads_come_back_harmless() {
    block_on(async {
        let site = uploads();
        let client = &site.client;
        let picture = site.send("me.png", "picture").await;
        let answer = client.get(&picture).await;
        assert_eq!(answer.header("content-type"), Some("image/png"));
        assert!(
            answer
                .header("content-disposition")
                .unwrap()
                .starts_with("inline; filename=\"")
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
        for name in ["a.html", "a.svg", "a.xml", "a.js", "a.unknown", "a.png.html", "a"] {
            let url = site.send(name, "<script>alert(1)</script>").await;
            let answer = client.get(&url).await;
            assert_eq!(
                answer.header("content-type"),
                Some("application/octet-stream"),
                "{name}"
            );
            assert!(
                answer.header("content-disposition").unwrap().starts_with("attachment"),
                "{name}"
            );
            assert!(
                answer
                    .header("content-security-policy")
                    .unwrap()
                    .starts_with("sandbox;"),
                "{name}"
            );
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
        // Files that got there another way are as harmless.
        for (name, content_type) in [
            ("x.html", "text/html; charset=utf-8"),
            ("x.svg", "image/svg+xml; charset=utf-8"),
            ("x.js", "text/javascript; charset=utf-8"),
        ] {
            std::fs::write(site.kept.path().join(name), "x").unwrap();
            let answer = client.get(&format!("/media/{name}")).await;
            assert_eq!(answer.header("content-type"), Some(content_type));
            assert_eq!(
                answer.header("content-disposition"),
                Some(format!("attachment; filename=\"{name}\"").as_str())
            );
            assert!(answer.header("content-security-policy").unwrap().contains("sandbox"));
        }
        for method in ["POST", "PUT", "DELETE", "PATCH", "PROPFIND"] {
            let method = demijohn_web::http::Method::from_bytes(method.as_bytes()).unwrap();
            let answer = client.request(method, &picture).await;
            assert_eq!(
                (answer.status().as_u16(), answer.header("allow")),
                (405, Some("GET, HEAD, OPTIONS"))
            );
        }
        let head = client.head(&picture).await;
        assert_eq!(
            (head.status().as_u16(), head.header("content-length"), head.text()),
            (200, Some("7"), "")
        );
    });
}

#[test]
fn media_has_no_way_out() {
    block_on(async {
        let site = uploads();
        let root = site.kept.path();
        let url = site.send("me.png", "picture").await;
        std::fs::write(root.join(".env"), "secret").unwrap();
        std::fs::create_dir(root.join(".git")).unwrap();
        std::fs::write(root.join(".git/config"), "secret").unwrap();
        symlink("/etc", root.join("etc")).unwrap();
        symlink("/etc/passwd", root.join("passwd.txt")).unwrap();
        let inside = url.rsplit('/').next().unwrap();
        symlink(root.join("notes").join(inside), root.join("again.png")).unwrap();
        assert_eq!(site.client.get("/media/again.png").await.status(), 200);
        for path in [
            "../Cargo.toml",
            "..%2fetc/passwd",
            "%2e%2e/etc/passwd",
            "%2e%2e%2fetc%2fpasswd",
            "..%5cetc",
            "..\\etc",
            "notes/../../etc/passwd",
            "%252e%252e/etc/passwd",
            "..%c0%afetc",
            "..%00/etc",
            "%00",
            "/etc/passwd",
            "%2fetc%2fpasswd",
            "//etc/passwd",
            "C:%5cboot.ini",
            "file:%2f%2f%2fetc/passwd",
            ".env",
            "%2eenv",
            ".git/config",
            "notes/.",
            "notes/..",
            "notes",
            "notes/",
            "",
            "etc/passwd",
            "passwd.txt",
            "notes//x",
            "....//etc/passwd",
            "..;/etc/passwd",
            "me.png%0a",
            "\u{ff0e}\u{ff0e}/etc/passwd",
            "notes/%2e/x",
            "~root",
        ] {
            let answer = site.client.get(&format!("/media/{path}")).await;
            assert!(
                [400, 404].contains(&answer.status().as_u16()),
                "{path}: {}",
                answer.status()
            );
            assert!(
                !answer.text().contains("secret") && !answer.text().contains("root:"),
                "{path}"
            );
        }
        let long = "a".repeat(300);
        assert_eq!(site.client.get(&format!("/media/{long}")).await.status(), 404);
    });
}

#[test]
fn parts_of_media() {
    block_on(async {
        let site = uploads();
        let url = site.send("a.txt", "0123456789").await;
        let ask = async |range: &str| {
            let answer = site.client.get(&url).header("range", range).await;
            (
                answer.status().as_u16(),
                answer.header("content-range").map(str::to_owned),
                answer.text().to_owned(),
            )
        };
        let one = |range: &str, text: &str| (206, Some(format!("bytes {range}/10")), text.to_owned());
        assert_eq!(ask("bytes=0-3").await, one("0-3", "0123"));
        assert_eq!(ask("bytes=-2").await, one("8-9", "89"));
        assert_eq!(ask("bytes=0-3,2-5,6-6").await, one("0-6", "0123456"));
        assert_eq!(
            ask("bytes=10-").await,
            (416, Some("bytes */10".to_owned()), String::new())
        );
        let many = "0-0,".repeat(5000) + "1-1";
        for ignored in [
            "bytes=3-1",
            "bytes=a",
            "lines=0-1",
            "bytes=0-0,2-2,4-4,6-6,8-8,1-1,3-3,5-5,7-7,9-9,0-0",
            &format!("bytes={many}"),
        ] {
            assert_eq!(
                ask(ignored).await,
                (200, None, "0123456789".to_owned()),
                "{}",
                &ignored[..9]
            );
        }
        let answer = site.client.get(&url).header("range", "bytes=8-8,0-1").await;
        let boundary = answer
            .header("content-type")
            .unwrap()
            .strip_prefix("multipart/byteranges; boundary=")
            .unwrap();
        let expected = format!(
            "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n\
             --{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 8-8/10\r\n\r\n8\r\n--{boundary}--\r\n"
        );
        assert_eq!(answer.text(), expected);
        assert_eq!(
            answer.header("content-length"),
            Some(expected.len().to_string().as_str())
        );
        let plain = site.client.get(&url).await;
        let (etag, date) = (plain.header("etag").unwrap(), plain.header("last-modified").unwrap());
        for (condition, status) in [
            (etag, 206),
            ("\"other\"", 200),
            (date, 206),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 200),
            ("W/\"a\"", 200),
        ] {
            let answer = site
                .client
                .get(&url)
                .header("range", "bytes=0-0")
                .header("if-range", condition)
                .await;
            assert_eq!(answer.status(), status, "{condition}");
        }
        assert_eq!(site.client.get(&url).header("if-none-match", etag).await.status(), 304);
        assert_eq!(
            site.client.get(&url).header("if-modified-since", date).await.status(),
            304
        );
        assert_eq!(
            site.client.get(&url).header("if-match", "\"other\"").await.status(),
            412
        );
        let twice = site
            .client
            .get(&url)
            .header("range", "bytes=0-0")
            .header("range", "bytes=1-1")
            .await;
        assert!([200, 206].contains(&twice.status().as_u16()));
    });
}

#[test]
fn names_of_downloads() {
    block_on(async {
        for (name, expected) in [
            ("a.pdf", r#"attachment; filename="a.pdf""#),
            (
                "na\u{ef}ve.pdf",
                "attachment; filename=\"na_ve.pdf\"; filename*=UTF-8''na%C3%AFve.pdf",
            ),
            (
                "a\"b.pdf",
                "attachment; filename=\"a_b.pdf\"; filename*=UTF-8''a%22b.pdf",
            ),
            (
                "50%.pdf",
                "attachment; filename=\"50_.pdf\"; filename*=UTF-8''50%25.pdf",
            ),
            ("../a\\b\r\nX: y", r#"attachment; filename=".._a_b__X: y""#),
            ("evil\u{202e}fdp.exe", r#"attachment; filename="evil_fdp.exe""#),
            ("", "attachment"),
        ] {
            let file = demijohn_web::File::of_bytes("x", "x").attachment(name);
            let answer = Application::new()
                .state(Mutex::new(Some(file)))
                .route(
                    "/",
                    get(async |file: demijohn_web::State<Mutex<Option<demijohn_web::File>>>| {
                        file.lock().unwrap().take().ok_or_else(|| Error::not_found("taken"))
                    }),
                )
                .test_client()
                .get("/")
                .await;
            assert_eq!(answer.header("content-disposition"), Some(expected));
        }
    });
}
