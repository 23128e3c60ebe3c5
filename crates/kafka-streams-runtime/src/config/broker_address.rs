//! `host:port` of a broker or of an application instance.

use std::fmt;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerAddress {
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// The port, from 1.
    pub port: u16,
}

impl BrokerAddress {
    /// Reads `host:port`, `[v6 address]:port`, or either after `PROTOCOL://`, as the JVM's clients do.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = match text.split_once("://") {
            Some((protocol, rest)) if protocol.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => rest,
            Some(_) => return None,
            None => text,
        };
        let (host, port) = text.rsplit_once(':')?;
        let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed.strip_suffix(']').filter(|host| host.contains(':'))?,
            None => host,
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '%' | ':');
        let fits = !host.is_empty() && host.chars().all(legal);
        fits.then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The addresses, separated by commas.
pub(crate) fn join(addresses: &[BrokerAddress]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_read() {
        for (text, shown) in [
            ("localhost:9092", "localhost:9092"),
            (" broker-1.example.com:1 ", "broker-1.example.com:1"),
            ("[::1]:9092", "[::1]:9092"),
            ("SASL_SSL://broker:9093", "broker:9093"),
        ] {
            assert_eq!(BrokerAddress::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_not_read() {
        for text in [
            "",
            "host",
            "host:",
            ":9092",
            "host:0",
            "host:65536",
            "ho st:1",
            "[broker]:1",
            "[::1:1",
            "user:pw@host:1",
            "a,b:1",
        ] {
            assert_eq!(BrokerAddress::parse(text), None, "{text}");
        }
    }
}
