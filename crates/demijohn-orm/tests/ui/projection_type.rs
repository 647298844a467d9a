extern crate demijohn_orm as demijohn;
#[path = "../common/mod.rs"]
mod common;
#[allow(unused_imports)]
use common::*;
#[allow(unused_imports)]
use demijohn_orm::{private::FieldType, *};

fn query(selection: &mut Selection) {
    let s = Article::fields().views;
    let _: Gives<String> = gives::<Article, _>(&s);
    Select::<Article>::nodes(s, selection);
}

fn main() {}
