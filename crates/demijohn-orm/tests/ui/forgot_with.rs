extern crate demijohn_orm as demijohn;
#[path = "../common/mod.rs"]
mod common;
#[allow(unused_imports)]
use common::*;
#[allow(unused_imports)]
use demijohn_orm::{private::FieldType, *};

async fn query(db: &Db) -> Result<()> {
    for (article, author) in Article::objects().all(db).await? {
        println!("{}{}", article.title, author.name);
    }
    Ok(())
}

fn main() {}
