//! Sessions in the site's database: they can be ended on the server, from any of its machines.
//!
//! The client holds a random key and nothing else; the table holds the key's hash, so that whoever reads the table (a backup, an
//! injection elsewhere) cannot log in with what is in it. Source: OWASP ASVS 5.0, chapter 7; Django's `sessions.backends.db`.

// The model macro names the facade; here that is the ORM.
extern crate demijohn_orm as demijohn;

mod store;

pub use store::{DatabaseSessions, Session};

use demijohn_core::Clock;
use demijohn_core::command::Command;
use demijohn_core::session::SessionStore;
use demijohn_core::site::{Part, Phase, Site};
use demijohn_orm::{DATABASE_URL, Db, ModelRegistry, Models, models};
use std::io::Write;
use std::sync::Arc;

/// The part that keeps a site's sessions in its database, and adds the command `clearsessions`.
///
/// A site without a database, and one that has chosen a store of its own, is left as it is.
#[derive(Debug, Default)]
pub struct Sessions;

impl Part for Sessions {
    fn install(self: Box<Self>, site: &mut Site) {
        site.settings_mut().declare(&DATABASE_URL);
        // A site without models and without a database is not given one for sessions that it may never begin.
        site.on_build(Phase::Provide, |site| {
            let has_url = !site.settings().value(&DATABASE_URL)?.is_empty();
            if has_url || site.bag().get::<ModelRegistry>().is_some() {
                Box::new(Models(models![Session].to_vec())).install(site);
            }
            Ok(())
        });
        site.on_build(Phase::Derive, |site| {
            let bag = site.bag_mut();
            if let (Some(db), None) = (bag.get::<Db>().cloned(), bag.get::<Arc<dyn SessionStore>>()) {
                let store: Arc<dyn SessionStore> = Arc::new(DatabaseSessions::new(db));
                bag.insert(store);
            }
            Ok(())
        });
        site.commands.add_from("demijohn", clear_sessions());
    }
}

fn clear_sessions() -> Command {
    Command::new("clearsessions")
        .about("Removes sessions that have expired")
        .run(async |call| {
            let Some(store) = call.site().get::<Arc<dyn SessionStore>>().cloned() else {
                writeln!(call.out(), "This site keeps no sessions.")?;
                return Ok(());
            };
            let clock = call.site().get::<Clock>().cloned().unwrap_or_default();
            let cleared = store.clear_expired(clock.wall()).await?;
            writeln!(call.out(), "{cleared} expired sessions removed.")?;
            Ok(())
        })
}
