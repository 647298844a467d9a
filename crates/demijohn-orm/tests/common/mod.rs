//! The models that the tests of this crate share: a small blog.
#![allow(dead_code, missing_docs, unreachable_pub)]

use demijohn_macros::model;
use demijohn_orm::{DateTime, Db, ForeignKey, ManyToMany, models};
use std::sync::Arc;

#[model(table = "auth_user")]
#[derive(Clone, Debug)]
pub struct User {
    pub id: i64,
    #[field(unique, max_length = 100)]
    pub email: String,
    #[field(max_length = 100)]
    pub name: String,
    #[field(on_delete = set_null, related_name = "reports")]
    pub manager: Option<ForeignKey<User>>,
}

#[model(app = "blog", ordering = "name")]
#[derive(Clone, Debug)]
pub struct Tag {
    pub id: i64,
    #[field(unique, max_length = 50)]
    pub slug: String,
    #[field(max_length = 50)]
    pub name: String,
}

#[model(app = "blog", ordering = "-published_at", index(published_at))]
#[derive(Clone, Debug)]
pub struct Article {
    pub id: i64,
    #[field(max_length = 200)]
    pub title: String,
    #[field(unique, max_length = 200)]
    pub slug: String,
    #[field(text)]
    pub content: String,
    #[field(default = 0)]
    pub views: i64,
    #[field(default = false)]
    pub public: bool,
    #[field(max_length = 200)]
    pub subtitle: Option<String>,
    #[field(auto_now_add)]
    pub published_at: DateTime,
    #[field(on_delete = cascade, related_name = "articles")]
    pub author: ForeignKey<User>,
    #[field(on_delete = set_null, related_name = "edited")]
    pub editor: Option<ForeignKey<User>>,
    #[field(related_name = "articles")]
    pub tags: ManyToMany<Tag>,
}

#[model(app = "blog")]
#[derive(Clone, Debug)]
pub struct Comment {
    pub id: i64,
    #[field(text)]
    pub text: String,
    #[field(default = false)]
    pub approved: bool,
    #[field(auto_now_add)]
    pub created: DateTime,
    #[field(on_delete = cascade, related_name = "comments")]
    pub article: ForeignKey<Article>,
}

/// An empty database in memory with the tables of all models.
pub async fn database() -> Db {
    let driver = demijohn_sqlite::Sqlite::open("sqlite::memory:").expect("a database in memory opens");
    let db = Db::new(Arc::new(driver));
    let metas = models![User, Tag, Article, Comment].map(|meta| meta());
    let script = demijohn_sql::create_tables(&metas, db.dialect().expect("it is open")).join(";\n");
    db.execute_script(script).await.expect("tables are created");
    db
}
