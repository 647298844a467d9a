//! What was written, with its spans, and whether it has a meaning.

use crate::faults::{Faults, near};
use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Expr, Fields, GenericArgument, Ident, LitInt, LitStr, PathArguments, Token, Type};

pub(crate) struct Model {
    /// The struct without our attributes.
    pub(crate) item: DeriveInput,
    pub(crate) name: Ident,
    pub(crate) table: String,
    pub(crate) fields: Vec<Field>,
    /// Index in `fields`.
    pub(crate) pk: usize,
    pub(crate) ordering: Vec<(Named, bool)>,
    pub(crate) indexes: Vec<(Vec<Named>, bool)>,
    pub(crate) verbose_name: String,
    pub(crate) verbose_name_plural: String,
}

/// A field's name as written somewhere.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) span: Span,
}

pub(crate) struct Field {
    pub(crate) ident: Ident,
    /// Its name without `r#`.
    pub(crate) name: String,
    pub(crate) ty: Type,
    pub(crate) kind: Kind,
    pub(crate) options: Options,
    pub(crate) docs: Vec<syn::Attribute>,
}

pub(crate) enum Kind {
    /// A plain column.
    Column { optional: bool },
    /// `ForeignKey<target>` or `Option<ForeignKey<target>>`.
    ForeignKey { target: Type, optional: bool },
    /// `ManyToMany<target>`.
    ManyToMany { target: Type },
}

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) max_length: Option<LitInt>,
    pub(crate) text: bool,
    pub(crate) unique: bool,
    pub(crate) index: bool,
    pub(crate) default: Option<Expr>,
    pub(crate) auto_now: bool,
    pub(crate) auto_now_add: bool,
    pub(crate) primary_key: bool,
    pub(crate) sensitive: bool,
    pub(crate) on_delete: Option<Ident>,
    pub(crate) related_name: Option<LitStr>,
    pub(crate) column: Option<LitStr>,
    pub(crate) table: Option<LitStr>,
    pub(crate) verbose_name: Option<LitStr>,
    pub(crate) help_text: Option<LitStr>,
}

const MODEL_OPTIONS: &[&str] = &[
    "table",
    "app",
    "ordering",
    "index",
    "unique",
    "verbose_name",
    "verbose_name_plural",
];
const FIELD_OPTIONS: &[&str] = &[
    "max_length",
    "text",
    "unique",
    "index",
    "default",
    "auto_now",
    "auto_now_add",
    "primary_key",
    "sensitive",
    "on_delete",
    "related_name",
    "column",
    "table",
    "verbose_name",
    "help_text",
];
const ON_DELETE: &[&str] = &["cascade", "protect", "set_null", "do_nothing"];

