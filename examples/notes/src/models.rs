//! What the site stores.

use demijohn::prelude::*;

/// Somebody who can log in.
#[model(ordering = "username")]
pub struct User {
    /// Primary key.
    pub id: i64,
    /// The name to log in with.
    #[field(unique, max_length = 150)]
    pub username: String,
    /// Argon2id, in the PHC format.
    #[field(sensitive, max_length = 200)]
    pub password: String,
    /// Whoever is not active cannot log in.
    #[field(default = true)]
    pub is_active: bool,
    /// May enter the admin.
    #[field(default = false)]
    pub is_staff: bool,
    /// May do everything.
    #[field(default = false)]
    pub is_superuser: bool,
}

/// A note.
#[model(ordering = "-created_at", index(created_at))]
pub struct Note {
    /// Primary key.
    pub id: i64,
    /// Who wrote it; nobody else reads it, unless it is public.
    #[field(on_delete = cascade, related_name = "notes")]
    pub owner: ForeignKey<User>,
    /// Plain text.
    #[field(text)]
    pub text: String,
    /// What it is about: an address of http or https, or nothing.
    #[field(max_length = 500)]
    pub url: String,
    /// Found by the search of everybody.
    #[field(default = false)]
    pub public: bool,
    /// When it was written.
    #[field(auto_now_add)]
    pub created_at: DateTime,
    /// When it was last changed.
    #[field(auto_now)]
    pub updated_at: DateTime,
}

/// A file that somebody keeps here.
#[model(ordering = "-created_at")]
pub struct Attachment {
    /// Primary key.
    pub id: i64,
    /// Whose it is.
    #[field(on_delete = cascade, related_name = "attachments")]
    pub owner: ForeignKey<User>,
    /// What its owner calls it.
    #[field(max_length = 255)]
    pub name: String,
    /// What the storage calls it.
    #[field(unique, max_length = 200)]
    pub stored: String,
    /// Its length in bytes.
    pub size: i64,
    /// When it came.
    #[field(auto_now_add)]
    pub created_at: DateTime,
}

/// The most characters of a note's text.
pub const TEXT_CHARS: usize = 10_000;
/// The most characters of a note's address.
pub const URL_CHARS: usize = 500;

/// What a note must be, whichever way it comes: the faults, each with the field's name.
pub fn faults(text: &str, url: &str) -> Vec<(&'static str, &'static str)> {
    let mut faults = Vec::new();
    match text.trim() {
        "" => faults.push(("text", "Write something.")),
        _ if text.chars().count() > TEXT_CHARS => faults.push(("text", "At most 10,000 characters.")),
        _ => {}
    }
    if !url.is_empty() && !is_web_address(url) {
        faults.push((
            "url",
            "Enter an address that begins with http:// or https://, of at most 500 characters.",
        ));
    }
    faults
}

/// True for what may stand in a link: a whole address of http or https with a host, and no credentials.
fn is_web_address(text: &str) -> bool {
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    if text.chars().count() > URL_CHARS || text.contains(odd) {
        return false;
    }
    url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

/// The models, with what the admin shows of them.
pub(crate) fn registered(blueprint: Blueprint) -> Blueprint {
    blueprint
        .models(models![User, Note, Attachment])
        .admin(
            ModelAdmin::<Note>::new()
                .list_display(|n| (n.text, n.owner().username, n.public, n.created_at))
                .search_fields(|n| (n.text, n.owner().username)),
        )
        .admin(ModelAdmin::<User>::new().list_display(|u| (u.username, u.is_active, u.is_staff)))
}
