//! The page that a developer sees in place of an error page: what failed, where, on which request, under which settings.
//!
//! It is shown in debug mode alone, and only to this machine: whoever reads it reads the program.

use crate::errors::{escape, plain_page, wants_json};
use crate::shield::host;
use demijohn_core::request::RouteTable;
use demijohn_core::{Error, Request, Response, Settings};
use http::StatusCode;
use http::header::{AUTHORIZATION, COOKIE};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Only on a loopback address and under a name of this machine: debug mode on a server in the open shows nothing. A proxy on this machine
/// would make everybody look local, so what came by one is not.
pub(crate) fn may_show(request: &Request) -> bool {
    let here = request.host().is_some_and(host::is_loopback);
    let relayed = ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];
    let relayed = relayed.iter().any(|name| request.headers().contains_key(*name));
    // The test client has no peer.
    here && !relayed && request.peer().is_none_or(|peer| peer.ip().is_loopback())
}

/// The page, for server errors and for paths that no route has.
pub(crate) fn page(error: &Error, request: &Request) -> Response {
    let of_interest =
        error.status().is_server_error() || (error.status() == StatusCode::NOT_FOUND && request.route().is_none());
    if wants_json(request) || !of_interest {
        return plain_page(error, request);
    }
    let mut html = HEAD.replace("NONCE", request.csp_nonce().unwrap_or_default());
    let status = error.status();
    let _ = write!(
        html,
        "<h1>{} {}</h1>",
        status.as_u16(),
        escape(status.canonical_reason().unwrap_or("Error"))
    );
    match status.is_server_error() {
        true => failure(&mut html, error),
        false => routes(&mut html, request),
    }
    about_request(&mut html, request);
    if let Some(settings) = request.site().get::<Arc<Settings>>() {
        let rows = settings.rows();
        let rows = rows
            .iter()
            .map(|row| (row.name.as_str(), masked(&row.name, &row.value)));
        table(&mut html, "Settings", rows);
    }
    html.push_str("<p>You see this page because DEBUG is on. In production it is a plain one.</p></html>\n");
    let mut response = demijohn_core::reply::content("text/html; charset=utf-8", html);
    *response.status_mut() = status;
    response
}

const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
<title>Debug</title>\n<style nonce=\"NONCE\">body{font:15px/1.5 system-ui,sans-serif;margin:2rem;max-width:70rem}pre{background:#f4f4f4;padding:.6rem;overflow:auto}\
th{text-align:left;vertical-align:top;padding-right:1rem;font-weight:600;white-space:nowrap}td{overflow-wrap:anywhere}mark{background:#ffd}</style>\n";

fn failure(html: &mut String, error: &Error) {
    if !error.type_name().is_empty() {
        let _ = write!(html, "<p><code>{}</code></p>", escape(error.type_name()));
    }
    let _ = write!(html, "<pre>{}</pre>", escape(&error.to_string()));
    #[cfg(feature = "template")]
    if let Some(cause) = error.downcast_ref::<demijohn_template::Error>() {
        let _ = write!(
            html,
            "<h2>In the template</h2><pre>{}</pre>",
            escape(&format!("{cause:#}"))
        );
    }
    let at = error.location();
    let _ = write!(html, "<h2>At {}:{}</h2>", escape(at.file()), at.line());
    excerpt(html, at.file(), at.line());
    let Some(backtrace) = error.backtrace() else { return };
    let text = backtrace.to_string();
    let frames = frames(&text);
    if frames.is_empty() {
        return;
    }
    html.push_str("<h2>How the program came there</h2>");
    for Frame { function, file, line } in frames {
        let _ = write!(
            html,
            "<h3><code>{}</code></h3><p>{}:{line}</p>",
            escape(function),
            escape(file)
        );
        excerpt(html, file, line);
    }
}

struct Frame<'a> {
    function: &'a str,
    file: &'a str,
    line: u32,
}

