//! Reads header blocks (RFC 7541) as far as it takes to tell what `:path` says, and no further: values are measured for
//! the dynamic table and not kept. No IO.
//!
//! The `h2` crate gives a request's path as a URI's, which ends at a `#`: what a client wrote behind it is lost, and
//! a request that is to be refused looks like another (docs/security.md, P-1).

use std::collections::VecDeque;

/// What the library tells clients, by its default.
const TABLE_BYTES: usize = 4096;
/// Bytes that an entry costs beyond its text (RFC 7541 §4.1).
const ENTRY_BYTES: usize = 32;
const PATH: &[u8] = b":path";

/// A block that is none; the library ends the connection for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed header block")]
pub(crate) struct BadBlock;

/// A field of the dynamic table.
#[derive(Clone, Copy, Debug)]
struct Entry {
    name_length: usize,
    value_length: usize,
    is_path: bool,
    has_fragment: bool,
}

impl Entry {
    fn size(self) -> usize {
        self.name_length + self.value_length + ENTRY_BYTES
    }
}

/// Follows the blocks of one connection.
#[derive(Debug)]
pub(crate) struct Paths {
    entries: VecDeque<Entry>,
    size: usize,
    limit: usize,
}

impl Default for Paths {
    fn default() -> Self {
        Self { entries: VecDeque::new(), size: 0, limit: TABLE_BYTES }
    }
}

/// A name: its length, and whether it is `:path`.
type Name = (usize, bool);

impl Paths {
    /// Whether a `:path` of the block holds a `#`.
    pub(crate) fn has_fragment(&mut self, mut block: &[u8]) -> Result<bool, BadBlock> {
        let mut found = false;
        while let Some(first) = block.first() {
            if first & 0x80 != 0 {
                let index = integer(&mut block, 7)?;
                found |= self.is_fragment(index)?;
            } else if first & 0x40 != 0 {
                let index = integer(&mut block, 6)?;
                let (name_length, is_path) = self.name(index, &mut block)?;
                let (value_length, has_fragment) = string(&mut block)?.measure()?;
                found |= is_path && has_fragment;
                self.insert(Entry { name_length, value_length, is_path, has_fragment });
            } else if first & 0x20 != 0 {
                self.limit = integer(&mut block, 5)?;
                if self.limit > TABLE_BYTES {
                    return Err(BadBlock);
                }
                self.evict();
            } else {
                let index = integer(&mut block, 4)?;
                let (_, is_path) = self.name(index, &mut block)?;
                let value = string(&mut block)?;
                found |= is_path && value.measure()?.1;
            }
        }
        Ok(found)
    }

    fn is_fragment(&self, index: usize) -> Result<bool, BadBlock> {
        if (1..=STATIC_NAMES.len()).contains(&index) {
            return Ok(false);
        }
        let entry = self.dynamic(index)?;
        Ok(entry.is_path && entry.has_fragment)
    }

    fn dynamic(&self, index: usize) -> Result<&Entry, BadBlock> {
        index.checked_sub(STATIC_NAMES.len() + 1).and_then(|at| self.entries.get(at)).ok_or(BadBlock)
    }

    fn name(&self, index: usize, block: &mut &[u8]) -> Result<Name, BadBlock> {
        if index == 0 {
            let name = string(block)?;
            return Ok((name.measure()?.0, name.is_path()?));
        }
        match STATIC_NAMES.get(index - 1) {
            Some(length) => Ok((usize::from(*length), matches!(index, 4 | 5))),
            None => self.dynamic(index).map(|entry| (entry.name_length, entry.is_path)),
        }
    }

    fn insert(&mut self, entry: Entry) {
        self.size += entry.size();
        self.entries.push_front(entry);
        self.evict();
    }

    fn evict(&mut self) {
        while self.size > self.limit
            && let Some(entry) = self.entries.pop_back()
        {
            self.size -= entry.size();
        }
    }
}

/// An integer whose first byte has `bits` for it (RFC 7541 §5.1).
fn integer(block: &mut &[u8], bits: u32) -> Result<usize, BadBlock> {
    let mask = (1_usize << bits) - 1;
    let (first, mut rest) = block.split_first().ok_or(BadBlock)?;
    let mut value = usize::from(*first) & mask;
    if value == mask {
        let mut shift = 0;
        loop {
            let (byte, more) = rest.split_first().ok_or(BadBlock)?;
            rest = more;
            value += usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            // More than any length here can be.
            if shift > 21 {
                return Err(BadBlock);
            }
        }
    }
    *block = rest;
    Ok(value)
}

/// A string as it stands in the block.
#[derive(Clone, Copy, Debug)]
struct Text<'a> {
    bytes: &'a [u8],
    is_huffman: bool,
}

