//! A broken configuration is refused with file, line, column, key and what was expected.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use trunkline_api::object::Kind;

use super::{Loaded, load_from};

/// A folder with a configuration.
struct Folder(TempDir);

impl Folder {
    fn with(main: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.file("trunkline.toml", main);
        folder
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load(&self, environment: &[(&str, &str)], set: &[&str]) -> Result<Loaded, Vec<String>> {
        let environment: BTreeMap<_, _> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let set: Vec<_> = set.iter().map(|text| (*text).to_owned()).collect();
        let root = format!("{}/", self.0.path().display());
        load_from(Some(&self.path("trunkline.toml")), environment, &set)
            .map_err(|faults| faults.iter().map(|fault| fault.to_string().replace(&root, "")).collect())
    }

    fn faults(&self) -> Vec<String> {
        self.load(&[], &[]).unwrap_err()
    }
}

#[test]
fn later_layers_win() {
    let folder = Folder::with("[sip]\nsource_rate = 1\n[gateway]\nname = \"file\"\n[limits]\nmax_calls = 5\n");
    folder.file("conf.d/20-b.toml", "[gateway]\nname = \"b\"\n");
    folder.file("conf.d/10-a.toml", "[gateway]\nname = \"a\"\n[sip]\nsource_rate = 2\n");
    let environment = [("TRUNKLINE_SIP__SOURCE_RATE", "3"), ("TRUNKLINE_LIMITS__MAX_CALLS", "6")];
    let config = folder.load(&environment, &["limits.max_calls=7"]).unwrap().config;
    assert_eq!(config.gateway.name, "b");
    assert_eq!((config.sip.source_rate, config.limits.max_calls), (3, 7));
    assert_eq!(config.sip.source_burst, 4000);
}

#[test]
fn text_from_the_environment_needs_no_quotes_and_lists_need_no_brackets() {
    let environment = [
        ("TRUNKLINE_GATEWAY__NAME", "4711"),
        ("TRUNKLINE_PLUGINS__ALLOW_UNSIGNED", "true"),
        ("TRUNKLINE_PLUGINS__GRANT_HOSTS", "http://a:1, http://b:2"),
        ("TRUNKLINE_SECRETS__KEY__FROM", "env:KEY"),
        // Neither of these is configuration of a gateway.
        ("TRUNKLINE_BIN", "/bin/x"),
        ("TRUNKLINE_CP_LISTEN__PUBLIC", "127.0.0.1:1"),
        ("PATH", "/bin"),
    ];
    let config = Folder::with("").load(&environment, &["sip.advertise=192.0.2.1"]).unwrap().config;
    assert_eq!(config.gateway.name, "4711");
    assert!(config.plugins.allow_unsigned);
    assert_eq!(config.plugins.grant_hosts, ["http://a:1", "http://b:2"]);
    assert_eq!(config.secrets["key"].from, "env:KEY");
    assert_eq!(config.sip.advertise.unwrap().to_string(), "192.0.2.1");
}

#[test]
fn every_fault_is_reported_at_its_place() {
    let folder = Folder::with(
        "[sip]\nlisen = \"127.0.0.1:5060\"\nsource_rate = 0\nunknown_peer = \"ignore\"\n\n[rtp]\n  port_min = \"x\"\n\
         [medai]\nworkers = 2\n",
    );
    folder.file("conf.d/a.toml", "[admin]\nlisten = 7081\n");
    assert_eq!(
        folder.faults(),
        [
            "trunkline.toml:8:2: medai: unknown key; did you mean `media`? (expected one of `admin`, `admission`, `audiosocket`, `control_plane`, \
             `gateway`, `hep`, `history`, `limits`, `log`, `media`, `objects`, `plugins`, `profile`, `recording`, `rtp`, \
             `secrets`, `sip`, `testing`)",
            "trunkline.toml:7:14: rtp.port_min: the text \"x\" does not fit (expected a whole number from 1024 to 65534)",
            "trunkline.toml:2:1: sip.lisen: unknown key; did you mean `listen`? (expected one of `advertise`, `ban_after`, \
             `ban_s`, `ban_scanners`, `listen`, `listeners`, `name_servers`, `source_burst`, `source_rate`, `stir`, \
             `tcp`, `tls`, `unknown_peer`)",
            "trunkline.toml:3:15: sip.source_rate: `0` does not fit (expected a whole number from 1 to 100000)",
            "trunkline.toml:4:16: sip.unknown_peer: the text \"ignore\" does not fit (expected one of `reject`, `drop`)",
            "conf.d/a.toml:2:10: admin.listen: `7081` does not fit (expected an address and port such as \
             `127.0.0.1:5060`)",
        ]
    );
}

#[test]
fn unsafe_values_are_allowed_warned_about_or_refused_by_the_profile() {
    let folder = Folder::with("profile = \"prod\"\n[plugins]\nallow_unsigned = true\n");
    let refused = folder.faults();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].starts_with("trunkline.toml:3:18: plugins.allow_unsigned: unsafe in service: "), "{refused:?}");
    // The variable wins over the file, the argument over the variable.
    let staging = folder.load(&[("TRUNKLINE_PROFILE", "staging")], &[]).unwrap();
    assert_eq!((staging.config.profile, staging.warnings.len()), (trunkline_configuration::Profile::Staging, 1));
    let dev = folder.load(&[("TRUNKLINE_PROFILE", "staging")], &["profile=dev"]).unwrap();
    assert_eq!((dev.config.profile, dev.warnings.len()), (trunkline_configuration::Profile::Dev, 0));
    let unknown = folder.load(&[("TRUNKLINE_PROFILE", "production")], &[]).unwrap_err();
    assert!(unknown[0].starts_with("environment variable TRUNKLINE_PROFILE: profile: the text \"production\" does"));
}

