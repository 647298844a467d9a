//! `routes`: lists what the site answers.

use demijohn_core::Error;
use demijohn_core::command::{Call, Command};
use demijohn_web::Routes;
use std::io::Write;

pub(crate) fn command() -> Command {
    Command::new("routes")
        .about("Lists what the site answers: method, path, name, handler")
        .unchecked()
        .run(async |call: Call| {
            let routes = call
                .provided::<Routes>()
                .map_err(|_| Error::internal("this site has no routes"))?;
            let rows: Vec<[String; 4]> = routes
                .list()
                .into_iter()
                .map(|route| {
                    let method = route
                        .method
                        .map_or_else(|| "ANY".to_owned(), |method| method.to_string());
                    [method, route.pattern, route.name, short(route.handler)]
                })
                .collect();
            let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            let widths = [width(0), width(1), width(2)];
            for [method, pattern, name, handler] in &rows {
                let line = format!(
                    "{method:0$}  {pattern:1$}  {name:2$}  {handler}",
                    widths[0], widths[1], widths[2]
                );
                writeln!(call.out(), "{}", line.trim_end())?;
            }
            Ok(())
        })
}

/// A closure's name says only where it was written.
fn short(handler: &str) -> String {
    handler.replace("::{{closure}}", "")
}
