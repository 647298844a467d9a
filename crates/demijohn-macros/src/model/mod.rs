//! `#[model]`: parse, check, emit.

mod emit;
mod parse;

use crate::faults::Faults;
use proc_macro2::TokenStream;
use quote::quote;

pub(crate) fn expand(args: TokenStream, input: &syn::DeriveInput) -> TokenStream {
    let mut faults = Faults::default();
    let model = parse::Model::parse(args, input, &mut faults);
    if let Some(model) = &model {
        model.check(&mut faults);
    }
    match (faults.finish(), model) {
        (None, Some(model)) => emit::model(&model),
        // The bare struct stays, so that what uses it does not add errors of its own.
        (errors, Some(model)) => {
            let item = &model.item;
            quote!(#errors #item)
        }
        (errors, None) => {
            let item = parse::without_field_attributes(input);
            quote!(#errors #item)
        }
    }
}
