//! Where an application instance can be asked for its state (`application.server`).

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// Host and port under which an application instance answers queries; other instances learn it from the leader.
///
/// Parsed as `HostInfo.buildFromEndpoint` of the JVM does it: `host:port`, with an optional `scheme://` before it and
/// optional brackets around an IPv6 address. The text form is `host:port`.
///
/// ```
/// use kafka_streams_group::HostInfo;
/// let host: HostInfo = "http://[::1]:8080".parse()?;
/// assert_eq!((host.host.as_str(), host.port), ("::1", 8080));
/// # Ok::<(), kafka_streams_group::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostInfo {
    /// Host name or address, without brackets.
    pub host: String,
    /// Port, 0 to 65,535 from a configuration; whatever the leader wrote when it was received.
    pub port: i32,
}

impl HostInfo {
    /// This host and port.
    pub fn new(host: impl Into<String>, port: i32) -> Self {
        HostInfo { host: host.into(), port }
    }
}

impl fmt::Display for HostInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for HostInfo {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| Error::Endpoint { endpoint: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<HostInfo> {
    let address = text.split_once("://").map_or(text, |(_, address)| address);
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let in_host = |c: char| c.is_ascii_alphanumeric() || "-%._:".contains(c);
    let plain_port = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    (!host.is_empty() && host.chars().all(in_host) && plain_port)
        .then(|| port.parse::<u16>().ok())
        .flatten()
        .map(|port| HostInfo::new(host, i32::from(port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_parse_as_on_the_jvm() {
        assert_eq!("h:9".parse::<HostInfo>().unwrap(), HostInfo::new("h", 9));
        assert_eq!("https://my.host-1:8443".parse::<HostInfo>().unwrap(), HostInfo::new("my.host-1", 8443));
        assert_eq!("[2001:db8::1]:80".parse::<HostInfo>().unwrap().to_string(), "[2001:db8::1]:80");
    }

    #[test]
    fn text_that_is_no_endpoint_is_refused() {
        for text in ["", "host", "host:", ":9", "host:port", "host:99999", "ho st:1", "h:+1"] {
            assert!(text.parse::<HostInfo>().is_err(), "{text}");
        }
    }
}
