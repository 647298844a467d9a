//! Settings: defaults, a TOML file, `.env`, the environment; every value remembers where it came from.

/// The settings of a site.
#[derive(Clone, Debug, Default)]
pub struct Settings {}
