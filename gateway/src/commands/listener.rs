//! Who listens on a port of this host. A gateway that ended without a word leaves its address behind, and whoever takes
//! the port then must not be handed the admin token.

use std::net::SocketAddr;

use anyhow::bail;

/// Fails when somebody else than `owner` or root listens on `address`; what cannot be told passes.
pub(super) fn belongs_to(address: SocketAddr, owner: u32) -> anyhow::Result<()> {
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let Ok(table) = std::fs::read_to_string(table) else { continue };
        if let Some(user) = users(&table, address.port()).find(|user| *user != owner && *user != 0) {
            bail!(
                "user {user} listens on {address}, and not the gateway, whose state belongs to user {owner}: nothing was \
                 sent there; see `ss -ltnp` for who it is"
            );
        }
    }
    Ok(())
}

/// Users of the sockets that listen on `port`, from the text of `/proc/net/tcp` (proc(5)).
fn users(table: &str, port: u16) -> impl Iterator<Item = u32> + '_ {
    /// TCP_LISTEN.
    const LISTEN: &str = "0A";
    table.lines().skip(1).filter_map(move |line| {
        let mut columns = line.split_ascii_whitespace();
        let local = columns.nth(1)?;
        let state = columns.nth(1)?;
        let user = columns.nth(3)?.parse().ok()?;
        let bound = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
        (state == LISTEN && bound == port).then_some(user)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        \x20  0: 0100007F:1BA9 00000000:0000 0A 00000000:00000000 00:00000000 00000000   998        0 17073 1 0 100 0 0\n\
        \x20  1: 0100007F:1BA9 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 17074 1 0 20 4 30\n\
        \x20  2: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 17075 1 0 100 0 0\n";

    #[test]
    fn only_who_listens_on_the_port_counts() {
        assert_eq!(users(TABLE, 7081).collect::<Vec<_>>(), [998]);
        assert_eq!(users(TABLE, 8080).collect::<Vec<_>>(), [1000]);
        assert_eq!(users("nonsense\n\n1 2 3\n", 7081).count(), 0);
    }

    #[test]
    fn ones_own_listener_is_found_and_believed() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let myself = rustix::process::geteuid().as_raw();
        assert!(belongs_to(address, myself).is_ok());
        if myself != 0 {
            assert!(belongs_to(address, myself + 1).is_err());
        }
    }
}
