//! The site's operations as an OpenAPI 3.1 document (<https://spec.openapis.org/oas/v3.1.0>).
//!
//! It is made of plain JSON values. The crates that have types for it were weighed: utoipa 6.0 does not compile without its
//! macros, which bring a second syn; oas3 0.22 brings some fifty crates (a regex engine, Unicode tables of urls); openapiv3 knows
//! no version 3.1. What is written here is a dozen keys.

use demijohn_core::{Operation, Parameter, Place};
use demijohn_web::{Listed, Routes};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};

/// The whole document.
pub(crate) fn document(title: &str, version: &str, routes: &Routes) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    let mut ids = HashSet::new();
    for endpoint in routes.list() {
        let path = path_template(&endpoint.pattern);
        for method in methods(&endpoint) {
            let item = paths.entry(&path).or_insert_with(|| json!({}));
            // Of two handlers of one method the first declared answers.
            if item.get(&method).is_none() {
                let id = unique_id(&mut ids, &method, &path);
                item[method] = operation(&endpoint, &id);
            }
        }
    }
    json!({ "openapi": "3.1.0", "info": { "title": title, "version": version }, "paths": paths })
}

/// A pattern as OpenAPI writes it: `{*rest}` is a parameter as any other.
fn path_template(pattern: &str) -> String {
    pattern.replace("{*", "{")
}

/// The names of a pattern's parameters.
pub(crate) fn path_params(pattern: &str) -> Vec<&str> {
    let opened = pattern.split('{').skip(1);
    opened
        .filter_map(|rest| Some(rest.split_once('}')?.0.trim_start_matches('*')))
        .collect()
}

/// The methods of an endpoint, of those that OpenAPI has a word for.
fn methods(endpoint: &Listed) -> Vec<String> {
    const WORDS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];
    match &endpoint.method {
        Some(method) => {
            let word = method.as_str().to_ascii_lowercase();
            WORDS.contains(&word.as_str()).then_some(word).into_iter().collect()
        }
        // Any method: those that are not answered by others of the same path anyway.
        None => WORDS[..5].iter().map(|word| (*word).to_owned()).collect(),
    }
}

/// `get_api_articles_pk`: the same in every build, as clients that are made from the document name their functions so.
fn unique_id(ids: &mut HashSet<String>, method: &str, path: &str) -> String {
    let words = path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let id = words.fold(method.to_owned(), |id, word| format!("{id}_{word}"));
    let numbered = (2..).map(|number| format!("{id}_{number}"));
    let free = [id.clone()].into_iter().chain(numbered).find(|id| !ids.contains(id));
    let free = free.unwrap_or(id);
    ids.insert(free.clone());
    free
}

fn operation(endpoint: &Listed, id: &str) -> Value {
    let told = &endpoint.operation;
    let mut operation = json!({ "operationId": id, "responses": responses(told) });
    if !told.summary.is_empty() {
        operation["summary"] = told.summary.as_str().into();
    }
    if let Some((blueprint, _)) = endpoint.name.rsplit_once('.') {
        operation["tags"] = json!([blueprint]);
    }
    let parameters = parameters(&endpoint.pattern, told);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if !told.consumes.is_empty() {
        let content: Map<String, Value> = told
            .consumes
            .iter()
            .map(|kind| ((*kind).to_owned(), json!({})))
            .collect();
        operation["requestBody"] = json!({ "required": true, "content": content });
        if let Some(name) = told.body_type {
            operation["requestBody"]["description"] = short_type(name).into();
        }
    }
    operation
}

/// The parameters that handlers take, and those of the path that no handler takes. Those of the path are named by the
/// pattern: a handler takes the last ones, by position.
fn parameters(pattern: &str, told: &Operation) -> Vec<Value> {
    let names = path_params(pattern);
    let (of_path, others): (Vec<&Parameter>, Vec<&Parameter>) = told
        .parameters
        .iter()
        .partition(|parameter| parameter.place == Place::Path);
    let untaken = names.len().saturating_sub(of_path.len());
    let mut parameters: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(i, name)| {
            let taken = i.checked_sub(untaken).and_then(|i| of_path.get(i));
            let (kind, format) = taken.map_or(("string", ""), |taken| (taken.schema_type, taken.format));
            json!({ "name": name, "in": "path", "required": true, "schema": schema(kind, format) })
        })
        .collect();
    let mut seen = HashSet::new();
    for other in others {
        // A parameter stands there once, though two arguments of a handler may read it.
        if other.place != Place::Body && seen.insert((other.place, other.name.to_lowercase())) {
            parameters.push(json!({
                "name": other.name,
                "in": other.place,
                "required": other.required,
                "schema": schema(other.schema_type, other.format),
            }));
        }
    }
    parameters
}

fn schema(kind: &str, format: &str) -> Value {
    match format {
        "" => json!({ "type": kind }),
        format => json!({ "type": kind, "format": format }),
    }
}

/// `Order` of `shop::cart::Order`; generic types are left as they are.
fn short_type(name: &'static str) -> &'static str {
    match name.contains('<') {
        true => name,
        false => name.rsplit("::").next().unwrap_or(name),
    }
}

/// The answers by status; what the handler gives is the answer of success.
fn responses(told: &Operation) -> Map<String, Value> {
    let mut texts: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for (status, text) in &told.statuses {
        let texts = texts.entry(*status).or_default();
        if !texts.contains(text) {
            texts.push(text);
        }
    }
    if !texts.keys().any(|status| *status < 400) {
        texts.insert(200, vec!["the answer"]);
    }
    texts
        .into_iter()
        .map(|(status, texts)| {
            let mut response = json!({ "description": texts.join("; ") });
            if (200..300).contains(&status) && status != 204 && !told.produces.is_empty() {
                let content = told.produces.iter().map(|kind| {
                    let schema = told.answer.as_ref().filter(|_| kind.contains("json"));
                    (
                        (*kind).to_owned(),
                        schema.map_or_else(|| json!({}), |schema| json!({ "schema": schema })),
                    )
                });
                response["content"] = content.collect::<Map<_, _>>().into();
            }
            (status.to_string(), response)
        })
        .collect()
}