fn string<'a>(block: &mut &'a [u8]) -> Result<Text<'a>, BadBlock> {
    let is_huffman = block.first().ok_or(BadBlock)? & 0x80 != 0;
    let length = integer(block, 7)?;
    let (bytes, rest) = block.split_at_checked(length).ok_or(BadBlock)?;
    *block = rest;
    Ok(Text { bytes, is_huffman })
}

impl Text<'_> {
    /// Its length, and whether it holds a `#`.
    fn measure(self) -> Result<(usize, bool), BadBlock> {
        if !self.is_huffman {
            return Ok((self.bytes.len(), memchr::memchr(b'#', self.bytes).is_some()));
        }
        let (mut length, mut found) = (0, false);
        huffman(self.bytes, |byte| {
            length += 1;
            found |= byte == b'#';
        })?;
        Ok((length, found))
    }

    fn is_path(self) -> Result<bool, BadBlock> {
        if !self.is_huffman {
            return Ok(self.bytes == PATH);
        }
        let (mut at, mut same) = (0, true);
        huffman(self.bytes, |byte| {
            same &= PATH.get(at) == Some(&byte);
            at += 1;
        })?;
        Ok(same && at == PATH.len())
    }
}

/// Lengths of the codes of all bytes and of the end mark (RFC 7541 Appendix B). The code is canonical: codes of one
/// length are in the order of their bytes, and follow from the lengths.
#[rustfmt::skip]
const CODE_LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6,
    6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6,
    6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22,
    20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23,
    22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22,
    23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22,
    25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];
const SHORTEST: usize = 5;
const LONGEST: usize = 30;
const END: u16 = 256;

/// Lengths of the names of the static table (RFC 7541 Appendix A); 4 and 5 are `:path`.
#[rustfmt::skip]
const STATIC_NAMES: [u8; 61] = [
    10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14, 16, 13, 12,
    6, 4, 4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10, 25, 17, 10, 4, 3, 16,
];

/// Of each length: its first code, how many there are, and where their symbols start in [`SYMBOLS`].
const CODES: [(u32, u32, usize); LONGEST + 1] = {
    let mut codes = [(0, 0, 0); LONGEST + 1];
    let (mut code, mut at, mut length) = (0, 0, SHORTEST);
    while length <= LONGEST {
        let (mut count, mut symbol) = (0, 0);
        while symbol < CODE_LENGTHS.len() {
            if CODE_LENGTHS[symbol] as usize == length {
                count += 1;
            }
            symbol += 1;
        }
        codes[length] = (code, count, at);
        code = (code + count) << 1;
        at += count as usize;
        length += 1;
    }
    codes
};

