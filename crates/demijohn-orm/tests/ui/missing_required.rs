extern crate demijohn_orm as demijohn;
#[path = "../common/mod.rs"]
mod common;
#[allow(unused_imports)]
use common::*;
#[allow(unused_imports)]
use demijohn_orm::{private::FieldType, *};

fn query(user: &User) { let _ = new!(Article { title: "x", slug: "x", author: user }); }

fn main() {}
