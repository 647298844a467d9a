//! The macros of Demijohn; use them through the facade.

mod context;

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