/// The frames of a backtrace's text that are of this program rather than of the compiler's and registries' sources.
fn frames(text: &str) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    let mut function = "";
    for line in text.lines() {
        let line = line.trim();
        let Some(place) = line.strip_prefix("at ") else {
            function = line.split_once(": ").map_or(line, |(_, name)| name);
            continue;
        };
        let mut parts = place.rsplitn(3, ':');
        let (_, number, file) = (parts.next(), parts.next(), parts.next());
        let (Some(file), Some(line)) = (file, number.and_then(|n| n.parse().ok())) else {
            continue;
        };
        // `./src/` is how the compiler writes files of a crate that another one uses.
        let foreign = file.starts_with("/rustc/")
            || file.contains("/registry/src/")
            || file.contains("demijohn-core")
            || file.starts_with("./src/");
        if !foreign {
            frames.push(Frame { function, file, line });
        }
    }
    frames.truncate(20);
    frames
}

/// A few lines of a source file around the one that is meant.
fn excerpt(html: &mut String, file: &str, line: u32) {
    let Some(text) = source(file) else { return };
    let line = line as usize;
    html.push_str("<pre>");
    for (i, code) in text.lines().enumerate().skip(line.saturating_sub(5)).take(9) {
        let number = i + 1;
        let code = escape(code);
        let _ = match number == line {
            true => writeln!(html, "<mark>{number:5}  {code}</mark>"),
            false => writeln!(html, "{number:5}  {code}"),
        };
    }
    html.push_str("</pre>");
}

/// Paths of the compiler are relative to where it ran: the workspace, so this folder or one above it.
fn source(file: &str) -> Option<String> {
    let here = std::env::current_dir().ok()?;
    let mut folders = here.ancestors().take(5);
    let path: PathBuf = match Path::new(file).is_absolute() {
        true => file.into(),
        false => folders.find_map(|folder| Some(folder.join(file)).filter(|path| path.is_file()))?,
    };
    std::fs::read_to_string(path).ok()
}

fn routes(html: &mut String, request: &Request) {
    let _ = write!(
        html,
        "<p>No route has the path <code>{}</code>. These were tried:</p><ul>",
        escape(request.path())
    );
    for route in request.site().get::<RouteTable>().map_or(&[][..], |table| &table.0) {
        let _ = write!(
            html,
            "<li><code>{}</code> {}</li>",
            escape(&route.pattern),
            escape(&route.name)
        );
    }
    html.push_str("</ul>");
}

fn about_request(html: &mut String, request: &Request) {
    let route = request.route().map_or("", |route| route.pattern.as_str()).to_owned();
    let head = [
        ("method", request.method().to_string()),
        ("path", request.path().to_owned()),
        ("route", route),
        ("id", request.id().to_string()),
    ];
    table(html, "Request", head.iter().map(|(name, value)| (*name, value.clone())));
    let params = request.params().map(|(name, value)| (name, masked(name, value)));
    table(html, "Parameters of the path", params);
    let query: Vec<(String, String)> = request
        .query_pairs()
        .map(|(n, v)| (n.into_owned(), v.into_owned()))
        .collect();
    table(
        html,
        "Query",
        query.iter().map(|(name, value)| (name.as_str(), masked(name, value))),
    );
    let headers = request.headers().iter().map(|(name, value)| {
        let value = match *name == COOKIE || *name == AUTHORIZATION {
            true => MASK.to_owned(),
            false => masked(name.as_str(), &String::from_utf8_lossy(value.as_bytes())),
        };
        (name.as_str(), value)
    });
    table(html, "Headers", headers);
}

fn table<'a>(html: &mut String, title: &str, rows: impl Iterator<Item = (&'a str, String)>) {
    let mut body = String::new();
    for (name, value) in rows {
        let _ = write!(body, "<tr><th>{}</th><td>{}</td></tr>", escape(name), escape(&value));
    }
    if !body.is_empty() {
        let _ = write!(html, "<h2>{title}</h2><table>{body}</table>");
    }
}

const MASK: &str = "********";

/// The value, unless its name is one of secrets.
fn masked(name: &str, value: &str) -> String {
    let name = name.to_ascii_uppercase();
    let secret = ["SECRET", "TOKEN", "KEY", "PASS", "AUTH", "SIGNATURE", "CREDENTIAL"];
    match secret.iter().any(|word| name.contains(word)) {
        true => MASK.to_owned(),
        false => value.to_owned(),
    }
}
