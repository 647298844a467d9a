//! Metadata and thin accessors. Everything else is ordinary code in the ORM.

use super::parse::{Field, Kind, Model, last_segment};
use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned;

pub(crate) fn model(model: &Model) -> TokenStream {
    let item = &model.item;
    let parts = [
        fields_struct(model),
        model_impl(model),
        select_impls(model),
        object_methods(model),
        reverse(model),
    ];
    quote! { #item #(#parts)* }
}

/// Where the macros find the ORM.
fn orm() -> TokenStream {
    quote!(::demijohn::__private::orm)
}

fn fields_name(model: &Model) -> syn::Ident {
    format_ident!("{}Fields", model.name)
}

/// Relation fields with their numbers.
fn relations(model: &Model) -> Vec<(u16, &Field, &Type)> {
    let targets = model.fields.iter().filter_map(|field| match &field.kind {
        Kind::ForeignKey { target, .. } | Kind::ManyToMany { target } => Some((field, target)),
        Kind::Column { .. } => None,
    });
    targets
        .enumerate()
        .map(|(i, (field, target))| (i as u16, field, target))
        .collect()
}

/// The function that gives a relation's hop, there or back.
fn hop_name(field: &Field, reverse: bool) -> syn::Ident {
    match reverse {
        false => format_ident!("__hop_{}", field.name),
        true => format_ident!("__back_{}", field.name),
    }
}

/// The type of a column as queries see it.
fn column_type(model: &Model, index: usize, field: &Field) -> TokenStream {
    let orm = orm();
    let name = &model.name;
    match &field.kind {
        Kind::ForeignKey {
            target,
            optional: false,
        } => quote!(#orm::Key<#target>),
        Kind::ForeignKey { target, optional: true } => quote!(::core::option::Option<#orm::Key<#target>>),
        _ if index == model.pk => quote!(#orm::Key<#name>),
        _ => field.ty.to_token_stream(),
    }
}

fn fields_struct(model: &Model) -> TokenStream {
    let orm = orm();
    let (name, fields) = (&model.name, fields_name(model));
    let vis = &model.item.vis;
    let title = format!("The columns of [`{name}`] as a query sees them.");
    let columns: Vec<(usize, &Field)> = model
        .fields
        .iter()
        .enumerate()
        .filter(|(_, f)| !matches!(f.kind, Kind::ManyToMany { .. }))
        .collect();
    let idents: Vec<_> = columns.iter().map(|(_, f)| &f.ident).collect();
    let docs: Vec<_> = columns
        .iter()
        .map(|(_, f)| match f.docs.is_empty() {
            true => {
                let text = format!("The column `{}`.", f.column());
                quote!(#[doc = #text])
            }
            false => {
                let docs = &f.docs;
                quote!(#(#docs)*)
            }
        })
        .collect();
    let types: Vec<_> = columns.iter().map(|(i, f)| column_type(model, *i, f)).collect();
    let numbers: Vec<u16> = (0..columns.len() as u16).collect();
    let hops = relations(model).into_iter().map(|(_, field, target)| {
        let (method, hop) = (&field.ident, hop_name(field, false));
        let text = format!("Over the relation `{}`.", field.name);
        let at = quote!(#orm::Fields::at(self.__path.hop(#name::#hop())));
        let (out, value) = match &field.kind {
            Kind::ForeignKey { optional: false, .. } => (
                quote!(<#target as #orm::Model>::FieldsAt<R, <N as #orm::Reach>::Hop>),
                at,
            ),
            Kind::ForeignKey { .. } | Kind::Column { .. } => {
                (quote!(<#target as #orm::Model>::FieldsAt<R, #orm::Nullable>), at)
            }
            Kind::ManyToMany { .. } => (
                quote!(#orm::Many<<#target as #orm::Model>::FieldsAt<R, #orm::Nullable>>),
                quote!(#orm::Many::new(#at)),
            ),
        };
        quote! { #[doc = #text] #vis fn #method(self) -> #out { #value } }
    });
    quote! {
        #[doc = #title]
        #vis struct #fields<R = #name, N = #orm::Own> {
            #(#docs #vis #idents: #orm::Column<R, #types, N>,)*
            __path: #orm::private::Path,
        }
        impl<R, N> ::core::clone::Clone for #fields<R, N> {
            fn clone(&self) -> Self { *self }
        }
        impl<R, N> ::core::marker::Copy for #fields<R, N> {}
        impl<R: 'static, N: #orm::Reach> #fields<R, N> {
            #(#hops)*
        }
        impl<R: 'static, N: #orm::Reach> #orm::Fields for #fields<R, N> {
            type Root = R;
            type Model = #name;
            fn path(&self) -> #orm::private::Path { self.__path }
            #[inline]
            fn at(path: #orm::private::Path) -> Self {
                #fields { #(#idents: #orm::Column::new(path, #numbers),)* __path: path }
            }
        }
        impl<R> #orm::IntoExpr<#orm::Key<#name>, R> for &#name {
            fn into_node(self) -> #orm::private::Node {
                #orm::private::Node::param(#orm::private::FieldType::to_value(#orm::Model::pk(self)))
            }
        }
    }
}

fn model_impl(model: &Model) -> TokenStream {
    let orm = orm();
    let (name, fields) = (&model.name, fields_name(model));
    let pk = &model.fields[model.pk];
    let (pk_ident, pk_type) = (&pk.ident, &pk.ty);
    let name_text = name.to_string();
    let required = model
        .fields
        .iter()
        .enumerate()
        .filter(|(i, f)| f.is_required(*i == model.pk))
        .map(|(_, f)| {
            let (field, text) = (&f.name, format!("missing required field `{}` of `{name}`", f.name));
            quote!((#field, #text))
        });
    let decode = model.fields.iter().map(|field| {
        let ident = &field.ident;
        let hop = hop_name(field, false);
        match &field.kind {
            Kind::Column { .. } => quote!(#ident: cursor.next()?),
            Kind::ForeignKey { optional: false, .. } => {
                quote!(#ident: #orm::ForeignKey::decode(cursor, #name::#hop())?)
            }
            Kind::ForeignKey { optional: true, .. } => {
                quote!(#ident: #orm::ForeignKey::decode_opt(cursor, #name::#hop())?)
            }
            Kind::ManyToMany { .. } => quote!(#ident: #orm::ManyToMany::unloaded(cursor, #name::#hop())),
        }
    });
    let values = model.columns().map(|field| {
        let ident = &field.ident;
        match &field.kind {
            Kind::ForeignKey { optional: false, .. } => quote!(#orm::private::FieldType::to_value(self.#ident.id())),
            Kind::ForeignKey { optional: true, .. } => quote! {
                self.#ident.as_ref().map_or(#orm::private::Value::Null, |key| #orm::private::FieldType::to_value(key.id()))
            },
            _ => quote!(#orm::private::FieldType::to_value(::core::clone::Clone::clone(&self.#ident))),
        }
    });
    let attach = relations(model).into_iter().map(|(number, field, _)| {
        let ident = &field.ident;
        match &field.kind {
            Kind::ForeignKey { optional: true, .. } => {
                quote!(#number => if let ::core::option::Option::Some(key) = &mut object.#ident { key.attach(loaded) })
            }
            _ => quote!(#number => object.#ident.attach(loaded)),
        }
    });
    let meta = meta(model);
    quote! {
        impl #orm::Model for #name {
            type Pk = #pk_type;
            type Fields = #fields<#name, #orm::Own>;
            type FieldsAt<R: 'static, N: #orm::Reach> = #fields<R, N>;
            const NAME: &'static str = #name_text;
            const REQUIRED: &'static [(&'static str, &'static str)] = &[#(#required),*];
            fn meta() -> &'static #orm::private::ModelMeta {
                fn attach(object: &mut dyn ::core::any::Any, relation: u16, loaded: #orm::private::Erased) {
                    if let ::core::option::Option::Some(object) = object.downcast_mut::<#name>() {
                        match relation {
                            #(#attach,)*
                            _ => { let _ = (object, loaded); }
                        }
                    }
                }
                #meta
                &META
            }
            fn pk(&self) -> #pk_type { ::core::clone::Clone::clone(&self.#pk_ident) }
            fn decode(cursor: &mut #orm::private::Cursor<'_>) -> #orm::Result<Self> {
                ::core::result::Result::Ok(#name { #(#decode,)* })
            }
            fn values(&self) -> ::std::vec::Vec<#orm::private::Value> {
                ::std::vec![#(#values),*]
            }
        }
    }
}

/// `static META`.
fn meta(model: &Model) -> TokenStream {
    let orm = orm();
    let name = &model.name;
    let name_text = name.to_string();
    let relations = relations(model);
    let fields = model.columns().map(|field| {
        let o = &field.options;
        let (field_name, column) = (&field.name, field.column());
        // On the user's type, so that a type that is no field type is reported there.
        let ty = match &field.kind {
            Kind::ForeignKey { target, .. } => quote!(<#target as #orm::Model>::Pk),
            _ => field.ty.to_token_stream(),
        };
        let kind = quote_spanned!(field.ty.span()=> <#ty as #orm::private::FieldType>::KIND);
        let null = match &field.kind {
            Kind::ForeignKey { optional, .. } => quote!(#optional),
            _ => quote!(<#ty as #orm::private::FieldType>::NULL),
        };
        let max_length = match &o.max_length {
            Some(n) => quote!(::core::option::Option::Some(#n)),
            None => quote!(::core::option::Option::None),
        };
        let default = match &o.default {
            None => quote!(::core::option::Option::None),
            Some(value) => quote!(::core::option::Option::Some({
                fn default() -> #orm::private::Value {
                    let value: #ty = ::core::convert::Into::into(#value);
                    #orm::private::FieldType::to_value(value)
                }
                default
            })),
        };
        let (unique, index, auto_now, auto_now_add) = (o.unique, o.index, o.auto_now, o.auto_now_add);
        let (sensitive, multiline) = (o.sensitive, o.text);
        let verbose_name = o
            .verbose_name
            .as_ref()
            .map_or_else(|| field.name.replace('_', " "), |text| text.value());
        let help_text = o.help_text.as_ref().map_or_else(String::new, |text| text.value());
        let relation = match relations.iter().find(|(_, f, _)| f.name == field.name) {
            Some((number, ..)) => quote!(::core::option::Option::Some(#number)),
            None => quote!(::core::option::Option::None),
        };
        quote! {
            #orm::private::FieldMeta {
                name: #field_name, column: #column, kind: #kind, null: #null, max_length: #max_length,
                unique: #unique, index: #index, default: #default, auto_now: #auto_now, auto_now_add: #auto_now_add,
                sensitive: #sensitive, multiline: #multiline, verbose_name: #verbose_name, help_text: #help_text,
                relation: #relation,
            }
        }
    });
    let relation_metas = relations
        .iter()
        .map(|(_, field, target)| relation_meta(model, field, target));
    let ordering = model.ordering.iter().map(|(named, descending)| {
        let field = model.column_index(&named.name);
        quote!(#orm::private::OrderMeta { field: #field, descending: #descending })
    });
    let indexes = model.indexes.iter().map(|(names, unique)| {
        let fields = names.iter().map(|named| model.column_index(&named.name));
        quote!(#orm::private::IndexMeta { fields: &[#(#fields),*], unique: #unique })
    });
    let (table, pk) = (&model.table, model.column_index(&model.fields[model.pk].name));
    let (verbose_name, verbose_name_plural) = (&model.verbose_name, &model.verbose_name_plural);
    quote! {
        static META: #orm::private::ModelMeta = #orm::private::ModelMeta {
            name: #name_text,
            module: ::core::module_path!(),
            table: #table,
            fields: &[#(#fields),*],
            pk: #pk,
            relations: &[#(#relation_metas),*],
            ordering: &[#(#ordering),*],
            indexes: &[#(#indexes),*],
            ops: #orm::private::ModelOps {
                decode: |cursor| ::core::result::Result::Ok(::std::boxed::Box::new(<#name as #orm::Model>::decode(cursor)?)),
                attach,
            },
            verbose_name: #verbose_name,
            verbose_name_plural: #verbose_name_plural,
            file: ::core::file!(),
            line: ::core::line!(),
        };
    }
}

fn relation_meta(model: &Model, field: &Field, target: &Type) -> TokenStream {
    let orm = orm();
    let name = &model.name;
    let field_name = &field.name;
    let (hop, back) = (hop_name(field, false), hop_name(field, true));
    let related_name = related_name(field).unwrap_or_default();
    let back = match related_name.is_empty() {
        true => quote!(::core::option::Option::None),
        false => quote!(::core::option::Option::Some(#name::#back())),
    };
    let kind = match &field.kind {
        Kind::ManyToMany { .. } => {
            let source_model = name.to_string().to_lowercase();
            let target_model = last_segment(target).map_or_else(String::new, |s| s.ident.to_string().to_lowercase());
            let table = match &field.options.table {
                Some(table) => table.value(),
                None => format!("{}_{}", model.table, field.name),
            };
            // Django's names; a relation to itself has both ends told apart.
            let (source, other) = match source_model == target_model {
                true => (format!("from_{source_model}_id"), format!("to_{target_model}_id")),
                false => (format!("{source_model}_id"), format!("{target_model}_id")),
            };
            quote!(ManyToMany { through: #orm::private::Through { table: #table, source: #source, target: #other } })
        }
        Kind::ForeignKey { optional, .. } => {
            let number = model.column_index(&field.name);
            let unique = field.options.unique;
            let on_delete = match field.options.on_delete.as_ref().map(ToString::to_string).as_deref() {
                Some("protect") => quote!(Protect),
                Some("set_null") => quote!(SetNull),
                Some("do_nothing") => quote!(DoNothing),
                _ => quote!(Cascade),
            };
            quote! {
                ToOne { field: #number, null: #optional, unique: #unique, on_delete: #orm::private::OnDelete::#on_delete }
            }
        }
        Kind::Column { .. } => return TokenStream::new(),
    };
    quote! {
        #orm::private::RelationMeta {
            name: #field_name,
            target: <#target as #orm::Model>::meta,
            kind: #orm::private::RelationKind::#kind,
            hop: #name::#hop(),
            back: #back,
            related_name: #related_name,
        }
    }
}

/// The name of the way back; `None` for "+" and for none given.
fn related_name(field: &Field) -> Option<String> {
    field
        .options
        .related_name
        .as_ref()
        .map(syn::LitStr::value)
        .filter(|name| name != "+" && !name.is_empty())
}

/// `.with(|a| a.author())`: a whole related object in the row type.
fn select_impls(model: &Model) -> TokenStream {
    let orm = orm();
    let (name, fields) = (&model.name, fields_name(model));
    let impls = [
        (quote!(Joined), quote!(#name), quote!(model)),
        (
            quote!(Nullable),
            quote!(::core::option::Option<#name>),
            quote!(model_opt),
        ),
    ];
    let impls = impls.map(|(reach, out, read)| {
        quote! {
            impl<R: 'static> #orm::Select<R> for #fields<R, #orm::#reach> {
                type Out = #out;
                type Row<O: ::core::marker::Send + 'static> = (O, #out);
                fn nodes(self, selection: &mut #orm::Selection) { selection.model(self.__path); }
                fn decode(reader: &mut #orm::Reader<'_, '_>) -> #orm::Result<#out> { reader.#read() }
                fn row<O: ::core::marker::Send + 'static>(row: O, value: #out) -> (O, #out) { (row, value) }
            }
        }
    });
    quote!(#(#impls)*)
}

/// The hops, and `article.tags()`.
fn object_methods(model: &Model) -> TokenStream {
    let orm = orm();
    let name = &model.name;
    let vis = &model.item.vis;
    let name_text = name.to_string();
    let methods = relations(model).into_iter().map(|(number, field, target)| {
        let (hop, back, field_name) = (hop_name(field, false), hop_name(field, true), &field.name);
        let hops = [(&hop, false), (&back, true)].map(|(function, reverse)| {
            quote! {
                #[doc(hidden)]
                pub const fn #function() -> &'static #orm::private::Hop {
                    static HOP: #orm::private::Hop = #orm::private::Hop {
                        owner: <#name as #orm::Model>::meta,
                        relation: #number,
                        reverse: #reverse,
                        id: #orm::private::hop_id(::core::module_path!(), #name_text, #field_name, #reverse),
                    };
                    &HOP
                }
            }
        });
        let manager = matches!(field.kind, Kind::ManyToMany { .. }).then(|| {
            let method = &field.ident;
            let text = format!("Queries and changes the relation `{field_name}`.");
            quote! {
                #[doc = #text]
                #[track_caller]
                #vis fn #method(&self) -> #orm::RelatedManager<#target> {
                    #orm::RelatedManager::new(#name::#hop(), #name::#back(), #orm::private::FieldType::to_value(#orm::Model::pk(self)))
                }
            }
        });
        quote!(#(#hops)* #manager)
    });
    quote! {
        #[allow(non_snake_case)]
        impl #name { #(#methods)* }
    }
}

/// Ways back: traits, so that they also work on models of other crates. One for objects and one for paths.
fn reverse(model: &Model) -> TokenStream {
    let orm = orm();
    let name = &model.name;
    let vis = &model.item.vis;
    let traits = relations(model).into_iter().filter_map(|(_, field, target)| {
        let method = syn::parse_str::<syn::Ident>(&related_name(field)?).ok();
        let Some(method) = method else {
            return Some(quote_spanned!(field.ident.span()=> ::core::compile_error!("`related_name` must be a name, such as \"articles\"");));
        };
        let (hop, back) = (hop_name(field, false), hop_name(field, true));
        let camel: String = field.name.split('_').map(|w| w[..1].to_uppercase() + &w[1..]).collect();
        let (of_object, of_path) = (format_ident!("{name}{camel}Reverse"), format_ident!("{name}{camel}ReversePath"));
        let number = match &field.kind {
            Kind::ForeignKey { .. } => model.column_index(&field.name),
            _ => 0,
        };
        let (out, body) = match &field.kind {
            Kind::ManyToMany { .. } => (
                quote!(#orm::RelatedManager<#name>),
                quote!(#orm::RelatedManager::new(#name::#back(), #name::#hop(), key)),
            ),
            _ => (quote!(#orm::QuerySet<#name>), quote!(#orm::QuerySet::of_key(#number, key))),
        };
        let target_name = target.to_token_stream().to_string();
        let object_text = format!("`{method}()` of a `{target_name}`: the way back of [`{name}`]'s `{}`.", field.name);
        let path_text = format!("`{method}()` in a query on `{target_name}`: the way back of [`{name}`]'s `{}`.", field.name);
        // A one-to-one way back leads to one row at most.
        let single = matches!(field.kind, Kind::ForeignKey { .. }) && field.options.unique;
        let fields_type = quote!(<#name as #orm::Model>::FieldsAt<<Self as #orm::Fields>::Root, #orm::Nullable>);
        let at = quote!(#orm::Fields::at(#orm::Fields::path(&self).hop(#name::#back())));
        let (path_out, path_body) = match single {
            true => (fields_type, at),
            false => (quote!(#orm::Many<#fields_type>), quote!(#orm::Many::new(#at))),
        };
        Some(quote! {
            #[doc = #object_text]
            #vis trait #of_object {
                #[doc = #object_text]
                fn #method(&self) -> #out;
            }
            impl #of_object for #target {
                #[track_caller]
                fn #method(&self) -> #out {
                    let key = #orm::private::FieldType::to_value(#orm::Model::pk(self));
                    #body
                }
            }
            #[doc = #path_text]
            #vis trait #of_path: #orm::Fields<Model = #target> where Self::Root: 'static {
                #[doc = #path_text]
                fn #method(self) -> #path_out { #path_body }
            }
            impl<F: #orm::Fields<Model = #target>> #of_path for F where F::Root: 'static {}
        })
    });
    quote!(#(#traits)*)
}
