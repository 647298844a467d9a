extern crate demijohn_orm as demijohn;
#[path = "../common/mod.rs"]
mod common;
#[allow(unused_imports)]
use common::*;
#[allow(unused_imports)]
use demijohn_orm::{private::FieldType, *};

#[deny(unused_must_use)]
fn query() { Article::objects().filter(|a| a.public); }

fn main() {}
