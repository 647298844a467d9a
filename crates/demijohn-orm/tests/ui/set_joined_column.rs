extern crate demijohn_orm as demijohn;
#[path = "../common/mod.rs"]
mod common;
#[allow(unused_imports)]
use common::*;
#[allow(unused_imports)]
use demijohn_orm::{private::FieldType, *};

async fn query(db: &Db) { let _ = Article::objects().update(db, |a| a.author().email.set("x")).await; }

fn main() {}
