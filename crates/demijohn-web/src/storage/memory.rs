//! Files in memory as a storage.

use bytes::Bytes;
use demijohn_core::storage::{Details, Listing, Storage, generated_name, is_name};
use demijohn_core::{Body, BoxFuture, Clock, Error, Result};
use http::StatusCode;
use http_body_util::BodyExt;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// A [`Storage`] that ends with the process, for tests: nothing touches the disk. A clone is the same storage.
///
/// ```
/// use demijohn_core::storage::Storage;
/// use demijohn_web::{Application, MemoryStorage, StorageExt};
///
/// # demijohn_web::test::block_on(async {
/// let files = MemoryStorage::new();
/// let name = files.save("hello.txt", "Hello".into()).await?;
/// let client = Application::new().storage("default", files).test_client();
/// assert_eq!(client.get(&format!("/media/{name}")).await.text(), "Hello");
/// # Ok::<(), demijohn_web::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    files: Arc<Mutex<BTreeMap<String, Kept>>>,
    clock: Clock,
}

#[derive(Clone, Debug)]
struct Kept {
    content: Bytes,
    created: SystemTime,
}

impl MemoryStorage {
    /// No files.
    pub fn new() -> Self {
        MemoryStorage::default()
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Kept>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, name: &str) -> Result<Kept> {
        self.files()
            .get(name)
            .cloned()
            .ok_or_else(|| Error::bare(StatusCode::NOT_FOUND))
    }
}

impl Storage for MemoryStorage {
    fn save<'a>(&'a self, name: &'a str, content: Body) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let name = generated_name(name)?;
            let content = content.collect().await.map_err(demijohn_core::request::broken_body)?;
            let kept = Kept {
                content: content.to_bytes(),
                created: self.clock.wall(),
            };
            self.files().insert(name.clone(), kept);
            Ok(name)
        })
    }

    fn details<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Details>> {
        Box::pin(async move {
            let kept = self.get(name)?;
            Ok(Details {
                size: kept.content.len() as u64,
                modified: Some(kept.created),
                created: Some(kept.created),
                accessed: None,
            })
        })
    }

    fn read<'a>(&'a self, name: &'a str, part: Range<u64>) -> BoxFuture<'a, Result<Body>> {
        Box::pin(async move {
            let content = self.get(name)?.content;
            let end = usize::try_from(part.end).unwrap_or(usize::MAX).min(content.len());
            let start = usize::try_from(part.start).unwrap_or(usize::MAX).min(end);
            Ok(content.slice(start..end).into())
        })
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.files().remove(name);
            Ok(())
        })
    }

    fn list<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<Listing>> {
        Box::pin(async move {
            let folder = folder.trim_end_matches('/');
            if !folder.is_empty() && !is_name(folder) {
                return Err(Error::bare(StatusCode::NOT_FOUND));
            }
            let prefix = if folder.is_empty() {
                String::new()
            } else {
                format!("{folder}/")
            };
            let mut listing = Listing::default();
            for name in self.files().keys() {
                match name.strip_prefix(&prefix).map(|rest| rest.split_once('/').ok_or(rest)) {
                    Some(Ok((folder, _))) => listing.folders.push(folder.to_owned()),
                    Some(Err(file)) => listing.files.push(file.to_owned()),
                    None => {}
                }
            }
            listing.folders.dedup();
            Ok(listing)
        })
    }

    fn url(&self, name: &str) -> Result<String> {
        Ok(format!("/media/{name}"))
    }
}
