//! Static files as answers.

use super::folder::Found;
use super::hashed::{Content, Entry};
use super::{Static, hashed};
use crate::Path;
use crate::codings::{Coding, Wanted};
use crate::conditional::Version;
use crate::file::{File, blocking};
#[cfg(feature = "compression")]
use bytes::Bytes;
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
            blocking(move || files.find(&name)).await?
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
    let (chosen, coding) = in_coding(entry, &headers).await?;
    let mut file = match chosen {
        Content::Bytes(bytes, tag) => File::of_bytes(&name, bytes).version(Version::tagged(tag)),
        Content::File(path) => File::open(path).await?,
    };
    // That of the plain file, whatever the ending of its variant is.
    file = file.content_type(crate::content_type(std::path::Path::new(&name)));
    Ok(Served {
        file,
        cache,
        coding,
        varies: coding.is_some() || !entry.variants.is_empty(),
    })
}

/// The content in the coding that the client likes best of those that there are.
async fn in_coding(entry: &Entry, headers: &HeaderMap) -> Result<(Content, Option<Coding>)> {
    let wanted = || Wanted::of(headers);
    if !entry.variants.is_empty() {
        let mut codings = hashed::CODINGS.map(|(coding, _)| coding).to_vec();
        codings.retain(|coding| entry.variants.iter().any(|(known, _)| known == coding));
        let coding = wanted().best(&codings);
        let variant = entry.variants.iter().find(|(known, _)| Some(*known) == coding);
        return Ok((variant.map_or(&entry.content, |(_, content)| content).clone(), coding));
    }
    #[cfg(feature = "compression")]
    if let Content::Bytes(bytes, tag) = &entry.content
        && let Some(coding) = wanted().best(&hashed::CODINGS.map(|(coding, _)| coding))
        && let Some(made) = made(entry, bytes, coding).await?
    {
        return Ok((Content::Bytes(made, format!("{tag}-{}", coding.name())), Some(coding)));
    }
    Ok((entry.content.clone(), None))
}

/// What the program carries is compressed once, when it is first asked for; whoever asks meanwhile waits for the same.
#[cfg(feature = "compression")]
async fn made(entry: &Entry, bytes: &Bytes, coding: Coding) -> Result<Option<Bytes>> {
    use crate::shield::compress::{Effort, smaller};
    let slots = entry.made.iter().zip(hashed::CODINGS);
    let slot = slots
        .into_iter()
        .find_map(|(slot, (known, _))| (known == coding).then_some(slot));
    let Some(slot) = slot else { return Ok(None) };
    let made = slot.get_or_try_init(|| async {
        let (bytes, name) = (bytes.clone(), entry.name.clone());
        let made = blocking(move || smaller(coding, Effort::Waiting, &name, &bytes)).await?;
        Ok::<_, Error>(made.map(Bytes::from))
    });
    Ok(made.await?.clone())
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
