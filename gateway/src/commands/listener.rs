//! Who listens on a port of this host. A gateway that ended without a word leaves its address behind, and whoever takes
//! the port then must not be handed the admin token.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::bail;

/// Fails when somebody else than `owner` or root listens on `address`; what cannot be told passes.
pub(super) fn belongs_to(address: SocketAddr, owner: u32) -> anyhow::Result<()> {
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let Ok(table) = std::fs::read_to_string(table) else { continue };
        if let Some(user) = stranger(&table, address, owner) {
            bail!(
                "user {user} listens on {address}, and not the gateway, whose state belongs to user {owner}: nothing was \
                 sent there; see `ss -ltnp` for who it is"
            );
        }
    }
    Ok(())
}

/// Whoever listens on `address` and is neither `owner` nor root, from the text of `/proc/net/tcp` (proc(5)).
fn stranger(table: &str, address: SocketAddr, owner: u32) -> Option<u32> {
    /// TCP_LISTEN.
    const LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let bound = socket_address(columns.nth(1)?)?;
        let state = columns.nth(1)?;
        let user = columns.nth(3)?.parse().ok()?;
        let takes = bound.port() == address.port() && (bound.ip().is_unspecified() || bound.ip() == address.ip());
        (state == LISTEN && takes && user != owner && user != 0).then_some(user)
    })
}

/// An address as the kernel prints it: words of 32 bits in the order of this machine, and the port.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(words.get(8 * at..8 * at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = if words.len() == 8 {
        IpAddr::from(Ipv4Addr::from(word(0)?))
    } else {
        let octets = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
        Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).to_canonical()
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn table(local: &str, state: &str, user: u32) -> String {
        format!(
            "{HEAD}   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 {user:>5}        0 17073 1\n"
        )
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn who_takes_the_address_is_a_stranger_unless_owner_or_root() {
        let admin = "127.0.0.1:7081".parse().unwrap();
        let found = |local, state, user| stranger(&table(local, state, user), admin, 998);
        for takes in ["0100007F:1BA9", "00000000:1BA9"] {
            assert_eq!([998, 0, 1000].map(|user| found(takes, "0A", user)), [None, None, Some(1000)], "{takes}");
        }
        // Connected, on another port, on another address of loopback: none of them gets what is sent there.
        assert_eq!(found("0100007F:1BA9", "01", 1000), None);
        assert_eq!(found("0100007F:1F90", "0A", 1000), None);
        assert_eq!(found("0200007F:1BA9", "0A", 1000), None);
        let both = "00000000000000000000000000000000:1BA9";
        assert_eq!(found(both, "0A", 1000), Some(1000), "a socket for both families");
        assert_eq!(found("0000000000000000FFFF00000100007F:1BA9", "0A", 1000), Some(1000), "a mapped address");
        assert_eq!(stranger("nonsense\n\n1 2 3\n", admin, 998), None);
    }

    #[test]
    fn the_kernels_table_of_this_machine_is_read() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let mut local = table.lines().skip(1).filter_map(|line| socket_address(line.split_ascii_whitespace().nth(1)?));
        assert!(local.any(|bound| bound == address), "{address} in {table}");
        belongs_to(address, rustix::process::geteuid().as_raw()).unwrap();
    }
}
