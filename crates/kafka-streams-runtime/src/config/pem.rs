//! Keys and certificates in PEM, given as a file or as text.

use std::fmt;
use std::path::PathBuf;

use super::secret::Secret;

/// PEM, in a file or as text.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// A file; it is read when a client connects, not when the configuration is checked.
    File(PathBuf),
    /// The text, brought into lines that every reader accepts. Secret, as it may be a private key.
    Text(Secret),
}

impl Pem {
    /// The text, read from the file if need be.
    ///
    /// # Errors
    /// What the system said about the file, with its path.
    pub fn load(&self) -> Result<Secret, std::io::Error> {
        match self {
            Self::File(path) => std::fs::read_to_string(path)
                .map(Secret::new)
                .map_err(|e| std::io::Error::new(e.kind(), format!("{}: {e}", path.display()))),
            Self::Text(text) => Ok(text.clone()),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Text(text) => f.debug_tuple("Text").field(text).finish(),
        }
    }
}

/// What a PEM text should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PemKind {
    Certificates,
    PrivateKey,
}

impl PemKind {
    fn holds(self, label: &str) -> bool {
        match self {
            Self::Certificates => label == "CERTIFICATE" || label == "TRUSTED CERTIFICATE",
            Self::PrivateKey => label.ends_with("PRIVATE KEY"),
        }
    }

    /// What is asked for, for an error text.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Certificates => "PEM text with at least one -----BEGIN CERTIFICATE----- block",
            Self::PrivateKey => "PEM text with a -----BEGIN PRIVATE KEY----- block",
        }
    }
}

/// The blocks of `kind` in `text`, in lines of 64 characters. The JVM accepts PEM in one line, as a properties file
/// often has it, or with text around the blocks; OpenSSL and rustls do not.
pub(crate) fn normalise(text: &str, kind: PemKind) -> Option<Secret> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let (label, after) = after.split_once("-----")?;
        let (body, after) = after.split_once(&format!("-----END {label}-----"))?;
        rest = after;
        if !kind.holds(label) {
            continue;
        }
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
        // Old encrypted keys carry headers ("Proc-Type: 4,ENCRYPTED"); such a block stays as it is.
        if body.contains(':') {
            out.push_str(&format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", body.trim()));
            continue;
        }
        let base64: Vec<char> = body.chars().filter(|c| !c.is_whitespace()).collect();
        if base64.is_empty() || !base64.iter().copied().all(is_base64) {
            return None;
        }
        out.push_str(&format!("-----BEGIN {label}-----\n"));
        for line in base64.chunks(64) {
            out.extend(line);
            out.push('\n');
        }
        out.push_str(&format!("-----END {label}-----\n"));
    }
    (!out.is_empty()).then(|| Secret::new(out))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blocks_in_one_line_are_broken_into_lines() {
        let body = "A".repeat(70);
        let text = format!("Bag Attributes -----BEGIN CERTIFICATE----- {body} -----END CERTIFICATE----- x");
        let pem = normalise(&text, PemKind::Certificates).unwrap();
        let expected = format!("-----BEGIN CERTIFICATE-----\n{}\nAAAAAA\n-----END CERTIFICATE-----\n", "A".repeat(64));
        assert_eq!(pem.expose(), expected);
        assert_eq!(normalise(pem.expose(), PemKind::Certificates), Some(pem));
    }

    #[test]
    fn only_the_blocks_asked_for_are_taken() {
        let text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n\
                    -----BEGIN PRIVATE KEY-----\nBBBB\n-----END PRIVATE KEY-----\n";
        assert!(!normalise(text, PemKind::PrivateKey).unwrap().expose().contains("AAAA"));
        assert!(!normalise(text, PemKind::Certificates).unwrap().expose().contains("BBBB"));
    }

    #[test]
    fn what_is_no_pem_is_refused() {
        for text in
            ["", "AAAA", "-----BEGIN CERTIFICATE-----\nAAAA", "-----BEGIN CERTIFICATE-----!-----END CERTIFICATE-----"]
        {
            assert_eq!(normalise(text, PemKind::Certificates), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(-----BEGIN |-----END |-----|CERTIFICATE|[A-Z:ä \n]){0,12}") {
            let _ = normalise(&text, PemKind::Certificates);
        }
    }
}
