//! A phone of another make (baresip, with libopus, spandsp, libsrtp and OpenSSL) calls with each codec, plain and encrypted,
//! over UDP, TCP and TLS: it hears the greeting, and the agent understands it.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use trunkline_caller::spoken;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::hosts::{self, Host, SIP_PORT, SIPS_PORT};
use trunkline_tests::process::Process;
use trunkline_tests::wav::{Wav, level_dbfs};
use trunkline_tests::{objects, wait};

/// What the phone signals over, its name of a codec, how it wants its media, and what it says once that is agreed on.
const CALLS: [(&str, &str, &str, &[&str]); 7] = [
    (
        "tls",
        "opus/48000/2",
        "srtp-mand",
        &["Set audio decoder: opus", "SRTP is Enabled (cryptosuite=AES_CM_128_HMAC_SHA1_80)"],
    ),
    ("udp", "opus/48000/2", "", &["Set audio decoder: opus"]),
    ("udp", "G722/16000/1", "srtp", &["Set audio decoder: G722", "SRTP is Enabled"]),
    ("udp", "L16/16000/1", "", &["Set audio decoder: L16"]),
    ("udp", "PCMU/8000/1", "srtp-mand", &["Set audio decoder: PCMU", "SRTP is Enabled"]),
    ("tcp", "PCMU/8000/1", "", &["Set audio decoder: PCMU"]),
    ("tls", "PCMA/8000/1", "srtp-mand", &["Set audio decoder: PCMA", "SRTP is Enabled"]),
];

