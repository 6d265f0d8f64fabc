//! Faults are found all at once and named by place and key; profiles are as strict as they say.

use super::*;

fn load(text: &str, variables: &[(&str, &str)], profile: Option<&str>) -> Result<Loaded, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cp.toml");
    std::fs::write(&file, text).unwrap();
    let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let shown = |fault: &Diagnostic| fault.to_string().replace(&format!("{}/", folder.path().display()), "");
    load_from(Some(&file), environment, profile).map_err(|error| error.0.iter().map(shown).collect())
}

#[test]
fn nothing_set_is_the_defaults() {
    assert_eq!(load("", &[], None).unwrap().config, Config::default());
    assert_eq!(load_from(None, BTreeMap::new(), None).unwrap().config, Config::default());
}

#[test]
fn every_fault_is_named_at_once_with_its_line_and_the_key_that_was_meant() {
    let text = "tenant = \"\"\n[listen]\npublik = \"127.0.0.1:1\"\nsync = \"here\"\n[limits]\nrequest_s = 0\n\
                drain_s = \"long\"\n[tls]\nmode = \"maybe\"\ncert = \"/c.pem\"\nnames = [\"a b\"]\n";
    let faults = load(text, &[("TRUNKLINE_CP_LIMITS__BODY_BYTES", "12")], None).unwrap_err();
    for expected in [
        "cp.toml:1:10: tenant: the text \"\" does not fit (expected text of 1 to 100 characters)",
        "cp.toml:3:1: listen.publik: unknown key; did you mean `public`? (expected one of",
        "cp.toml:4:8: listen.sync: the text \"here\" does not fit (expected an address and port",
        "cp.toml:6:13: limits.request_s: `0` does not fit (expected a whole number from 1 to 300)",
        "cp.toml:7:11: limits.drain_s: the text \"long\" does not fit",
        "cp.toml:9:8: tls.mode: the text \"maybe\" does not fit (expected one of `auto`, `always`, `off`)",
        "cp.toml:10:8: tls.cert: there is no `tls.key` to it",
        "cp.toml:11:9: tls.names: \"a b\" is neither a DNS name nor an address",
        "environment variable TRUNKLINE_CP_LIMITS__BODY_BYTES: limits.body_bytes: `12` does not fit",
    ] {
        assert!(faults.iter().any(|fault| fault.starts_with(expected)), "{expected}\n in {faults:#?}");
    }
    assert_eq!(faults.len(), 9, "{faults:#?}");
}

#[test]
fn a_file_that_is_no_toml_is_named_with_its_line() {
    let faults = load("tenant = \"a\"\n[listen\n", &[], None).unwrap_err();
    assert!(faults.len() == 1 && faults[0].starts_with("cp.toml:2:") && faults[0].contains("not TOML"), "{faults:?}");
    let missing = load_from(Some(Path::new("/nowhere/cp.toml")), BTreeMap::new(), None).unwrap_err();
    assert!(missing.to_string().starts_with("/nowhere/cp.toml: cannot be read"), "{missing}");
}

#[test]
fn variables_win_over_the_file_and_have_the_type_of_their_key() {
    let variables = [
        ("TRUNKLINE_CP_TENANT", "007"),
        ("TRUNKLINE_CP_LIMITS__DRAIN_S", "7"),
        ("TRUNKLINE_CP_TLS__NAMES", "cp.example.com, 192.0.2.1"),
        ("TRUNKLINE_CP_LISTEN__SYNC", "[::]:7001"),
        ("TRUNKLINE_CP_BIN", "/somewhere"),
        ("TRUNKLINE_SIP__LISTEN", "the gateway's"),
    ];
    let config = load("tenant = \"a\"\n[limits]\ndrain_s = 3\nrequest_s = 4\n", &variables, None).unwrap().config;
    assert_eq!((config.tenant.as_str(), config.limits.drain_s, config.limits.request_s), ("007", 7, 4));
    assert_eq!(config.tls.names, ["cp.example.com", "192.0.2.1"]);
    assert!(config.is_tls(config.listen.sync) && !config.is_tls(config.listen.public));
    let unknown = load("", &[("TRUNKLINE_CP_LISTEN__PUBLIK", "x")], None).unwrap_err();
    assert!(unknown[0].starts_with("environment variable TRUNKLINE_CP_LISTEN__PUBLIK: "), "{unknown:?}");
}

