//! `#[get("/")]` and its like: a route declared next to its handler.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Ident, ItemFn, LitStr, Result, Token};

/// `"/post/{id}"`, maybe with `name = "post"`.
pub(crate) struct RouteArgs {
    path: LitStr,
    name: Option<LitStr>,
}

impl Parse for RouteArgs {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let path: LitStr = input.parse()?;
        if !path.value().starts_with('/') {
            return Err(syn::Error::new(path.span(), "the path of a route begins with `/`"));
        }
        let mut name = None;
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let key: Ident = input.parse()?;
            if key != "name" {
                return Err(syn::Error::new(
                    key.span(),
                    format!("unknown option `{key}`; there is `name = \"..\"`"),
                ));
            }
            input.parse::<Token![=]>()?;
            name = Some(input.parse()?);
        }
        Ok(RouteArgs { path, name })
    }
}

/// The function as it is, and beside it a module of its name, in which `routes!` finds its route: names of modules and of
/// functions do not meet, and one `use` brings both.
pub(crate) fn expand(method: &str, args: &RouteArgs, function: &ItemFn) -> TokenStream {
    let method = format_ident!("{method}");
    let (path, ident, vis) = (&args.path, &function.sig.ident, &function.vis);
    let name = args.name.iter();
    quote! {
        #function

        #[doc(hidden)]
        #vis mod #ident {
            pub fn route() -> (&'static str, ::demijohn::Route) {
                (#path, ::demijohn::#method(super::#ident) #(.name(#name))*)
            }
        }
    }
}
