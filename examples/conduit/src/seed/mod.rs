//! Fills an empty database, so that there is something to look at: authors, articles, comments, likes.

mod prose;

use crate::models::*;
use demijohn::Bag;
use demijohn::prelude::*;
use demijohn::settings::Settings;
use indicatif::{ProgressBar, ProgressStyle};
use prose::{AUTHORS, Dice, TOPICS};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

const ARTICLES: usize = 200;
const SEED: u64 = 20_260_102;

/// What the demonstration accounts are given for a password.
enum DemoPassword {
    /// This one.
    Given(String),
    /// One that was made up, to be told.
    Random(String),
    /// None: nobody can log in as them.
    None,
}

impl DemoPassword {
    /// `DEMO_PASSWORD` where it is set; otherwise a random one in development, and none in production.
    fn choose(setting: &str, debug: bool) -> Result<Self> {
        Ok(match (setting, debug) {
            ("", true) => DemoPassword::Random(random_password()?),
            ("", false) => DemoPassword::None,
            (given, _) => DemoPassword::Given(given.to_owned()),
        })
    }
}

/// Fills the site's database if nobody is in it, and tells the password of those who then are.
pub(crate) async fn at_start(site: &Bag) -> Result<()> {
    let (Some(db), Some(passwords), Some(settings)) =
        (site.get::<Db>(), site.get::<Passwords>(), site.get::<Arc<Settings>>())
    else {
        return Err(Error::internal(
            "the site has no database, no password hashing or no settings",
        ));
    };
    let password = DemoPassword::choose(&settings.get::<String>("DEMO_PASSWORD")?, settings.debug())?;
    if !fill_if_empty(db, passwords, &password).await? {
        return Ok(());
    }
    let accounts = format!(
        "{} demonstration accounts ({}@example.com and so on)",
        AUTHORS.len(),
        AUTHORS[0].0
    );
    // The accounts are there, whether somebody hears of them or not.
    let mut out = std::io::stdout();
    let _ = match password {
        DemoPassword::Random(password) => writeln!(out, "{accounts}: the password of each is {password}"),
        DemoPassword::Given(_) => writeln!(out, "{accounts}: the password of each is that of DEMO_PASSWORD"),
        DemoPassword::None => writeln!(
            out,
            "{accounts}: none has a password, as DEMO_PASSWORD is not set in production"
        ),
    };
    Ok(())
}

/// Fills the database if nobody is in it; true when it did.
///
/// It is one transaction: whoever interrupts it finds an empty database the next time.
async fn fill_if_empty(db: &Db, passwords: &Passwords, password: &DemoPassword) -> Result<bool> {
    if User::objects().exists(db).await? {
        return Ok(false);
    }
    // One hash for all: it is slow on purpose, and they share the password anyway.
    let hash = match password {
        DemoPassword::Given(password) | DemoPassword::Random(password) => passwords.hash(password).await?,
        // No password has this hash.
        DemoPassword::None => demijohn::auth::UNUSABLE.to_owned(),
    };
    db.atomic(|db| async move { fill(&db, &hash).await }).await?;
    Ok(true)
}

async fn fill(db: &Db, hash: &str) -> Result<()> {
    // Hidden by itself where nobody looks: it draws on a terminal only.
    let bar = ProgressBar::new(ARTICLES as u64);
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message("Writing articles");

    let mut dice = Dice::new(SEED);
    let users = AUTHORS.iter().map(|(name, bio)| {
        new!(User {
            username: *name,
            email: format!("{}@example.com", crate::slug::slug(name)),
            password: hash,
            bio: *bio,
        })
    });
    let users = User::objects().bulk_create(users).save_returning(db).await?;

    let mut tags: BTreeMap<&'static str, Tag> = BTreeMap::new();
    let mut articles = Vec::with_capacity(ARTICLES);
    let now = DateTime::now();
    // How many articles each topic has so far.
    let mut told = [0; TOPICS.len()];
    for number in 0..ARTICLES {
        // Every author has two topics, the second shared with a neighbour.
        let author = dice.below(users.len());
        let at = (author + usize::from(dice.once_in(3))) % TOPICS.len();
        let topic = &TOPICS[at];
        let written = topic.write(at * 9 + told[at], &mut dice);
        told[at] += 1;
        // Some two years, denser towards today, at waking hours.
        let back = ARTICLES - number;
        let age = back / 2 + back * back / 80;
        let published = days_before(now, age, 6 * 60 + dice.below(16 * 60));
        let article = new!(Article {
            slug: format!("{}-{}", crate::slug::slug(&written.title), number + 1),
            title: written.title,
            description: written.description,
            body: written.body,
            author: &users[author],
            created_at: published,
            updated_at: published,
        });
        let article = article.save(db).await?;
        for name in &written.tags {
            if !tags.contains_key(name) {
                tags.insert(name, new!(Tag { name: *name }).save(db).await?);
            }
        }
        article
            .tags()
            .add(db, written.tags.iter().filter_map(|name| tags.get(name)))
            .await?;

        let mut remarks = Vec::new();
        for _ in 0..dice.below(6) {
            let said = topic.remark(&mut dice);
            let when = days_before(now, age.saturating_sub(dice.below(4)), dice.below(24 * 60)).max(published);
            remarks.push(new!(Comment {
                body: said,
                article: &article,
                author: &users[dice.below(users.len())],
                created_at: when,
                updated_at: when,
            }));
        }
        Comment::objects().bulk_create(remarks).save(db).await?;
        articles.push(article);
        bar.inc(1);
    }

    for user in &users {
        let liked = 8 + dice.below(60);
        let all: Vec<&Article> = articles.iter().collect();
        user.favorites().add(db, dice.some(&all, liked)).await?;
        let followed: Vec<&User> = users
            .iter()
            .filter(|other| other.id != user.id && dice.once_in(4))
            .collect();
        user.follows().add(db, followed).await?;
    }
    bar.finish_and_clear();
    Ok(())
}

/// A moment some days ago, at this minute of the day; never in the future.
fn days_before(now: DateTime, days: usize, minute: usize) -> DateTime {
    const MINUTE: i64 = 60_000_000;
    const DAY: i64 = 24 * 60 * MINUTE;
    let today = now.as_microsecond() / DAY * DAY;
    let then = today - days as i64 * DAY + minute as i64 * MINUTE;
    DateTime::from_microsecond(then.min(now.as_microsecond())).unwrap_or(now)
}

/// Sixteen letters and digits from the system's own randomness.
fn random_password() -> Result<String> {
    // Without those that look alike.
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| Error::internal(format!("no random numbers: {e}")))?;
    Ok(bytes.iter().map(|b| char::from(LETTERS[usize::from(b % 32)])).collect())
}