#[test]
fn what_would_be_found_in_names_of_people_is_no_scanner_and_a_capture_server_has_an_address_and_a_known_secret() {
    let folder = Folder::with(
        "[sip]\nban_scanners = [\"sipvicious\", \"ann\"]\n[hep]\ncollector = \"0.0.0.0:9060\"\nsecret = \"homer\"\n",
    );
    assert_eq!(
        folder.faults(),
        [
            "trunkline.toml:2:16: sip.ban_scanners: \"ann\" would be found in names of people, or in nothing (expected 5 to 64 \
             printable ASCII characters each)",
            "trunkline.toml:5:10: hep.secret: \"homer\" is not among [secrets] (expected the name of a secret, or nothing)",
            "trunkline.toml:4:13: hep.collector: nobody can be sent to there (expected an address and a port of a capture server)",
        ]
    );
    let config = folder.load(&[("TRUNKLINE_SIP__BAN_SCANNERS", "sipcli,sipvicious")], &[]);
    assert!(config.is_err());
    let sound = Folder::with("[hep]\ncollector = \"192.0.2.9:9060\"\n");
    let config = sound.load(&[("TRUNKLINE_SIP__BAN_SCANNERS", "sipcli,sipvicious")], &[]).unwrap().config;
    assert_eq!((config.sip.ban_scanners.len(), config.hep.agent), (2, 2001));
}

#[test]
fn certificates_of_callers_need_somebody_who_is_believed_and_places_to_fetch_from_are_https() {
    let folder =
        Folder::with("[sip.stir]\ncertificates = \"/c\"\ngrant_hosts = [\"http://c.example\"]\nfreshness_s = 60\n");
    assert_eq!(
        folder.faults(),
        [
            "trunkline.toml:2:16: sip.stir.certificates: certificates are laid down, and nobody who signed them is believed \
             (expected `sip.stir.roots` beside it)",
            "trunkline.toml:3:15: sip.stir.grant_hosts: \"http://c.example\" is no place to fetch a certificate from (expected \
             `https://host` or `https://host:port`)",
        ]
    );
    assert!(Folder::with("[sip.stir]\nfreshness_s = 601\n").load(&[], &[]).is_err());
}

#[test]
fn text_that_is_no_toml_is_reported_at_its_place() {
    let faults = Folder::with("[sip]\nlisten = \n[rtp\n").faults();
    assert!(faults[0].starts_with("trunkline.toml:2:"), "{faults:?}");
    assert!(faults.iter().any(|fault| fault.starts_with("trunkline.toml:3:")), "{faults:?}");
}

#[test]
fn a_key_written_twice_is_reported() {
    let faults = Folder::with("[sip]\nsource_rate = 1\nsource_rate = 2\n").faults();
    assert!(faults[0].starts_with("trunkline.toml:3:1: not TOML: duplicate key"), "{faults:?}");
}

