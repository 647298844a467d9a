//! Settings, commands and checks as parts: what the site and every blueprint take.

use crate::check::{Check, Finding};
use crate::command::{Call, Command};
use crate::error::Result;
use crate::settings::{Key, Settings};
use crate::site::{Assemble, Bag, Part, Phase, Site};
use serde_core::Serialize;
use serde_core::de::DeserializeOwned;
use std::panic::Location;
use std::sync::Arc;

/// A command is a part: a blueprint's command is listed under the blueprint's name.
impl Part for Command {
    fn install(self: Box<Self>, site: &mut Site) {
        let owner = site.scope().blueprint.clone();
        site.commands.add_from(&owner, *self);
    }
}

/// A check is a part.
impl Part for Check {
    fn install(self: Box<Self>, site: &mut Site) {
        site.checks.0.push(*self);
    }
}

/// A part made of a function.
struct Install<F>(F);

impl<F: FnOnce(&mut Site) + Send + 'static> Part for Install<F> {
    fn install(self: Box<Self>, site: &mut Site) {
        (self.0)(site);
    }
}

/// Settings, commands and checks of a site or a blueprint.
pub trait Configure: Assemble {
    /// Gives a setting a default, and by that declares it. Files and the environment win over it.
    #[must_use]
    #[track_caller]
    fn setting(self, name: &str, default: impl Serialize) -> Self {
        let (name, at) = (name.to_owned(), Location::caller());
        let json = serde_json::to_value(default);
        self.with(Install(move |site: &mut Site| {
            site.settings_mut().default_from(&name, json.unwrap_or_default(), at);
        }))
    }

    /// Declares a setting by its key.
    #[must_use]
    fn declare<T: DeserializeOwned + 'static>(self, key: &'static Key<T>) -> Self {
        self.with(Install(move |site: &mut Site| site.settings_mut().declare(key)))
    }

    /// Reads a table of settings as a `T`, which handlers take as `State<T>`. What is missing or does not fit keeps the
    /// site from starting.
    #[must_use]
    fn settings<T: DeserializeOwned + Send + Sync + 'static>(self, table: &str) -> Self {
        let table = table.to_owned();
        self.with(Install(move |site: &mut Site| {
            site.settings_mut().declare_section::<T>(&table, "");
            site.on_build(Phase::Provide, move |site| {
                let value: T = site.settings().section(&table)?;
                site.bag_mut().insert(Arc::new(value));
                Ok(())
            });
        }))
    }

    /// Adds a command: `cargo run -- NAME`. The function's error is printed, and ends the program with code 1.
    #[must_use]
    fn command<F, Fut>(self, command: Command, action: F) -> Self
    where
        F: Fn(Call) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.with(command.run(action))
    }

    /// Adds a check, which `check` and every command run first; errors keep the site from starting.
    #[must_use]
    fn check(
        self,
        tag: &'static str,
        run: impl Fn(&Bag, &Settings, &mut Vec<Finding>) + Send + Sync + 'static,
    ) -> Self {
        self.with(Check {
            tag,
            deploy: false,
            run: Box::new(run),
        })
    }
}

impl<A: Assemble> Configure for A {}
