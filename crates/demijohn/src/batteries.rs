//! The one list of batteries: what an [`App`](crate::App) has because a feature is on.

use demijohn_core::{Part, Site};

/// Everything that the enabled features bring.
pub(crate) struct Batteries;

impl Part for Batteries {
    fn install(self: Box<Self>, site: &mut Site) {
        site.settings_mut().declare(&crate::log::LOG_FORMAT);
        site.settings_mut().declare(&crate::log::LOG);
        site.commands.add_builtin();
        demijohn_core::settings::add_checks(&mut site.checks);
        #[cfg(feature = "orm")]
        Box::new(demijohn_orm::Loader).install(site);
        #[cfg(feature = "sqlite")]
        driver(site, "sqlite", demijohn_sqlite::Sqlite::driver);
    }
}

/// A database engine by the scheme of its URLs.
#[cfg(feature = "sqlite")]
fn driver(site: &mut Site, scheme: &'static str, open: demijohn_model::driver::Open) {
    site.entry::<demijohn_model::driver::Drivers>().0.push((scheme, open));
}
