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
        {
            Box::new(demijohn_orm::Loader).install(site);
            site.entry::<demijohn_web::ErrorMap>().status(status_of_query);
        }
        #[cfg(feature = "sessions")]
        Box::new(demijohn_web::session::SessionSupport).install(site);
        #[cfg(feature = "database-sessions")]
        Box::new(demijohn_sessions::Sessions).install(site);
        #[cfg(feature = "sqlite")]
        driver(site, "sqlite", demijohn_sqlite::Sqlite::driver);
    }
}

/// What a failed query is to the client: a database that cannot be reached now is no fault of the site's code, and a lookup
/// in text that does not fit the model is one of the request.
#[cfg(feature = "orm")]
fn status_of_query(error: &demijohn_orm::Error) -> Option<demijohn_core::http::StatusCode> {
    use demijohn_core::http::StatusCode;
    match (error.is_unavailable(), error.is_lookup()) {
        (true, _) => Some(StatusCode::SERVICE_UNAVAILABLE),
        (_, true) => Some(StatusCode::BAD_REQUEST),
        _ => None,
    }
}

/// A database engine by the scheme of its URLs.
#[cfg(feature = "sqlite")]
fn driver(site: &mut Site, scheme: &'static str, open: demijohn_model::driver::Open) {
    site.entry::<demijohn_model::driver::Drivers>().0.push((scheme, open));
}
