//! The one list of batteries: what an [`App`](crate::App) has because a feature is on.

use crate::{routes, serve};
use demijohn_core::{Part, Site};

/// Everything that the enabled features bring.
pub(crate) struct Batteries;

impl Part for Batteries {
    fn install(self: Box<Self>, site: &mut Site) {
        site.settings_mut().declare(&crate::log::LOG_FORMAT);
        site.settings_mut().declare(&crate::log::LOG);
        site.commands.add_from("demijohn", serve::command());
        site.commands.add_from("demijohn", routes::command());
        site.commands.add_builtin();
        #[cfg(feature = "sqlite")]
        site.entry::<demijohn_model::driver::Drivers>()
            .0
            .push(("sqlite", demijohn_sqlite::Sqlite::driver));
        #[cfg(feature = "orm")]
        Box::new(demijohn_orm::Loader).install(site);
    }
}
