//! The token by which the cluster vouches for this proxy. The kubelet replaces its file long before it expires, so it is
//! read anew each time.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use tonic::metadata::{Ascii, MetadataValue};
use zeroize::Zeroizing;

/// Longer ones are none.
const LARGEST: u64 = 16 << 10;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("reading the token {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} is empty")]
    Empty { path: PathBuf },
    #[error("{path} is no token: it is longer than {LARGEST} bytes, or not plain text")]
    NotAToken { path: PathBuf },
}

/// A token. It shows itself to nobody.
pub(crate) struct Token(Zeroizing<String>);

impl Token {
    /// Reads the file.
    ///
    /// # Errors
    /// When there is no token in it.
    pub(crate) fn read(path: &Path) -> Result<Self, TokenError> {
        let mut text = Zeroizing::new(Vec::with_capacity(4096));
        File::open(path)
            .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut text))
            .map_err(|source| TokenError::Read { path: path.to_owned(), source })?;
        let odd = || TokenError::NotAToken { path: path.to_owned() };
        if text.len() as u64 > LARGEST {
            return Err(odd());
        }
        let token = std::str::from_utf8(&text).map_err(|_| odd())?.trim();
        if token.is_empty() {
            return Err(TokenError::Empty { path: path.to_owned() });
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(odd());
        }
        Ok(Self(Zeroizing::new(token.to_owned())))
    }

    /// As the `authorization` of a request.
    pub(crate) fn bearer(&self) -> Option<MetadataValue<Ascii>> {
        let text = Zeroizing::new(format!("Bearer {}", self.0.as_str()));
        let mut value: MetadataValue<Ascii> = text.parse().ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<token>")
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_token_is_read_anew_and_never_shown() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("token");
        assert!(matches!(Token::read(&path), Err(TokenError::Read { .. })));
        for (text, value) in [("hunter2\n", "Bearer hunter2"), ("hunter3", "Bearer hunter3")] {
            std::fs::write(&path, text).unwrap();
            let token = Token::read(&path).unwrap();
            assert_eq!(token.bearer().unwrap().to_str().unwrap(), value);
            assert!(!format!("{token:?} {:?}", token.bearer()).contains("hunter"));
        }
    }

    #[test]
    fn what_is_no_token_is_refused_without_showing_it() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("token");
        let long = "x".repeat(20_000);
        for text in ["", " \n", "two words", "line\r\nbreak: x", "caf\u{e9}", long.as_str()] {
            std::fs::write(&path, text).unwrap();
            let error = Token::read(&path).unwrap_err().to_string();
            assert!(error.contains("/token"), "{error}");
            assert!(text.trim().is_empty() || !error.contains(text.trim()), "{error}");
        }
    }
}