impl Model {
    pub(crate) fn parse(args: TokenStream, input: &DeriveInput, faults: &mut Faults) -> Option<Model> {
        let mut item = input.clone();
        if !input.generics.params.is_empty() {
            faults.at(
                input.generics.span(),
                "a model has no generic parameters: it is one table",
            );
        }
        let Data::Struct(data) = &mut item.data else {
            faults.at(input.ident.span(), "`#[model]` goes on a struct with named fields");
            return None;
        };
        let Fields::Named(named) = &mut data.fields else {
            faults.at(
                input.ident.span(),
                "`#[model]` goes on a struct with named fields: `struct Article { pub id: i64, .. }`",
            );
            return None;
        };
        let fields: Vec<Field> = named
            .named
            .iter_mut()
            .map(|field| Field::parse(field, faults))
            .collect();
        let pk = primary_key(&fields, &input.ident, faults)?;
        let name = input.ident.clone();
        let words = words(&name.to_string());
        let mut model = Model {
            name,
            table: words.join("_"),
            fields,
            pk,
            ordering: Vec::new(),
            indexes: Vec::new(),
            verbose_name: words.join(" "),
            verbose_name_plural: String::new(),
            item,
        };
        let parser = |stream: ParseStream<'_>| {
            while !stream.is_empty() {
                if let Err(error) = model.option(stream) {
                    faults.add(error);
                    skip_to_comma(stream)?;
                }
                if !stream.is_empty() {
                    stream.parse::<Token![,]>()?;
                }
            }
            Ok(())
        };
        if let Err(error) = parser.parse2(args) {
            faults.add(error);
        }
        if model.verbose_name_plural.is_empty() {
            model.verbose_name_plural = format!("{}s", model.verbose_name);
        }
        Some(model)
    }

    fn option(&mut self, stream: ParseStream<'_>) -> syn::Result<()> {
        let key: Ident = stream.call(Ident::parse_any)?;
        match key.to_string().as_str() {
            "table" => self.table = text(stream)?.value(),
            "app" => self.table = format!("{}_{}", text(stream)?.value(), self.name.to_string().to_lowercase()),
            "verbose_name" => self.verbose_name = text(stream)?.value(),
            "verbose_name_plural" => self.verbose_name_plural = text(stream)?.value(),
            "ordering" => {
                stream.parse::<Token![=]>()?;
                let keys: Vec<LitStr> = if stream.peek(syn::token::Bracket) {
                    let inner;
                    syn::bracketed!(inner in stream);
                    inner
                        .parse_terminated(|s: ParseStream<'_>| s.parse::<LitStr>(), Token![,])?
                        .into_iter()
                        .collect()
                } else {
                    vec![stream.parse()?]
                };
                self.ordering = keys
                    .iter()
                    .map(|key| {
                        let value = key.value();
                        let name = value.strip_prefix('-').unwrap_or(&value).to_owned();
                        (Named { name, span: key.span() }, value.starts_with('-'))
                    })
                    .collect();
            }
            unique @ ("index" | "unique") => {
                let inner;
                syn::parenthesized!(inner in stream);
                let names = inner.parse_terminated(Ident::parse_any, Token![,])?;
                let named = names
                    .iter()
                    .map(|i| Named {
                        name: i.unraw().to_string(),
                        span: i.span(),
                    })
                    .collect();
                self.indexes.push((named, unique == "unique"));
            }
            other => {
                let hint = near(other, MODEL_OPTIONS.iter().copied());
                let text = format!(
                    "unknown option `{other}` of `#[model]`{hint} (choices: {})",
                    MODEL_OPTIONS.join(", ")
                );
                return Err(syn::Error::new(key.span(), text));
            }
        }
        Ok(())
    }

    /// Faults of meaning.
    pub(crate) fn check(&self, faults: &mut Faults) {
        let columns: Vec<&str> = self.columns().map(|f| f.name.as_str()).collect();
        let named = self
            .ordering
            .iter()
            .map(|(named, _)| named)
            .chain(self.indexes.iter().flat_map(|(names, _)| names));
        for Named { name, span } in named {
            if !columns.contains(&name.as_str()) {
                let hint = near(name, columns.iter().copied());
                let text = format!(
                    "{} has no column `{name}`{hint} (choices: {})",
                    self.name,
                    columns.join(", ")
                );
                faults.at(*span, text);
            }
        }
        for field in &self.fields {
            field.check(faults);
        }
    }

    /// Fields that are columns, in order.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &Field> {
        self.fields
            .iter()
            .filter(|f| !matches!(f.kind, Kind::ManyToMany { .. }))
    }

    /// The column's number of a field by name; checked before.
    pub(crate) fn column_index(&self, name: &str) -> u16 {
        self.columns().position(|f| f.name == name).unwrap_or(0) as u16
    }
}

/// The struct as the compiler may see it when it is no model.
pub(crate) fn without_field_attributes(input: &DeriveInput) -> DeriveInput {
    let mut item = input.clone();
    if let Data::Struct(data) = &mut item.data {
        for field in &mut data.fields {
            field.attrs.retain(|attribute| !attribute.path().is_ident("field"));
        }
    }
    item
}

fn primary_key(fields: &[Field], model: &Ident, faults: &mut Faults) -> Option<usize> {
    let marked: Vec<usize> = (0..fields.len()).filter(|&i| fields[i].options.primary_key).collect();
    if let [_, second, ..] = marked[..] {
        faults.at(fields[second].ident.span(), "a model has one primary key");
    }
    let pk = marked
        .first()
        .copied()
        .or_else(|| fields.iter().position(|f| f.name == "id"));
    match pk {
        Some(i) if matches!(fields[i].kind, Kind::Column { optional: false }) => Some(i),
        Some(i) => {
            faults.at(
                fields[i].ty.span(),
                "the primary key is a plain column that is never NULL, such as `id: i64`",
            );
            None
        }
        None => {
            faults.at(
                model.span(),
                format!("`{model}` has no primary key: add `pub id: i64`, or mark a field `#[field(primary_key)]`"),
            );
            None
        }
    }
}

