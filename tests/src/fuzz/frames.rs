//! HTTP/2 frames from arbitrary bytes: often right, sometimes a little wrong, sometimes garbage.

/// The client's first bytes (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Fields that heads are made of; the first of a pair begins with a colon in pseudo fields.
pub(super) type Pairs<'a> = &'a [(&'a [u8], &'a [u8])];

/// Bytes still to be turned into frames.
pub(super) struct Script<'a>(pub(super) &'a [u8]);

impl Script<'_> {
    pub(super) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().map_or((0, &[][..]), |(first, rest)| (*first, rest));
        self.0 = rest;
        first
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let count = usize::from(self.byte()).min(most).min(self.0.len());
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken.to_vec()
    }

    /// Frames for as long as there are bytes. `heads` are what a peer of this side would say.
    pub(super) fn frames(&mut self, heads: &[Pairs<'_>]) -> Vec<u8> {
        let mut out = Vec::new();
        frame(&mut out, SETTINGS, 0, 0, &[]);
        while !self.0.is_empty() && out.len() < 64 * 1024 {
            self.frame(&mut out, heads);
        }
        out
    }

    fn frame(&mut self, out: &mut Vec<u8>, heads: &[Pairs<'_>]) {
        let op = self.byte();
        let stream = u32::from(self.byte() % 8) * 2 + 1;
        match op % 16 {
            0..=4 => {
                let mut block = Vec::new();
                for (name, value) in heads[usize::from(self.byte()) % heads.len()] {
                    literal(&mut block, name, value);
                }
                for _ in 0..self.byte() % 4 {
                    let (name, value) = (self.bytes(24), self.bytes(200));
                    literal(&mut block, &name, &value);
                }
                let flags = if op & 0x10 == 0 { END_HEADERS | END_STREAM } else { END_HEADERS };
                frame(out, HEADERS, flags, stream, &block);
            }
            5..=7 => {
                let body = self.bytes(255);
                frame(out, DATA, if op & 0x10 == 0 { END_STREAM } else { 0 }, stream, &body);
            }
            8 => frame(out, RST_STREAM, 0, stream, &u32::from(self.byte() % 14).to_be_bytes()),
            9 => {
                let mut setting = vec![0, self.byte() % 9];
                setting.extend_from_slice(&(u32::from(self.byte()) << (self.byte() % 24)).to_be_bytes());
                frame(out, SETTINGS, 0, 0, &setting);
            }
            10 => frame(out, SETTINGS, ACK, 0, &[]),
            11 => {
                let on = if op & 0x10 == 0 { 0 } else { stream };
                frame(out, WINDOW_UPDATE, 0, on, &(u32::from(self.byte()) << (self.byte() % 24)).to_be_bytes());
            }
            12 => frame(out, PING, if op & 0x10 == 0 { 0 } else { ACK }, 0, &[self.byte(); 8]),
            13 => {
                let mut last = stream.to_be_bytes().to_vec();
                last.extend_from_slice(&u32::from(self.byte() % 14).to_be_bytes());
                frame(out, GOAWAY, 0, 0, &last);
            }
            14 => {
                let kind = [CONTINUATION, PUSH_PROMISE, PRIORITY, HEADERS][usize::from(self.byte() % 4)];
                let (flags, body) = (self.byte(), self.bytes(64));
                frame(out, kind, flags, stream, &body);
            }
            _ => {
                let raw = self.bytes(64);
                out.extend_from_slice(&raw);
            }
        }
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, body: &[u8]) {
    let length = u32::try_from(body.len()).unwrap_or_default().to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(body);
}

/// A field that is never indexed (RFC 7541 §6.2.3).
fn literal(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0x10);
    for text in [name, value] {
        // Seven bits of length, and one further byte where they do not suffice.
        match u8::try_from(text.len()) {
            Ok(length) if length < 127 => block.push(length),
            _ => {
                let text = text.len().min(127 + 127);
                block.extend_from_slice(&[127, u8::try_from(text - 127).unwrap_or_default()]);
            }
        }
        block.extend_from_slice(&text[..text.len().min(254)]);
    }
}
