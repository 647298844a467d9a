extern crate demijohn_orm as demijohn;
use demijohn_macros::model;
use demijohn_orm::{ForeignKey, ManyToMany};

#[model(ordering = "-publishd", indx(title), index(titel))]
struct Article {
    id: i64,
    #[field(max_lenght = 200)]
    title: String,
    published: bool,
    #[field(max_length = 0)]
    slug: String,
    author: ForeignKey<Author>,
    #[field(on_delete = set_null)]
    editor: ForeignKey<Author>,
    #[field(on_delete = casade)]
    owner: ForeignKey<Author>,
    #[field(unique)]
    tags: ManyToMany<Author>,
    #[field(text)]
    body__text: String,
}

#[model]
struct Author {
    #[field(max_length = 20)]
    name: String,
}

#[model]
struct Pair(i64, i64);

#[model]
struct Holder<T> {
    id: i64,
    value: T,
}

fn main() {}