#[test]
fn a_secret_that_was_written_where_a_reference_belongs_is_not_repeated() {
    let folder = Folder::with("[secrets]\nk = \"sk-live-1\"\n");
    let environment = [("TRUNKLINE_SECRETS__L", "sk-live-2")];
    let faults = folder.load(&environment, &["secrets.m=sk-live-3", "secrets=sk-live-4"]).unwrap_err().join("\n");
    assert!(["secrets.k", "secrets.l", "secrets.m"].iter().all(|key| faults.contains(key)), "{faults}");
    assert!(!faults.contains("sk-live"), "{faults}");
}

#[test]
fn faults_of_the_environment_and_of_arguments_name_them() {
    let environment = [("TRUNKLINE_SIP__LISTEN", "5060"), ("TRUNKLINE_SPI__LISTEN", "x")];
    let faults = Folder::with("").load(&environment, &["limits.max_calls=many", "limits"]).unwrap_err();
    assert_eq!(faults[0], "--set limits: no value (expected `section.key=value`)");
    assert_eq!(
        faults[1],
        "environment variable TRUNKLINE_SIP__LISTEN: sip.listen: the text \"5060\" does not fit (expected an address \
         and port such as `127.0.0.1:5060`)"
    );
    assert!(faults[2].starts_with("environment variable TRUNKLINE_SPI__LISTEN: spi: unknown key; did you mean `sip`?"));
    assert_eq!(
        faults[3],
        "--set limits.max_calls=many: limits.max_calls: the text \"many\" does not fit (expected a whole number from \
         1 to 8000)"
    );
}

#[test]
fn keys_that_do_not_fit_each_other_are_reported() {
    let folder = Folder::with(
        "[sip]\nlisten = \"0.0.0.0:5060\"\n[rtp]\nport_min = 20001\nport_max = 20000\nadvertise = \"0.0.0.0\"\n\
         [admin]\nlisten = \"192.0.2.1:7081\"\n[control_plane]\nurl = \"http://control.example:7001\"\n\
         [plugins]\ntrusted_keys = [\"abc\"]\n[log]\nlevel = \"loud=very\"\n[secrets.key]\nfrom = \"sk-live-123\"\n",
    );
    let faults = folder.faults();
    let expected = [
        "trunkline.toml:2:10: sip.listen: 0.0.0.0 is no address to tell peers (expected an address, or `sip.advertise`",
        "trunkline.toml:6:13: rtp.advertise: peers cannot send to 0.0.0.0",
        "trunkline.toml:4:12: rtp.port_min: 20001 is odd",
        "trunkline.toml:5:12: rtp.port_max: 20000 leaves no pair of ports",
        "trunkline.toml:8:10: admin.listen: 192.0.2.1:7081 is not loopback",
        "trunkline.toml:10:7: control_plane.url: plain HTTP beyond this host",
        "trunkline.toml:12:16: plugins.trusted_keys: entry 0 is not a minisign public key",
        "trunkline.toml:14:9: log.level: \"loud=very\" is no filter",
        "trunkline.toml:16:8: secrets.key.from: not a reference to a secret",
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.starts_with(expected), "{fault}");
        assert!(!fault.contains("sk-live"), "a secret in a message");
    }
}

#[test]
fn a_secret_without_reference_is_reported() {
    let faults = Folder::with("[secrets.key]\nfrm = \"env:KEY\"\n").faults();
    assert_eq!(
        faults,
        ["trunkline.toml:2:1: secrets.key.frm: unknown key; did you mean `from`? (expected one of `from`)"]
    );
    let faults = Folder::with("[secrets.key]\n").faults();
    assert_eq!(faults, ["trunkline.toml:1:1: secrets.key.from: is missing (expected text in quotes)"]);
}

#[test]
fn a_file_that_was_named_must_exist_and_the_default_one_need_not() {
    let folder = Folder::with("");
    let missing = load_from(Some(&folder.path("other.toml")), BTreeMap::new(), &[]).unwrap_err();
    assert!(missing[0].to_string().contains("other.toml: cannot be read: "), "{}", missing[0]);
}

const OBJECTS: &str = r#"
[[object]]
kind = "tenant"
id = "ten_00000000000000000000000001"
tenant = "ten_00000000000000000000000001"
body = { name = "shop" }

[[object]]
kind = "trunk"
id = "trk_00000000000000000000000001"
tenant = "ten_00000000000000000000000001"
[object.body]
name = "carrier"
peers = ["203.0.113.0/24"]

