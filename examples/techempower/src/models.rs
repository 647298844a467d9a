//! The two tables, under the names that the rules give them.

use demijohn::prelude::*;
use serde::Serialize;

/// Rows of `world`.
pub(crate) const WORLDS: i64 = 10_000;

/// A number to be looked up and changed.
#[model(table = "world")]
#[derive(Clone, Serialize)]
pub(crate) struct World {
    pub(crate) id: i64,
    #[field(column = "randomnumber")]
    #[serde(rename = "randomNumber")]
    pub(crate) random_number: i64,
}

/// A saying.
#[model(table = "fortune")]
pub(crate) struct Fortune {
    pub(crate) id: i64,
    #[field(max_length = 2048)]
    pub(crate) message: String,
}

/// What is in `fortune`, by id from 1.
pub(crate) const FORTUNES: &[&str] = &[
    "fortune: No such file or directory",
    "A computer scientist is someone who fixes things that aren't broken.",
    "After enough decimal places, nobody gives a damn.",
    "A bad random number generator: 1, 1, 1, 1, 1, 4.33e+67, 1, 1, 1",
    "A computer program does what you tell it to do, not what you want it to do.",
    "Emacs is a nice operating system, but I prefer UNIX. — Tom Christaensen",
    "Any program that runs right is obsolete.",
    "A list is only as strong as its weakest link. — Donald Knuth",
    "Feature: A bug with seniority.",
    "Computers make very fast, very accurate mistakes.",
    "<script>alert(\"This should not be displayed in a browser alert box.\");</script>",
    "フレームワークのベンチマーク",
];
