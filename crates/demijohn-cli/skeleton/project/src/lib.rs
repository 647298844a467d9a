//! The site.

use demijohn::prelude::*;

pub mod home;

/// The site, put together. Blueprints are mounted here; `demijohn add NAME` makes one.
pub fn app() -> App {
    App::new()
        .templates(templates!("templates"))
        .static_files(static_files!("static"))
        .mount("/", home::blueprint())
        .mount("/admin", admin())
}