impl Field {
    fn parse(field: &mut syn::Field, faults: &mut Faults) -> Field {
        let mut options = Options::default();
        let ident = field
            .ident
            .clone()
            .unwrap_or_else(|| Ident::new("_", Span::call_site()));
        field.attrs.retain(|attribute| {
            if !attribute.path().is_ident("field") {
                return true;
            }
            let parsed = attribute.parse_args_with(|stream: ParseStream<'_>| {
                while !stream.is_empty() {
                    if let Err(error) = options.parse(stream) {
                        faults.add(error);
                        skip_to_comma(stream)?;
                    }
                    if !stream.is_empty() {
                        stream.parse::<Token![,]>()?;
                    }
                }
                Ok(())
            });
            if let Err(error) = parsed {
                faults.add(error);
            }
            false
        });
        let kind = Kind::of(&field.ty);
        let docs = field
            .attrs
            .iter()
            .filter(|a| a.path().is_ident("doc"))
            .cloned()
            .collect();
        let name = ident.unraw().to_string();
        Field {
            name,
            ident,
            ty: field.ty.clone(),
            kind,
            options,
            docs,
        }
    }

    /// The name of its column.
    pub(crate) fn column(&self) -> String {
        match (&self.options.column, &self.kind) {
            (Some(column), _) => column.value(),
            (None, Kind::ForeignKey { .. }) => format!("{}_id", self.name),
            (None, _) => self.name.clone(),
        }
    }

    /// Must `new!` be given it?
    pub(crate) fn is_required(&self, is_pk: bool) -> bool {
        let optional = match &self.kind {
            Kind::Column { optional } | Kind::ForeignKey { optional, .. } => *optional,
            Kind::ManyToMany { .. } => true,
        };
        let given = self.options.default.is_some() || self.options.auto_now || self.options.auto_now_add;
        let numbered = is_pk && last_segment(&self.ty).is_some_and(|s| s.ident == "i64" || s.ident == "i32");
        !optional && !given && !numbered
    }

    fn check(&self, faults: &mut Faults) {
        let options = &self.options;
        if self.name.contains("__") || self.name == "pk" || self.name.ends_with('_') {
            faults.at(self.ident.span(), "a field is not called `pk`, does not contain `__` and does not end in `_`: lookups are written with them");
        }
        match &self.kind {
            Kind::Column { .. } => {
                let inner = option_of(&self.ty).unwrap_or(&self.ty);
                let is_string = last_segment(inner).is_some_and(|s| s.ident == "String");
                if is_string && options.max_length.is_none() && !options.text {
                    faults.at(self.ty.span(), format!("say how long `{}` may be: `#[field(max_length = 200)]`, or `#[field(text)]` for text without a limit", self.name));
                }
                if !is_string && (options.max_length.is_some() || options.text) {
                    faults.at(self.ty.span(), format!("`max_length` and `text` are for `String` fields, and `{}` is none", self.name));
                }
                if let Some(on_delete) = &options.on_delete {
                    faults.at(on_delete.span(), "`on_delete` is for `ForeignKey` fields");
                }
                if let Some(name) = &options.related_name {
                    faults.at(name.span(), "`related_name` is for `ForeignKey` and `ManyToMany` fields");
                }
            }
            Kind::ForeignKey { optional, target } => {
                match &options.on_delete {
                    None => faults.at(self.ty.span(), format!(
                        "say what happens to this row when its {} is deleted: `#[field(on_delete = cascade)]` (or protect, set_null, do_nothing)",
                        last_segment(target).map_or_else(String::new, |s| s.ident.to_string()),
                    )),
                    Some(action) if !ON_DELETE.contains(&action.to_string().as_str()) => {
                        let hint = near(&action.to_string(), ON_DELETE.iter().copied());
                        faults.at(action.span(), format!("unknown `on_delete`{hint} (choices: {})", ON_DELETE.join(", ")));
                    }
                    Some(action) if action == "set_null" && !optional => {
                        faults.at(action.span(), format!("`{}` cannot be NULL: make it `Option<ForeignKey<..>>`, or choose another `on_delete`", self.name));
                    }
                    Some(_) => {}
                }
            }
            Kind::ManyToMany { .. } => {
                let wrong = [(options.unique, "unique"), (options.index, "index"), (options.default.is_some(), "default"), (options.text, "text")];
                for (_, option) in wrong.iter().filter(|(given, _)| *given) {
                    faults.at(self.ident.span(), format!("a `ManyToMany` field is no column: `{option}` means nothing on it"));
                }
            }
        }
    }
}

