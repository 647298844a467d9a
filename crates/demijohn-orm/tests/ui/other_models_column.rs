extern crate demijohn_orm as demijohn;
#[path = "../common/mod.rs"]
mod common;
#[allow(unused_imports)]
use common::*;
#[allow(unused_imports)]
use demijohn_orm::{private::FieldType, *};

fn query() { let u = User::fields(); let _ = Article::objects().filter(|_| u.email.eq("x")); }

fn main() {}
