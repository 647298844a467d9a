//! The SQL of each construct.

mod blog;

use blog::*;
use demijohn_model::driver::{Dialect, Param};
use demijohn_model::tape::*;

fn sql(statement: Statement) -> String {
    let step = demijohn_sql::compile(&statement, Dialect::Sqlite).unwrap();
    let params: Vec<String> = step
        .params
        .iter()
        .map(|param| match param {
            Param::Value(value) => format!("{value:?}"),
            other => format!("{other:?}"),
        })
        .collect();
    match params.is_empty() {
        true => step.sql,
        false => format!("{}\n-- {}", step.sql, params.join(", ")),
    }
}

fn condition(node: Node) -> String {
    let sql = sql(Statement::Select(ids(&ARTICLE, node)));
    sql.split_once(" FROM ").unwrap().1.to_owned()
}

#[test]
fn show() {
    println!("{}", sql(Statement::Select(all(&ARTICLE))));
    println!("{}", condition(eq(at(&ARTICLE, &[&AUTHOR], "id"), 1)));
    println!("{}", condition(eq(at(&ARTICLE, &[&AUTHOR], "name"), "x")));
    println!("{}", condition(eq(at(&ARTICLE, &[&AUTHOR, &MANAGER], "name"), "x")));
    println!("{}", condition(eq(at(&ARTICLE, &[&TAGS], "name"), "x")));
    println!("{}", condition(not(eq(at(&ARTICLE, &[&TAGS], "id"), 3))));
    println!(
        "{}",
        condition(two(Node::op(Op::CountPath { path: path(&[&TAGS]) }), Op::Gt, 3))
    );
    println!(
        "{}",
        condition(two(
            at(&ARTICLE, &[], "published_at").push(Op::Extract(Part::Year)),
            Op::Eq,
            2026
        ))
    );
    for s in demijohn_sql::create_tables(&models(), Dialect::Sqlite) {
        println!("{s}");
    }
}
