//! Listening addresses in Go's notation.

use std::{fmt, io, net::Ipv4Addr, str::FromStr};
use tokio::net::TcpListener;

/// Where to listen: `:8081` on all addresses, `host:8081`, `[::1]:8081`; `0` or nothing to disable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindAddress {
    /// Nowhere.
    Off,
    /// At this address.
    On {
        /// Name or address without brackets; empty for all addresses.
        host: String,
        /// Port; 0 for any free one.
        port: u16,
    },
}

/// Not a listening address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a listen address; use, for example, :8081, 127.0.0.1:8081 or [::1]:8081, or 0 to disable"
)]
pub struct NotAnAddress;

/// The address of a flag cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("{flag}={address}: cannot listen")]
pub struct BindError {
    flag: &'static str,
    address: BindAddress,
    source: io::Error,
}

impl BindAddress {
    /// Listens, unless disabled, and logs where; `flag` is the one whose value this is.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn listen_by(&self, flag: &'static str) -> Result<Option<TcpListener>, BindError> {
        let bound = self.listen().await;
        let bound = bound.map_err(|source| BindError { flag, address: self.clone(), source })?;
        if let Some(address) = bound.as_ref().and_then(|listener| listener.local_addr().ok()) {
            tracing::info!(%address, flag, "listening");
        }
        Ok(bound)
    }

    /// Listens, unless disabled. All addresses means IPv6 and IPv4, or only IPv4 if there is no
    /// IPv6.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn listen(&self) -> io::Result<Option<TcpListener>> {
        let listener = match self {
            Self::Off => return Ok(None),
            Self::On { host, port } if !host.is_empty() => {
                TcpListener::bind((host.as_str(), *port)).await?
            }
            Self::On { port, .. } => match TcpListener::bind(("::", *port)).await {
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).await?
                }
                bound => bound?,
            },
        };
        Ok(Some(listener))
    }
}

impl FromStr for BindAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        if matches!(text, "" | "0") {
            return Ok(Self::Off);
        }
        let (host, port) = text.rsplit_once(':').ok_or(NotAnAddress)?;
        let port = port.parse().map_err(|_| NotAnAddress)?;
        let host = match host.strip_prefix('[') {
            Some(host) => host.strip_suffix(']').ok_or(NotAnAddress)?,
            None if host.contains(':') => return Err(NotAnAddress),
            None => host,
        };
        Ok(Self::On { host: host.to_owned(), port })
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("0"),
            Self::On { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::On { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_go_reads_them_and_written_back() {
        let on = |host: &str, port| BindAddress::On { host: host.to_owned(), port };
        let table = [
            (":8081", on("", 8081)),
            ("127.0.0.1:0", on("127.0.0.1", 0)),
            ("localhost:80", on("localhost", 80)),
            ("[::1]:8081", on("::1", 8081)),
            ("0", BindAddress::Off),
        ];
        for (text, address) in table {
            assert_eq!(text.parse(), Ok(address.clone()), "{text}");
            assert_eq!(address.to_string(), text);
        }
        assert_eq!("".parse(), Ok(BindAddress::Off));
        // In the notation of manifests for addresses of either family.
        assert_eq!("[10.0.0.1]:8081".parse(), Ok(on("10.0.0.1", 8081)));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["8081", ":", ":x", ":65536", "::1:8081", "[::1:8081", "host", "[::1]8081"] {
            assert_eq!(text.parse::<BindAddress>(), Err(NotAnAddress), "{text}");
        }
    }

    #[tokio::test]
    async fn every_address_includes_ipv4() {
        let listener = ":0".parse::<BindAddress>().unwrap().listen().await.unwrap().unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    }
}