#[test]
#[ignore = "slow: seven calls, each as long as its greeting"]
fn a_phone_of_another_make_hears_and_is_understood_with_each() {
    if !hosts::allowed() {
        eprintln!("SKIPPED: the phone does not use loopback, and hosts of one's own need root");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let [gateways, phones] = hosts::two().unwrap();
    let mut gateway = gateway(&scratch.path().join("gateway"), &gateways, &phones);

    // The word comes again and again, because the greeting may last a while on a busy machine.
    let word = spoken("slt", "goodbye").unwrap();
    let mut speech = vec![0; 14 * 8000];
    for _ in 0..6 {
        speech.extend_from_slice(&word);
        speech.resize(speech.len() + 4 * 8000, 0);
    }
    let voice = scratch.path().join("caller.wav");
    Wav::write_mono(&voice, 8000, &speech).unwrap();

    for (number, (transport, codec, encryption, signs)) in CALLS.into_iter().enumerate() {
        let folder = scratch.path().join(format!("phone-{number}"));
        let mut phone = call(&folder, &voice, (transport, codec, encryption), &phones, gateways.address);
        let ended = wait::until_true("the agent to hang up", Duration::from_secs(60), || {
            ["session closed", "terminated (duration"].iter().any(|sign| phone.log().contains(sign))
        });
        let log = phone.log();
        assert!(
            ended.is_ok(),
            "{transport} {codec} {encryption}: the agent did not understand:\n{log}\n{}",
            gateway.log()
        );
        phone.kill().unwrap();
        for sign in signs {
            assert!(log.contains(sign), "{transport} {codec} {encryption}: no \"{sign}\" in\n{log}");
        }
        let heard = Wav::read(&received(&folder)).unwrap();
        let frame = heard.rate as usize / 50;
        let loud = heard.channels[0].chunks(frame).filter(|frame| level_dbfs(frame) > -40.0).count() * 20;
        assert!(loud > 1000, "{transport} {codec} {encryption}: the agent was audible for {loud} ms");
    }
    assert!(gateway.is_running() && !gateway.log().contains("panicked"));
    gateway.stop(Duration::from_secs(60)).unwrap();
}

/// A gateway on a host of its own, whose one trunk is the other host.
fn gateway(folder: &Path, host: &Host, peer: &Host) -> Process {
    let greeting = "Good morning. Say goodbye when you have heard enough of me.";
    let text = objects::answering(&objects::offline_agent(greeting)).unwrap();
    let [narrow, wide] = [r#"["PCMU", "PCMA"]"#, r#"["opus", "G722", "L16/16000", "PCMU", "PCMA"]"#];
    let peers = [r#"["127.0.0.1"]"#.to_owned(), format!(r#"["{}"]"#, peer.address)];
    assert!(text.contains(narrow) && text.contains(&peers[0]), "the rig's trunk is another than before:\n{text}");
    fs::create_dir_all(folder.join("objects")).unwrap();
    fs::write(folder.join("objects/objects.toml"), text.replace(narrow, wide).replace(&peers[0], &peers[1])).unwrap();
    let address = host.address.to_string();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new([address.clone()]).unwrap().self_signed(&key).unwrap();
    let [cert, key_file] = ["sip.pem", "sip.key"].map(|name| folder.join(name));
    fs::write(&cert, certificate.pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    let options = Options::default()
        .with("TRUNKLINE_SIP__TLS__CERT", &cert.display().to_string())
        .with("TRUNKLINE_SIP__TLS__KEY", &key_file.display().to_string())
        .with("TRUNKLINE_SIP__LISTENERS__PHONES__TRANSPORT", "tls")
        .with("TRUNKLINE_SIP__LISTENERS__PHONES__LISTEN", &format!("{address}:{SIPS_PORT}"))
        .with("TRUNKLINE_OBJECTS__DIR", &folder.join("objects").display().to_string())
        .with("TRUNKLINE_SIP__LISTEN", &format!("{address}:{SIP_PORT}"))
        .with("TRUNKLINE_SIP__ADVERTISE", &address)
        .with("TRUNKLINE_RTP__BIND", &address)
        .with("TRUNKLINE_RTP__ADVERTISE", &address);
    let mut run = Gateway::command_in(folder, &options).unwrap();
    run.arg("run");
    let mut there = host.command(run.get_program());
    there.args(run.get_args()).envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut process = Process::start("gateway", folder, &mut there).unwrap();
    let endpoints = folder.join("state/endpoints.json");
    process.await_sign("the gateway's endpoints", Duration::from_secs(90), |_| fs::metadata(&endpoints).ok()).unwrap();
    process
}

/// Starts the phone, which calls at once.
fn call(
    folder: &Path,
    voice: &Path,
    (transport, codec, encryption): (&str, &str, &str),
    host: &Host,
    gateway: Ipv4Addr,
) -> Process {
    fs::create_dir_all(folder).unwrap();
    let (address, dump, voice) = (host.address, folder.display(), voice.display());
    let config = format!(
        "module_path /usr/lib/baresip/modules\nsip_listen {address}:{SIP_PORT}\nsip_verify_server no\nnet_interface cable\n\
         audio_source aufile,{voice}\naudio_player aufile,{dump}/played.wav\naudio_alert none\nausrc_srate 8000\n\
         ausrc_channels 1\nauplay_channels 1\nsnd_path {dump}\n\
         module stdio.so\nmodule g711.so\nmodule g722.so\nmodule opus.so\nmodule l16.so\nmodule aufile.so\n\
         module sndfile.so\nmodule srtp.so\nmodule_tmp account.so\nmodule_app menu.so\n"
    );
    let encryption = if encryption.is_empty() { String::new() } else { format!(";mediaenc={encryption}") };
    let account = format!("<sip:phone@{address};transport={transport}>;regint=0{encryption};audio_codecs={codec}\n");
    fs::write(folder.join("config"), config).unwrap();
    fs::write(folder.join("accounts"), account).unwrap();
    fs::write(folder.join("contacts"), "").unwrap();
    let port = if transport == "tls" { SIPS_PORT } else { SIP_PORT };
    let mut baresip = host.command("baresip");
    baresip.arg("-f").arg(folder).args([
        "-v",
        "-e",
        &format!("/dial sip:1000@{gateway}:{port};transport={transport}"),
        "-t",
        "90",
    ]);
    Process::start("baresip", folder, &mut baresip).unwrap()
}

/// The sound that the phone decoded.
fn received(folder: &Path) -> PathBuf {
    let mut files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.to_string_lossy().ends_with("-dec.wav")).unwrap()
}
