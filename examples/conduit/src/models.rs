//! What the site stores.

use demijohn::prelude::*;

/// Somebody who writes, comments, follows and likes.
#[model(ordering = "username")]
pub struct User {
    /// Primary key.
    pub id: i64,
    /// The address to log in with.
    #[field(unique, max_length = 254)]
    pub email: String,
    /// The name on the site and in its addresses.
    #[field(unique, max_length = 100)]
    pub username: String,
    /// Argon2id, in the PHC format. Never leaves the server.
    #[field(sensitive, max_length = 200)]
    pub password: String,
    /// A sentence or two about oneself.
    #[field(text)]
    pub bio: Option<String>,
    /// The address of a picture.
    #[field(text)]
    pub image: Option<String>,
    /// Whose articles fill this user's feed.
    #[field(related_name = "followers")]
    pub follows: ManyToMany<User>,
    /// The articles that this user likes.
    #[field(related_name = "fans")]
    pub favorites: ManyToMany<Article>,
}

/// A subject.
#[model(ordering = "name")]
pub struct Tag {
    /// Primary key.
    pub id: i64,
    /// Its name, as written.
    #[field(unique, max_length = 100)]
    pub name: String,
}

/// An article.
#[model(ordering = "-created_at", index(created_at))]
pub struct Article {
    /// Primary key.
    pub id: i64,
    /// Its place in addresses.
    #[field(unique, max_length = 100)]
    pub slug: String,
    /// The title; two articles may share one.
    #[field(max_length = 255)]
    pub title: String,
    /// What it is about.
    #[field(text)]
    pub description: String,
    /// Markdown.
    #[field(text)]
    pub body: String,
    /// Who wrote it.
    #[field(on_delete = cascade, related_name = "articles")]
    pub author: ForeignKey<User>,
    /// Its subjects.
    #[field(related_name = "articles")]
    pub tags: ManyToMany<Tag>,
    /// When it was published.
    #[field(auto_now_add)]
    pub created_at: DateTime,
    /// When it was last changed.
    #[field(auto_now)]
    pub updated_at: DateTime,
}

/// A remark under an article.
#[model(ordering = "-created_at")]
pub struct Comment {
    /// Primary key.
    pub id: i64,
    /// Plain text.
    #[field(text)]
    pub body: String,
    /// What it is about.
    #[field(on_delete = cascade, related_name = "comments")]
    pub article: ForeignKey<Article>,
    /// Who wrote it.
    #[field(on_delete = cascade, related_name = "comments")]
    pub author: ForeignKey<User>,
    /// When it was written.
    #[field(auto_now_add)]
    pub created_at: DateTime,
    /// When it was last changed.
    #[field(auto_now)]
    pub updated_at: DateTime,
}

/// The models, with what the admin shows of them and what is open to be read as data.
pub(crate) fn registered(blueprint: Blueprint) -> Blueprint {
    blueprint
        .models(models![User, Article, Tag, Comment])
        .admin(
            ModelAdmin::<Article>::new()
                .list_display(|a| (a.title, a.author().username, a.fans().count(), a.created_at))
                .search_fields(|a| (a.title, a.description, a.author().username))
                .list_filter(|a| a.created_at),
        )
        .admin(
            ModelAdmin::<User>::new()
                .list_display(|u| (u.username, u.email, u.articles().count()))
                .search_fields(|u| (u.username, u.email)),
        )
        .admin(
            ModelAdmin::<Tag>::new()
                .list_display(|t| (t.name, t.articles().count()))
                .search_fields(|t| t.name),
        )
        .admin(
            ModelAdmin::<Comment>::new()
                .list_display(|c| (c.body, c.author().username, c.article().title, c.created_at))
                .search_fields(|c| (c.body, c.author().username)),
        )
        .resource(
            Resource::<Article>::new("articles")
                .fields(|a| {
                    (
                        a.id,
                        a.slug,
                        a.title,
                        a.description,
                        a.body,
                        a.author,
                        a.created_at,
                        a.updated_at,
                    )
                })
                .filter_fields(|a| (a.slug, a.author)),
        )
        .resource(Resource::<Tag>::new("tags").filter_fields(|t| t.name))
}
