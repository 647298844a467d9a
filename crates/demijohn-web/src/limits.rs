//! How much of a form or a query string is taken.

use demijohn_core::check::{Checks, Finding};
use demijohn_core::settings::{Key, Settings};
use demijohn_core::{Bag, Error, Request, Result};
use http::StatusCode;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderValue};
use std::io::ErrorKind;
use std::path::PathBuf;

const MAX_FIELDS: Key<usize> = Key::new(
    "DATA_UPLOAD_MAX_NUMBER_FIELDS",
    "1000",
    "how many values a query string or a form may have; more are 400 (413 in a form with files)",
);
const MAX_FILES: Key<usize> = Key::new(
    "DATA_UPLOAD_MAX_NUMBER_FILES",
    "100",
    "how many files a form may have; more are 400",
);
const MAX_TEXT_BYTES: Key<usize> = Key::new(
    "MAX_FORM_MEMORY_SIZE",
    "500000",
    "bytes of all texts of a form with files; more are 413",
);
const MEMORY_BYTES: Key<usize> = Key::new(
    "FILE_UPLOAD_MAX_MEMORY_SIZE",
    "2621440",
    "so much of the files of a form stays in memory; what is larger goes to a temporary file as it comes in",
);
const TEMP_DIR: Key<Option<PathBuf>> = Key::new(
    "FILE_UPLOAD_TEMP_DIR",
    "",
    "the folder of these temporary files; the system's when empty",
);

/// Refuses a body that is packed (`Content-Encoding: gzip`): none is unpacked here, and what is in it would be taken for something else.
///
/// # Errors
/// 415 (RFC 9110, 15.5.16).
pub(crate) fn must_be_plain(request: &Request) -> Result<()> {
    let mut codings = request.headers().get_all(CONTENT_ENCODING).iter();
    match codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        true => Ok(()),
        false => Err(
            Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must not be compressed")
                .with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity")),
        ),
    }
}

/// How much of a form is taken, and where its files are kept while the request lasts; the whole body is limited by
/// `max_body_bytes`.
///
/// Each is the default of a setting: what settings files and the environment say wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadLimits {
    /// Files of a form stay in memory up to this size, of all of them together; 2.5 MB unless set (`FILE_UPLOAD_MAX_MEMORY_SIZE`).
    pub memory_bytes: usize,
    /// The folder for larger ones; the system's for temporary files unless set (`FILE_UPLOAD_TEMP_DIR`).
    pub temp_dir: Option<PathBuf>,
    /// Bytes of all texts of a form with files; 500,000 unless set (`MAX_FORM_MEMORY_SIZE`).
    pub max_text_bytes: usize,
    /// Values of a query string or a form; 1,000 unless set (`DATA_UPLOAD_MAX_NUMBER_FIELDS`).
    pub max_fields: usize,
    /// Files of a form; 100 unless set (`DATA_UPLOAD_MAX_NUMBER_FILES`).
    pub max_files: usize,
}

impl Default for UploadLimits {
    fn default() -> Self {
        UploadLimits {
            memory_bytes: 2_621_440,
            temp_dir: None,
            max_text_bytes: 500_000,
            max_fields: 1_000,
            max_files: 100,
        }
    }
}

impl UploadLimits {
    pub(crate) fn declare(settings: &mut Settings) {
        settings.declare(&MAX_FIELDS);
        settings.declare(&MAX_FILES);
        settings.declare(&MAX_TEXT_BYTES);
        settings.declare(&MEMORY_BYTES);
        settings.declare(&TEMP_DIR);
    }

    pub(crate) fn add_checks(checks: &mut Checks) {
        checks.add("files", |_, settings, findings| {
            let folder = UploadLimits::read(settings).ok().and_then(|limits| limits.temp_dir);
            if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
                findings.push(
                    Finding::error("files.E001", "FILE_UPLOAD_TEMP_DIR is no folder that is there")
                        .on(folder.display().to_string())
                        .hint("make it, or leave the setting empty for the system's folder of temporary files"),
                );
            }
        });
    }

    #[track_caller]
    pub(crate) fn set_defaults(&self, settings: &mut Settings) {
        settings.set_default(MAX_FIELDS.name(), self.max_fields);
        settings.set_default(MAX_FILES.name(), self.max_files);
        settings.set_default(MAX_TEXT_BYTES.name(), self.max_text_bytes);
        settings.set_default(MEMORY_BYTES.name(), self.memory_bytes);
        if let Some(folder) = &self.temp_dir {
            settings.set_default(TEMP_DIR.name(), folder);
        }
    }

    pub(crate) fn read(settings: &Settings) -> Result<Self, Finding> {
        let folder = settings.value(&TEMP_DIR)?;
        Ok(UploadLimits {
            memory_bytes: settings.value(&MEMORY_BYTES)?,
            temp_dir: folder.filter(|path| !path.as_os_str().is_empty()),
            max_text_bytes: settings.value(&MAX_TEXT_BYTES)?,
            max_fields: settings.value(&MAX_FIELDS)?,
            max_files: settings.value(&MAX_FILES)?,
        })
    }
}

/// How many values a query string or a form of this site may have.
pub(crate) fn max_fields(site: &Bag) -> usize {
    site.get::<UploadLimits>()
        .map_or(crate::pairs::MAX_PAIRS, |limits| limits.max_fields)
}

/// The status of what the disk says, where that is no fault of the site's code: 507 when it is full, 503 when it cannot be written for now.
pub(crate) fn status_of_disk(error: &std::io::Error) -> Option<StatusCode> {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Some(StatusCode::INSUFFICIENT_STORAGE)
        }
        ErrorKind::ReadOnlyFilesystem => Some(StatusCode::SERVICE_UNAVAILABLE),
        _ => None,
    }
}

/// A failure of a place that the site writes to.
#[cfg_attr(not(any(feature = "multipart", feature = "storage")), allow(dead_code))]
pub(crate) fn disk_error(error: std::io::Error) -> Error {
    // Not there, not ours, out of descriptors: the operator's to mend, and nothing of this request is kept.
    let status = status_of_disk(&error).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    Error::bare(status).with_source(error)
}
