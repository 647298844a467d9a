//! The demonstration accounts, and a note for one of them.

use crate::models::*;
use demijohn::prelude::*;
use demijohn::settings::Settings;
use demijohn::{Bag, auth};
use std::io::Write;
use std::sync::Arc;

/// Name, may enter the admin, may do everything.
const ACCOUNTS: [(&str, bool, bool); 7] = [
    ("admin", true, true),
    ("alice", false, false),
    ("bob", false, false),
    ("victim", false, false),
    ("pwchange", false, false),
    ("staffnone", true, false),
    ("staffview", true, false),
];

/// Fills the site's database if nobody is in it, and tells the password of those who then are.
pub(crate) async fn at_start(site: &Bag) -> Result<()> {
    let (Some(db), Some(passwords), Some(settings)) =
        (site.get::<Db>(), site.get::<Passwords>(), site.get::<Arc<Settings>>())
    else {
        return Err(Error::internal(
            "the site has no database, no password hashing or no settings",
        ));
    };
    if User::objects().exists(db).await? {
        return Ok(());
    }
    let given: String = settings.get("DEMO_PASSWORD")?;
    let (password, told) = match (given.as_str(), settings.debug()) {
        ("", true) => {
            let made_up = random_password()?;
            let told = format!("the password of each is {made_up}");
            (Some(made_up), told)
        }
        // Accounts of a known password are none that a site in production should find itself with.
        ("", false) => (
            None,
            "none has a password, as DEMO_PASSWORD is not set in production".to_owned(),
        ),
        _ => (Some(given), "the password of each is that of DEMO_PASSWORD".to_owned()),
    };
    // One hash for all: it is slow on purpose, and they share the password anyway.
    let hash = match &password {
        Some(password) => passwords.hash(password).await?,
        None => auth::UNUSABLE.to_owned(),
    };
    db.atomic(|db| async move { fill(&db, &hash).await }).await?;
    // The accounts are there, whether somebody hears of them or not.
    let _ = writeln!(
        std::io::stdout(),
        "{} demonstration accounts (alice, bob and so on): {told}",
        ACCOUNTS.len()
    );
    Ok(())
}

async fn fill(db: &Db, hash: &str) -> Result<()> {
    for (username, is_staff, is_superuser) in ACCOUNTS {
        let user = new!(User {
            username,
            password: hash,
            is_staff,
            is_superuser
        })
        .save(db)
        .await?;
        if username == "bob" {
            let text = "Buy corks.";
            new!(Note {
                owner: &user,
                text,
                url: ""
            })
            .save(db)
            .await?;
            let text = "A demijohn holds as much as a small barrel, and fits under an arm.";
            let url = "https://en.wikipedia.org/wiki/Carboy";
            new!(Note {
                owner: &user,
                text,
                url,
                public: true
            })
            .save(db)
            .await?;
        }
    }
    Ok(())
}

fn random_password() -> Result<String> {
    // No letters or digits that are taken for one another.
    const SIGNS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| Error::internal(error.to_string()))?;
    Ok(random
        .iter()
        .map(|byte| char::from(SIGNS[usize::from(byte % 32)]))
        .collect())
}
