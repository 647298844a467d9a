extern crate demijohn_orm as demijohn;
use demijohn_macros::model;

#[model]
struct Place {
    id: i64,
    coordinates: (f64, f64),
}

fn main() {}
