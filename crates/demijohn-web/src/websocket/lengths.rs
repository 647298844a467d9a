//! Lengths of frames that are written with more bytes than they need: "the minimal number of bytes MUST be used" (RFC 6455, 5.2). Two
//! readers that take them differently see different messages.

#[derive(Clone, Copy, Debug, Default)]
enum At {
    #[default]
    First,
    Second,
    Length {
        left: u8,
        value: u64,
        least: u64,
        is_masked: bool,
    },
    /// The mask and the content, as many bytes as are left of them.
    Rest(u64),
}

/// Looks at the frames of a client as their bytes come in.
#[derive(Debug, Default)]
pub(super) struct Lengths(At);

impl Lengths {
    /// The next bytes; of those of a frame that is written too long, where it begins in them.
    pub(super) fn look(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut began = 0;
        let mut pos = 0;
        while let Some(byte) = bytes.get(pos) {
            if let At::Rest(left) = &mut self.0 {
                let here = (bytes.len() - pos).min(usize::try_from(*left).unwrap_or(usize::MAX));
                pos += here;
                *left -= here as u64;
                if *left == 0 {
                    self.0 = At::First;
                }
                continue;
            }
            if matches!(self.0, At::First) {
                began = pos;
            }
            pos += 1;
            self.0 = match self.0 {
                At::First | At::Rest(_) => At::Second,
                At::Second => {
                    let is_masked = byte & 0x80 != 0;
                    let long = |left, least| At::Length {
                        left,
                        value: 0,
                        least,
                        is_masked,
                    };
                    match byte & 0x7f {
                        126 => long(2, 126),
                        127 => long(8, 1 << 16),
                        length => rest(u64::from(length), is_masked),
                    }
                }
                At::Length {
                    left,
                    value,
                    least,
                    is_masked,
                } => match (left - 1, value << 8 | u64::from(*byte)) {
                    (0, value) if value < least => return Some(began),
                    (0, value) => rest(value, is_masked),
                    (left, value) => At::Length {
                        left,
                        value,
                        least,
                        is_masked,
                    },
                },
            };
        }
        None
    }
}

fn rest(length: u64, is_masked: bool) -> At {
    match length.saturating_add(if is_masked { 4 } else { 0 }) {
        0 => At::First,
        left => At::Rest(left),
    }
}

#[cfg(test)]
mod tests {
    use super::Lengths;

    /// Where the bad frame begins, whole and byte by byte.
    fn looked_at(bytes: &[u8]) -> Option<usize> {
        let whole = Lengths::default().look(bytes);
        let mut one_by_one = Lengths::default();
        let bad = bytes.chunks(1).any(|byte| one_by_one.look(byte).is_some());
        assert_eq!(whole.is_some(), bad, "{bytes:?}");
        whole
    }

    #[test]
    fn lengths_are_as_short_as_can_be() {
        let mask = [0; 4];
        let good = [&[0x81, 0x82][..], &mask, b"hi"].concat();
        let long = [&[0x82, 0xfe, 0, 126][..], &mask, &[0; 126]].concat();
        let longer = [&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0][..], &mask, &[0; 65536]].concat();
        for frames in [
            good.clone(),
            long.clone(),
            longer,
            [&good[..], &long, &good].concat(),
            vec![0x81, 0, 0x81, 0],
            vec![0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3],
        ] {
            assert_eq!(looked_at(&frames), None);
        }
        for bad in [
            &[0x81, 0xfe, 0, 2][..],
            &[0x81, 0xfe, 0, 125],
            &[0x81, 0x7e, 0, 0],
            &[0x89, 0xff, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
        ] {
            assert_eq!(looked_at(bad), Some(0));
            assert_eq!(looked_at(&[&good[..], bad].concat()), Some(good.len()));
        }
    }
}
