//! Patterns of paths, and the tree that finds a route for a path.
//!
//! One level per segment. At each level plain text comes before a parameter, a parameter before `{*rest}`, and among
//! routes of one shape the first declared; a route whose parameters do not fit is passed over and the search goes on,
//! so what is declared decides, not what was inserted first. A node's level is its depth, so a look-up visits each node
//! once at most, however long the path is.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What may stand unencoded in a segment of a path: unreserved, sub-delims, `:` and `@` (RFC 3986, 3.3).
pub(crate) const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// A parsed pattern: `/post/{id}`, `/img-{n}.png`, `/files/{*path}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Text, percent-encoded as paths carry it.
    Text(String),
    /// `{name}`, maybe between texts.
    Param {
        prefix: String,
        name: String,
        suffix: String,
    },
    /// `{*name}`: the rest of the path, slashes too.
    Rest(String),
}

impl Pattern {
    /// # Errors
    /// What is wrong with the pattern, for a finding.
    pub(crate) fn parse(text: &str) -> Result<Pattern, String> {
        let Some(inner) = text.strip_prefix('/') else {
            return Err(format!("the pattern `{text}` does not begin with `/`"));
        };
        let pieces: Vec<&str> = inner.split('/').collect();
        let mut segments = Vec::with_capacity(pieces.len());
        for (i, piece) in pieces.iter().enumerate() {
            let last = i + 1 == pieces.len();
            if piece.is_empty() && !last {
                return Err(format!("the pattern `{text}` has an empty segment (`//`)"));
            }
            let segment = Segment::parse(piece).map_err(|why| format!("the pattern `{text}` {why}"))?;
            if matches!(segment, Segment::Rest(_)) && !last {
                return Err(format!(
                    "the pattern `{text}` goes on after `{piece}`, which takes all the rest"
                ));
            }
            segments.push(segment);
        }
        let pattern = Pattern { segments };
        let mut names: Vec<&str> = pattern.params().collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("the pattern `{text}` has the parameter `{}` twice", twice[0]));
        }
        Ok(pattern)
    }

    /// The names of its parameters.
    pub(crate) fn params(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Text(_) => None,
            Segment::Param { name, .. } | Segment::Rest(name) => Some(name.as_str()),
        })
    }

    /// The path with these values, one for each parameter.
    pub(crate) fn fill(&self, values: &[String]) -> String {
        let mut path = String::new();
        let mut values = values.iter();
        for segment in &self.segments {
            path.push('/');
            match segment {
                Segment::Text(text) => path.push_str(text),
                Segment::Param { prefix, suffix, .. } => {
                    path.push_str(prefix);
                    path.extend(utf8_percent_encode(values.next().map_or("", |v| v), SEGMENT));
                    path.push_str(suffix);
                }
                Segment::Rest(_) => {
                    for (i, part) in values.next().map_or("", |v| v).split('/').enumerate() {
                        if i > 0 {
                            path.push('/');
                        }
                        path.extend(utf8_percent_encode(part, SEGMENT));
                    }
                }
            }
        }
        path
    }
}

impl Segment {
    fn parse(piece: &str) -> Result<Segment, String> {
        let encode = |text: &str| utf8_percent_encode(text, SEGMENT).to_string();
        let Some((prefix, after)) = piece.split_once('{') else {
            return match piece.contains('}') {
                true => Err("has a `}` without its `{`".into()),
                // What is encoded already stays so.
                false if piece.contains('%') => Ok(Segment::Text(piece.to_owned())),
                false => Ok(Segment::Text(encode(piece))),
            };
        };
        let Some((name, suffix)) = after.split_once('}') else {
            return Err("has a `{` without its `}`".into());
        };
        if suffix.contains('{') {
            return Err("has two parameters in one segment".into());
        }
        let (rest, name) = match name.strip_prefix('*') {
            Some(name) => (true, name),
            None => (false, name),
        };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(format!(
                "has the parameter name `{name}`, which is not made of letters, digits and `_` (its type is the handler's: `Path<i64>`)"
            ));
        }
        match rest {
            true if prefix.is_empty() && suffix.is_empty() => Ok(Segment::Rest(name.to_owned())),
            true => Err(format!("has text beside `{{*{name}}}`, which takes whole segments")),
            false => Ok(Segment::Param {
                prefix: encode(prefix),
                name: name.to_owned(),
                suffix: encode(suffix),
            }),
        }
    }
}

/// The tree. Routes are numbers, in the order of their declaration.
#[derive(Debug, Default)]
pub(crate) struct Trie {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    /// Sorted by text.
    texts: Vec<(Box<str>, Node)>,
    /// The longer prefix and suffix first.
    params: Vec<ParamEdge>,
    /// Routes that end here.
    routes: Vec<u32>,
    /// Routes that take the rest from here.
    rests: Vec<u32>,
}

#[derive(Debug)]
struct ParamEdge {
    prefix: Box<str>,
    suffix: Box<str>,
    node: Node,
}

