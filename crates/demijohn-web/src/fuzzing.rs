//! What fuzzers call, and what must hold of every input: one function per parser. `fuzz/` has a target for each, and its corpus is replayed by the
//! tests here, on every machine and without a fuzzer.
//!
//! A new parser is a function here, a line in [`TARGETS`], a file in `fuzz/fuzz_targets/` and a few inputs in `fuzz/corpus/NAME/`.

use crate::conditional::{Part, parse_range};
use crate::pairs::Pairs;
use demijohn_core::Place;

/// Every target by its name, which is also that of its corpus.
pub const TARGETS: &[(&str, fn(&[u8]))] = &[
    #[cfg(feature = "multipart")]
    ("multipart", multipart),
    ("range", range),
    ("urlencoded", urlencoded),
];

/// A form with files, its boundary being `x`. The first byte says in which pieces the body comes: they make no difference.
#[cfg(feature = "multipart")]
pub fn multipart(data: &[u8]) {
    let Some((&piece, body)) = data.split_first() else {
        return;
    };
    let whole = parts(body, body.len().max(1));
    let cut = parts(body, usize::from(piece).max(1));
    assert_eq!(whole, cut);
    for (name, file_name, _) in whole.unwrap_or_default() {
        let texts = [Some(name), file_name];
        assert!(texts.iter().flatten().all(|text| !text.contains(['\0', '\r', '\n'])));
    }
}

/// Names, file names and contents, as far as they were told before the form was refused.
#[cfg(feature = "multipart")]
type Parts = Vec<(String, Option<String>, Vec<u8>)>;

#[cfg(feature = "multipart")]
fn parts(body: &[u8], piece: usize) -> Option<Parts> {
    use crate::multipart::{Event, Parser};
    let mut parser = Parser::new("x");
    let mut pieces = body.chunks(piece);
    let mut parts = Parts::new();
    loop {
        match parser.next().ok()? {
            Event::Part(head) => parts.push((head.name, head.file_name, Vec::new())),
            Event::Data(data) => parts.last_mut()?.2.extend_from_slice(&data),
            Event::PartEnd => {}
            Event::End => return Some(parts),
            Event::More => match pieces.next() {
                Some(piece) => parser.push(piece),
                None => parser.finish(),
            },
        }
    }
}

/// A query string or a form. What was read is read again from what is written of it.
pub fn urlencoded(data: &[u8]) {
    const MAX: usize = 100;
    let Ok(pairs) = Pairs::parse_at(Place::Query, data, MAX) else {
        return;
    };
    assert!(pairs.len() <= MAX);
    let mut written = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs.iter() {
        assert!(!name.contains('\0') && !value.contains('\0'));
        written.append_pair(name, value);
    }
    let again = Pairs::parse_at(Place::Query, written.finish().as_bytes(), MAX);
    assert_eq!(again.ok().as_ref(), Some(&pairs));
}

/// A `Range` header about something as long as the first two bytes say. What is sent is in order, apart, inside, and little.
pub fn range(data: &[u8]) {
    let Some((&[high, low], text)) = data.split_first_chunk() else {
        return;
    };
    let length = u64::from(u16::from_be_bytes([high, low]));
    let Ok(text) = std::str::from_utf8(text) else { return };
    let ranges = match parse_range(text, length) {
        Part::Whole | Part::Unsatisfiable => return,
        Part::Bytes(first, last) => vec![(first, last)],
        Part::Several(ranges) => ranges,
    };
    assert!((1..=10).contains(&ranges.len()));
    assert!(ranges.iter().all(|(first, last)| first <= last && *last < length));
    assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
}

#[cfg(test)]
mod tests {
    use super::TARGETS;
    use std::path::Path;

    #[test]
    fn the_corpus_holds() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        for (name, target) in TARGETS {
            let files = std::fs::read_dir(corpus.join(name)).expect("every target has a corpus");
            let mut count = 0;
            for file in files {
                let path = file.expect("the corpus can be listed").path();
                target(&std::fs::read(&path).expect("its files can be read"));
                count += 1;
            }
            assert!(count > 0, "the corpus of {name} is empty");
        }
    }
}