#[test]
fn plain_http_beyond_the_host_is_refused_for_every_listener() {
    for key in ["public", "sync"] {
        let text = format!("[listen]\n{key} = \"0.0.0.0:7000\"\n[tls]\nmode = \"off\"\n");
        let faults = load(&text, &[], None).unwrap_err();
        assert!(faults.len() == 1 && faults[0].contains("plain HTTP beyond this host"), "{faults:?}");
        let encrypted = load(&text.replace("off", "auto"), &[], None).unwrap().config;
        assert!(encrypted.is_tls("0.0.0.0:7000".parse().unwrap()));
    }
    let metrics = load("[listen]\nmetrics = \"0.0.0.0:7002\"\n", &[], None).unwrap_err();
    assert!(metrics[0].starts_with("cp.toml:2:11: listen.metrics"), "{metrics:?}");
}

#[test]
fn an_inline_secret_is_refused_without_repeating_it() {
    let faults = load("[secrets]\npepper = \"hunter2\"\n", &[], None).unwrap_err();
    assert!(faults[0].starts_with("cp.toml:2:10: secrets.pepper") && !faults[0].contains("hunter2"), "{faults:?}");
    assert!(load("[secrets]\npepper = \"credential:pepper\"\nsigning_key = \"env:SEED\"\n", &[], None).is_ok());
}

#[test]
fn what_dev_takes_staging_warns_of_and_prod_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    std::fs::write(&key, "").unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let text = format!(
        "state = \"/tmp/state\"\n[listen]\npublic = \"127.0.0.1:0\"\n[tls]\ncert = \"/c.pem\"\nkey = \"{}\"\n\
         [database]\npath = \"cp.db\"\n",
        key.display()
    );
    assert!(load(&text, &[], Some("dev")).unwrap().warnings.is_empty());
    let warned = load(&text, &[("TRUNKLINE_CP_PROFILE", "staging")], None).unwrap().warnings;
    let keys: Vec<&str> = warned.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["state", "database.path", "listen.public", "tls.key"]);
    let refused = load(&text, &[("TRUNKLINE_CP_PROFILE", "staging")], Some("prod")).unwrap_err();
    assert_eq!(refused.len(), 4, "the command line wins: {refused:?}");
    assert!(load("", &[], Some("prod")).unwrap().warnings.is_empty(), "the defaults are safe");
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault_and_not_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let dangling = folder.path().join("cp.toml");
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &dangling).unwrap();
    assert!(layers::is_there(&dangling) && !layers::is_there(&folder.path().join("other.toml")));
    for path in [dangling.as_path(), folder.path()] {
        let refused = load_from(Some(path), BTreeMap::new(), None).unwrap_err().to_string();
        assert!(refused.contains("cannot be read"), "{refused}");
    }
}

#[test]
fn what_may_be_a_secret_is_not_shown_and_what_is_long_is_cut() {
    let faults = load("secrets = \"sk-live-verysecret\"\n", &[("TRUNKLINE_CP_TENANT", &"x".repeat(500))], None);
    let said = faults.unwrap_err().join("\n");
    assert!(said.contains("secrets: what is written there does not fit") && !said.contains("verysecret"), "{said}");
    assert!(said.contains("tenant: the text \"xxx") && said.len() < 600, "{said}");
    let below = load("[secrets]\npepper = 7\n", &[], None).unwrap_err().join("\n");
    assert!(below.contains("secrets.pepper: what is written there"), "{below}");
    let top = load("state = \"/\"\n", &[], None).unwrap_err().join("\n");
    assert!(top.contains("state: \"/\" is no folder that could be the control plane's alone"), "{top}");
}