[[object]]
kind = "agent"
id = "agt_00000000000000000000000001"
tenant = "ten_00000000000000000000000001"
[object.body]
name = "clerk"
greeting = "Hello."
failures.llm_timeout = { action = "say", text = "One moment." }
[object.body.pipeline.cascade]
asr = [{ provider = "grammar" }]
llm = [{ provider = "scripted", settings = { rules = [{ say = "Yes." }] } }]
tts = [{ provider = "espeak" }]

[[object]]
kind = "route"
id = "rte_00000000000000000000000001"
tenant = "ten_00000000000000000000000001"
[object.body]
name = "all"
agent = "agt_00000000000000000000000001"
trunk = "trk_00000000000000000000000001"
"#;

fn with_objects(change: (&str, &str)) -> Vec<String> {
    assert!(OBJECTS.contains(change.0), "nothing to change: {}", change.0);
    let folder = Folder::with("");
    folder.file("conf.d/objects/shop.toml", &OBJECTS.replacen(change.0, change.1, 1));
    folder.faults()
}

#[test]
fn objects_are_read_from_beside_the_configuration() {
    let folder = Folder::with("");
    folder.file("conf.d/objects/shop.toml", OBJECTS);
    let objects = folder.load(&[], &[]).unwrap().objects;
    let kinds: Vec<_> = objects.iter().map(|object| object.kind).collect();
    assert_eq!(kinds, [Kind::Tenant, Kind::Trunk, Kind::Agent, Kind::Route]);
    assert!(objects.iter().all(|object| object.version == 1 && object.typed().is_ok()));

    let elsewhere = folder.path("elsewhere");
    folder.file("elsewhere/a.toml", "");
    let set = format!("objects.dir={}", elsewhere.display());
    assert!(folder.load(&[], &[&set]).unwrap().objects.is_empty());
}

#[test]
fn faults_of_objects_are_reported_at_their_places() {
    for (change, expected) in [
        (("kind = \"trunk\"", "kind = \"trunks\""), "shop.toml:9:8: object[1].kind: the text \"trunks\" does not fit"),
        (
            ("id = \"trk_0", "id = \"agt_0"),
            "shop.toml:10:1: object[1].body: agt_00000000000000000000000001 is not the id",
        ),
        (("id = \"trk_0", "id = \"trk-0"), "shop.toml:10:6: object[1].id: the text"),
        (("tenant = \"ten_0", "tenant = \"usr_0"), "shop.toml:5:10: object[0].tenant: the text"),
        (("kind = \"tenant\"\n", ""), "shop.toml:2:1: object[0].kind: is missing (expected a kind: `tenant`"),
        (("body = {", "bodi = {"), "shop.toml:6:1: object[0].bodi: unknown key; did you mean `body`?"),
        (("peers = [", "peer = ["), "shop.toml:14:1: object[1].body.peer: unknown key; did you mean `peers`?"),
        (("peers = [\"203.0.113.0/24\"]", ""), "shop.toml:12:1: object[1].body.peers: is missing (expected a list"),
        (
            ("203.0.113.0/24", "203.0.113.0/240"),
            "shop.toml:14:1: object[1].body.peers: `203.0.113.0/240` is no address range",
        ),
        (
            ("trunk = \"trk_", "called = \"0*0\"\ntrunk = \"trk_"),
            "shop.toml:36:1: object[3].body.called: `0*0` is no pattern",
        ),
        (
            ("body.pipeline.cascade]", "body.pipeline.cascad]"),
            "shop.toml:24:23: object[2].body.pipeline.cascad: unknown key; did you mean `cascade`?",
        ),
        (
            ("action = \"say\"", "action = \"sya\""),
            "shop.toml:23:24: object[2].body.failures.llm_timeout: a table does not fit",
        ),
        (
            ("peers = [", "max_cals = 1\npeers = ["),
            "shop.toml:14:1: object[1].body.max_cals: unknown key; did you mean `max_calls`?",
        ),
        (("greeting =", "greting ="), "shop.toml:22:1: object[2].body.greting: unknown key; did you mean `greeting`?"),
        (
            ("action = \"say\"", "action = \"sing\""),
            "shop.toml:23:24: object[2].body.failures.llm_timeout: a table does not fit (expected one of `next_provider`, `say`",
        ),
        (
            ("provider = \"espeak\"", "plugin = \"espeak\""),
            "shop.toml:27:10: object[2].body.pipeline.cascade.tts[0].plugin: unknown key",
        ),
        (
            ("name = \"clerk\"", "name = \"\""),
            "shop.toml:21:1: object[2].body.name: does not fit (expected 1 to 100 characters)",
        ),
        (
            ("name = \"clerk\"", "name = \"clerk\"\nturn.end_silence_ms = 5"),
            "shop.toml:22:6: object[2].body.turn.end_silence_ms: does not fit (expected 100 to 5000)",
        ),
        (
            ("name = \"clerk\"", "name = \"clerk\"\nrequires = [\"teleport\"]"),
            "shop.toml:20:1: object[2].body: Agent agt_00000000000000000000000001: unsupported_feature",
        ),
        (
            ("agent = \"agt_00000000000000000000000001\"", "agent = \"agt_00000000000000000000000002\""),
            "shop.toml:35:1: object[3].body.agent: there is no object agt_00000000000000000000000002",
        ),
        (("[[object]]", "[objects]\n[[object]]"), "shop.toml:2:2: objects: unknown key; did you mean `object`?"),
    ] {
        let faults = with_objects(change);
        let expected = format!("conf.d/objects/{expected}");
        assert!(faults.iter().any(|fault| fault.starts_with(&expected)), "{expected}\n{faults:#?}");
    }
}

