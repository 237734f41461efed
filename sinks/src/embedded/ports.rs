//! Ports on loopback: free ones from the kernel, or given ones checked before anything starts.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use super::error::EmbeddedError;

/// The two ports of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) http: u16,
    pub(super) tcp: u16,
}

impl Ports {
    /// The ports that were asked for, and free ones for those that were not. Between here and the server's own
    /// `bind` another process can take a free one: the caller tries again then.
    pub(super) fn choose(http: Option<u16>, tcp: Option<u16>) -> Result<Ports, EmbeddedError> {
        if let (Some(http), Some(tcp)) = (http, tcp)
            && http == tcp
            && http != 0
        {
            return Err(EmbeddedError::PortsEqual(http));
        }
        // Both are held until both are known, so that they differ.
        let http = listen("HTTP", http.unwrap_or(0))?;
        let tcp = listen("native", tcp.unwrap_or(0))?;
        Ok(Ports { http: port(&http)?, tcp: port(&tcp)? })
    }
}

fn listen(role: &'static str, port: u16) -> Result<TcpListener, EmbeddedError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => EmbeddedError::PortInUse { role, port },
        _ => EmbeddedError::PortRefused { role, port, source },
    })
}

fn port(listener: &TcpListener) -> Result<u16, EmbeddedError> {
    match listener.local_addr() {
        Ok(address) => Ok(address.port()),
        Err(source) => Err(EmbeddedError::PortRefused { role: "free", port: 0, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_differ() {
        let ports = Ports::choose(None, None).unwrap();
        assert_ne!(ports.http, ports.tcp);
        assert!(ports.http != 0 && ports.tcp != 0);
    }

    #[test]
    fn a_taken_port_is_named_with_its_role() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = Ports::choose(None, Some(port)).unwrap_err();
        let expected = format!(
            "the native port 127.0.0.1:{port} is in use by another process; name another, or none to get a free one"
        );
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn one_port_cannot_serve_both_protocols() {
        let error = Ports::choose(Some(4321), Some(4321)).unwrap_err();
        assert_eq!(error.to_string(), "the HTTP port and the native port are both 4321; they must differ");
    }
}
