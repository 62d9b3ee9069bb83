//! A second opinion about HTTP/1.1: what the gateway wrote is taken apart by rules of its own, stricter than any peer's,
//! so that a byte too many or a head that is none does not pass.

/// Messages that came one after the other on a connection.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) first_line: String,
    pub(super) fields: Vec<(String, String)>,
}

/// Takes a whole connection apart; what a cut message leaves behind may only be its own beginning. `bodyless` says from
/// the first line whether a message has no body whatever its fields say.
///
/// # Panics
/// When a head is malformed, or bytes follow a message that are not the next one.
pub(super) fn messages(mut bytes: &[u8], bodyless: impl Fn(&str) -> bool) -> Vec<Message> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return all };
        // Bytes from 0x80 on may stand in targets and values; each counts as a character of its own.
        let head: String = bytes[..end].iter().map(|byte| char::from(*byte)).collect();
        bytes = &bytes[end + 4..];
        let mut lines = head.split("\r\n");
        let first_line = lines.next().unwrap_or_default();
        let printable = |text: &str| text.chars().all(|it| it >= ' ' && it != '\x7f' || it == '\t');
        assert!(printable(first_line), "{first_line:?}");
        let fields: Vec<(&str, &str)> = lines
            .map(|line| {
                assert!(printable(line), "{line:?}");
                let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line:?}"));
                let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
                assert!(!name.is_empty() && name.bytes().all(token), "{line:?}");
                (name, value.trim())
            })
            .collect();
        let all_of = |wanted: &str| -> Vec<&str> {
            fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| *value).collect()
        };
        let (lengths, encodings) = (all_of("content-length"), all_of("transfer-encoding"));
        assert!(lengths.len() + encodings.len() <= 1, "framed twice: {head:?}");
        let body = match (lengths.first(), encodings.first()) {
            _ if bodyless(first_line) => Some(0),
            (Some(length), _) => length.parse().ok(),
            (None, Some(encoding)) => {
                assert_eq!(*encoding, "chunked");
                chunked(bytes)
            }
            // Responses only: to the end of the connection.
            (None, None) if first_line.starts_with("HTTP/") => Some(bytes.len()),
            (None, None) => Some(0),
        };
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        all.push(Message { first_line: first_line.to_owned(), fields });
        // A body that is cut short is the last thing on its connection.
        match body.filter(|length| *length <= bytes.len()) {
            Some(length) => bytes = &bytes[length..],
            None => return all,
        }
    }
    all
}

/// Bytes of a body in chunks; none when its end is not there.
fn chunked(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = bytes[at..].windows(2).position(|two| two == b"\r\n")?;
        let size =
            std::str::from_utf8(&bytes[at..at + line]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let size = size.unwrap_or_else(|| panic!("no chunk size: {}", shown(&bytes[at..])));
        at += line + 2;
        if size == 0 {
            // Trailers, as lines up to an empty one.
            loop {
                let line = bytes[at..].windows(2).position(|two| two == b"\r\n")?;
                at += line + 2;
                if line == 0 {
                    return Some(at);
                }
            }
        }
        let end = at.checked_add(size)?.checked_add(2).filter(|end| *end <= bytes.len())?;
        assert_eq!(&bytes[end - 2..end], b"\r\n", "a chunk does not end where it says");
        at = end;
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::messages;

    #[test]
    fn a_second_message_is_seen() {
        let bytes =
            b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        let found = messages(bytes, |line| line.contains(" 304 "));
        let lines: Vec<&str> = found.iter().map(|message| message.first_line.as_str()).collect();
        assert_eq!(lines, ["HTTP/1.1 304 Not Modified", "HTTP/1.1 200 OK"]);
    }

    #[test]
    #[should_panic(expected = "no field")]
    fn bytes_behind_a_message_are_no_message() {
        messages(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nxx\r\nyy\r\n\r\n", |_| false);
    }
}
