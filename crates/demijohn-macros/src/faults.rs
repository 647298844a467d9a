//! All faults of one macro call, told together.

use proc_macro2::{Span, TokenStream};

/// Faults, each at the smallest span that it is about.
#[derive(Default)]
pub(crate) struct Faults(Option<syn::Error>);

impl Faults {
    /// Adds a fault; `text` says what is wrong and then what to write.
    pub(crate) fn at(&mut self, span: Span, text: impl std::fmt::Display) {
        self.add(syn::Error::new(span, text));
    }

    pub(crate) fn add(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// The compile errors, if there are any.
    pub(crate) fn finish(self) -> Option<TokenStream> {
        self.0.map(|error| error.to_compile_error())
    }
}

/// `; did you mean ..?` when a known name is near.
pub(crate) fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let best = known.into_iter().map(|k| (distance(name, k), k)).min();
    match best {
        Some((d, k)) if d <= 2.max(name.len() / 4) => format!("; did you mean `{k}`?"),
        _ => String::new(),
    }
}

/// Edit distance. The crate is loaded into the compiler: it stands alone rather than pull in the framework for this.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for j in 0..b.len() {
            let above = row[j + 1];
            row[j + 1] = (before + usize::from(x != b[j])).min(above + 1).min(row[j] + 1);
            before = above;
        }
    }
    row[b.len()]
}
