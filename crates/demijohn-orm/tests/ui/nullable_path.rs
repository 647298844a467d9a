extern crate demijohn_orm as demijohn;
#[path = "../common/mod.rs"]
mod common;
#[allow(unused_imports)]
use common::*;
#[allow(unused_imports)]
use demijohn_orm::{private::FieldType, *};

async fn query(db: &Db) -> Result<Vec<String>> { Article::objects().values(|a| a.editor().name).all(db).await }

fn main() {}
