//! Storages of a site: the file system as one, uploads into it, and their way back to browsers.
//!
//! `.media("uploads")` is all that most sites need: handlers take [`Media`], and what they save is served below `MEDIA_URL`.

mod disk;
mod media;
mod memory;

pub use disk::FileStorage;
pub(crate) use media::install;
#[cfg(feature = "static")]
pub(crate) use media::place;
pub use media::{Media, StorageExt};
pub use memory::MemoryStorage;
