//! What every answer of a site is protected with, whatever it does itself.

pub(crate) mod host;
