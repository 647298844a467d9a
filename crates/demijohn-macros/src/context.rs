//! `#[derive(Context)]` and `templates!`: what templates see, and where they come from.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use std::path::{Path, PathBuf};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, LitStr, Result, parse_quote};

/// Emits `Context` (and `Template`, where `#[template(..)]` names one) for a struct with named fields.
pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let template = template_name(input)?;
    let Data::Struct(data) = &input.data else {
        return Err(Error::new(input.ident.span(), "`Context` is derived for structs"));
    };
    let fields = match &data.fields {
        Fields::Named(fields) => &fields.named,
        other => {
            let message = "`Context` needs named fields: their names are what the template sees";
            let span = if matches!(other, Fields::Unit) {
                input.ident.span()
            } else {
                other.span()
            };
            return Err(Error::new(span, message));
        }
    };
    let idents: Vec<_> = fields.iter().filter_map(|f| f.ident.as_ref()).collect();
    let names: Vec<String> = idents.iter().map(|i| i.unraw().to_string()).collect();
    let count = names.len();
    let values = fields.iter().zip(&idents).map(|(field, ident)| {
        // The span of the type, so that "a template cannot read .." points at the field.
        quote_spanned! {field.ty.span()=>
            (&&&::demijohn::template::__private::Probe(&#ident)).way().convert(#ident)
        }
    });

    let name = &input.ident;
    let mut generics = input.generics.clone();
    for parameter in input.generics.type_params() {
        let ident = &parameter.ident;
        generics
            .make_where_clause()
            .predicates
            .push(parse_quote!(#ident: ::demijohn::template::Context));
    }
    let (impls, types, wheres) = generics.split_for_impl();
    let template = template.map(|file| {
        quote! {
            impl #impls ::demijohn::template::Template for #name #types #wheres {
                const NAME: &'static str = #file;
                const FIELDS: &'static [&'static str] = &[#(#names),*];
            }
        }
    });
    Ok(quote! {
        impl #impls ::demijohn::template::Context for #name #types #wheres {
            fn into_value(self) -> ::demijohn::template::Value {
                #[allow(unused_imports)]
                use ::demijohn::template::__private::{ViaContext as _, ViaNothing as _, ViaSerialize as _};
                static NAMES: [&str; #count] = [#(#names),*];
                let Self { #(#idents),* } = self;
                ::demijohn::template::__private::record(&NAMES, [#(#values),*])
            }
        }
        #template
    })
}

/// The text in `#[template("..")]`.
fn template_name(input: &DeriveInput) -> Result<Option<LitStr>> {
    let mut found: Option<LitStr> = None;
    for attribute in input.attrs.iter().filter(|a| a.path().is_ident("template")) {
        let name: LitStr = attribute.parse_args().map_err(|_| {
            Error::new(
                attribute.span(),
                "expected the template's name: `#[template(\"blog/index.html\")]`",
            )
        })?;
        if found.is_some() {
            return Err(Error::new(
                attribute.span(),
                "a second `#[template]`: a context is for one template",
            ));
        }
        if name.value().is_empty() {
            return Err(Error::new(name.span(), "the template's name is empty"));
        }
        found = Some(name);
    }
    Ok(found)
}

/// Emits a `Folder`: a path in debug builds, the files themselves in release builds.
pub(crate) fn templates(folder: &LitStr) -> Result<TokenStream> {
    let path = quote!(::demijohn::template::Folder);
    carried(folder, "templates", &path, &quote!(include_str))
}

/// The same of static files.
pub(crate) fn static_files(folder: &LitStr) -> Result<TokenStream> {
    let path = quote!(::demijohn::web::StaticFolder);
    carried(folder, "static_files", &path, &quote!(include_bytes))
}

fn carried(folder: &LitStr, macro_name: &str, kind: &TokenStream, include: &TokenStream) -> Result<TokenStream> {
    let fail = |message: String| Error::new(folder.span(), message);
    let root = std::env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .ok_or_else(|| fail(format!("`{macro_name}!` needs Cargo, which says where the crate is")))?;
    let relative = folder.value();
    let path = root.join(&relative);
    if !path.is_dir() {
        return Err(fail(format!(
            "no folder `{relative}` beside this crate's Cargo.toml; make it, or name the folder that holds the files"
        )));
    }
    let mut names = Vec::new();
    walk(&path, "", &mut names).map_err(|e| fail(format!("folder `{relative}` cannot be read: {e}")))?;
    names.sort();
    let files = names.iter().map(|name| format!("/{relative}/{name}"));
    let relative = format!("/{relative}");
    // In a debug build no file is named, so that editing one rebuilds nothing.
    Ok(quote! {{
        #[cfg(debug_assertions)]
        const FOLDER: #kind = #kind::on_disk(concat!(env!("CARGO_MANIFEST_DIR"), #relative));
        #[cfg(not(debug_assertions))]
        const FOLDER: #kind = #kind::embedded(&[
            #((#names, #include!(concat!(env!("CARGO_MANIFEST_DIR"), #files)))),*
        ]);
        FOLDER
    }})
}

fn walk(folder: &Path, prefix: &str, names: &mut Vec<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if name.starts_with(['.', '#']) || name.ends_with('~') {
            continue;
        }
        if entry.path().is_dir() {
            walk(&entry.path(), &format!("{prefix}{name}/"), names)?;
        } else {
            names.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{derive, static_files, templates};
    use syn::parse_quote;

    #[track_caller]
    fn refused(input: syn::DeriveInput, message: &str) {
        let error = derive(&input).expect_err("a wrong program");
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn structs_with_named_fields_are_contexts() {
        let input = parse_quote! { #[template("a.html")] struct Page<'a, T> { title: &'a str, rest: T } };
        let tokens = derive(&input).expect("a right program").to_string();
        assert!(
            tokens.contains("impl < 'a , T > :: demijohn :: template :: Template for Page < 'a , T >"),
            "{tokens}"
        );
        assert!(derive(&parse_quote! { struct Empty {} }).is_ok());
    }

    #[test]
    fn other_shapes_are_refused() {
        let named = "`Context` needs named fields: their names are what the template sees";
        refused(parse_quote! { struct Tuple(String); }, named);
        refused(parse_quote! { struct Unit; }, named);
        refused(parse_quote! { enum Choice { A } }, "`Context` is derived for structs");
    }

    #[test]
    fn the_name_of_the_template_is_one_text() {
        let expected = "expected the template's name: `#[template(\"blog/index.html\")]`";
        refused(parse_quote! { #[template(index)] struct A { b: u8 } }, expected);
        refused(parse_quote! { #[template] struct A { b: u8 } }, expected);
        refused(
            parse_quote! { #[template("")] struct A { b: u8 } },
            "the template's name is empty",
        );
        refused(
            parse_quote! { #[template("a.html")] #[template("b.html")] struct A { b: u8 } },
            "a second `#[template]`: a context is for one template",
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = templates(&parse_quote!("no_such_folder")).expect_err("a wrong program");
        assert!(
            error
                .to_string()
                .starts_with("no folder `no_such_folder` beside this crate's Cargo.toml")
        );
        let tokens = templates(&parse_quote!("src"))
            .expect("this crate has a folder `src`")
            .to_string();
        assert!(tokens.contains("\"context.rs\""), "{tokens}");
        // A release build carries the files, whatever they hold.
        let tokens = static_files(&parse_quote!("src")).expect("the same folder").to_string();
        let release = tokens.split("cfg (not (debug_assertions))").nth(1).unwrap_or_default();
        assert!(
            release.contains("(\"model/emit.rs\" , include_bytes ! (concat !"),
            "{tokens}"
        );
    }
}
