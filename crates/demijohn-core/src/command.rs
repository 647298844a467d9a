//! Management commands: the program is its own `manage.py`.

use crate::BoxFuture;
use crate::error::Result;
use crate::settings::Settings;
use crate::site::Bag;
use std::sync::Arc;

/// A word that the program understands: `cargo run -- NAME ..`.
pub struct Command {
    /// Name, help and arguments, in clap's terms.
    pub args: clap::Command,
    /// What it does, with the built site.
    pub run: Arc<dyn for<'a> Fn(Call<'a>) -> BoxFuture<'a, Result<()>> + Send + Sync>,
}

/// What a command is called with.
pub struct Call<'a> {
    /// Its parsed arguments.
    pub args: &'a clap::ArgMatches,
    /// What the site provides.
    pub site: &'a Arc<Bag>,
    /// The settings.
    pub settings: &'a Settings,
    /// Where it prints; tests capture it.
    pub out: &'a mut (dyn std::io::Write + Send),
}

/// All commands of a site.
#[derive(Default)]
pub struct Commands(pub Vec<Command>);