impl Trie {
    pub(crate) fn insert(&mut self, pattern: &Pattern, route: u32) {
        let mut node = &mut self.root;
        for segment in &pattern.segments {
            node = match segment {
                Segment::Text(text) => {
                    let at = match node.texts.binary_search_by(|(t, _)| (**t).cmp(text)) {
                        Ok(at) => at,
                        Err(at) => {
                            node.texts.insert(at, (text.as_str().into(), Node::default()));
                            at
                        }
                    };
                    &mut node.texts[at].1
                }
                Segment::Param { prefix, suffix, .. } => {
                    let known = node
                        .params
                        .iter()
                        .position(|edge| *edge.prefix == **prefix && *edge.suffix == **suffix);
                    let at = known.unwrap_or_else(|| {
                        let length = prefix.len() + suffix.len();
                        let at = node
                            .params
                            .partition_point(|edge| edge.prefix.len() + edge.suffix.len() >= length);
                        node.params.insert(
                            at,
                            ParamEdge {
                                prefix: prefix.as_str().into(),
                                suffix: suffix.as_str().into(),
                                node: Node::default(),
                            },
                        );
                        at
                    });
                    &mut node.params[at].node
                }
                Segment::Rest(_) => {
                    node.rests.push(route);
                    return;
                }
            };
        }
        node.routes.push(route);
    }

    /// Offers the routes whose pattern matches, best first, with the raw values of their parameters, until one is taken.
    pub(crate) fn find<'p, T>(&self, path: &'p str, take: &mut dyn FnMut(u32, &[&'p str]) -> Option<T>) -> Option<T> {
        let path = path.strip_prefix('/')?;
        let mut values = Vec::new();
        self.root.find(path, &mut values, take)
    }
}

impl Node {
    fn find<'p, T>(
        &self,
        path: &'p str,
        values: &mut Vec<&'p str>,
        take: &mut dyn FnMut(u32, &[&'p str]) -> Option<T>,
    ) -> Option<T> {
        let (segment, after) = match path.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (path, None),
        };
        if let Ok(at) = self.texts.binary_search_by(|(text, _)| (**text).cmp(segment)) {
            let found = self.texts[at].1.step(after, values, take);
            if found.is_some() {
                return found;
            }
        }
        for edge in &self.params {
            let value = segment
                .strip_prefix(&*edge.prefix)
                .and_then(|value| value.strip_suffix(&*edge.suffix));
            let Some(value) = value.filter(|value| !value.is_empty()) else {
                continue;
            };
            values.push(value);
            let found = edge.node.step(after, values, take);
            if found.is_some() {
                return found;
            }
            values.pop();
        }
        if !path.is_empty() {
            values.push(path);
            let found = self.rests.iter().find_map(|&route| take(route, values));
            if found.is_some() {
                return found;
            }
            values.pop();
        }
        None
    }

    /// Goes on behind a segment that matched.
    fn step<'p, T>(
        &self,
        after: Option<&'p str>,
        values: &mut Vec<&'p str>,
        take: &mut dyn FnMut(u32, &[&'p str]) -> Option<T>,
    ) -> Option<T> {
        match after {
            Some(after) => self.find(after, values, take),
            None => self.routes.iter().find_map(|&route| take(route, values)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Pattern, Trie};

    /// What `path` finds among `patterns`, as `pattern value,value`.
    #[track_caller]
    fn check(patterns: &[&str], path: &str, expected: &str) {
        let mut trie = Trie::default();
        for (i, pattern) in patterns.iter().enumerate() {
            trie.insert(&Pattern::parse(pattern).unwrap(), u32::try_from(i).unwrap());
        }
        let found = trie.find(path, &mut |route, values| {
            Some(format!("{} {}", patterns[route as usize], values.join(",")))
        });
        assert_eq!(found.unwrap_or_default().trim_end(), expected, "{path} in {patterns:?}");
    }

    #[test]
    fn text_before_parameter_before_rest_in_either_order() {
        for patterns in [["/item/new", "/item/{name}"], ["/item/{name}", "/item/new"]] {
            check(&patterns, "/item/new", "/item/new");
            check(&patterns, "/item/old", "/item/{name} old");
        }
        let mixed = ["/{*all}", "/{a}/x", "/static/{*file}", "/{a}/{b}"];
        check(&mixed, "/static/x", "/static/{*file} x");
        check(&mixed, "/other/x", "/{a}/x other");
        check(&mixed, "/other/y", "/{a}/{b} other,y");
        check(&mixed, "/other/y/z", "/{*all} other/y/z");
    }

    #[test]
    fn the_search_comes_back_from_a_dead_end() {
        let patterns = ["/a/b/c", "/{x}/b/d", "/a/{y}/e"];
        check(&patterns, "/a/b/d", "/{x}/b/d a");
        check(&patterns, "/a/b/e", "/a/{y}/e b");
        check(&patterns, "/a/b/f", "");
    }

    #[test]
    fn a_slash_at_the_end_is_part_of_the_path() {
        check(&["/x/"], "/x", "");
        check(&["/x/"], "/x/", "/x/");
        check(&["/x"], "/x/", "");
        check(&["/"], "/", "/");
        check(&["/p/{*rest}"], "/p/", "");
        check(&["/{a}/"], "//", "");
    }

    #[test]
    fn affixes() {
        let patterns = ["/{name}", "/{name}.json", "/img-{n}.png"];
        check(&patterns, "/a.json", "/{name}.json a");
        check(&patterns, "/img-7.png", "/img-{n}.png 7");
        check(&patterns, "/.json", "/{name} .json");
    }

    #[test]
    fn text_is_matched_as_browsers_send_it() {
        check(&["/käse/"], "/k%C3%A4se/", "/käse/");
    }

    #[test]
    fn wrong_patterns_are_explained() {
        for (pattern, part) in [
            ("x", "begin with `/`"),
            ("/a//b", "empty segment"),
            ("/{a}-{b}", "two parameters"),
            ("/{*a}/b", "takes all the rest"),
            ("/{a}/{a}", "`a` twice"),
            ("/{id:int}", "letters, digits"),
            ("/{id", "without its `}`"),
        ] {
            let why = Pattern::parse(pattern).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }
}
