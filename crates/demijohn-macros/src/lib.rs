//! The macros of Demijohn; use them through the facade.

mod context;
mod faults;
mod model;
mod route;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// Makes a struct readable by templates, and says with `#[template("..")]` which one it is for.
///
/// ```ignore
/// #[derive(Context)]
/// #[template("blog/index.html")]
/// struct Index {
///     articles: Vec<Card>,
/// }
/// ```
#[proc_macro_derive(Context, attributes(template))]
pub fn derive_context(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as syn::DeriveInput);
    context::derive(&input).unwrap_or_else(|e| e.to_compile_error()).into()
}

/// The templates of a folder beside the crate's `Cargo.toml`: read from disk in debug builds, carried in the program in
/// release builds.
///
/// A release build sees a *new* file when the crate is next compiled; changes of known files are always seen.
#[proc_macro]
pub fn templates(input: TokenStream) -> TokenStream {
    let folder = parse_macro_input!(input as syn::LitStr);
    context::templates(&folder)
        .unwrap_or_else(|e| e.to_compile_error())
        .into()
}

/// The static files of a folder beside the crate's `Cargo.toml`: read from disk in debug builds, carried in the program in release builds.
///
/// ```ignore
/// App::new().static_files(static_files!("static"))
/// ```
///
/// A release build sees a *new* file when the crate is next compiled; changes of known files are always seen.
#[proc_macro]
pub fn static_files(input: TokenStream) -> TokenStream {
    let folder = parse_macro_input!(input as syn::LitStr);
    context::static_files(&folder)
        .unwrap_or_else(|e| e.to_compile_error())
        .into()
}

/// Makes a struct a model: its metadata, its columns as queries see them, and its relations.
///
/// ```ignore
/// #[model(ordering = "-published_at", index(published_at))]
/// pub struct Article {
///     pub id: i64,
///     #[field(max_length = 200)]
///     pub title: String,
///     #[field(on_delete = cascade, related_name = "articles")]
///     pub author: ForeignKey<User>,
///     #[field(related_name = "articles")]
///     pub tags: ManyToMany<Tag>,
///     #[field(auto_now_add)]
///     pub published_at: DateTime,
/// }
/// ```
///
/// Options of the struct: `table = ".."`, `app = ".."` (the table is then `app_model`, as in Django), `ordering = ".."` or
/// `["..", ".."]`, `index(a, b)`, `unique(a, b)`, `verbose_name`, `verbose_name_plural`. Options of a field: `max_length`, `text`, `unique`,
/// `index`, `default`, `auto_now`, `auto_now_add`, `primary_key`, `sensitive`, `on_delete`, `related_name`, `column`, `table` (of a
/// many-to-many relation), `verbose_name`, `help_text`.
#[proc_macro_attribute]
pub fn model(args: TokenStream, input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as syn::DeriveInput);
    model::expand(args.into(), &input).into()
}

/// Attributes of the same shape, one per method.
macro_rules! route_attributes {
    ($($name:ident $method:literal),+) => {$(
        #[doc = concat!("Declares the route of a handler next to it, for ", $method, ".")]
        ///
        /// `routes![index, blog::detail]` gathers them: `App::new().routes(routes![index])`. The handler is an `async fn` of a module
        /// (not of a function's body). `name = ".."` names it for links; without, it is named as its function.
        #[proc_macro_attribute]
        pub fn $name(args: TokenStream, input: TokenStream) -> TokenStream {
            let args = parse_macro_input!(args as route::RouteArgs);
            let function = parse_macro_input!(input as syn::ItemFn);
            route::expand(stringify!($name), &args, &function).into()
        }
    )+};
}

route_attributes! { get "GET", post "POST", put "PUT", patch "PATCH", delete "DELETE", head "HEAD", options "OPTIONS" }
