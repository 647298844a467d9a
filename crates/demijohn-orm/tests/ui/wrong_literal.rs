extern crate demijohn_orm as demijohn;
#[path = "../common/mod.rs"]
mod common;
#[allow(unused_imports)]
use common::*;
#[allow(unused_imports)]
use demijohn_orm::{private::FieldType, *};

fn query() { let _ = Article::objects().filter(|a| a.views.gt("many")); }

fn main() {}
