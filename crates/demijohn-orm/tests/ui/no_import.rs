extern crate demijohn_orm as demijohn;
#[path = "../common/mod.rs"]
mod common;

mod elsewhere {
    use crate::common::User;

    pub fn query(user: &User) {
        let _ = user.articles();
    }
}

fn main() {}