impl Kind {
    fn of(ty: &Type) -> Kind {
        let optional = option_of(ty);
        let inner = optional.unwrap_or(ty);
        let is_optional = optional.is_some();
        match last_segment(inner).map(|s| (s.ident.to_string(), first_argument(s))) {
            Some((name, Some(target))) if name == "ForeignKey" => Kind::ForeignKey {
                target: target.clone(),
                optional: is_optional,
            },
            Some((name, Some(target))) if name == "ManyToMany" && !is_optional => {
                Kind::ManyToMany { target: target.clone() }
            }
            _ => Kind::Column { optional: is_optional },
        }
    }
}

impl Options {
    fn parse(&mut self, stream: ParseStream<'_>) -> syn::Result<()> {
        let key: Ident = stream.call(Ident::parse_any)?;
        match key.to_string().as_str() {
            "max_length" => {
                stream.parse::<Token![=]>()?;
                let number: LitInt = stream.parse()?;
                if number.base10_parse::<u32>().is_ok_and(|n| n > 0) {
                    self.max_length = Some(number);
                } else {
                    return Err(syn::Error::new(
                        number.span(),
                        "`max_length` is a positive number of characters",
                    ));
                }
            }
            "text" => self.text = true,
            "unique" => self.unique = true,
            "index" => self.index = true,
            "default" => {
                stream.parse::<Token![=]>()?;
                self.default = Some(stream.parse()?);
            }
            "auto_now" => self.auto_now = true,
            "auto_now_add" => self.auto_now_add = true,
            "primary_key" => self.primary_key = true,
            "sensitive" => self.sensitive = true,
            "on_delete" => {
                stream.parse::<Token![=]>()?;
                self.on_delete = Some(stream.call(Ident::parse_any)?);
            }
            "related_name" => self.related_name = Some(text(stream)?),
            "column" => self.column = Some(text(stream)?),
            "table" => self.table = Some(text(stream)?),
            "verbose_name" => self.verbose_name = Some(text(stream)?),
            "help_text" => self.help_text = Some(text(stream)?),
            other => {
                let hint = near(other, FIELD_OPTIONS.iter().copied());
                let text = format!(
                    "unknown option `{other}` of `#[field]`{hint} (choices: {})",
                    FIELD_OPTIONS.join(", ")
                );
                return Err(syn::Error::new(key.span(), text));
            }
        }
        Ok(())
    }
}

fn text(stream: ParseStream<'_>) -> syn::Result<LitStr> {
    stream.parse::<Token![=]>()?;
    stream.parse()
}

fn skip_to_comma(stream: ParseStream<'_>) -> syn::Result<()> {
    while !stream.is_empty() && !stream.peek(Token![,]) {
        stream.parse::<proc_macro2::TokenTree>()?;
    }
    Ok(())
}

pub(crate) fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match ty {
        Type::Path(path) if path.qself.is_none() => path.path.segments.last(),
        _ => None,
    }
}

fn first_argument(segment: &syn::PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

pub(crate) fn option_of(ty: &Type) -> Option<&Type> {
    last_segment(ty)
        .filter(|s| s.ident == "Option")
        .and_then(first_argument)
}

/// `BlogPost` as `blog`, `post`.
pub(crate) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before_is_lower = false;
    for c in name.chars() {
        if words.is_empty() || (c.is_uppercase() && before_is_lower) {
            words.push(String::new());
        }
        before_is_lower = c.is_lowercase() || c.is_numeric();
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words
}