/// Symbols in the order of their codes.
const SYMBOLS: [u16; 257] = {
    let mut symbols = [0; 257];
    let (mut at, mut length) = (0, SHORTEST);
    while length <= LONGEST {
        let mut symbol = 0;
        while symbol < CODE_LENGTHS.len() {
            if CODE_LENGTHS[symbol] as usize == length {
                symbols[at] = symbol as u16;
                at += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    symbols
};

/// Decodes a string byte by byte.
fn huffman(bytes: &[u8], mut each: impl FnMut(u8)) -> Result<(), BadBlock> {
    let (mut window, mut bits) = (0_u64, 0);
    let mut rest = bytes.iter();
    loop {
        while bits <= LONGEST
            && let Some(byte) = rest.next()
        {
            window = window << 8 | u64::from(*byte);
            bits += 8;
        }
        let mut length = SHORTEST;
        loop {
            if length > bits.min(LONGEST) {
                // What is left is padding: fewer than eight bits of the end mark.
                let padding = (1_u64 << bits) - 1;
                return if bits < 8 && window & padding == padding { Ok(()) } else { Err(BadBlock) };
            }
            let code = u32::try_from(window >> (bits - length) & ((1 << length) - 1)).map_err(|_| BadBlock)?;
            let (first, count, at) = CODES[length];
            if let Some(offset) = code.checked_sub(first).filter(|offset| *offset < count) {
                let symbol = SYMBOLS[at + offset as usize];
                if symbol == END {
                    return Err(BadBlock);
                }
                each(symbol.to_be_bytes()[1]);
                bits -= length;
                break;
            }
            length += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The encoder of the test: literal fields.
    fn literal(first: u8, name: &str, value: &[u8], coded: bool) -> Vec<u8> {
        let mut block = vec![first];
        for text in [name.as_bytes(), value] {
            let bytes = if coded { encoded(text) } else { text.to_vec() };
            let flag = if coded { 0x80 } else { 0 };
            if bytes.len() < 127 {
                block.push(flag | u8::try_from(bytes.len()).unwrap());
            } else {
                block.push(flag | 127);
                let mut rest = bytes.len() - 127;
                while rest >= 128 {
                    block.push(u8::try_from(rest % 128).unwrap() | 0x80);
                    rest /= 128;
                }
                block.push(u8::try_from(rest).unwrap());
            }
            block.extend(bytes);
        }
        block
    }

    fn encoded(text: &[u8]) -> Vec<u8> {
        let mut bits: Vec<u8> = Vec::new();
        for byte in text {
            let length = usize::from(CODE_LENGTHS[usize::from(*byte)]);
            let (first, _, at) = CODES[length];
            let offset = SYMBOLS[at..].iter().position(|symbol| *symbol == u16::from(*byte)).unwrap();
            let code = first + u32::try_from(offset).unwrap();
            bits.extend((0..length).rev().map(|bit| u8::try_from(code >> bit & 1).unwrap()));
        }
        while !bits.len().is_multiple_of(8) {
            bits.push(1);
        }
        bits.chunks(8).map(|eight| eight.iter().fold(0, |byte, bit| byte << 1 | bit)).collect()
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 7541 C.4.1 and C.4.3.
        let example = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        let mut text = Vec::new();
        huffman(&example, |byte| text.push(byte)).unwrap();
        assert_eq!(text, b"www.example.com");
        assert_eq!(encoded(b"custom-value"), [0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf]);
        // A string of the end mark, and padding of a whole byte.
        assert_eq!(huffman(&[0xff; 4], |_| {}), Err(BadBlock));
        assert_eq!(huffman(&[0xf8 | 7, 0xff], |_| {}), Err(BadBlock));
    }

    #[test]
    fn fragments_are_found_in_every_spelling() {
        for coded in [false, true] {
            for (path, has) in [("/public#/../admin", true), ("/a?b#", true), ("/plain", false), ("/a%23b", false)] {
                for first in [0x00, 0x10, 0x40] {
                    let mut paths = Paths::default();
                    let block = literal(first, ":path", path.as_bytes(), coded);
                    assert_eq!(paths.has_fragment(&block), Ok(has), "{path}");
                    // A later block may name what an earlier one said.
                    let again = paths.has_fragment(&[0x80 | 62]);
                    assert_eq!(again, if first == 0x40 { Ok(has) } else { Err(BadBlock) });
                }
                // The name from the static table, by its index.
                let mut block = literal(0, "", path.as_bytes(), coded);
                block.remove(1);
                block[0] = 0x04;
                assert_eq!(Paths::default().has_fragment(&block), Ok(has), "{path}");
                block[0] = 0x44;
                assert_eq!(Paths::default().has_fragment(&block), Ok(has), "{path}");
            }
            let other = literal(0x40, "referer", b"/a#b", coded);
            assert_eq!(Paths::default().has_fragment(&other), Ok(false));
        }
        assert_eq!(Paths::default().has_fragment(&[0x82, 0x84, 0x87]), Ok(false));
    }

    #[test]
    fn entries_leave_the_table_as_rfc_7541_has_it() {
        let mut paths = Paths::default();
        paths.has_fragment(&literal(0x40, ":path", b"/#", false)).unwrap();
        assert_eq!(paths.size, 5 + 2 + 32);
        let long = vec![b'x'; 4096 - 39 - 33];
        paths.has_fragment(&literal(0x40, "y", &long, true)).unwrap();
        assert_eq!((paths.size, paths.has_fragment(&[0x80 | 63])), (4096, Ok(true)));
        paths.has_fragment(&literal(0x40, "z", b"", false)).unwrap();
        assert_eq!((paths.entries.len(), paths.has_fragment(&[0x80 | 64])), (2, Err(BadBlock)));
        // More than the whole table empties it; so does a table of no size.
        paths.has_fragment(&literal(0x40, "y", &vec![b'x'; 4096], false)).unwrap();
        assert_eq!((paths.entries.len(), paths.size), (0, 0));
        paths.has_fragment(&literal(0x40, "z", b"", false)).unwrap();
        paths.has_fragment(&[0x20]).unwrap();
        assert_eq!(paths.entries.len(), 0);
        assert_eq!(paths.has_fragment(&[0x3f, 0xe2, 0x1f]), Err(BadBlock), "4097 bytes");
    }

    proptest! {
        #[test]
        fn every_string_is_measured_as_it_was(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let block = literal(0x40, ":path", &text, true);
            let mut paths = Paths::default();
            prop_assert_eq!(paths.has_fragment(&block), Ok(text.contains(&b'#')));
            prop_assert_eq!(paths.size, 5 + text.len() + 32);
        }

        #[test]
        fn no_bytes_panic(blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..4)) {
            let mut paths = Paths::default();
            for block in blocks {
                let _ = paths.has_fragment(&block);
                prop_assert!(paths.size <= TABLE_BYTES);
            }
        }
    }
}
