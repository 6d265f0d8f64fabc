//! No test listens on a port it chose itself: two runs on one machine would meet there. Inside a network of its own it
//! may, and the line above says so.

use super::File;

/// The first port that needs no privileges; those below are only sent to or parsed.
const UNPRIVILEGED: u32 = 1024;

pub(super) fn faults(rust: &[&File]) -> Vec<String> {
    let mut faults = Vec::new();
    // This program listens on nothing, and seeds faults in its own tests.
    for file in rust.iter().filter(|file| !file.name.starts_with("xtask/")) {
        let of_tests = file.name.starts_with("tests/") || file.name.contains("/tests/");
        let from = if of_tests { 0 } else { file.text.find("#[cfg(test)]").unwrap_or(file.text.len()) };
        let first = file.text[..from].lines().count();
        let mut above = "";
        for (at, line) in file.text[from..].lines().enumerate() {
            let apart = std::mem::replace(&mut above, line).contains("network of its own");
            if let Some(port) = fixed(line).filter(|_| !apart) {
                faults.push(format!(
                    "{}:{}: port {port} is fixed; use port 0 or trunkline_tests::ports",
                    file.name,
                    first + at + 1
                ));
            }
        }
    }
    faults
}

/// The port that a line makes something listen on.
fn fixed(line: &str) -> Option<u32> {
    let listens = line.contains("bind(") || line.contains("_LISTEN") || line.contains("PORT_M");
    let names = line.trim_start().trim_start_matches("pub ").starts_with("const ") && line.contains("PORT");
    if !listens && !names {
        return None;
    }
    let code = line.split("//").next().unwrap_or(line);
    let value = if names { code.split('=').nth(1)? } else { code };
    value
        .split(|c: char| !c.is_ascii_digit() && c != '_' && c != '.')
        .filter_map(|number| number.replace('_', "").parse::<u32>().ok())
        .find(|port| (UNPRIVILEGED..65_536).contains(port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::file;

    #[test]
    fn ports_that_a_test_chose_are_named() {
        let chosen = [
            "UdpSocket::bind(\"127.0.0.1:5060\")",
            "TcpListener::bind((address, 8080))",
            "const MEDIA_PORT: u16 = 41_000;",
            ".env(\"TRUNKLINE_SIP__LISTEN\", \"127.0.0.1:5070\")",
        ];
        for line in chosen {
            assert!(fixed(line).is_some(), "{line}");
        }
        for line in
            ["UdpSocket::bind(\"127.0.0.1:0\")", "const PORTS: usize = 4;", "sip:100@127.0.0.1:5060", "bind(port)"]
        {
            assert_eq!(fixed(line), None, "{line}");
        }
        let shipped =
            file("gateway/src/sip.rs", "bind(\"0.0.0.0:5060\")\n#[cfg(test)]\nmod tests { bind(\"0.0.0.0:5061\") }\n");
        let apart = file("tests/rig/a.rs", "/// In a network of its own.\nconst PORT: u16 = 41_000;\n");
        let faults = faults(&[&shipped, &apart]);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("gateway/src/sip.rs:3"), "{faults:?}");
    }
}
