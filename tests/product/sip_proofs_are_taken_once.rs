//! A password's proof that somebody overheard is worth nothing, from whatever address it is said again; whoever guesses
//! passwords is banned, and the call beside goes on.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use trunkline_tests::attacker::Attacker;
use trunkline_tests::gateway::Gateway;
use trunkline_tests::line::{Line, shout};
use trunkline_tests::{echo, objects, wait};

/// Phones, which have a password, are another trunk than the caller of the call beside.
const PHONE: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 1);
const GUESSER: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 2);

fn gateway(scratch: &std::path::Path) -> Gateway {
    let mut all: Value = toml::from_str(&objects::answering(&echo::agent()).unwrap()).unwrap();
    all["object"].as_array_mut().unwrap().push(json!({
        "kind": "trunk", "id": "trk_00000000000000000000000002", "tenant": objects::id::TENANT,
        "body": {
            "name": "phones", "peers": ["127.0.2.0/24"], "codecs": ["PCMU"],
            "auth": { "user": "phone", "secret": "phones", "realm": "rig" },
        },
    }));
    let options = echo::options(scratch, 4).unwrap();
    let options = options.with("TRUNKLINE_SECRETS__PHONES__FROM", "env:PHONES").with("PHONES", "correct horse");
    let gateway = Gateway::standalone(scratch, &toml::to_string(&all).unwrap(), options).unwrap();
    gateway.await_agents(1).unwrap();
    gateway
}

/// Somebody with a password, right or wrong.
struct Phone {
    attacker: Attacker,
    uri: String,
}

impl Phone {
    fn at(ip: Ipv4Addr, gateway: &Gateway) -> Self {
        let uri = format!("sip:1000@{}", gateway.sip());
        Self { attacker: Attacker::at(ip, gateway.sip()).unwrap(), uri }
    }

    /// The status of what is sent.
    fn status_of(&self, invite: &str) -> String {
        let call_id = line_of(invite, "Call-ID: ").to_owned();
        let answer = wait::until("a final answer", Duration::from_secs(10), || {
            self.attacker.send(invite.as_bytes()).unwrap();
            wait::until("an answer", Duration::from_millis(500), || {
                let messages = self.attacker.messages();
                messages.into_iter().find(|text| text.contains(&call_id) && !text.starts_with("SIP/2.0 1"))
            })
            .ok()
        });
        answer.unwrap()
    }

    /// Calls with a password; the INVITE that had the proof, and its answer.
    fn call(&mut self, password: &str) -> (String, String) {
        let bare = self.attacker.invite().unwrap();
        let asked = self.status_of(&bare);
        let challenge = asked.lines().find(|line| line.starts_with("WWW-Authenticate") && line.contains("SHA-256"));
        let nonce = challenge.unwrap_or_else(|| panic!("{asked}")).split("nonce=\"").nth(1).unwrap();
        let nonce = nonce.split('"').next().unwrap();
        let hash = |text: &str| Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let (who, what) = (hash(&format!("phone:rig:{password}")), hash(&format!("INVITE:{}", self.uri)));
        let response = hash(&format!("{who}:{nonce}:00000001:cafe:auth:{what}"));
        let proof = format!(
            "Authorization: Digest username=\"phone\", realm=\"rig\", nonce=\"{nonce}\", uri=\"{}\", \
             response=\"{response}\", algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"cafe\"\r\n",
            self.uri
        );
        let invite = self.attacker.invite().unwrap().replace("Content-Type", &format!("{proof}Content-Type"));
        let answer = self.status_of(&invite);
        (invite, answer)
    }
}

fn line_of<'a>(text: &'a str, begins: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(begins)).unwrap_or_else(|| panic!("{begins} in {text}"))
}

#[test]
fn a_replay_gets_401_and_who_guesses_is_banned() {
    let scratch = tempfile::tempdir().unwrap();
    let mut gateway = gateway(scratch.path());
    let mut line = Line::open(gateway.sip(), "1000", 51).unwrap();
    let mut phone = Phone::at(PHONE, &gateway);
    let (invite, answer) = phone.call("correct horse");
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    let proof = line_of(&invite, "Authorization: ");

    // Said again for other calls: from the phone's own address, and from elsewhere.
    for ip in [PHONE, GUESSER] {
        let mut thief = Phone::at(ip, &gateway);
        for _ in 0..3 {
            let stolen = thief.attacker.invite().unwrap();
            let stolen = stolen.replace("Content-Type", &format!("Authorization: {proof}\r\nContent-Type"));
            let answer = thief.status_of(&stolen);
            assert!(answer.starts_with("SIP/2.0 401"), "{answer}");
        }
    }
    let banned = || gateway.admin().unwrap().get("/v1/bans").unwrap();
    assert_eq!(banned(), json!([]), "nobody is banned for what anybody may have said in his name");

    let mut guesser = Phone::at(GUESSER, &gateway);
    for n in 0..6 {
        let (_, answer) = guesser.call(&format!("guess {n}"));
        assert!(answer.starts_with("SIP/2.0 401"), "{answer}");
    }
    wait::until_true("a ban", Duration::from_secs(10), || banned()[0]["reason"] == "password").unwrap();
    assert_eq!((banned()[0]["source"].as_str(), banned().as_array().map(Vec::len)), (Some("127.0.2.2"), Some(1)));

    // All this beside a call that heard everything.
    let silent = UdpSocket::bind((GUESSER, 0)).unwrap();
    let flood = |_: &mut Line, _: usize| -> anyhow::Result<()> {
        let invite = guesser.attacker.invite()?;
        silent.send_to(invite.as_bytes(), gateway.sip())?;
        Ok(())
    };
    line.talk(100, |_| shout(), flood).unwrap();
    assert_eq!(line.missing, 0);
    line.hang_up().unwrap();
    assert!(gateway.process().is_running());
}
