//! Static files as answers.

use super::folder::Found;
use super::hashed::Content;
use super::{Static, hashed};
use crate::Path;
use crate::codings::{Coding, Wanted};
use crate::conditional::Version;
use crate::file::File;
use demijohn_core::{Error, Operation, Reply, Request, Response, Result};
use http::StatusCode;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, HeaderMap, HeaderValue};

/// A year, and no question in between: another content has another name.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Kept, but asked for each time whether it is still the same.
const ASK: HeaderValue = HeaderValue::from_static("public, no-cache");

pub(crate) async fn serve(Path(name): Path<String>, files: Static, headers: HeaderMap) -> Result<Served> {
    answer(files, name, headers).await
}

/// Answers with a static file. In production nothing of the path reaches the disk: it is a key of a table that was made at the start.
pub(crate) async fn answer(files: Static, name: String, headers: HeaderMap) -> Result<Served> {
    let not_found = || Error::bare(StatusCode::NOT_FOUND);
    let Some(hashed) = &files.0.hashed else {
        let found = {
            let name = name.clone();
            crate::file::blocking(move || files.find(&name)).await?
        };
        let file = match found.ok_or_else(not_found)? {
            Found::Bytes(bytes) => File::of_bytes(&name, bytes),
            Found::File(path) => File::open(path).await?,
        };
        return Ok(Served {
            file,
            cache: ASK,
            coding: None,
            varies: false,
        });
    };
    let (entry, cache) = match hashed.by_hashed(&name) {
        Some(entry) => (entry, FOR_EVER),
        None => (hashed.by_name(&name).ok_or_else(not_found)?, ASK),
    };
    let mut codings = hashed::CODINGS.map(|(coding, _)| coding).to_vec();
    codings.retain(|coding| entry.variants.iter().any(|(known, _)| known == coding));
    let coding = match codings.is_empty() {
        true => None,
        false => Wanted::of(&headers).best(&codings),
    };
    let variant = entry.variants.iter().find(|(known, _)| Some(*known) == coding);
    let mut file = match variant.map_or(&entry.content, |(_, content)| content) {
        Content::Bytes(bytes, tag) => File::of_bytes(&name, bytes.clone()).version(Version::tagged(tag)),
        Content::File(path) => File::open(path).await?,
    };
    // That of the plain file, whatever the ending of its variant is.
    file = file.content_type(crate::content_type(std::path::Path::new(&name)));
    Ok(Served {
        file,
        cache,
        coding,
        varies: !entry.variants.is_empty(),
    })
}

/// A static file on its way out.
pub(crate) struct Served {
    file: File,
    cache: HeaderValue,
    coding: Option<Coding>,
    varies: bool,
}

impl Reply for Served {
    fn reply(self, request: &Request) -> Result<Response> {
        let mut response = self.file.reply(request)?;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, self.cache);
        if let Some(coding) = self
            .coding
            .filter(|_| response.status() != StatusCode::RANGE_NOT_SATISFIABLE)
        {
            response
                .headers_mut()
                .insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        }
        if self.varies {
            crate::shield::vary(response.headers_mut(), &ACCEPT_ENCODING);
        }
        Ok(response)
    }

    fn describe(operation: &mut Operation) {
        File::describe(operation);
    }
}