#[test]
fn every_missing_field_is_reported_at_once_and_a_misspelt_one_only_as_such() {
    let folder = Folder::with("");
    folder.file(
        "conf.d/objects/a.toml",
        "[[object]]\nkind = \"trunk\"\n[object.body]\ncodecs = [\"PCMU\"]\n\n[[object]]\nkind = \"route\"\n\
         id = \"rte_00000000000000000000000001\"\ntenant = \"ten_00000000000000000000000001\"\n[object.body]\n\
         nmae = \"x\"\n",
    );
    let faults = folder.faults();
    let begins: Vec<_> = faults.iter().map(|fault| fault.split(" (").next().unwrap_or_default()).collect();
    assert_eq!(
        begins,
        [
            "conf.d/objects/a.toml:1:1: object[0].id: is missing",
            "conf.d/objects/a.toml:1:1: object[0].tenant: is missing",
            "conf.d/objects/a.toml:3:1: object[0].body.name: is missing",
            "conf.d/objects/a.toml:3:1: object[0].body.peers: is missing",
            "conf.d/objects/a.toml:11:1: object[1].body.nmae: unknown key; did you mean `name`?",
            "conf.d/objects/a.toml:10:1: object[1].body.agent: is missing",
        ]
    );
}

#[test]
fn an_id_may_be_used_once() {
    let folder = Folder::with("");
    folder.file("conf.d/objects/a.toml", OBJECTS);
    folder.file("conf.d/objects/b.toml", &OBJECTS[..OBJECTS.find("[[object]]\nkind = \"trunk\"").unwrap()]);
    let faults = folder.faults();
    assert_eq!(faults.len(), 1);
    assert!(
        faults[0].starts_with("conf.d/objects/b.toml:4:1: object[0].id: ten_00000000000000000000000001 is defined at")
    );
    assert!(faults[0].contains("conf.d/objects/a.toml:4:1 already"), "{}", faults[0]);
}

#[test]
fn whatever_is_broken_is_loaded_or_refused() {
    let example =
        fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../config/trunkline.toml")).unwrap();
    let folder = Folder::with("");
    let (mut seed, mut refused) = (7_u64, 0);
    let mut random = |end: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % end
    };
    for _ in 0..300 {
        for (name, text) in [("trunkline.toml", example.as_str()), ("conf.d/objects/shop.toml", OBJECTS)] {
            let mut characters: Vec<char> = text.chars().collect();
            for _ in 0..=random(3) {
                let at = random(characters.len());
                let other = ['"', '[', ']', '{', '=', '.', '\n', '#', '0', 'x', 'é', ','][random(12)];
                match random(3) {
                    0 => characters[at] = other,
                    1 => characters.insert(at, other),
                    _ => drop(characters.remove(at)),
                }
            }
            folder.file(name, &characters.into_iter().collect::<String>());
        }
        if let Err(faults) = folder.load(&[], &[]) {
            refused += 1;
            let places = |fault: &String| fault.contains(".toml:") || fault.starts_with("defaults: ");
            assert!(!faults.is_empty() && faults.iter().all(places), "{faults:#?}");
        }
    }
    assert!(refused > 100, "only {refused} were refused");
}
