//! The commands `serve` and `routes`.

use crate::routes::{Listed, Routes};
use crate::server::{Serve, Stop, on_signals};
#[cfg(unix)]
use crate::server::{is_supervised, report, supervise};
use demijohn_core::command::{Arg, ArgAction, Command, builder};
use std::io::Write;
use std::sync::Arc;

pub(crate) fn serve() -> Command {
    Command::new("serve")
        .about("Serves the site")
        .arg(
            Arg::new("bind")
                .long("bind")
                .value_name("ADDR:PORT")
                .help("where to listen; port 0 takes a free one (the setting BIND)"),
        )
        .arg(
            Arg::new("workers")
                .long("workers")
                .value_name("N")
                .help("runtimes, one thread each; 0 means one per core (the setting WORKERS)"),
        )
        .arg(
            Arg::new("reuse-port")
                .long("reuse-port")
                .action(ArgAction::SetTrue)
                .help("share the port with a process that does the same, for restarts without a gap (the setting REUSE_PORT)"),
        )
        .arg(
            Arg::new("supervise")
                .long("supervise")
                .action(ArgAction::SetTrue)
                .help("let a process of its own serve: SIGHUP replaces it without a gap, and one that breaks is started again"),
        )
        .option_is_setting("bind", "BIND")
        .option_is_setting("workers", "WORKERS")
        .arg(
            Arg::new("tls-cert")
                .long("tls-cert")
                .value_name("FILE")
                .help("the chain of certificates in PEM, for https (the setting TLS_CERT)"),
        )
        .arg(
            Arg::new("tls-key")
                .long("tls-key")
                .value_name("FILE")
                .help("its private key in PEM (the setting TLS_KEY)"),
        )
        .option_is_setting("tls-cert", "TLS_CERT")
        .option_is_setting("tls-key", "TLS_KEY")
        .unstarted()
        .run(async |call| {
            let mut serve = Serve::by_settings(call.settings())?;
            if call.flag("reuse-port") {
                serve = serve.reuse_port();
            }
            #[cfg(unix)]
            if call.flag("supervise") && !is_supervised() {
                return supervise(serve.socket()?).await;
            }
            let bound = serve.inherit_or_bind()?;
            let address = bound.address();
            let scheme = if bound.is_secure() { "https" } else { "http" };
            let stop = Stop::new();
            on_signals(stop.clone());
            let open = bound.open(Arc::clone(call.site())).await?;
            // First of all lines, as programs wait for it to learn the port.
            // A full disk, or nobody who listens, is no reason not to serve.
            let _ = writeln!(call.out(), "{scheme}://{}/", shown(address));
            let _ = call.out().flush();
            if call.settings().debug() {
                tracing::info!(
                    target: "demijohn::server",
                    "in development, not for production: errors show the insides of the site; `cargo build --release` makes what others may reach"
                );
            }
            #[cfg(unix)]
            report(stop.clone())?;
            open.serve(stop).await
        })
}

/// An address that a browser can open: `0.0.0.0` is none.
fn shown(mut address: std::net::SocketAddr) -> std::net::SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

pub(crate) fn routes() -> Command {
    Command::new("routes")
        .about("Lists all routes with their methods, names and handlers")
        .arg(
            Arg::new("sort")
                .long("sort")
                .value_name("BY")
                .value_parser(builder::PossibleValuesParser::new(["order", "name", "method", "path"]))
                .default_value("order")
                .help("what to sort by: order is that of declaration"),
        )
        .unstarted()
        .run(async |call| {
            let mut list = call.provided::<Routes>()?.list();
            let method = |listed: &Listed| listed.method.as_ref().map_or("ANY", |m| m.as_str()).to_owned();
            match call.get::<String>("sort")?.as_str() {
                "name" => list.sort_by(|a, b| a.name.cmp(&b.name)),
                "method" => list.sort_by_key(method),
                "path" => list.sort_by(|a, b| a.pattern.cmp(&b.pattern)),
                _ => {}
            }
            let rows: Vec<[String; 4]> = list
                .iter()
                .map(|listed| {
                    [
                        method(listed),
                        listed.pattern.clone(),
                        listed.name.clone(),
                        listed.handler.to_owned(),
                    ]
                })
                .collect();
            let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            let (methods, paths, names) = (width(0), width(1), width(2));
            let mut out = call.out();
            for [method, path, name, handler] in &rows {
                let line = format!("{method:methods$}  {path:paths$}  {name:names$}  {handler}");
                writeln!(out, "{}", line.trim_end())?;
            }
            Ok(())
        })
}
